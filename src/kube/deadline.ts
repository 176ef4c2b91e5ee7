/** Deadlines by AbortSignal. `AbortSignal.any` on a long-lived signal keeps every request's signal alive; this does not. */

import type { Clock } from '../telemetry/clock.ts';
import { abortReason } from '../telemetry/clock.ts';
import { KubeError } from './errors.ts';

/**
 * Runs `work` with a signal that aborts with `parent`, or with a KubeError of reason `DeadlineExceeded` after
 * `timeoutMs` milliseconds.
 */
export async function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  parent: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(aborted(parent));
  if (parent?.aborted === true) onAbort();
  parent?.addEventListener('abort', onAbort, { once: true });
  const timer = clock.setTimer(timeoutMs, () => {
    controller.abort(new KubeError({ reason: 'DeadlineExceeded', message: `no answer within ${timeoutMs} ms` }));
  });
  try {
    return await unlessAborted(controller.signal, work(controller.signal));
  } catch (thrown) {
    // Whatever the abort broke below, the reason of the abort is what happened.
    throw controller.signal.aborted ? KubeError.from(controller.signal.reason) : KubeError.from(thrown);
  } finally {
    timer.cancel();
    parent?.removeEventListener('abort', onAbort);
  }
}

/**
 * Settles as `work` does, or rejects as soon as the signal aborts: undici lets a request that waits for a connection go
 * only when the connection stands or has failed, which takes seconds while the server's machine is gone.
 */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** The KubeError that an aborted signal means: its own reason if it is one, otherwise `Aborted`. */
export function aborted(signal: AbortSignal | undefined): KubeError {
  const reason = abortReason(signal);
  if (reason instanceof KubeError) return reason;
  if (reason.name === 'TimeoutError') {
    return new KubeError({ reason: 'DeadlineExceeded', message: reason.message, cause: reason });
  }
  return new KubeError({ reason: 'Aborted', message: 'the request was aborted', cause: reason });
}
