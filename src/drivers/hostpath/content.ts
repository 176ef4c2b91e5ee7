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
import { Records } from '../../node/records.ts';
import { type DriverContent, DriverError, type DriverVolume, type LongCall } from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { snapshotRecords } from '../snapshot-record.ts';
import { type FillContent, type FillTarget, fillTree, forgetFill, isFilled, isFillRecord } from '../trees/fill.ts';
import { HIDDEN, sourceOf, TreeSnapshots, type TreeStorage } from '../trees/snapshots.ts';
import { formerPath, hostPathOf, mayCreate, narrowestPrefix, userPath } from './volume.ts';

/** Folders of the state directory. */
const DATA = 'snapshots-data';
const FILLS = 'fills';

/** What is needed of the node layer. */
export type ContentNode = Pick<
  NodeLayer,
  'table' | 'stateDir' | 'call' | 'removeTree' | 'inspectUserPath' | 'ensureUserPath'
>;

export class HostPathContent {
  readonly snapshots: TreeSnapshots;
  readonly #node: ContentNode;
  readonly #storage: TreeStorage;

  constructor(node: ContentNode) {
    this.#node = node;
    this.#storage = storageOf(node);
    this.snapshots = new TreeSnapshots(this.#storage);
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    const { content } = volume;
    if (content === undefined) throw new DriverError(Reason.InternalError, 'there is nothing to fill the volume with');
    await asDriver(Reason.CloneFailed, async () => {
      await this.#prepare(volume, call.signal);
      const target = this.#targetOf(volume);
      if (await isFilled(target, call.signal)) return;
      await fillTree(target, await this.#contentOf(volume, content, call.signal), call);
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
    const records = new Records(join(this.#node.stateDir, FILLS), isFillRecord);
    return { node: this.#node, records, uid: volume.uid, tree: { root: prefix, path: relative(prefix, path) } };
  }

  async #contentOf(volume: DriverVolume, content: DriverContent, signal: AbortSignal): Promise<FillContent> {
    const common = { mayCreate: mayCreate(volume) };
    if (content.from === 'snapshot') {
      const { snapshot } = content;
      const source = await this.snapshots.locate(snapshot, signal);
      return { ...common, source, name: `snapshot "${snapshot.name}"`, isFixed: true };
    }
    const [from, to] = [hostPathOf(content.volume).path, hostPathOf(volume).path];
    if (isAtOrBelow(from, to) || isAtOrBelow(to, from)) {
      const message = `${JSON.stringify(to)} cannot be filled from ${JSON.stringify(from)}: one lies in the other`;
      throw new DriverError(Reason.DataSourceMismatch, message, { terminal: true });
    }
    const source = await sourceOf(this.#storage, content.volume, signal);
    return { ...common, source, name: `volume "${content.volume.name}"`, isFixed: false };
  }
}

function storageOf(node: ContentNode): TreeStorage {
  const own: TargetPath = { root: node.stateDir, path: DATA };
  return {
    driver: 'hostPath',
    node,
    records: snapshotRecords(node.stateDir),
    source: (volume) => Promise.resolve({ user: userPath(volume) }),
    places: (volume) => {
      const prefix = narrowestPrefix(volume);
      return prefix === undefined ? [own] : [own, { root: prefix, path: HIDDEN }, own];
    },
    failure: (thrown, _, otherwise) => toDriverError(thrown, otherwise),
    describe: (volume) => JSON.stringify(hostPathOf(volume).path),
    copyMethod: () => Promise.resolve('Copy'),
  };
}
