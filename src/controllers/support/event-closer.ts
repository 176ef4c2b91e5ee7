/** Lets the events that still wait be written at the stop. */
import type { EventRecorder } from '../../kube/events.ts';
import type { Runnable } from '../../runtime/manager.ts';

export function eventCloser(name: string, recorder: Pick<EventRecorder, 'close'>): Runnable {
  return {
    name,
    async run(signal) {
      if (!signal.aborted) {
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
      await recorder.close();
    },
  };
}
