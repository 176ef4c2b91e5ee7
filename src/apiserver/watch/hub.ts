import type { Change, Collection } from '../storage/collection.ts';
import type { Store } from '../storage/store.ts';
import type { Watcher } from './watcher.ts';

/** Tells every watcher of a collection about the changes of each commit. */
export class WatchHub {
  readonly #watchers = new Map<Collection, Set<Watcher>>();
  readonly #unsubscribe: () => void;

  constructor(store: Store) {
    this.#unsubscribe = store.subscribe((changes) => this.#dispatch(changes));
  }

  add(watcher: Watcher): void {
    let set = this.#watchers.get(watcher.collection);
    if (set === undefined) {
      set = new Set();
      this.#watchers.set(watcher.collection, set);
    }
    set.add(watcher);
  }

  remove(watcher: Watcher): void {
    const set = this.#watchers.get(watcher.collection);
    set?.delete(watcher);
    if (set?.size === 0) this.#watchers.delete(watcher.collection);
  }

  /** How many watches are open. */
  get size(): number {
    let size = 0;
    for (const set of this.#watchers.values()) size += set.size;
    return size;
  }

  #dispatch(changes: readonly Change[]): void {
    const touched = new Set<Watcher>();
    for (const change of changes) {
      const watchers = this.#watchers.get(change.collection);
      if (watchers === undefined) continue;
      // Watchers that want the same form of this change share its text.
      const texts = new Map<string, string>();
      for (const watcher of watchers) {
        watcher.offer(change, texts);
        touched.add(watcher);
      }
    }
    for (const watcher of touched) watcher.flush();
  }

  /** Ends all watches. */
  close(): void {
    this.#unsubscribe();
    // Copies: a watcher that ends takes itself out.
    const watchers = Array.from(this.#watchers.values(), (set) => Array.from(set)).flat();
    for (const watcher of watchers) watcher.end();
  }
}
