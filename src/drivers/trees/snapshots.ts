/**
 * Snapshots that are copies of a directory tree, for drivers whose volumes are directories.
 *
 * While it is made, and while it is removed, a copy has its name with `.new` at the end. The record is written three times:
 * before anything is made, so that what a kill leaves is found; with what is known of the copy, before it gets its name; and
 * with that name, so that a copy on a server can be described while the server is not asked.
 */
import { basename, dirname } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import { NO_DEADLINE_MS, type NodeLayer, type TargetPath } from '../../node/layer.ts';
import type { Records } from '../../node/records.ts';
import type { TreeChanges, TreeSource } from '../../node/trees/operations.ts';
import {
  DriverError,
  type DriverSnapshot,
  type DriverType,
  type DriverVolume,
  type LongCall,
  type SnapshotCalls,
  type SnapshotFacts,
  type SnapshotLeftover,
  type SnapshotObservation,
} from '../driver.ts';
import { factsOf, recordOf, type SnapshotRecord } from '../snapshot-record.ts';

/** Ends the name of a copy that is not complete, or not any more. */
export const UNFINISHED = '.new';
/** A directory of ours beside the volumes of others; no volume may be in it, and no copy takes it along. */
export const HIDDEN = '.clawstore-snapshots';

/** What is needed of the node layer. */
export type TreeNode = Pick<NodeLayer, 'table' | 'call' | 'removeTree'>;

/** The files of a volume and of its snapshots, within reach. */
export interface Reached {
  /** The directory of the volume, as we write to it. */
  readonly tree: TargetPath;
  /** @throws DriverError when the volume may not be read (any more). */
  source(): TreeSource;
  /** Directories for its snapshots, the best first; one but the last is used only where blocks can be shared. */
  readonly places: readonly [TargetPath, ...TargetPath[]];
  /** How a copy that shares no blocks was made. */
  copyMethod(signal: AbortSignal): Promise<SnapshotFacts['method']>;
}

/** What differs between the drivers. */
export interface TreeStorage {
  readonly driver: DriverType;
  readonly node: TreeNode;
  readonly records: Records<SnapshotRecord>;
  /** An empty directory is one of a volume that has nothing yet: a disk that is not mounted looks otherwise. */
  readonly mayBeEmpty: boolean;
  /** Brings a volume within reach for some work (its server is mounted, say), under a UID that nothing else uses meanwhile. */
  reach<T>(volume: DriverVolume, uid: string, work: (reached: Reached) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Where a tree is, for the record and for people. */
  readonly nameOf: (volume: DriverVolume, tree: TargetPath) => string;
  /** The tree of a name, where it can be looked at without reaching for it. */
  treeOf(name: string): TargetPath | undefined;
  /** Turns what the node layer throws into a DriverError. */
  failure(thrown: unknown, volume: DriverVolume, otherwise: Reason): DriverError;
  /** Name of the volume's storage, for messages. */
  readonly describe: (volume: DriverVolume) => string;
}

export class TreeSnapshots implements SnapshotCalls {
  readonly #storage: TreeStorage;

  constructor(storage: TreeStorage) {
    this.#storage = storage;
  }

  async observe({ uid, volume }: DriverSnapshot, signal: AbortSignal): Promise<SnapshotObservation> {
    const record = this.#recordOf(uid);
    const isThere = record !== undefined && (await this.#explained(volume, () => this.#isThere(record, signal)));
    return { facts: isThere ? factsOf(record) : undefined, usedBytes: undefined };
  }

  async take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { uid, volume } = snapshot;
    await this.#explained(volume, async () => {
      const record = this.#recordOf(uid);
      if (record !== undefined && (await this.#isThere(record, call.signal))) return;
      await this.#storage.reach(volume, uid, (reached) => this.#takeOf(snapshot, reached, call), call.signal);
    });
  }

  async delete({ uid, volume }: DriverSnapshot, signal: AbortSignal): Promise<void> {
    const record = this.#recordOf(uid);
    // Nothing was ever begun: a server need not be asked.
    if (record === undefined) return;
    const remove = async ({ places }: Reached): Promise<void> => {
      await this.#clear(uid, places, signal);
      for (const place of places) await this.#storage.node.call('removeEmptyTree', place, { signal });
    };
    await this.#explained(volume, () => this.#storage.reach(volume, uid, remove, signal), Reason.DeleteFailed);
    this.#storage.records.remove(uid);
  }

  async leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]> {
    const found: SnapshotLeftover[] = [];
    for (const [snapshotUID, record] of this.#storage.records.all()) {
      if (record.driver !== this.#storage.driver) continue;
      const final = withoutEnd(record.path);
      for (const path of [final, `${final}${UNFINISHED}`]) {
        const tree = this.#storage.treeOf(path);
        const isThere = tree === undefined ? path === record.path : await this.#exists(tree, signal);
        if (isThere) found.push({ snapshotUID, path, bytes: undefined });
      }
    }
    return found;
  }

  /**
   * Does something with the data of a snapshot; `reader` is a UID that nothing else reads under meanwhile.
   * @throws DriverError `DataMissing` when it is not there.
   */
  async read<T>(
    { uid, name, volume }: DriverSnapshot,
    reader: string,
    work: (source: TreeSource) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const record = this.#recordOf(uid);
    const missing = new DriverError(Reason.DataMissing, `the data of snapshot "${name}" is not on this node`);
    if (record === undefined || isBegun(record)) throw missing;
    const read = async ({ places }: Reached): Promise<T> => {
      const own = this.#storage.treeOf(withoutEnd(record.path)) ?? named(places[0], uid);
      if (!(await this.#exists(own, signal))) throw missing;
      return await work({ own });
    };
    return await this.#storage.reach(volume, reader, read, signal);
  }

  async #takeOf(snapshot: DriverSnapshot, reached: Reached, call: LongCall): Promise<void> {
    const { uid, volume } = snapshot;
    const { records, driver, node, nameOf } = this.#storage;
    const record = this.#recordOf(uid);
    const [place] = reached.places;
    // Killed between the rename and the last record: everything is done.
    if (record !== undefined && !isBegun(record) && (await this.#exists(named(place, uid), call.signal))) {
      return records.write(uid, { ...record, path: withoutEnd(record.path) });
    }
    await this.#clear(uid, reached.places, call.signal);
    const source = reached.source();
    await refuseMissing(this.#storage, volume, source, call.signal);
    const originOf = (tree: TargetPath) => ({ driver, volumeUID: volume.uid, path: nameOf(volume, tree) });
    records.write(uid, recordOf(BEGUN, originOf(unfinished(named(place, uid)))));
    const tree = await this.#choose(uid, source, reached.places, call.signal);
    const destination = unfinished(tree);
    const origin = originOf(destination);
    records.write(uid, recordOf(BEGUN, origin));
    const facts = await this.#copy(snapshot, source, destination, reached, call);
    records.write(uid, recordOf(facts, origin));
    await node.call('nameTree', { tree: destination, name: uid }, { signal: call.signal });
    records.write(uid, recordOf(facts, { ...origin, path: nameOf(volume, tree) }));
  }

  async #copy(
    { consistency }: DriverSnapshot,
    source: TreeSource,
    destination: TargetPath,
    { copyMethod }: Reached,
    call: LongCall,
  ): Promise<SnapshotFacts> {
    const { node } = this.#storage;
    const options = { ...call, deadlineMs: NO_DEADLINE_MS };
    const copied = await node.call('copyTree', { source, destination, exclude: HIDDEN }, options);
    const consistent = consistencyOf(copied.changes);
    if (consistency === 'Filesystem' && !consistent.consistent) {
      await node.removeTree(destination, call.signal);
      const why = 'Nobody can hold the writers of such a volume, and consistency is Filesystem.';
      throw new DriverError(Reason.ChangedDuringCopy, `${consistent.message} ${why}`);
    }
    const method = copied.sharesBlocks ? 'ReflinkTree' : await copyMethod(call.signal);
    return { takenAt: new Date(copied.startedAt), restoreBytes: copied.bytes, method, consistent };
  }

  async #choose(uid: string, source: TreeSource, places: Reached['places'], signal: AbortSignal): Promise<TargetPath> {
    for (const place of places.slice(0, -1)) {
      const directory = unfinished(named(place, uid));
      const { sharesBlocks } = await this.#storage.node.call('probeShare', { source, directory }, { signal });
      if (sharesBlocks) return named(place, uid);
      await this.#storage.node.call('removeEmptyTree', place, { signal });
    }
    return named(places.at(-1) ?? places[0], uid);
  }

  /** Removes the data wherever it may be. It loses its name first, so that a half removed tree is never a snapshot. */
  async #clear(uid: string, places: readonly TargetPath[], signal: AbortSignal): Promise<void> {
    const { node } = this.#storage;
    const record = this.#recordOf(uid);
    const recorded = record === undefined ? undefined : this.#storage.treeOf(withoutEnd(record.path));
    const trees = [...places.map((place) => named(place, uid)), ...(recorded === undefined ? [] : [recorded])];
    for (const tree of trees) {
      const half = unfinished(tree);
      if (await this.#exists(tree, signal)) {
        await node.removeTree(half, signal);
        await node.call('nameTree', { tree, name: basename(half.path) }, { signal });
      }
      if (await this.#exists(half, signal)) await node.removeTree(half, signal);
    }
  }

  #recordOf(uid: string): SnapshotRecord | undefined {
    const record = this.#storage.records.read(uid);
    return record?.driver === this.#storage.driver ? record : undefined;
  }

  /** The snapshot is complete, and its data is there; where that cannot be looked at, it had been. */
  async #isThere(record: SnapshotRecord, signal: AbortSignal): Promise<boolean> {
    if (isBegun(record)) return false;
    const tree = this.#storage.treeOf(withoutEnd(record.path));
    return tree === undefined ? !record.path.endsWith(UNFINISHED) : await this.#exists(tree, signal);
  }

  async #exists(own: TargetPath, signal: AbortSignal): Promise<boolean> {
    return (await this.#storage.node.call('lookAtTree', { source: { own } }, { signal })) !== null;
  }

  async #explained<T>(
    volume: DriverVolume,
    step: () => Promise<T>,
    otherwise: Reason = Reason.SnapshotFailed,
  ): Promise<T> {
    try {
      return await step();
    } catch (thrown) {
      throw this.#storage.failure(thrown, volume, otherwise);
    }
  }
}

/** Throws unless the files of a volume are sure to be there: an empty directory may well be that of a disk that is not. */
export async function refuseMissing(
  { node, describe, mayBeEmpty }: Pick<TreeStorage, 'node' | 'mayBeEmpty' | 'describe'>,
  volume: DriverVolume,
  source: TreeSource,
  signal: AbortSignal,
): Promise<void> {
  const look = await node.call('lookAtTree', { source, exclude: [HIDDEN] }, { signal });
  if (look === null) throw new DriverError(Reason.DataMissing, `${describe(volume)} is not there`);
  const isMounted = node.table.current().some(({ device, root }) => device === look.device && root === look.root);
  if (look.names.length > 0 || isMounted || mayBeEmpty) return;
  const message = `${describe(volume)} is empty. Nothing is taken of it while it is mounted nowhere, because an empty directory may be that of a disk that is not there.`;
  throw new DriverError(Reason.DataMissing, message);
}

/** What the changes during a copy make of it. Pure. */
export function consistencyOf({ count, examples }: TreeChanges): SnapshotFacts['consistent'] {
  if (count === 0) {
    const message = 'Nothing was written while it was copied.';
    return { consistent: true, reason: Reason.Unchanged, message };
  }
  const shown = examples.length === 0 ? '' : ` (${examples.join(', ')}${count > examples.length ? ' …' : ''})`;
  const message = `${count} ${count === 1 ? 'entry' : 'entries'} changed while it was copied${shown}: not all of it is of one moment.`;
  return { consistent: false, reason: Reason.ChangedDuringCopy, message };
}

/** What is noted of a copy before there is anything of it. */
const BEGUN: SnapshotFacts = {
  takenAt: new Date(0),
  restoreBytes: 0n,
  method: 'Copy',
  consistent: { consistent: false, reason: Reason.SnapshotFailed, message: 'It is not complete.' },
};

function isBegun({ consistent }: SnapshotRecord): boolean {
  return consistent.reason === Reason.SnapshotFailed;
}

function named({ root, path }: TargetPath, uid: string): TargetPath {
  return { root, path: `${path}/${uid}` };
}

function unfinished({ root, path }: TargetPath): TargetPath {
  return { root, path: `${path}${UNFINISHED}` };
}

function withoutEnd(path: string): string {
  return path.endsWith(UNFINISHED) ? path.slice(0, -UNFINISHED.length) : path;
}

/** A recorded path, beneath a directory that is out of the reach of who may write to the volume. */
export function treeOfPath(path: string): TargetPath {
  const above = dirname(path);
  return { root: dirname(above), path: `${basename(above)}/${basename(path)}` };
}
