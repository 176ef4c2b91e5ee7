import { isObject, type JsonObject } from '../schema/json-value.ts';
import type { Change, Collection } from '../storage/collection.ts';
import type { Item } from '../storage/item.ts';
import type { Store } from '../storage/store.ts';

/** `metadata.ownerReferences[]`. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly uid: string;
  readonly blockOwnerDeletion: boolean;
}

/** Where an object is. */
export interface Place {
  readonly collection: Collection;
  readonly key: string;
}

/** The owners of an object. */
export function ownersOf(item: Item): OwnerReference[] {
  const references = item.metadata['ownerReferences'];
  if (!Array.isArray(references)) return [];
  return references.filter(isObject).map((reference: JsonObject) => ({
    apiVersion: String(reference['apiVersion'] ?? ''),
    kind: String(reference['kind'] ?? ''),
    uid: String(reference['uid'] ?? ''),
    blockOwnerDeletion: reference['blockOwnerDeletion'] === true,
  }));
}

/** Who exists, by UID, and who depends on whom; kept up to date from the store's changes. */
export class OwnerIndex {
  readonly #places = new Map<string, Place>();
  /** Owner UID → UIDs of its dependents. */
  readonly #dependents = new Map<string, Set<string>>();

  constructor(store: Store) {
    for (const collection of store.collections.values()) {
      for (const item of collection.values()) this.#add(collection, item);
    }
  }

  #add(collection: Collection, item: Item): void {
    const uid = uidOf(item);
    this.#places.set(uid, { collection, key: item.key });
    for (const owner of ownersOf(item)) {
      let set = this.#dependents.get(owner.uid);
      if (set === undefined) {
        set = new Set();
        this.#dependents.set(owner.uid, set);
      }
      set.add(uid);
    }
  }

  /** Takes a change in. */
  update({ type, item, previous, collection }: Change): void {
    const uid = uidOf(item);
    if (previous !== undefined) {
      for (const owner of ownersOf(previous)) {
        const set = this.#dependents.get(owner.uid);
        set?.delete(uid);
        if (set?.size === 0) this.#dependents.delete(owner.uid);
      }
    }
    if (type === 'DELETED') this.#places.delete(uid);
    else this.#add(collection, item);
  }

  exists(uid: string): boolean {
    return this.#places.has(uid);
  }

  /** The object with this UID, if it exists. */
  item(uid: string): Item | undefined {
    const place = this.#places.get(uid);
    const item = place?.collection.get(place.key);
    return item !== undefined && uidOf(item) === uid ? item : undefined;
  }

  place(uid: string): Place | undefined {
    return this.#places.get(uid);
  }

  /** The UIDs of the objects that name this one as an owner. */
  dependents(uid: string): readonly string[] {
    return [...(this.#dependents.get(uid) ?? [])];
  }
}

/** The UID of an object. */
export function uidOf(item: Item): string {
  return String(item.metadata['uid'] ?? '');
}
