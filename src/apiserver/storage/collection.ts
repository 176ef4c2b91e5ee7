import type { Item } from './item.ts';

/** What happened to one object. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  /** The new version; of a deleted object the last one, with the revision of the deletion. */
  readonly item: Item;
  /** The version before, undefined for a new object. */
  readonly previous: Item | undefined;
  readonly collection: Collection;
}

/** All objects of one resource, in the order of their keys, and the recent changes. */
export class Collection {
  /** `GROUP/RESOURCE`. */
  readonly name: string;
  readonly #items = new Map<string, Item>();
  /** Keys, sorted as bytes (names are ASCII). */
  readonly #keys: string[] = [];
  /** Changes after the compacted revision, oldest first; the first `#start` are dropped. */
  #changes: Change[] = [];
  /** The revision of the newest change, also when compacted away. */
  revision = 0;

  constructor(name: string) {
    this.name = name;
  }

  get size(): number {
    return this.#items.size;
  }

  get(key: string): Item | undefined {
    return this.#items.get(key);
  }

  /** All objects in the order of their keys. */
  *values(): Generator<Item> {
    for (const key of this.#keys) yield this.#items.get(key) as Item;
  }

  /** The keys of a namespace (`''` = all) from `start` on, as a range of {@link keyAt}. */
  range(namespace: string, start = ''): { readonly from: number; readonly to: number } {
    const low = namespace === '' ? 0 : this.#lowerBound(`${namespace}/`);
    const from = start === '' ? low : Math.max(low, this.#lowerBound(start));
    // '0' is the character after '/'.
    return { from, to: namespace === '' ? this.#keys.length : this.#lowerBound(`${namespace}0`) };
  }

  at(index: number): Item {
    return this.#items.get(this.#keys[index] as string) as Item;
  }

  /** Changes after `revision`, oldest first. */
  changesAfter(revision: number): readonly Change[] {
    const changes = this.#changes;
    let low = 0;
    let high = changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((changes[middle] as Change).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? changes : changes.slice(low);
  }

  /** The objects as they were at `revision`, which must not be compacted, in the order of their keys. */
  snapshot(revision: number): readonly Item[] {
    const changed = new Map<string, Item | undefined>();
    for (const change of this.changesAfter(revision)) {
      if (!changed.has(change.item.key)) changed.set(change.item.key, change.previous);
    }
    const keys = new Set(this.#keys);
    for (const [key, item] of changed) {
      if (item === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys].sort((a, b) => (a < b ? -1 : 1)).map((key) => changed.get(key) ?? (this.#items.get(key) as Item));
  }

  /** Applies a change in memory. */
  apply(change: Change): void {
    const { key } = change.item;
    if (change.type === 'DELETED') {
      this.#items.delete(key);
      this.#keys.splice(this.#lowerBound(key), 1);
    } else {
      if (!this.#items.has(key)) this.#keys.splice(this.#lowerBound(key), 0, key);
      this.#items.set(key, change.item);
    }
    this.#changes.push(change);
    this.revision = change.revision;
  }

  /** Takes back the newest change. */
  revert(change: Change): void {
    const { key } = change.item;
    this.#changes.pop();
    this.revision = this.#changes.at(-1)?.revision ?? 0;
    if (change.previous === undefined) {
      this.#items.delete(key);
      this.#keys.splice(this.#lowerBound(key), 1);
    } else {
      if (!this.#items.has(key)) this.#keys.splice(this.#lowerBound(key), 0, key);
      this.#items.set(key, change.previous);
    }
  }

  /** Forgets the changes at or before `revision`. */
  compact(revision: number): void {
    this.#changes = [...this.changesAfter(revision)];
  }

  #lowerBound(key: string): number {
    const keys = this.#keys;
    let low = 0;
    let high = keys.length;
    // Objects often come in the order of their names.
    if (high > 0 && (keys[high - 1] as string) < key) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
