import { performance } from 'node:perf_hooks';

const LOOK_MS = 5_000;
/** A process that uses less of its time is at rest. */
const IDLE_SHARE = 0.02;
/** Work that is worth collecting after, in milliseconds. */
const WORTH_MS = 100;
/** Not more often: collecting all of a large heap holds everybody up for a moment. */
const PAUSE_MS = 600_000;

/**
 * Gives back to the system what a start or a burst has needed, when the process (or thread) is at rest afterwards: the
 * engine itself keeps the room that its heap has grown to until it needs it again, which a daemon at rest never does. Does
 * nothing where Node was started without `--expose-gc`. Returns what ends it.
 */
export function giveBackMemoryWhenIdle(): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => undefined;
  let last = performance.eventLoopUtilization();
  // The start was work enough.
  let busy = WORTH_MS;
  let next = 0;
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { active, utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    busy += active;
    if (utilization > IDLE_SHARE || busy < WORTH_MS || performance.now() < next) return;
    busy = 0;
    next = performance.now() + PAUSE_MS;
    void gc({ type: 'major', flavor: 'last-resort', execution: 'async' });
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
