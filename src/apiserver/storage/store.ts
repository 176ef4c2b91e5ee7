import type { JsonObject } from '../schema/json-value.ts';
import { type Change, Collection } from './collection.ts';
import { Item } from './item.ts';
import { type LogRow, RevisionLog, StorageError, type Synchronous } from './revision-log.ts';

/** How a store keeps its data. */
export interface StoreOptions {
  readonly file: string;
  readonly synchronous?: Synchronous;
  /** Called when a commit fails; everything that was not on disk is taken back before. */
  readonly onError?: (error: Error) => void;
}

/** What one commit holds. */
interface Batch {
  readonly changes: Change[];
  readonly rows: LogRow[];
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * All objects, in memory and on disk. A write is checked and applied in memory at once and in one piece, so writers never
 * wait for each other; all writes of one turn of the event loop are committed together (group commit), and nobody hears
 * of them before: answers wait for {@link durable}, watchers are told by {@link subscribe} after the commit.
 */
export class Store {
  readonly #log: RevisionLog;
  readonly #onError: (error: Error) => void;
  readonly #collections = new Map<string, Collection>();
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  #revision: number;
  #committed: number;
  #compacted: number;
  #batch: Batch | undefined;
  #broken: Error | undefined;

  /** Opens the database and reads all of it. Throws StorageError. */
  constructor(options: StoreOptions) {
    this.#log = new RevisionLog(options.file, options.synchronous);
    this.#onError = options.onError ?? (() => {});
    this.#compacted = this.#log.compacted;
    // Revision 0 means "any" to clients, so the first state is 1.
    this.#revision = Math.max(1, this.#log.head);
    this.#committed = this.#revision;
    this.#load();
  }

  #load(): void {
    for (const { revision, key, value } of this.#log.rows()) {
      const [name, rest] = splitKey(key);
      const collection = this.collection(name);
      const previous = collection.get(rest);
      if (value === null) {
        if (previous !== undefined) {
          collection.apply({ type: 'DELETED', revision, item: tombstone(previous, revision), previous, collection });
          previous.forget();
        }
        continue;
      }
      const type = previous === undefined ? 'ADDED' : 'MODIFIED';
      collection.apply({ type, revision, item: new Item(rest, revision, value), previous, collection });
    }
    for (const collection of this.#collections.values()) collection.compact(this.#compacted);
  }

  /** The newest revision in memory. Answers carry it only after {@link durable}. */
  get revision(): number {
    return this.#revision;
  }

  /** The newest revision on disk. */
  get committed(): number {
    return this.#committed;
  }

  /** Changes at or before this revision are forgotten. */
  get compacted(): number {
    return this.#compacted;
  }

  /** The collection `GROUP/RESOURCE`; made when it is new. */
  collection(name: string): Collection {
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = new Collection(name);
      this.#collections.set(name, collection);
    }
    return collection;
  }

  get collections(): ReadonlyMap<string, Collection> {
    return this.#collections;
  }

  /**
   * Stores a new version. The caller has checked it against the stored one and must not have let go of the event loop
   * since. The object becomes the store's: only `metadata.resourceVersion` is set, and it must not change afterwards.
   */
  put(collection: Collection, key: string, object: JsonObject): Item {
    this.#assertUsable();
    const revision = ++this.#revision;
    (object['metadata'] as JsonObject)['resourceVersion'] = String(revision);
    const json = JSON.stringify(object);
    const item = new Item(key, revision, json, object);
    const previous = collection.get(key);
    const type = previous === undefined ? 'ADDED' : 'MODIFIED';
    this.#record({ type, revision, item, previous, collection }, json);
    return item;
  }

  /** Deletes the object with this key; returns its last version, with the revision of the deletion. */
  delete(collection: Collection, key: string): Item {
    this.#assertUsable();
    const previous = collection.get(key);
    if (previous === undefined) throw new StorageError(`${collection.name}/${key} does not exist`);
    const revision = ++this.#revision;
    const item = tombstone(previous, revision);
    this.#record({ type: 'DELETED', revision, item, previous, collection }, null);
    return item;
  }

  #record(change: Change, value: string | null): void {
    const batch = (this.#batch ??= this.#newBatch());
    change.collection.apply(change);
    batch.changes.push(change);
    batch.rows.push({ revision: change.revision, key: `${change.collection.name}/${change.item.key}`, value });
  }

  #newBatch(): Batch {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // A write nobody waits for (garbage collection) must not end the process; `onError` tells.
    promise.catch(() => {});
    setImmediate(() => this.flush());
    return { changes: [], rows: [], done: promise, resolve, reject };
  }

  /** Resolves when all that is visible now is on disk, and rejects with StorageError when it cannot be written. */
  durable(): Promise<void> | undefined {
    return this.#batch?.done;
  }

  /** Commits what is pending; the event loop does so by itself once a turn. */
  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    try {
      this.#log.append(batch.rows);
    } catch (error) {
      this.#rollBack(batch, error as Error);
      return;
    }
    this.#committed = this.#revision;
    batch.resolve();
    for (const listener of this.#listeners) listener(batch.changes);
    for (const { previous } of batch.changes) previous?.forget();
  }

  /** Nobody has seen these changes: they are taken back, and the writers are told. */
  #rollBack(batch: Batch, error: Error): void {
    for (const change of batch.changes.toReversed()) change.collection.revert(change);
    this.#revision = this.#committed;
    for (const collection of this.#collections.values())
      collection.revision = Math.min(collection.revision, this.#revision);
    batch.reject(error);
    this.#onError(error);
  }

  #assertUsable(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Calls `listener` with the changes of each commit. Returns what ends it. */
  subscribe(listener: (changes: readonly Change[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the changes at or before `revision`; later watches and lists from there are answered 410. */
  compact(revision: number): void {
    this.flush();
    if (revision <= this.#compacted || revision > this.#committed) return;
    this.#log.compact(revision);
    this.#compacted = revision;
    for (const collection of this.#collections.values()) collection.compact(revision);
  }

  /** Copies the database to a new file. */
  backup(file: string): void {
    this.flush();
    this.#log.backup(file);
  }

  close(): void {
    if (this.#broken !== undefined) return;
    this.flush();
    this.#broken = new StorageError('the store is closed');
    this.#log.close();
  }
}

/** `GROUP/RESOURCE/KEY` → the collection and the key. */
function splitKey(key: string): [string, string] {
  const first = key.indexOf('/');
  const second = key.indexOf('/', first + 1);
  return [key.slice(0, second), key.slice(second + 1)];
}

/** The last version of an object with the revision of its deletion. */
function tombstone(item: Item, revision: number): Item {
  const { object } = item;
  const last = { ...object, metadata: { ...item.metadata, resourceVersion: String(revision) } };
  return new Item(item.key, revision, JSON.stringify(last), last);
}
