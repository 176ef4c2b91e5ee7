/**
 * Watches of single objects by name, shared and counted. An agent may read only what is its own and what its own
 * objects name; such a named object is watched by `metadata.name` for as long as somebody holds it.
 */
import type { KubeObjectBase } from '../kube/client.ts';
import { splitKey } from '../kube/client.ts';
import type { ReflectorOptions } from './reflector.ts';
import { Reflector } from './reflector.ts';
import type { Cache } from './source.ts';
import { Store } from './store.ts';

/** A share in the watch of one object. */
export interface ObjectHold<T> {
  /** The object as last seen; undefined when it is not there, or not known yet ({@link hasSynced}). */
  get(): T | undefined;
  readonly hasSynced: boolean;
  synced(signal: AbortSignal): Promise<void>;
  /** Gives the share back; the watch ends with the last one. Twice is harmless. */
  release(): void;
}

interface Watched<T extends KubeObjectBase> {
  readonly reflector: Reflector<T>;
  readonly stop: AbortController;
  holders: number;
}

/**
 * All named watches of one kind. As a {@link Cache} its store holds every object that is held at the moment, so that a
 * controller can listen to all of them with one `cacheSource`. Releasing an object looks like a deletion there.
 */
export class ObjectWatches<T extends KubeObjectBase> implements Cache<T> {
  readonly name: string;
  readonly store: Store<T>;
  readonly #options: Omit<ReflectorOptions, 'selection'>;
  readonly #watched = new Map<string, Watched<T>>();

  constructor(options: Omit<ReflectorOptions, 'selection'>) {
    this.#options = options;
    this.name = `${options.resource.plural}-by-name`;
    this.store = new Store<T>((thrown) => options.log.error({ err: thrown }, 'A listener threw'));
  }

  /** Whether every object held has been seen or is known to be absent. */
  get hasSynced(): boolean {
    return [...this.#watched.values()].every(({ reflector }) => reflector.hasSynced);
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#watched.values()].map(({ reflector }) => reflector.synced(signal)));
  }

  /** Number of objects held. */
  get size(): number {
    return this.#watched.size;
  }

  /** Takes a share in the watch of the object `key` (`NAMESPACE/NAME` or `NAME`). */
  hold(key: string): ObjectHold<T> {
    const watched = this.#watched.get(key) ?? this.#open(key);
    watched.holders += 1;
    let held = true;
    return {
      get: () => watched.reflector.store.get(key),
      get hasSynced() {
        return watched.reflector.hasSynced;
      },
      synced: (signal) => watched.reflector.synced(signal),
      release: () => {
        if (!held) return;
        held = false;
        watched.holders -= 1;
        if (watched.holders > 0) return;
        watched.stop.abort();
        if (this.#watched.get(key) === watched) {
          this.#watched.delete(key);
          this.store.delete(key);
        }
      },
    };
  }

  /** Ends all watches; holds stay readable. */
  close(): void {
    for (const { stop } of this.#watched.values()) stop.abort();
    this.#watched.clear();
  }

  #open(key: string): Watched<T> {
    const { namespace, name } = splitKey(key);
    const reflector = new Reflector<T>({
      ...this.#options,
      selection: { namespace, fieldSelector: `metadata.name=${name}` },
    });
    const watched: Watched<T> = { reflector, stop: new AbortController(), holders: 0 };
    this.#watched.set(key, watched);
    reflector.store.subscribe((delta) => {
      if (this.#watched.get(key) !== watched) return;
      if (delta.type === 'deleted') this.store.delete(delta.key);
      else this.store.set(delta.object);
    });
    void reflector.run(watched.stop.signal);
    return watched;
  }
}
