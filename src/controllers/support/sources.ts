/** Sources that the controllers share: what queues keys besides a plain change of the object. */
import type { KubeObjectBase } from '../../api/meta.ts';
import type { AddOptions, Cache, Source } from '../../runtime/source.ts';
import { INITIAL_LIST_PRIORITY } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import type { Clock, Timer } from '../../telemetry/clock.ts';

/** A key to queue, and how. */
export interface Wanted {
  readonly key: string;
  readonly options?: AddOptions;
}

/**
 * Queues what `map` makes of each change. Keys from the first list come with low priority, whatever `map` says, so that
 * a change made now does not wait behind objects at rest.
 */
export function deltaSource<T extends KubeObjectBase>(
  cache: Cache<T>,
  map: (delta: Delta<T>) => Iterable<Wanted>,
): Source {
  return {
    name: cache.name,
    start(enqueue, signal) {
      const stop = cache.store.subscribe((delta) => {
        const initial = delta.type === 'added' && delta.initial;
        for (const { key, options } of map(delta)) {
          enqueue(key, initial ? { priority: INITIAL_LIST_PRIORITY } : options);
        }
      });
      signal.addEventListener('abort', stop, { once: true });
    },
    synced: (signal) => cache.synced(signal),
  };
}

/** How often the node itself and the space its volumes use are looked at, in milliseconds. */
export const LOOK_MS = 60_000;

/** How often everything is looked at although nothing said so, in milliseconds. */
export const RESYNC_MS = 600_000;

/**
 * The safety net: every key once per period, spread over the whole of it, so that the load is even.
 *
 * @param random Between 0 and 1; injected for tests.
 */
export function resyncSource(
  name: string,
  clock: Clock,
  periodMs: number,
  keys: () => Iterable<string>,
  random: () => number = Math.random,
): Source {
  return {
    name,
    start(enqueue, signal) {
      let timer: Timer | undefined;
      const tick = (): void => {
        for (const key of keys()) enqueue(key, { priority: INITIAL_LIST_PRIORITY, afterMs: random() * periodMs });
        if (!signal.aborted) timer = clock.setTimer(periodMs, tick);
      };
      timer = clock.setTimer(periodMs * random(), tick);
      signal.addEventListener('abort', () => timer?.cancel(), { once: true });
    },
    synced: () => Promise.resolve(),
  };
}
