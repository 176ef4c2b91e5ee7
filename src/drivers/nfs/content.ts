/**
 * Snapshots of nfs volumes, and volumes made from them or from each other: copies on the server, in a hidden directory below
 * the export.
 *
 * The export is mounted for it once more, without a cache of attributes: what others write meanwhile is seen then, and
 * neither the mounts of workloads nor their owner have to wait.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import type { Records } from '../../node/records.ts';
import {
  DriverError,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
  type OpenedForReading,
  type Reading,
  type SnapshotFacts,
} from '../driver.ts';
import { openInPlace } from '../reading.ts';
import type { Reverts } from '../reverts.ts';
import type { SnapshotRecord } from '../snapshot-record.ts';
import { inUse, isStageLeft, pathOf, stageMountOf, stageTarget, unmountStage } from '../stage.ts';
import { TreeContent } from '../trees/content.ts';
import { FILLING, type FillRecord } from '../trees/fill.ts';
import { halvesIn, isEnded, refuseHalfTree } from '../trees/revert.ts';
import { HIDDEN, type Reached, refuseMissing, type TreeSnapshots, type TreeStorage } from '../trees/snapshots.ts';
import { nfsFailure } from './failure.ts';
import { nfsOptions } from './mount-options.ts';
import { overlaps } from './record.ts';
import { exportOf, sourceNameOf, sourceOf } from './volume.ts';

/** Longest that one mount may take, in milliseconds, and what its call may take longer. */
const MOUNT_MS = 8_000;
const MARGIN_MS = 4_000;
const SYNC_MS = 60_000;
const LEAVE_ATTEMPTS = 5;
const LEAVE_MS = 500;

export interface NfsContentOptions {
  readonly node: Pick<NodeLayer, 'mountRoot' | 'table' | 'unmount' | 'removeTree' | 'call'>;
  readonly snapshots: Records<SnapshotRecord>;
  readonly fills: Records<FillRecord>;
  readonly reverts: Reverts;
}

export class NfsContent {
  readonly #options: NfsContentOptions;
  readonly #trees: TreeContent;
  /** Looks that are under way, by volume: two through one mount would take it from each other. */
  readonly #looking = new Map<string, Promise<void>>();

  constructor(options: NfsContentOptions) {
    this.#options = options;
    const storage: TreeStorage = {
      driver: 'nfs',
      mayBeEmpty: true,
      node: options.node,
      records: options.snapshots,
      reach: (volume, uid, work, signal) => this.#reach(volume, uid, work, signal),
      nameOf: (volume, { path }) => `${exportOf(sourceOf(volume))}/${path.slice(path.indexOf(HIDDEN))}`,
      treeOf: () => undefined,
      failure: (thrown, volume, otherwise) => nfsFailure(thrown, sourceNameOf(volume), otherwise),
      describe: sourceNameOf,
    };
    this.#trees = new TreeContent({
      storage,
      fills: options.fills,
      reverts: options.reverts,
      overlap: (one, other) => overlaps(sourceOf(one), sourceOf(other)),
    });
  }

  get snapshots(): TreeSnapshots {
    return this.#trees.snapshots;
  }

  /** @returns whether the directory of the volume was missing, and made. */
  fill(volume: DriverVolume, call: LongCall): Promise<{ readonly isMade: boolean }> {
    return this.#trees.fill(volume, true, call);
  }

  revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    return this.#trees.revert(volume, snapshot, restore, call);
  }

  tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#trees.tidy(volume, signal);
  }

  /**
   * Takes up that a revert was left half way by whoever had the directory of a volume before, as that says through any mount
   * of it. This node has no note of that.
   */
  async takeUpHalf(
    { uid }: DriverVolume,
    tree: TargetPath,
    options: { readonly signal: AbortSignal; readonly deadlineMs: number },
  ): Promise<void> {
    const [restoreUID] = await halvesIn(this.#options.node, tree, options);
    if (restoreUID !== undefined) this.#options.reverts.takeUp(uid, restoreUID);
  }

  /** Forgets a revert that was left half way, where another node has ended it: the directory says so. */
  forgetEnded(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { uid } = volume;
    const underWay = this.#looking.get(uid);
    if (underWay !== undefined) return underWay;
    const looking = this.#lookWhetherEnded(volume, signal).finally(() => this.#looking.delete(uid));
    this.#looking.set(uid, looking);
    return looking;
  }

  /** @throws DriverError `RevertIncomplete` where the directory of a volume, through any mount of it, has a part of each. */
  refuseHalf(tree: TargetPath, options: { readonly signal: AbortSignal; readonly deadlineMs: number }): Promise<void> {
    return refuseHalfTree(this.#options.node, tree, options);
  }

  /** As it is on the server, with what this node has written. */
  async read<T>(
    volume: DriverVolume,
    reading: Reading,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { node, reverts } = this.#options;
    reverts.refuseHalf(volume.uid);
    await this.close(reading.uid);
    let isRead = false;
    try {
      return await this.#reach(
        volume,
        reading.uid,
        async ({ tree, source }) => {
          await refuseMissing({ node, describe: sourceNameOf, mayBeEmpty: true }, volume, source(), signal);
          await refuseHalfTree(node, tree, { signal });
          const device = stageMountOf(node, reading.uid)?.device;
          const opened = await openInPlace(node, { directory: { own: tree }, device, lacking: [] }, reading, signal);
          isRead = true;
          // The server is mounted, whatever directory of it the volume is.
          return await work({ ...opened, isMountPoint: true });
        },
        signal,
      );
    } catch (thrown) {
      // What the work throws is none of the server's, as far as is known here.
      throw isRead ? thrown : nfsFailure(thrown, sourceNameOf(volume), Reason.BackupFailed);
    }
  }

  /** Takes down what a killed reading has left mounted. */
  async close(uid: string): Promise<void> {
    if (isStageLeft(this.#options.node, uid)) await this.#leave(uid);
  }

  noteOf(volume: DriverVolume): string | undefined {
    return this.#trees.noteOf(volume);
  }

  /** Removes what never became content of the volume, or is none any more. */
  async forget(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { fills, reverts } = this.#options;
    const { uid } = volume;
    // What has its place has left nothing; the server need not be asked.
    if (fills.read(uid)?.isPlaced === true) fills.remove(uid);
    const isReverting = reverts.begunOf(uid) !== undefined || reverts.copyOf(uid) !== undefined;
    if (fills.read(uid) === undefined && !isReverting) return reverts.forget(uid);
    const forget = ({ tree }: Reached) => this.#trees.forget(volume, tree, signal);
    await this.#reach(volume, `${uid}-forget`, forget, signal);
  }

  async #lookWhetherEnded(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { node, reverts } = this.#options;
    const begun = reverts.begunOf(volume.uid);
    if (begun === undefined) return;
    const look = ({ tree }: Reached) => isEnded(node, tree, begun, signal);
    if (await this.#reach(volume, `${volume.uid}-look`, look, signal)) reverts.endedElsewhere(volume.uid, begun);
  }

  async #reach<T>(
    volume: DriverVolume,
    uid: string,
    work: (reached: Reached) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { node } = this.#options;
    refuseHidden(volume);
    const { server, path, subPath } = sourceOf(volume);
    const target = stageTarget(node, uid);
    const options = [...nfsOptions(volume.mountOptions).client, 'actimeo=0'];
    await this.#writeOut(volume, signal);
    await node.call(
      'mountNfs',
      { server, path, target, options, timeoutMs: MOUNT_MS },
      { signal, deadlineMs: MOUNT_MS + MARGIN_MS },
    );
    const tree = subPath === undefined ? target : { ...target, path: join(target.path, subPath) };
    try {
      return await work({
        tree,
        source: () => ({ own: tree }),
        places: [{ ...target, path: `${target.path}/${HIDDEN}` }],
        copyMethod: (limit) => this.#copyMethod(target, limit),
      });
    } finally {
      await this.#leave(uid);
    }
  }

  /** What workloads of this node have written reaches the server first: it is the server's files that are copied. */
  async #writeOut({ uid }: DriverVolume, signal: AbortSignal): Promise<void> {
    const stage = stageMountOf(this.#options.node, uid);
    if (stage === undefined) return;
    await this.#options.node.call('syncFilesystem', { path: stage.target }, { signal, deadlineMs: SYNC_MS });
  }

  async #copyMethod(target: TargetPath, signal: AbortSignal): Promise<SnapshotFacts['method']> {
    const { copies } = await this.#options.node.call('nfsCopies', { path: pathOf(target) }, { signal });
    return copies > 0 ? 'ServerSideCopy' : 'Copy';
  }

  /** Everything is on the server by now. What a killed copy held is let go within moments. */
  async #leave(uid: string): Promise<void> {
    const { node } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await unmountStage(node, uid, AbortSignal.timeout(MOUNT_MS));
      if (outcome.outcome === 'done') return;
      if (attempt === LEAVE_ATTEMPTS) {
        throw new DriverError(Reason.UnmountFailed, `the mount for copying is still in use (${inUse(outcome)})`);
      }
      await sleep(LEAVE_MS);
    }
  }
}

/** Snapshots of other volumes: whoever could mount them could read and change them. */
export function refuseHidden(volume: DriverVolume): void {
  const { path, subPath = '' } = sourceOf(volume);
  const isOurs = `${path}/${subPath}`.split('/').some((name) => name === HIDDEN || name.startsWith(FILLING));
  if (!isOurs) return;
  const message = `${sourceNameOf(volume)} lies in a directory that clawstore keeps for itself`;
  throw new DriverError(Reason.InvalidSpec, message, { terminal: true });
}
