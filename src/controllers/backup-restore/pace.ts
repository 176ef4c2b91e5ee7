/** How soon a Restore that was just made and would be refused is judged again, in milliseconds. */
export const LOOK_AGAIN_MS = 200;
/** The same for what nobody tells us of. */
export const LOOK_LATER_MS = 10_000;
