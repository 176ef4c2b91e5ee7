/** Where the server takes the time from. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Now, as object metadata has it: RFC 3339, UTC, whole seconds. */
export function timestamp(clock: Clock): string {
  return `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
}
