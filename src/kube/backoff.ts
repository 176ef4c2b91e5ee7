/** Delays between attempts: doubling, with jitter, as client-go's reflector has them. */

export interface BackoffOptions {
  /** The first delay is this to twice this, in milliseconds; default 800. */
  readonly initialMs?: number | undefined;
  /** Longest delay in milliseconds; default 30,000. */
  readonly maxMs?: number | undefined;
  /** Answers a number in [0, 1); default Math.random. */
  readonly random?: (() => number) | undefined;
}

/** Counts failures in a row. */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#initialMs = options.initialMs ?? 800;
    this.#maxMs = options.maxMs ?? 30_000;
    this.#random = options.random ?? Math.random;
  }

  get failures(): number {
    return this.#failures;
  }

  /**
   * Counts a failure and returns how long to wait, in milliseconds: half of the delay to all of it.
   * @param maxMs a lower limit for this kind of failure; failures beyond it do not make later delays longer
   */
  next(maxMs: number = this.#maxMs): number {
    const delay = 2 * this.#initialMs * 2 ** Math.min(this.#failures, 30);
    if (this.#failures === 0 || delay < maxMs) this.#failures += 1;
    return Math.min(delay, maxMs, this.#maxMs) * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
