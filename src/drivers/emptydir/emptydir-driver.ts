/**
 * emptyDir: space made for a volume and removed with it. How it is made depends on the medium (`image-medium.ts`,
 * `memory-medium.ts`); either way it is mounted once on this node, and each mount is a bind of a directory inside.
 */
import type { BindOwn, NodeLayer } from '../../node/layer.ts';
import { NodeError } from '../../node/node-error.ts';
import { DEFAULT_POOL, type Pool, type Pools } from '../../node/pools/pools.ts';
import type { ThinMount } from '../../node/pools/space-guard.ts';
import { bindOrReplace } from '../bind-or-replace.ts';
import {
  type Deletion,
  type Driver,
  type DriverCapabilities,
  DriverError,
  type DriverLeftover,
  type DriverMount,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type Feature,
  type LongCall,
  type MountObservation,
  type UnmountOutcome,
  type Usage,
  type VolumeObservation,
  type WritingCalls,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { lackingFeature } from '../lacking.ts';
import { Reverts } from '../reverts.ts';
import { snapshotDirectory, snapshotRecords } from '../snapshot-record.ts';
import { pathOf, stageMountOf } from '../stage.ts';
import { judgeTarget, refuseOthers, targetOf, type WantedMount } from '../target-state.ts';
import { lookInside, refuseMounted, syncTo } from '../writing.ts';
import { ImageMedium } from './image-medium.ts';
import { ImageReverts } from './image-reverts.ts';
import { ImageSnapshots } from './image-snapshots.ts';
import { isInMemory, type MediumSnapshots, snapshotsOfMedia } from './medium-snapshots.ts';
import { createMemoryMedium, type MemoryMedium } from './memory-medium.ts';
import { MemoryReverts } from './memory-reverts.ts';
import { MemorySnapshots } from './memory-snapshots.ts';
import { EmptyDirReading } from './reading.ts';
import { Room } from './room.ts';
import { dataDirectory, type Medium } from './stage.ts';

const NO_POOL_REASONS: Readonly<Record<string, string>> = {
  NoSpace: 'InsufficientCapacity',
  ForeignMount: 'MountTargetConflict',
  Busy: 'Busy',
};

/** Failures to have a pool that end without anybody changing this machine. */
const PASSING: ReadonlySet<string> = new Set(['NoSpace', 'Busy', 'DeadlineExceeded', 'HelperLost']);

export interface EmptyDirOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  /** True while writers of Thin volumes are held: nothing new is made then. */
  readonly isHeld?: () => boolean;
}

export class EmptyDirDriver implements Driver {
  readonly type = 'emptyDir';
  readonly #node: NodeLayer;
  readonly #pools: Pools;
  readonly #images: ImageMedium;
  readonly #memory: MemoryMedium;
  readonly #room: Room;
  readonly #reverts: Reverts;
  readonly #imageReverts: ImageReverts;
  readonly #memoryReverts: MemoryReverts;
  readonly snapshots: MediumSnapshots;
  readonly reading: EmptyDirReading;

  constructor({ node, pools, isHeld = () => false }: EmptyDirOptions) {
    this.#node = node;
    this.#pools = pools;
    this.#room = new Room({ node, pools, isHeld });
    this.#images = new ImageMedium({ node, pools, room: this.#room });
    this.#memory = createMemoryMedium(node);
    const records = snapshotRecords(node.stateDir);
    const directory = snapshotDirectory(node.stateDir);
    const images = new ImageSnapshots({ node, pools, medium: this.#images, room: this.#room, records, isHeld });
    const memory = new MemorySnapshots({ node, medium: this.#memory, records, directory });
    this.snapshots = snapshotsOfMedia({ images, memory });
    const reverts = new Reverts(node.stateDir);
    this.#reverts = reverts;
    this.#imageReverts = new ImageReverts({ node, pools, medium: this.#images, snapshots: images, reverts });
    this.#memoryReverts = new MemoryReverts({ node, medium: this.#memory, snapshots: memory, reverts });
    const stage = (volume: DriverVolume, signal: AbortSignal) => this.stage(volume, signal);
    this.reading = new EmptyDirReading({ node, pools, snapshots: this.snapshots, stage });
  }

  async capabilities(signal: AbortSignal): Promise<DriverCapabilities> {
    const lacking = lackingFeature(this.#node);
    if (lacking !== undefined) {
      return { supported: false, reason: 'KernelFeatureMissing', message: lacking.message, features: [] };
    }
    try {
      const pool = await this.#pools.open(DEFAULT_POOL, signal);
      const features: readonly Feature[] = [
        { name: 'CapacityEnforcement', available: true, reason: '', message: '' },
        pool.cloneable
          ? { name: 'Reflink', available: true, reason: '', message: '' }
          : {
              name: 'Reflink',
              available: false,
              reason: 'KernelFeatureMissing',
              message: 'the pool cannot clone files',
            },
      ];
      return { supported: true, reason: '', message: '', features };
    } catch (thrown) {
      const { message, code } = NodeError.from(thrown);
      const reason = NO_POOL_REASONS[code] ?? 'CommandMissing';
      const what = `no pool for volume images: ${message}`;
      return { supported: false, reason, message: what, mayPass: PASSING.has(code), features: [] };
    }
  }

  async observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation> {
    const seen = await this.#medium(volume).observe(volume, stageMountOf(this.#node, volume.uid), signal);
    return { ...seen, copyFor: this.#reverts.copyOf(volume.uid) };
  }

  async provision(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { capacityBytes, uid } = volume;
    if (capacityBytes === undefined) {
      throw new DriverError('InvalidSpec', 'an emptyDir volume has a size', { terminal: true });
    }
    await this.#medium(volume).provision(volume, capacityBytes, stageMountOf(this.#node, uid), signal);
  }

  stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#medium(volume).stage(volume, signal);
  }

  async observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    const request = { target: targetOf(mount), own: dataDirectory(this.#node, volume.uid) };
    const seen = await asDriver('MountFailed', () => this.#node.observeTarget(request, signal));
    return judgeTarget(seen, this.#wanted(volume, mount));
  }

  publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    const request = {
      source: dataDirectory(this.#node, volume.uid),
      target: targetOf(mount),
      readOnly: mount.readOnly,
      options: volume.mountOptions,
    };
    return bindOrReplace({
      bind: () => this.#bind(volume, request, signal),
      observe: () => this.observeMount(volume, mount, signal),
      unpublish: () => this.unpublish(volume, mount, signal),
    });
  }

  unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    const target = targetOf(mount);
    return asDriver('UnmountFailed', async () => {
      const seen = await this.#node.observeTarget({ target, own: dataDirectory(this.#node, volume.uid) }, signal);
      const observed = judgeTarget(seen, this.#wanted(volume, mount));
      refuseOthers(observed);
      const { entry } = observed;
      const was =
        seen.source === null
          ? {}
          : { was: { device: seen.source.device, root: seen.source.root, options: volume.mountOptions } };
      return await this.#node.unmount({ target, mountId: entry?.id, scope: 'copies', ...was }, signal);
    });
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#medium(volume).unstage(volume, signal);
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<Deletion> {
    await this.#medium(volume).delete(volume, signal);
    this.#reverts.forget(volume.uid);
    return { kept: undefined };
  }

  async usage(volume: DriverVolume, signal: AbortSignal): Promise<Usage | undefined> {
    const mount = stageMountOf(this.#node, volume.uid);
    if (mount === undefined) return undefined;
    const size = await asDriver('MountUnresponsive', () => this.#node.statfs(mount.target, signal));
    return { usedBytes: size.usedBytes, totalBytes: size.totalBytes };
  }

  async leftovers(signal: AbortSignal): Promise<readonly DriverLeftover[]> {
    return [...(await this.#images.leftovers(signal)), ...(await this.#memory.leftovers(signal))];
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    const { content } = volume;
    if (content === undefined) return this.provision(volume, call.signal);
    const origin = content.from === 'snapshot' ? content.snapshot.volume : content.volume;
    if (isInMemory(origin) !== isInMemory(volume)) {
      const message = `volume ${volume.name} and ${origin.name}, which it is made from, have not the same medium`;
      throw new DriverError('DataSourceMismatch', message, { terminal: true });
    }
    await this.snapshots.fill(volume, content, call);
  }

  revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    return this.#revertsOf(volume).revert(volume, snapshot, restore, call);
  }

  tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#revertsOf(volume).tidy(volume, signal);
  }

  #revertsOf(volume: DriverVolume): ImageReverts | MemoryReverts {
    return isInMemory(volume) ? this.#memoryReverts : this.#imageReverts;
  }

  readonly writing: WritingCalls = {
    open: (volume, signal) =>
      asDriver('RestoreFailed', async () => {
        await this.stage(volume, signal);
        const stageMount = stageMountOf(this.#node, volume.uid);
        refuseMounted(this.#node, volume.name, stageMount);
        const own = dataDirectory(this.#node, volume.uid);
        return { ...(await lookInside(this.#node, { own }, signal)), device: stageMount?.device };
      }),
    flush: ({ uid }, signal) =>
      asDriver('RestoreFailed', () => syncTo(this.#node, pathOf(dataDirectory(this.#node, uid)), signal)),
  };

  /** Every Thin image of a pool that is mounted now: whose writers can be made to wait. */
  thinMounts(pool: Pool): readonly ThinMount[] {
    return this.#images.mounted(pool, 'Thin');
  }

  /** Every Thick one: whose writers wait for nothing but a snapshot. */
  thickMounts(pool: Pool): readonly ThinMount[] {
    return this.#images.mounted(pool, 'Thick');
  }

  /** Bytes of a pool that are free and yet promised to Thick volumes. */
  reservedBytes(pool: Pool): Promise<bigint> {
    return this.#room.reservedBytes(pool);
  }

  async #bind(volume: DriverVolume, request: BindOwn, signal: AbortSignal): Promise<unknown> {
    try {
      return await this.#node.bindOwn(request, signal);
    } catch (thrown) {
      if (NodeError.from(thrown).errno !== 'ENOENT') throw thrown;
      // A kill came between the mount of the storage and the making of the data directory in it.
      await this.stage(volume, signal);
      return await this.#node.bindOwn(request, signal);
    }
  }

  #medium(volume: DriverVolume): Medium {
    return isInMemory(volume) ? this.#memory : this.#images;
  }

  #wanted(volume: DriverVolume, mount: DriverMount): WantedMount {
    const sourceName = this.#medium(volume).sourceName(volume);
    return { readOnly: mount.readOnly, options: volume.mountOptions, sourceName, ownFilesystem: true };
  }
}
