/** When events are written: a moment after what they tell of, and at the latest at the stop. */
import type { EventRecorder } from '../../kube/events.ts';
import type { Runnable } from '../../runtime/manager.ts';
import { untilAborted } from '../../telemetry/clock.ts';

/** Events of a burst wait so long, in milliseconds: nobody reads them sooner, and statuses come first. */
export const EVENTS_GATHER_MS = 1000;

/** Lets the events that still wait be written at the stop. */
export function eventCloser(name: string, recorder: Pick<EventRecorder, 'close'>): Runnable {
  return {
    name,
    async run(signal) {
      await untilAborted(signal);
      await recorder.close();
    },
  };
}
