/**
 * Reading emptyDir volumes for backups. Of an image whose pool can share blocks a moment is taken, mounted where no workload
 * looks, and removed afterwards; other images, and what is in memory, are read as they are.
 */
import type { NodeLayer } from '../../node/layer.ts';
import type { Pool, Pools } from '../../node/pools/pools.ts';
import {
  DriverError,
  type DriverSnapshot,
  type DriverVolume,
  type OpenedForReading,
  type Reading,
  type ReadingCalls,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { openInPlace, thenClose } from '../reading.ts';
import { inUse, isStageLeft, stageMountOf, stageTarget, unmountStage } from '../stage.ts';
import { snapshotsOf } from './image-store.ts';
import { isInMemory, type MediumSnapshots } from './medium-snapshots.ts';
import { DATA, DATA_MODE, dataDirectory } from './stage.ts';

/** How long writers may be made to wait while a moment is taken, in milliseconds. */
const FREEZE_MS = 10_000;
const MOUNT_MS = 120_000;
const NO_ROOM: readonly string[] = ['InsufficientCapacity', 'PoolLowSpace'];
const NO_CHANGES = { count: 0, examples: [] } as const;

export interface ImageReadingOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  readonly snapshots: MediumSnapshots;
  /** Mounts a volume that is mounted nowhere. */
  readonly stage: (volume: DriverVolume, signal: AbortSignal) => Promise<void>;
}

export class EmptyDirReading implements ReadingCalls {
  readonly #options: ImageReadingOptions;

  constructor(options: ImageReadingOptions) {
    this.#options = options;
  }

  async read<T>(
    volume: DriverVolume,
    reading: Reading,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { node, pools, stage } = this.#options;
    await this.close(reading.uid, signal);
    const pool = isInMemory(volume) ? undefined : await asDriver('BackupFailed', () => pools.open(volume.pool, signal));
    if (pool?.cloneable === true && (await this.#takeMoment(volume, reading, signal))) {
      return await thenClose(
        () => this.#readMoment(volume, reading, pool, work, signal),
        (limit) => this.close(reading.uid, limit),
      );
    }
    if (!isInMemory(volume)) await stage(volume, signal);
    const mount = stageMountOf(node, volume.uid);
    if (mount === undefined)
      throw new DriverError('DataMissing', `the storage of volume ${volume.name} is not mounted`);
    const part = { directory: { own: dataDirectory(node, volume.uid) }, device: mount.device, lacking: [] };
    const opened = await asDriver('BackupFailed', () => openInPlace(node, part, reading, signal));
    // What is ours is mounted by us.
    return await work({ ...opened, isMountPoint: true });
  }

  async close(uid: string, signal: AbortSignal): Promise<void> {
    const { node, pools } = this.#options;
    if (isStageLeft(node, uid)) {
      const outcome = await unmountStage(node, uid, signal);
      if (outcome.outcome !== 'done') {
        throw new DriverError('UnmountFailed', `what was read of a volume is still in use (${inUse(outcome)})`);
      }
    }
    for (const name of pools.names()) {
      const pool = await pools.open(name, signal).catch(() => undefined);
      for (const image of pool === undefined ? [] : snapshotsOf(pool)) {
        if (image.name.snapshotUID !== uid) continue;
        await this.#options.snapshots.delete(momentOf(volumeIn(name, image.name.volumeUID), uid), signal);
      }
    }
  }

  /** @returns false where there is no room for it: a full pool is when a backup is wanted most. */
  async #takeMoment(volume: DriverVolume, { uid }: Reading, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#options.snapshots.take(momentOf(volume, uid), { signal, onProgress: () => undefined });
      return true;
    } catch (thrown) {
      if (thrown instanceof DriverError && NO_ROOM.includes(thrown.reason)) return false;
      throw thrown;
    }
  }

  async #readMoment<T>(
    volume: DriverVolume,
    { uid }: Reading,
    pool: Pool,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { node, snapshots } = this.#options;
    const { facts } = await snapshots.observe(momentOf(volume, uid), signal);
    const image = snapshotsOf(pool).find(({ name }) => name.snapshotUID === uid);
    if (facts === undefined || image === undefined) {
      throw new DriverError('SnapshotFailed', `the moment of volume ${volume.name} is not there`);
    }
    const request = {
      file: image.file,
      target: stageTarget(node, uid),
      filesystem: image.name.filesystem,
      options: ['nosuid', 'nodev', 'noexec', 'noatime'],
      discard: false,
      // One that was never mounted has none yet.
      inside: { name: DATA, mode: DATA_MODE },
    };
    const { entry } = await asDriver('MountFailed', () =>
      node.call('mountImage', request, { signal, deadlineMs: MOUNT_MS }),
    );
    return await work({
      directory: { own: dataDirectory(node, uid) },
      device: entry.device,
      method: 'Snapshot',
      ignoreInode: false,
      exclude: undefined,
      isEmpty: await this.#isEmpty(uid, signal),
      isMountPoint: true,
      lacking: [],
      consistency: () => Promise.resolve({ ...facts.consistent, changes: NO_CHANGES }),
    });
  }

  async #isEmpty(uid: string, signal: AbortSignal): Promise<boolean> {
    const { node } = this.#options;
    const request = { source: { own: dataDirectory(node, uid) } };
    const look = await asDriver('BackupFailed', () => node.call('lookAtTree', request, { signal }));
    if (look === null) throw new DriverError('DataMissing', 'the moment of the volume has no data directory');
    return look.names.length === 0;
  }
}

function momentOf(volume: DriverVolume, uid: string): DriverSnapshot {
  const name = `a moment of volume ${volume.name}`;
  return { uid, name, volume, consistency: undefined, freezeTimeoutMs: FREEZE_MS };
}

/** A volume as far as the deletion of a moment of it needs it: by UID, in a pool. */
function volumeIn(pool: string, uid: string): DriverVolume {
  return {
    uid,
    namespace: '',
    name: uid,
    source: { type: 'emptyDir', medium: '' },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool,
    mountOptions: [],
    mayLoseData: false,
    wasProvisioned: true,
  };
}
