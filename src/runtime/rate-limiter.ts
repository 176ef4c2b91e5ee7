/** Per-key exponential back-off, as client-go's ItemExponentialFailureRateLimiter. */

export interface RateLimiterOptions {
  /** Delay after the first failure, in milliseconds; default 5. */
  readonly baseMs?: number | undefined;
  /** Longest delay, in milliseconds; default 60,000 (client-go's 1,000 s is too long to wait for storage). */
  readonly maxMs?: number | undefined;
}

/** Remembers how often each key has failed in a row. */
export class RateLimiter {
  readonly #failures = new Map<string, number>();
  readonly #baseMs: number;
  readonly #maxMs: number;

  constructor(options: RateLimiterOptions = {}) {
    this.#baseMs = options.baseMs ?? 5;
    this.#maxMs = options.maxMs ?? 60_000;
  }

  /** Counts a failure and returns how long to wait, in milliseconds: base·2ⁿ up to the cap. */
  when(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    return Math.min(this.#baseMs * 2 ** Math.min(failures, 60), this.#maxMs);
  }

  forget(key: string): void {
    this.#failures.delete(key);
  }

  retries(key: string): number {
    return this.#failures.get(key) ?? 0;
  }
}
