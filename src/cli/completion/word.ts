/** The word before what is typed, when a shell asks. */
export const COMPLETE = '__complete';
