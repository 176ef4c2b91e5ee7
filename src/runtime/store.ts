/**
 * The cache of one watch: objects by key, indexes, and listeners told of each change.
 *
 * Objects in it are never mutated, by anyone. `resourceVersion` is opaque: it is compared for equality only.
 */

import type { KubeObjectBase } from '../kube/client.ts';
import { keyOf } from '../kube/client.ts';

/** One change of a cached object. */
export type Delta<T> =
  | { readonly type: 'added'; readonly key: string; readonly object: T; readonly initial: boolean }
  | { readonly type: 'updated'; readonly key: string; readonly object: T; readonly old: T }
  | { readonly type: 'deleted'; readonly key: string; readonly old: T };

export type StoreListener<T> = (delta: Delta<T>) => void;

/** Computes the index values of an object; it must depend on nothing but the object. */
export type Indexer<T> = (object: T) => readonly string[];

/** What readers see of a store. Lists are snapshots: safe to keep, not live. */
export interface ReadStore<T extends KubeObjectBase> {
  get(key: string): T | undefined;
  list(): readonly T[];
  keys(): readonly string[];
  readonly size: number;
  /** Objects whose index `name` has `value`. @throws RangeError when there is no such index. */
  byIndex(name: string, value: string): readonly T[];
  /** How many {@link byIndex} would return, at no cost. @throws RangeError when there is no such index. */
  countByIndex(name: string, value: string): number;
  /** Adds an index; existing objects are indexed at once. The same function again under the same name is a no-op. */
  addIndex(name: string, indexer: Indexer<T>): void;
  /** Calls `listener` for what is there (as `added`, initial) and then for each change; returns the way out. */
  subscribe(listener: StoreListener<T>): () => void;
  /**
   * Waits until a write of ours is visible here: the object has this resourceVersion, was deleted, or a list begun
   * after the call has replaced everything. @returns false when `timeoutMs` passed first (which is not an error: every
   * write carries preconditions, so a stale read is tolerated).
   */
  waitFor(key: string, resourceVersion: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean>;
}

interface Index<T> {
  readonly indexer: Indexer<T>;
  readonly keys: Map<string, Set<string>>;
}

interface Waiter {
  readonly key: string;
  readonly resourceVersion: string;
  readonly since: number;
  readonly resolve: (seen: boolean) => void;
}

/** The writable store; only its reflector writes. */
export class Store<T extends KubeObjectBase> implements ReadStore<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #listeners = new Set<StoreListener<T>>();
  readonly #waiters = new Set<Waiter>();
  readonly #onListenerError: (thrown: unknown) => void;
  /** Counts calls that begin a list, so that a waiter knows whether a list is newer than itself. */
  #epoch = 0;

  constructor(onListenerError: (thrown: unknown) => void = () => undefined) {
    this.#onListenerError = onListenerError;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): readonly T[] {
    return [...this.#objects.values()];
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  byIndex(name: string, value: string): readonly T[] {
    const found: T[] = [];
    for (const key of this.#index(name).keys.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  countByIndex(name: string, value: string): number {
    return this.#index(name).keys.get(value)?.size ?? 0;
  }

  addIndex(name: string, indexer: Indexer<T>): void {
    const present = this.#indexes.get(name);
    if (present !== undefined) {
      if (present.indexer === indexer) return;
      throw new RangeError(`there is another index "${name}"`);
    }
    const index: Index<T> = { indexer, keys: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) addToIndex(index, key, object);
  }

  subscribe(listener: StoreListener<T>): () => void {
    this.#listeners.add(listener);
    for (const [key, object] of this.#objects) this.#tell(listener, { type: 'added', key, object, initial: true });
    return () => {
      this.#listeners.delete(listener);
    };
  }

  waitFor(key: string, resourceVersion: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#objects.get(key)?.metadata.resourceVersion === resourceVersion) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (seen: boolean): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiters.delete(waiter);
        resolve(seen);
      };
      const waiter: Waiter = { key, resourceVersion, since: this.#epoch, resolve: finish };
      const timer = setTimeout(() => finish(false), timeoutMs).unref();
      const onAbort = (): void => finish(false);
      this.#waiters.add(waiter);
      if (signal?.aborted === true) finish(false);
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Says that a list begins now; pass the answer to {@link replace}. */
  beginList(): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  /** Puts one object. Nothing happens when the very same version is there already. */
  set(object: T, initial = false): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old !== undefined && sameVersion(old, object)) return;
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) {
      if (old !== undefined) removeFromIndex(index, key, old);
      addToIndex(index, key, object);
    }
    this.#settle(key, object.metadata.resourceVersion);
    this.#notify(old === undefined ? { type: 'added', key, object, initial } : { type: 'updated', key, object, old });
  }

  /** Removes one object, if it is there. */
  delete(key: string): void {
    const old = this.#objects.get(key);
    if (old !== undefined) {
      this.#objects.delete(key);
      for (const index of this.#indexes.values()) removeFromIndex(index, key, old);
    }
    this.#settle(key, undefined);
    if (old !== undefined) this.#notify({ type: 'deleted', key, old });
  }

  /** Makes the store hold exactly `objects`, with a delta for each difference. `epoch` is from {@link beginList}. */
  replace(objects: Iterable<T>, epoch: number, initial = false): void {
    const present = new Set<string>();
    for (const object of objects) {
      present.add(keyOf(object));
      this.set(object, initial);
    }
    for (const key of this.keys()) if (!present.has(key)) this.delete(key);
    for (const waiter of this.#waiters) if (waiter.since < epoch) waiter.resolve(true);
  }

  #index(name: string): Index<T> {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new RangeError(`there is no index "${name}"`);
    return index;
  }

  #settle(key: string, resourceVersion: string | undefined): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) {
      if (waiter.key === key && (resourceVersion === undefined || waiter.resourceVersion === resourceVersion)) {
        waiter.resolve(true);
      }
    }
  }

  #notify(delta: Delta<T>): void {
    for (const listener of this.#listeners) this.#tell(listener, delta);
  }

  /** A listener that throws must not stop the watch or the other listeners. */
  #tell(listener: StoreListener<T>, delta: Delta<T>): void {
    try {
      listener(delta);
    } catch (thrown) {
      this.#onListenerError(thrown);
    }
  }
}

function sameVersion(a: KubeObjectBase, b: KubeObjectBase): boolean {
  return a.metadata.resourceVersion === b.metadata.resourceVersion && a.metadata.uid === b.metadata.uid;
}

function addToIndex<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.indexer(object)) {
    const keys = index.keys.get(value);
    if (keys === undefined) index.keys.set(value, new Set([key]));
    else keys.add(key);
  }
}

function removeFromIndex<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.indexer(object)) {
    const keys = index.keys.get(value);
    keys?.delete(key);
    if (keys?.size === 0) index.keys.delete(value);
  }
}
