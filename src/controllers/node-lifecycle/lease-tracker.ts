/**
 * Which nodes still renew their Leases. Clocks of different machines are never compared: a Lease has run out when this
 * process has seen it unchanged for its whole duration, by its own monotonic clock (as leader election does).
 */
interface Seen {
  readonly renewTime: string | undefined;
  /** Monotonic milliseconds when it was first seen like this. */
  readonly since: number;
}

export interface Liveness {
  readonly alive: boolean;
  /** Milliseconds until it runs out; 0 when it has. */
  readonly remainingMs: number;
}

export class LeaseTracker {
  readonly #seen = new Map<string, Seen>();

  /** Takes note of a Lease as it is now (`renewTime` undefined = there is none) and says what that means. */
  observe(node: string, renewTime: string | undefined, durationMs: number, now: number): Liveness {
    const before = this.#seen.get(node);
    const seen = before !== undefined && before.renewTime === renewTime ? before : { renewTime, since: now };
    this.#seen.set(node, seen);
    const remainingMs = Math.max(0, durationMs - (now - seen.since));
    return { alive: remainingMs > 0, remainingMs };
  }

  /** Drops what is remembered of a node that is gone. */
  forget(node: string): void {
    this.#seen.delete(node);
  }
}
