import type { Clock, Timer } from '../../src/telemetry/clock.ts';

interface Pending {
  readonly at: number;
  readonly sequence: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. Wall clock and monotonic clock move together, unless it leaps. */
export class FakeClock implements Clock {
  readonly #pending = new Set<Pending>();
  #start: number;
  #elapsed = 0;
  #sequence = 0;

  constructor(start = Date.parse('2026-01-01T00:00:00Z')) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const pending: Pending = { at: this.#elapsed + Math.max(0, delayMs), sequence: this.#sequence++, callback };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Number of timers that are set. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer, or undefined when none is set. */
  get nextIn(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.at - this.#elapsed;
  }

  /** Moves time, firing each timer at its time, and lets promises settle in between. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#elapsed + milliseconds;
    await settle();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#fire(next);
      await settle();
    }
    this.#elapsed = end;
    await settle();
  }

  /** Sets the wall clock forward, or back: no time passes. */
  leap(milliseconds: number): void {
    this.#start += milliseconds;
  }

  /** Moves time without letting any promise settle. */
  advanceSync(milliseconds: number): void {
    const end = this.#elapsed + milliseconds;
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) this.#fire(next);
    this.#elapsed = end;
  }

  #fire(pending: Pending): void {
    this.#pending.delete(pending);
    this.#elapsed = Math.max(this.#elapsed, pending.at);
    pending.callback();
  }

  #next(): Pending | undefined {
    let next: Pending | undefined;
    for (const pending of this.#pending) {
      if (next === undefined || pending.at < next.at || (pending.at === next.at && pending.sequence < next.sequence)) {
        next = pending;
      }
    }
    return next;
  }
}

/** Lets everything run that is ready to run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
