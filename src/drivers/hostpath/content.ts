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
import type { TreeSource } from '../../node/trees/operations.ts';
import {
  type DriverContent,
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
import { type FillContent, type FillTarget, fillRecords, fillTree, forgetFill, isFilled } from '../trees/fill.ts';
import { forgetRevert, type RevertTarget, revertTree } from '../trees/revert.ts';
import {
  HIDDEN,
  type Reached,
  refuseMissing,
  TreeSnapshots,
  type TreeStorage,
  treeOfPath,
} from '../trees/snapshots.ts';
import { formerPath, hostPathOf, mayCreate, narrowestPrefix, userPath } from './volume.ts';

/** Folder of the state directory. */
const DATA = 'snapshots-data';

/** What is needed of the node layer. */
export type ContentNode = Pick<
  NodeLayer,
  'table' | 'stateDir' | 'call' | 'removeTree' | 'inspectUserPath' | 'ensureUserPath'
>;

export class HostPathContent {
  readonly snapshots: TreeSnapshots;
  readonly #node: ContentNode;
  readonly #reverts: Reverts;

  constructor(node: ContentNode) {
    this.#node = node;
    this.#reverts = new Reverts(node.stateDir);
    this.snapshots = new TreeSnapshots(storageOf(node));
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    const { content } = volume;
    if (content === undefined) throw new DriverError(Reason.InternalError, 'there is nothing to fill the volume with');
    await asDriver(Reason.CloneFailed, async () => {
      await this.#prepare(volume, call.signal);
      const target = this.#targetOf(volume);
      if (await isFilled(target, call.signal)) return;
      await this.#read(
        volume,
        content,
        (from) => fillTree(target, { ...from, mayCreate: mayCreate(volume) }, call),
        call,
      );
    });
  }

  /** Whether a volume with a `content` has it, and what people should know of it. */
  async look(
    volume: DriverVolume,
    signal: AbortSignal,
  ): Promise<{ readonly isFilled: boolean; readonly note: string | undefined }> {
    const target = this.#targetOf(volume);
    const isComplete = volume.content === undefined || (await isFilled(target, signal));
    return { isFilled: isComplete, note: target.records.read(volume.uid)?.note ?? undefined };
  }

  /**
   * An empty directory is one whose files were deleted: what could be that of a disk that is not there was refused with the
   * safety snapshot.
   */
  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    await asDriver(Reason.RevertFailed, async () => {
      const target = this.#revertTargetOf(volume);
      await this.#refuseShown(volume, target, call.signal);
      const read = (work: (source: TreeSource) => Promise<void>) =>
        this.snapshots.read(snapshot, volume.uid, work, call.signal);
      await revertTree(target, { volume, snapshot, restore, read }, call);
    });
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
    await asDriver(Reason.DeleteFailed, async () => {
      await forgetFill(this.#targetOf(volume), signal);
      await forgetRevert(this.#formerTargetOf(volume), volume.uid, signal);
    });
  }

  /** A directory that is mounted elsewhere, or a part of it, is in use, whoever did that. */
  async #refuseShown(volume: DriverVolume, { tree, name }: RevertTarget, signal: AbortSignal): Promise<void> {
    const look = await this.#node.call('lookAtTree', { source: { own: tree } }, { signal });
    if (look === null) throw new DriverError(Reason.DataMissing, `${name} is not there`);
    const { path } = hostPathOf(volume);
    const shown = this.#node.table
      .current()
      .find(
        ({ device, root, target }) =>
          device === look.device && root !== '/' && isAtOrBelow(root, look.root) && target !== path,
      );
    if (shown === undefined) return;
    const message = `${name} is mounted at ${shown.target}`;
    throw new DriverError(Reason.VolumeInUse, message, { terminal: true });
  }

  #revertTargetOf(volume: DriverVolume): RevertTarget {
    const { prefix, path } = userPath(volume);
    return { ...this.#formerTargetOf(volume), tree: { root: prefix, path: relative(prefix, path) } };
  }

  #formerTargetOf(volume: DriverVolume): RevertTarget {
    const { tree } = this.#targetOf(volume);
    return { node: this.#node, reverts: this.#reverts, tree, name: describe(volume) };
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

  #targetOf(volume: DriverVolume): FillTarget {
    const { prefix, path } = formerPath(volume);
    const records = fillRecords(this.#node.stateDir);
    return { node: this.#node, records, uid: volume.uid, tree: { root: prefix, path: relative(prefix, path) } };
  }

  async #read(
    volume: DriverVolume,
    content: DriverContent,
    work: (from: Omit<FillContent, 'mayCreate'>) => Promise<void>,
    { signal }: LongCall,
  ): Promise<void> {
    if (content.from === 'snapshot') {
      const { snapshot } = content;
      const name = `snapshot "${snapshot.name}"`;
      return await this.snapshots.read(snapshot, volume.uid, (source) => work({ source, name, isFixed: true }), signal);
    }
    const [from, to] = [hostPathOf(content.volume).path, hostPathOf(volume).path];
    if (isAtOrBelow(from, to) || isAtOrBelow(to, from)) {
      const message = `${JSON.stringify(to)} cannot be filled from ${JSON.stringify(from)}: one lies in the other`;
      throw new DriverError(Reason.DataSourceMismatch, message, { terminal: true });
    }
    const source = { user: userPath(content.volume) };
    this.refuseHalf(content.volume);
    await refuseMissing({ node: this.#node, describe, mayBeEmpty: false }, content.volume, source, signal);
    await work({ source, name: `volume "${content.volume.name}"`, isFixed: false });
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
    source: () => ({ user: userPath(volume) }),
    places: prefix === undefined ? [own] : [own, { root: prefix, path: HIDDEN }, own],
    copyMethod: () => Promise.resolve('Copy'),
  };
}

function describe(volume: DriverVolume): string {
  return JSON.stringify(hostPathOf(volume).path);
}
