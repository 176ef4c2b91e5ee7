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
import { type DriverContent, DriverError, type DriverVolume, type LongCall } from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { snapshotRecords } from '../snapshot-record.ts';
import { type FillContent, type FillTarget, fillRecords, fillTree, forgetFill, isFilled } from '../trees/fill.ts';
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

  constructor(node: ContentNode) {
    this.#node = node;
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

  /** Removes what never became content of the volume. */
  async forget(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    await asDriver(Reason.DeleteFailed, () => forgetFill(this.#targetOf(volume), signal));
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
