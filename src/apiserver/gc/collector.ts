import type { Resource } from '../kinds/resource.ts';
import type { Clock } from '../registry/clock.ts';
import { type Deletes, FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from '../registry/deletes.ts';
import { KeyQueue } from '../registry/key-queue.ts';
import type { WriteContext } from '../registry/request.ts';
import { systemContext } from '../registry/system-context.ts';
import type { Writes } from '../registry/writes.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import type { Change, Collection } from '../storage/collection.ts';
import type { Item } from '../storage/item.ts';
import type { Store } from '../storage/store.ts';
import { OwnerIndex, ownersOf, uidOf } from './owners.ts';

/** What the collector works with. */
export interface CollectorOptions {
  readonly store: Store;
  readonly resources: readonly Resource[];
  readonly writes: Writes;
  readonly deletes: Deletes;
  readonly clock: Clock;
  readonly onError: (error: Error) => void;
}

/**
 * Deletes what depends on objects that are gone, as kube-controller-manager's garbage collector does: dependents whose
 * owners are all absent go in the background, unless one is of a kind that is not served here; an owner that is deleted in the foreground waits for the dependents that
 * block it; an owner that is orphaned first leaves its dependents without a reference.
 */
export class GarbageCollector {
  readonly #options: CollectorOptions;
  readonly #owners: OwnerIndex;
  readonly #byCollection = new Map<Collection, Resource>();
  /** Every kind that is served, as `APIVERSION KIND`. */
  readonly #kinds: ReadonlySet<string>;
  readonly #queue: KeyQueue;
  readonly #unsubscribe: () => void;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#owners = new OwnerIndex(options.store);
    this.#queue = new KeyQueue({ work: (uid) => this.#process(uid), onError: options.onError });
    this.#kinds = new Set(options.resources.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`));
    for (const resource of options.resources) {
      if (resource.view === undefined) this.#byCollection.set(resource.collection, resource);
    }
    for (const collection of options.store.collections.values()) {
      for (const item of collection.values()) this.#consider(item);
    }
    this.#unsubscribe = options.store.subscribe((changes) => this.#observe(changes));
  }

  close(): void {
    this.#queue.close();
    this.#unsubscribe();
  }

  #observe(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#owners.update(change);
      const uid = uidOf(change.item);
      if (change.type === 'DELETED') {
        for (const dependent of this.#owners.dependents(uid)) this.#queue.add(dependent);
        // An owner in the foreground may have waited for this one.
        for (const owner of ownersOf(change.item)) if (this.#owners.exists(owner.uid)) this.#queue.add(owner.uid);
      } else {
        this.#consider(change.item);
        if (change.previous !== undefined && change.item.metadata['ownerReferences'] !== undefined) {
          for (const owner of ownersOf(change.previous))
            if (isWaiting(this.#owners.item(owner.uid))) this.#queue.add(owner.uid);
        }
      }
    }
  }

  #consider(item: Item): void {
    const { metadata } = item;
    if (metadata['ownerReferences'] !== undefined || isWaiting(item)) this.#queue.add(uidOf(item));
  }

  #process(uid: string): void {
    const item = this.#owners.item(uid);
    if (item === undefined) return;
    const finalizers = finalizersOf(item);
    const isDeleting = item.metadata['deletionTimestamp'] !== undefined;
    if (isDeleting && finalizers.includes(ORPHAN_FINALIZER)) {
      for (const dependent of this.#owners.dependents(uid)) this.#release(dependent, new Set([uid]));
      this.#dropFinalizer(uid, item, ORPHAN_FINALIZER);
      return;
    }
    if (isDeleting && finalizers.includes(FOREGROUND_FINALIZER)) {
      this.#foreground(uid, item);
      return;
    }
    if (!isDeleting) this.#background(uid, item);
  }

  /** Deletes an object none of whose owners is there; with some left, takes the absent ones out. */
  #background(uid: string, item: Item): void {
    const owners = ownersOf(item);
    if (owners.length === 0) return;
    // What this server does not have is not known to be gone: an object may come from a cluster with more kinds.
    if (!owners.every(({ apiVersion, kind }) => this.#kinds.has(`${apiVersion} ${kind}`))) return;
    const solid: string[] = [];
    const waiting: string[] = [];
    const dangling: string[] = [];
    for (const owner of owners) {
      const found = this.#owners.item(owner.uid);
      if (found === undefined) dangling.push(owner.uid);
      else if (isForeground(found)) waiting.push(owner.uid);
      else solid.push(owner.uid);
    }
    if (solid.length > 0) {
      if (dangling.length + waiting.length > 0) this.#release(uid, new Set([...dangling, ...waiting]));
      return;
    }
    this.#delete(
      uid,
      item,
      waiting.length > 0 && this.#owners.dependents(uid).length > 0 ? 'Foreground' : 'Background',
    );
  }

  #foreground(uid: string, item: Item): void {
    const dependents = this.#owners.dependents(uid);
    let blocked = false;
    for (const dependent of dependents) {
      const found = this.#owners.item(dependent);
      if (found === undefined) continue;
      if (ownersOf(found).some((owner) => owner.uid === uid && owner.blockOwnerDeletion)) blocked = true;
      if (found.metadata['deletionTimestamp'] === undefined) this.#queue.add(dependent);
    }
    if (!blocked) this.#dropFinalizer(uid, item, FOREGROUND_FINALIZER);
  }

  #resourceOf(uid: string): Resource | undefined {
    const place = this.#owners.place(uid);
    return place === undefined ? undefined : this.#byCollection.get(place.collection);
  }

  #context(): WriteContext {
    return systemContext('clawstore-garbage-collector', this.#options.clock);
  }

  #delete(uid: string, item: Item, propagationPolicy: 'Background' | 'Foreground'): void {
    const resource = this.#resourceOf(uid);
    if (resource === undefined || !resource.verbs.includes('delete')) return;
    this.#options.deletes.deleteItem(resource, item, { uid, propagationPolicy }, this.#context());
  }

  #release(uid: string, owners: ReadonlySet<string>): void {
    this.#change(uid, (metadata) => {
      const references = metadata['ownerReferences'];
      if (!Array.isArray(references)) return;
      const kept = references.filter((reference) => !isObject(reference) || !owners.has(String(reference['uid'])));
      if (kept.length === 0) delete metadata['ownerReferences'];
      else metadata['ownerReferences'] = kept;
    });
  }

  #dropFinalizer(uid: string, item: Item, name: string): void {
    const kept = finalizersOf(item).filter((finalizer) => finalizer !== name);
    this.#change(uid, (metadata) => {
      if (kept.length === 0) delete metadata['finalizers'];
      else metadata['finalizers'] = kept;
    });
  }

  #change(uid: string, edit: (metadata: JsonObject) => void): void {
    const item = this.#owners.item(uid);
    const resource = this.#resourceOf(uid);
    if (item === undefined || resource === undefined) return;
    const change = (live: JsonObject): { object: JsonObject; duplicates: readonly string[] } => {
      const metadata = { ...(live['metadata'] as JsonObject) };
      edit(metadata);
      return { object: { ...live, metadata }, duplicates: [] };
    };
    this.#options.writes.patch(resource, item.namespace, item.name, '', change, this.#context());
  }
}

function finalizersOf(item: Item): string[] {
  const { finalizers } = item.metadata;
  return Array.isArray(finalizers) ? (finalizers as string[]) : [];
}

function isForeground(item: Item): boolean {
  return item.metadata['deletionTimestamp'] !== undefined && finalizersOf(item).includes(FOREGROUND_FINALIZER);
}

/** Deleted, and held by a finalizer of the collector. */
function isWaiting(item: Item | undefined): boolean {
  if (item === undefined || item.metadata['deletionTimestamp'] === undefined) return false;
  const finalizers = finalizersOf(item);
  return finalizers.includes(FOREGROUND_FINALIZER) || finalizers.includes(ORPHAN_FINALIZER);
}
