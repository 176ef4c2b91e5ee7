import { isObject, type JsonObject } from '../schema/json-value.ts';
import { type Change, Collection } from './collection.ts';
import { Committer } from './committer.ts';
import { Item } from './item.ts';
import { damaged, type LogRow, RevisionLog, StorageError, type Synchronous } from './revision-log.ts';

/** How a store keeps its data. */
export interface StoreOptions {
  readonly file: string;
  readonly synchronous?: Synchronous;
  /** Where a new database begins to count. */
  readonly firstRevision?: number;
  /** Called when a commit fails; everything that was not on disk is taken back before. */
  readonly onError?: (error: Error) => void;
}

/** An object may not have more characters of JSON (etcd, `--max-request-bytes`). */
export const MAX_OBJECT_CHARACTERS = 1536 * 1024;

/** An object that is larger than {@link MAX_OBJECT_CHARACTERS}. */
export class ObjectTooLargeError extends Error {
  override readonly name = 'ObjectTooLargeError';
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
 * wait for each other. While a thread writes one batch to the disk, the next one gathers (group commit). Nobody hears of a
 * write before it is on disk: answers wait for {@link durable}, watchers are told by {@link subscribe} after the commit.
 */
export class Store {
  readonly #committer: Committer;
  readonly #onError: (error: Error) => void;
  readonly #collections = new Map<string, Collection>();
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  #revision: number;
  #committed: number;
  #compacted: number;
  /** Gathers writes. */
  #batch: Batch | undefined;
  /** Is being written. */
  #inFlight: Batch | undefined;
  #broken: Error | undefined;

  /** Opens the database and reads all of it. Throws StorageError, also when it is not what was written. */
  constructor(options: StoreOptions) {
    this.#onError = options.onError ?? (() => {});
    const log = new RevisionLog(options.file, options.synchronous, options.firstRevision);
    try {
      log.check();
      this.#compacted = log.compacted;
      // Revision 0 means "any" to clients, so the first state is 1.
      this.#revision = Math.max(1, log.head);
      this.#committed = this.#revision;
      this.#load(log);
      this.#checkObjects(options.file);
    } finally {
      log.close();
    }
    this.#committer = new Committer(options.file, options.synchronous ?? 'FULL');
  }

  #load(log: RevisionLog): void {
    for (const { revision, key, value } of log.rows()) {
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

  /** What SQLite cannot see: a page that is whole, with something else in it. All objects are parsed soon anyway. */
  #checkObjects(file: string): void {
    for (const collection of this.#collections.values()) {
      for (const item of collection.values()) {
        if (!isAsWritten(item)) throw damaged(file, `${collection.name}/${item.key} is not as it was written`);
      }
    }
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
   * Throws ObjectTooLargeError, and StorageError when nothing can be stored.
   */
  put(collection: Collection, key: string, object: JsonObject): Item {
    this.#assertUsable();
    const revision = this.#revision + 1;
    (object['metadata'] as JsonObject)['resourceVersion'] = String(revision);
    const json = JSON.stringify(object);
    if (json.length > MAX_OBJECT_CHARACTERS) throw new ObjectTooLargeError(`${key} has ${json.length} characters`);
    this.#revision = revision;
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
    if (this.#inFlight === undefined) setImmediate(() => this.#send());
    return { changes: [], rows: [], done: promise, resolve, reject };
  }

  /**
   * Resolves when all that is visible now is on disk, and rejects with StorageError when it cannot be written; undefined
   * when it is there already.
   */
  durable(): Promise<void> | undefined {
    return this.#batch?.done ?? this.#inFlight?.done;
  }

  /** Has the gathered batch written, unless one is on its way. */
  #send(): void {
    const batch = this.#batch;
    if (batch === undefined || this.#inFlight !== undefined) return;
    this.#batch = undefined;
    this.#inFlight = batch;
    this.#committer.append(batch.rows).then(
      () => this.#onCommitted(batch),
      (error: unknown) => this.#rollBack(error as Error),
    );
  }

  #onCommitted(batch: Batch): void {
    this.#inFlight = undefined;
    this.#committed = batch.rows.at(-1)?.revision ?? this.#committed;
    // The disk works on the next batch while this one is told.
    this.#send();
    batch.resolve();
    for (const listener of this.#listeners) listener(batch.changes);
    for (const { previous } of batch.changes) previous?.forget();
  }

  /** Nobody has seen these changes: they are taken back, and the writers are told. */
  #rollBack(error: Error): void {
    const lost = [this.#inFlight, this.#batch].filter((batch) => batch !== undefined);
    this.#inFlight = undefined;
    this.#batch = undefined;
    for (const { changes } of lost.toReversed()) {
      for (const change of changes.toReversed()) change.collection.revert(change);
    }
    this.#revision = this.#committed;
    for (const batch of lost) batch.reject(error);
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
  async compact(revision: number): Promise<void> {
    if (revision <= this.#compacted || revision > this.#committed) return;
    this.#compacted = revision;
    for (const collection of this.#collections.values()) collection.compact(revision);
    await this.#committer.compact(revision);
  }

  /** Writes what is pending and closes the database. */
  async close(): Promise<void> {
    if (this.#broken !== undefined) return;
    this.#broken = new StorageError('the store is closed');
    while (this.#batch !== undefined || this.#inFlight !== undefined) {
      // Its writers have been told of a failure.
      await this.durable()?.catch(() => {});
    }
    await this.#committer.close();
  }
}

/** An object says its name and its revision, as the row does that it is in. */
function isAsWritten(item: Item): boolean {
  try {
    const { metadata } = item;
    return (
      isObject(metadata) && metadata['name'] === item.name && metadata['resourceVersion'] === String(item.revision)
    );
  } catch {
    return false;
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
