/**
 * Snapshots that are copies of a directory tree, for drivers whose volumes are directories.
 *
 * While it is made, and while it is removed, a copy has its name with `.new` at the end. The record is written twice: with
 * that name before anything is made, so that what a kill leaves is found, and with the final one before the rename.
 */
import { basename, dirname, join } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import { NO_DEADLINE_MS, type NodeLayer, type TargetPath } from '../../node/layer.ts';
import type { Records } from '../../node/records.ts';
import type { CopiedTree, TreeChanges, TreeSource } from '../../node/trees/operations.ts';
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

/** What differs between the drivers. */
export interface TreeStorage {
  readonly driver: DriverType;
  readonly node: TreeNode;
  readonly records: Records<SnapshotRecord>;
  /** Where the files of a volume are. Told before anything else is asked, so that a server can be mounted. */
  source(volume: DriverVolume, signal: AbortSignal): Promise<TreeSource>;
  /** Directories for its snapshots, the best first; one but the last is used only where blocks can be shared. */
  places(volume: DriverVolume): readonly [TargetPath, ...TargetPath[]];
  /** Turns what the node layer throws into a DriverError. */
  failure(thrown: unknown, volume: DriverVolume, otherwise: Reason): DriverError;
  /** Name of the volume's storage, for messages. */
  describe(volume: DriverVolume): string;
  /** What a copy that shares no blocks is. */
  copyMethod(volume: DriverVolume, signal: AbortSignal): Promise<SnapshotFacts['method']>;
}

export class TreeSnapshots implements SnapshotCalls {
  readonly #storage: TreeStorage;

  constructor(storage: TreeStorage) {
    this.#storage = storage;
  }

  async observe({ uid, volume }: DriverSnapshot, signal: AbortSignal): Promise<SnapshotObservation> {
    const record = this.#recordOf(uid);
    const isThere = record !== undefined && (await this.#explained(volume, () => this.#exists(record, signal)));
    return { facts: isThere ? factsOf(record) : undefined, usedBytes: undefined };
  }

  async take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { uid, volume } = snapshot;
    await this.#explained(volume, async () => {
      const record = this.#recordOf(uid);
      if (record !== undefined && (await this.#exists(record, call.signal))) return;
      await this.#clear(snapshot, call.signal);
      await this.#make(snapshot, call);
    });
  }

  async delete(snapshot: DriverSnapshot, signal: AbortSignal): Promise<void> {
    const { uid, volume } = snapshot;
    await this.#explained(volume, () => this.#clear(snapshot, signal), Reason.DeleteFailed);
    for (const { root, path } of this.#placesOf(snapshot)) {
      await this.#explained(volume, () =>
        this.#storage.node.call('removeEmptyTree', { root, path: dirname(path) }, { signal }),
      );
    }
    this.#storage.records.remove(uid);
  }

  async leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]> {
    const found: SnapshotLeftover[] = [];
    for (const [snapshotUID, record] of this.#storage.records.all()) {
      if (record.driver !== this.#storage.driver) continue;
      const final = withoutEnd(record.path);
      for (const path of [final, `${final}${UNFINISHED}`]) {
        if (await this.#isAt(path, signal)) found.push({ snapshotUID, path, bytes: undefined });
      }
    }
    return found;
  }

  /** Where the data of a snapshot is. @throws DriverError when it is not there. */
  async locate({ uid, name, volume }: DriverSnapshot, signal: AbortSignal): Promise<TreeSource> {
    const record = this.#recordOf(uid);
    if (record !== undefined && (await this.#explained(volume, () => this.#exists(record, signal)))) {
      return { own: treeOf(record.path) };
    }
    throw new DriverError(Reason.DataMissing, `the data of snapshot "${name}" is not on this node`);
  }

  async #make(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { node, records, driver } = this.#storage;
    const { uid, volume } = snapshot;
    const source = await sourceOf(this.#storage, volume, call.signal);
    const place = await this.#choose(snapshot, source, call.signal);
    const destination = { ...place, path: `${place.path}${UNFINISHED}` };
    const origin = { driver, volumeUID: volume.uid, path: join(place.root, place.path) };
    records.write(uid, recordOf(begun(), { ...origin, path: join(destination.root, destination.path) }));
    const copied = await node.call(
      'copyTree',
      { source, destination, exclude: HIDDEN },
      { ...call, deadlineMs: NO_DEADLINE_MS },
    );
    const facts = await this.#factsOf(volume, copied, call.signal);
    if (snapshot.consistency === 'Filesystem' && !facts.consistent.consistent) {
      await node.removeTree(destination, call.signal);
      throw new DriverError(Reason.ChangedDuringCopy, `${facts.consistent.message} consistency is Filesystem.`);
    }
    records.write(uid, recordOf(facts, origin));
    await node.call('nameTree', { tree: destination, name: uid }, { signal: call.signal });
  }

  async #factsOf(volume: DriverVolume, copied: CopiedTree, signal: AbortSignal): Promise<SnapshotFacts> {
    return {
      takenAt: new Date(copied.startedAt),
      restoreBytes: copied.bytes,
      method: copied.sharesBlocks ? 'ReflinkTree' : await this.#storage.copyMethod(volume, signal),
      consistent: consistencyOf(copied.changes),
    };
  }

  async #choose(snapshot: DriverSnapshot, source: TreeSource, signal: AbortSignal): Promise<TargetPath> {
    const places = this.#placesOf(snapshot);
    const last = places.at(-1) ?? places[0];
    for (const place of places.slice(0, -1)) {
      const directory = { ...place, path: `${place.path}${UNFINISHED}` };
      const { sharesBlocks } = await this.#storage.node.call('probeShare', { source, directory }, { signal });
      if (sharesBlocks) return place;
      await this.#storage.node.call('removeEmptyTree', { ...place, path: dirname(place.path) }, { signal });
    }
    return last;
  }

  /** Removes the data wherever it may be. It loses its name first, so that a half removed tree is never a snapshot. */
  async #clear(snapshot: DriverSnapshot, signal: AbortSignal): Promise<void> {
    const { node } = this.#storage;
    const record = this.#recordOf(snapshot.uid);
    const trees = this.#placesOf(snapshot);
    const recorded = record === undefined ? [] : [treeOf(withoutEnd(record.path))];
    for (const tree of [...trees, ...recorded]) {
      const unnamed = { ...tree, path: `${tree.path}${UNFINISHED}` };
      if ((await node.call('lookAtTree', { source: { own: tree } }, { signal })) !== null) {
        await node.removeTree(unnamed, signal);
        await node.call('nameTree', { tree, name: `${basename(tree.path)}${UNFINISHED}` }, { signal });
      }
      if ((await node.call('lookAtTree', { source: { own: unnamed } }, { signal })) !== null) {
        await node.removeTree(unnamed, signal);
      }
    }
  }

  #placesOf({ uid, volume }: DriverSnapshot): readonly [TargetPath, ...TargetPath[]] {
    const [first, ...rest] = this.#storage.places(volume);
    const named = ({ root, path }: TargetPath): TargetPath => ({ root, path: `${path}/${uid}` });
    return [named(first), ...rest.map(named)];
  }

  #recordOf(uid: string): SnapshotRecord | undefined {
    const record = this.#storage.records.read(uid);
    return record?.driver === this.#storage.driver ? record : undefined;
  }

  /** The data is there under the name that the record gives, and that name is final. */
  async #exists({ path }: SnapshotRecord, signal: AbortSignal): Promise<boolean> {
    return !path.endsWith(UNFINISHED) && (await this.#isAt(path, signal));
  }

  async #isAt(path: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#storage.node.call('lookAtTree', { source: { own: treeOf(path) } }, { signal })) !== null;
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

/**
 * Where the files of a volume are, once it is sure that they are there: a directory that is missing, or empty and nowhere
 * mounted, is most likely the place of a disk that is not.
 */
export async function sourceOf(
  storage: Pick<TreeStorage, 'node' | 'source' | 'describe'>,
  volume: DriverVolume,
  signal: AbortSignal,
): Promise<TreeSource> {
  const found = await storage.source(volume, signal);
  const name = storage.describe(volume);
  const look = await storage.node.call('lookAtTree', { source: found, exclude: [HIDDEN] }, { signal });
  if (look === null) throw new DriverError(Reason.DataMissing, `${name} is not there`);
  const isMounted = storage.node.table
    .current()
    .some(({ device, root }) => device === look.device && root === look.root);
  if (look.names.length > 0 || isMounted) return found;
  const message = `${name} is empty. Nothing is taken of it while it is mounted nowhere, because an empty directory may be that of a disk that is not there.`;
  throw new DriverError(Reason.DataMissing, message);
}

/** What the changes during a copy make of it. Pure. */
export function consistencyOf({ count, examples }: TreeChanges): SnapshotFacts['consistent'] {
  if (count === 0) {
    const message = 'Nothing was written while it was copied.';
    return { consistent: true, reason: Reason.Unchanged, message };
  }
  const named = examples.length === 0 ? '' : ` (${examples.join(', ')}${count > examples.length ? ' …' : ''})`;
  const message = `${count} ${count === 1 ? 'entry' : 'entries'} changed while it was copied${named}: not all of it is of one moment.`;
  return { consistent: false, reason: Reason.ChangedDuringCopy, message };
}

/** What is noted of a copy before there is anything of it. */
function begun(): SnapshotFacts {
  const consistent = { consistent: false, reason: Reason.SnapshotFailed, message: 'It is not complete.' };
  return { takenAt: new Date(), restoreBytes: 0n, method: 'Copy', consistent };
}

/** The recorded path, beneath a directory that is not in the reach of who may write to the volume. */
function treeOf(path: string): TargetPath {
  const above = dirname(path);
  return { root: dirname(above), path: `${basename(above)}/${basename(path)}` };
}

function withoutEnd(path: string): string {
  return path.endsWith(UNFINISHED) ? path.slice(0, -UNFINISHED.length) : path;
}
