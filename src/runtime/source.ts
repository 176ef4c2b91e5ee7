/** What queues keys: caches, external events, timers. A source only ever says *which key*, never what to do. */
import type { KubeObjectBase } from '../kube/client.ts';
import type { Clock, Timer } from '../telemetry/clock.ts';
import type { Delta, ReadStore } from './store.ts';

/** How a key is added to a queue. */
export interface AddOptions {
  /** Higher goes first; default 0. Lists at start come at {@link INITIAL_LIST_PRIORITY}. */
  readonly priority?: number | undefined;
  /** Not before so many milliseconds from now. */
  readonly afterMs?: number | undefined;
}

/** Priority of keys from the first list: a change made now must not wait behind ten thousand objects at rest. */
export const INITIAL_LIST_PRIORITY = -100;

export type Enqueue = (key: string, options?: AddOptions) => void;

/** Something that queues keys from `start` until `signal` aborts. */
export interface Source {
  readonly name: string;
  start(enqueue: Enqueue, signal: AbortSignal): void;
  /** Resolves once everything that existed at start has been queued. Rejects only when `signal` aborts. */
  synced(signal: AbortSignal): Promise<void>;
}

/** A cache as the manager hands it out. */
export interface Cache<T extends KubeObjectBase> {
  readonly name: string;
  readonly store: ReadStore<T>;
  readonly hasSynced: boolean;
  synced(signal: AbortSignal): Promise<void>;
}

/** Says whether a change is worth a reconcile. */
export type Predicate<T> = (delta: Delta<T>) => boolean;

/** Which keys a change concerns; default: the object's own. */
export type MapToKeys<T> = (object: T, delta: Delta<T>) => readonly string[];

export interface CacheSourceOptions<T> {
  readonly predicate?: Predicate<T> | undefined;
  /** Called for the new object, and for the old one too, so that a reference that was removed is looked at as well. */
  readonly mapTo?: MapToKeys<T> | undefined;
  readonly priority?: number | undefined;
}

/** Queues the keys of objects that change in a cache, or of objects they concern. */
export function cacheSource<T extends KubeObjectBase>(cache: Cache<T>, options: CacheSourceOptions<T> = {}): Source {
  const { predicate, mapTo, priority = 0 } = options;
  return {
    name: cache.name,
    start(enqueue, signal) {
      const stop = cache.store.subscribe((delta) => {
        if (predicate !== undefined && !predicate(delta)) return;
        const add: AddOptions = {
          priority: delta.type === 'added' && delta.initial ? INITIAL_LIST_PRIORITY + priority : priority,
        };
        if (mapTo === undefined) {
          enqueue(delta.key, add);
          return;
        }
        const keys = new Set<string>();
        if (delta.type !== 'added') for (const key of mapTo(delta.old, delta)) keys.add(key);
        if (delta.type !== 'deleted') for (const key of mapTo(delta.object, delta)) keys.add(key);
        for (const key of keys) enqueue(key, add);
      });
      signal.addEventListener('abort', stop, { once: true });
    },
    synced: (signal) => cache.synced(signal),
  };
}

/** A source fed by hand, for events from outside Kubernetes (the mount table, a helper that died). */
export interface ChannelSource extends Source {
  /** Queues a key in every controller that listens. Before the start and after the stop it does nothing. */
  send(key: string, options?: AddOptions): void;
}

export function channelSource(name: string): ChannelSource {
  const listeners = new Set<Enqueue>();
  return {
    name,
    start(enqueue, signal) {
      listeners.add(enqueue);
      signal.addEventListener('abort', () => listeners.delete(enqueue), { once: true });
    },
    synced: () => Promise.resolve(),
    send(key, options) {
      for (const enqueue of listeners) enqueue(key, options);
    },
  };
}

/**
 * Queues the keys that `keys` returns, every `periodMs` milliseconds (the first time after one period). `keys` must not
 * throw.
 */
export function timerSource(name: string, clock: Clock, periodMs: number, keys: () => Iterable<string>): Source {
  return {
    name,
    start(enqueue, signal) {
      let timer: Timer | undefined;
      const tick = (): void => {
        for (const key of keys()) enqueue(key, { priority: INITIAL_LIST_PRIORITY });
        if (!signal.aborted) timer = clock.setTimer(periodMs, tick);
      };
      timer = clock.setTimer(periodMs, tick);
      signal.addEventListener('abort', () => timer?.cancel(), { once: true });
    },
    synced: () => Promise.resolve(),
  };
}
