/** A deadline for the first phase of a WatchList. */
import type { Clock, Timer } from '../telemetry/clock.ts';

/** Aborts a WatchList on a server that ignores `sendInitialEvents`: no progress, no end of the initial events. */
export class InitialGuard {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#parent.reason);
  #timer: Timer | undefined;
  /** Whether it has aborted the watch. */
  expired = false;

  constructor(clock: Clock, idleMs: number, parent: AbortSignal) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#parent = parent;
    if (parent.aborted) this.#onAbort();
    parent.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** For the watch: aborts with the parent, or when the initial events stall. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something has arrived (or the watch begins): wait anew. */
  progress(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(this.#idleMs, () => {
      this.expired = true;
      this.#controller.abort();
    });
  }

  /** Ends the watch over the initial events, not the watch itself: the parent's abort must still reach it. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Lets go of the parent signal. */
  release(): void {
    this.end();
    this.#parent.removeEventListener('abort', this.#onAbort);
  }
}
