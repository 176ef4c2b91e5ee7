/**
 * Time as a dependency. Everything of ours that waits or measures takes a {@link Clock}, so that a test can move time
 * by hand. It lives in the lowest layer that has behaviour, because every layer above needs it.
 */

/** A timer that has been set; cancelling it twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Source of time. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch: for timestamps that people and other machines read. */
  now(): number;
  /** Milliseconds on a clock that never jumps: for durations, deadlines and leases. */
  monotonic(): number;
  /** Calls `callback` once after `delayMs` milliseconds. The timer does not keep the process alive by itself. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Node cannot wait longer than this in one timer (2³¹−1 ms); longer waits are cut to it and the caller looks again. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Waits `delayMs` milliseconds on `clock`.
 *
 * @throws The signal's reason (always an Error) as soon as `signal` aborts.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(abortReason(signal));
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits until the signal aborts. Never rejects. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The reason of an aborted signal as an Error, whatever was passed to `abort()`. */
export function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException('The operation was aborted', 'AbortError');
}
