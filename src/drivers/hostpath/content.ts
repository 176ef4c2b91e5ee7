/**
 * Snapshots of hostPath volumes, and volumes made from them or from each other.
 *
 * A snapshot lies in the state directory where it can share blocks with the volume, else in a hidden directory below the
 * narrowest allowed prefix where that can, else, as a full copy, in the state directory.
 */
import { dirname, join, relative } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import { isAtOrBelow } from '../../node/mount-entry.ts';
import {
  DriverError,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
  type VolumeObservation,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { Reverts } from '../reverts.ts';
import { snapshotRecords } from '../snapshot-record.ts';
import { TreeContent } from '../trees/content.ts';
import { fillRecords } from '../trees/fill.ts';
import { HIDDEN, type Reached, type TreeSnapshots, type TreeStorage, treeOfPath } from '../trees/snapshots.ts';
import { formerPath, hostPathOf, mayCreate, narrowestPrefix, userPath } from './volume.ts';

/** Folder of the state directory. */
const DATA = 'snapshots-data';

/** What is needed of the node layer. */
export type ContentNode = Pick<
  NodeLayer,
  'table' | 'stateDir' | 'call' | 'removeTree' | 'inspectUserPath' | 'ensureUserPath'
>;

export class HostPathContent {
  readonly #node: ContentNode;
  readonly #reverts: Reverts;
  readonly #trees: TreeContent;

  constructor(node: ContentNode) {
    this.#node = node;
    this.#reverts = new Reverts(node.stateDir);
    this.#trees = new TreeContent({
      storage: storageOf(node),
      fills: fillRecords(node.stateDir),
      reverts: this.#reverts,
      overlap: (one, other) => {
        const [path, otherPath] = [hostPathOf(one).path, hostPathOf(other).path];
        return isAtOrBelow(path, otherPath) || isAtOrBelow(otherPath, path);
      },
    });
  }

  get snapshots(): TreeSnapshots {
    return this.#trees.snapshots;
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    await asDriver(Reason.CloneFailed, () => this.#prepare(volume, call.signal));
    await this.#trees.fill(volume, mayCreate(volume), call);
  }

  /** Whether a volume with a `content` has it, and what people should know of it. */
  async look(
    volume: DriverVolume,
    signal: AbortSignal,
  ): Promise<{ readonly isFilled: boolean; readonly note: string | undefined }> {
    const isComplete = volume.content === undefined || (await this.#trees.isFilled(volume, formerTree(volume), signal));
    return { isFilled: isComplete, note: this.#trees.noteOf(volume) };
  }

  /**
   * An empty directory is one whose files were deleted: what could be that of a disk that is not there was refused with the
   * safety snapshot.
   */
  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    await asDriver(Reason.RevertFailed, () => this.#refuseShown(volume, call.signal));
    await this.#trees.revert(volume, snapshot, restore, call);
  }

  tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#trees.tidy(volume, signal);
  }

  copyFor({ uid }: DriverVolume): string | undefined {
    return this.#reverts.copyOf(uid);
  }

  /** What a person should read of a volume that is going back. */
  problemOf({ uid }: DriverVolume): VolumeObservation['problem'] {
    return this.#reverts.problemOf(uid);
  }

  /** @throws DriverError `RevertIncomplete` while a part of it is of before. */
  refuseHalf({ uid }: DriverVolume): void {
    this.#reverts.refuseHalf(uid);
  }

  /** Removes what never became content of the volume, or is none any more. */
  async forget(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    await asDriver(Reason.DeleteFailed, () => this.#trees.forget(volume, formerTree(volume), signal));
  }

  /** A directory that is mounted elsewhere, or a part of it, is in use, whoever did that. */
  async #refuseShown(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { prefix, path } = userPath(volume);
    const own = { root: prefix, path: relative(prefix, path) };
    const look = await this.#node.call('lookAtTree', { source: { own } }, { signal });
    if (look === null) throw new DriverError(Reason.DataMissing, `${describe(volume)} is not there`);
    const shown = this.#node.table
      .current()
      .find(
        ({ device, root, target }) =>
          device === look.device && root !== '/' && isAtOrBelow(root, look.root) && target !== path,
      );
    if (shown === undefined) return;
    const message = `${describe(volume)} is mounted at ${shown.target}`;
    throw new DriverError(Reason.VolumeInUse, message, { terminal: true });
  }

  /** Refuses what is not allowed, and makes the directory above. */
  async #prepare(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const place = userPath(volume);
    const isThere = (await this.#node.inspectUserPath(place, signal)) !== null;
    const above = dirname(place.path);
    if (isThere || !mayCreate(volume)) return;
    if (place.path === place.prefix) await this.#node.ensureUserPath({ ...place, create: true }, signal);
    else if (above !== place.prefix) await this.#node.ensureUserPath({ ...place, path: above, create: true }, signal);
  }
}

function storageOf(node: ContentNode): TreeStorage {
  const own: TargetPath = { root: node.stateDir, path: DATA };
  return {
    driver: 'hostPath',
    mayBeEmpty: false,
    node,
    records: snapshotRecords(node.stateDir),
    reach: (volume, _, work) => work(reachedOf(volume, own)),
    nameOf: (_, { root, path }) => join(root, path),
    treeOf: treeOfPath,
    failure: (thrown, _, otherwise) => toDriverError(thrown, otherwise),
    describe,
  };
}

/** The path may not be allowed any more, when it is about what was taken while it was. */
function reachedOf(volume: DriverVolume, own: TargetPath): Reached {
  const prefix = narrowestPrefix(volume);
  return {
    tree: formerTree(volume),
    source: () => ({ user: userPath(volume) }),
    places: prefix === undefined ? [own] : [own, { root: prefix, path: HIDDEN }, own],
    copyMethod: () => Promise.resolve('Copy'),
  };
}

function formerTree(volume: DriverVolume): TargetPath {
  const { prefix, path } = formerPath(volume);
  return { root: prefix, path: relative(prefix, path) };
}

function describe(volume: DriverVolume): string {
  return JSON.stringify(hostPathOf(volume).path);
}
