/**
 * emptyDir: space made for a volume and removed with it.
 *
 * - `medium: ""`: one image file per volume on a pool (`node/pools`), mounted once on this node ("staged"); each mount is
 *   a bind of a directory inside. Its size is the filesystem's size, so a writer gets ENOSPC at the limit.
 * - `medium: Memory`: a tmpfs. Unmounting it would lose its files, so it stays staged until the volume is deleted.
 *
 * A volume whose image is mounted nowhere is still provisioned; the facts are the file's name and the mount table.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import { backingFileOf, loopsOf } from '../../node/images/loop-devices.ts';
import type { ImageFilesystem } from '../../node/images/operations.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { NodeError } from '../../node/node-error.ts';
import type { Pool, Pools } from '../../node/pools/pools.ts';
import type { ThinMount } from '../../node/pools/space-guard.ts';
import { bindOrReplace } from '../bind-or-replace.ts';
import {
  type Driver,
  type DriverCapabilities,
  DriverError,
  type DriverLeftover,
  type DriverMount,
  type DriverVolume,
  type Feature,
  type MountObservation,
  type UnmountOutcome,
  type Usage,
  type VolumeObservation,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { judgeTarget, type WantedMount } from '../target-state.ts';
import { formatImageName, type ImageName, parseImageName } from './image-name.ts';

const MIB = 1024n * 1024n;
/** mkfs.xfs refuses less; below it the image has ext4. */
const SMALLEST_XFS = 300n * MIB;
/** Below this ext4 has no room for its own tables. */
const SMALLEST_EXT4 = 2n * MIB;
const IMAGE_DEADLINE_MS = 120_000;
const STAGE_FOLDER = '.volumes';
const DATA = 'data';
/** As Kubernetes makes them: any user of the workload may write. */
const DATA_MODE = 0o777;
/** Name of the tmpfs in the mount table; the UID follows. */
const TMPFS_PREFIX = 'clawstore-';
const NEEDED_FEATURES: readonly string[] = ['Koffi', 'BindMounts'];

export interface EmptyDirOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  /** True while writers of Thin volumes are held: nothing new is made then. */
  readonly isHeld?: () => boolean;
}

interface Image {
  readonly name: ImageName;
  readonly file: string;
  readonly sizeBytes: bigint;
}

export class EmptyDirDriver implements Driver {
  readonly type = 'emptyDir';
  readonly nodeLocal = true;
  readonly #node: NodeLayer;
  readonly #pools: Pools;
  readonly #isHeld: () => boolean;

  constructor({ node, pools, isHeld = () => false }: EmptyDirOptions) {
    this.#node = node;
    this.#pools = pools;
    this.#isHeld = isHeld;
  }

  async capabilities(signal: AbortSignal): Promise<DriverCapabilities> {
    const lacking = this.#node.features.find(({ name, available }) => NEEDED_FEATURES.includes(name) && !available);
    if (lacking !== undefined) {
      return { supported: false, reason: 'KernelFeatureMissing', message: lacking.message, features: [] };
    }
    try {
      const pool = await this.#pools.open('default', signal);
      const features: readonly Feature[] = [
        { name: 'sizeEnforced', available: true, reason: '', message: '' },
        pool.cloneable
          ? { name: 'reflink', available: true, reason: '', message: '' }
          : {
              name: 'reflink',
              available: false,
              reason: 'KernelFeatureMissing',
              message: 'the pool cannot clone files',
            },
      ];
      return { supported: true, reason: '', message: '', features };
    } catch (thrown) {
      const { message, code } = NodeError.from(thrown);
      const reason = code === 'NoSpace' ? 'InsufficientCapacity' : 'CommandMissing';
      return { supported: false, reason, message: `no pool for volume images: ${message}`, features: [] };
    }
  }

  async observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation> {
    const stageMount = this.#stageMount(volume);
    if (isMemory(volume)) return observeMemory(volume, stageMount);
    const image = await this.#find(volume, signal);
    const problem = stageMount === undefined ? undefined : problemOf(volume, stageMount);
    if (image === undefined) {
      return { ...NOTHING, stageMount, staged: stageMount !== undefined, problem };
    }
    return {
      provisioned: true,
      enforcedBytes: image.sizeBytes,
      capacity: {
        enforced: true,
        reason: 'CapacityEnforced',
        message: 'A writer gets "no space left" at the capacity.',
      },
      staged: stageMount !== undefined && backingFileOf(stageMount.device) === image.file,
      stageMount,
      problem,
      ownedByUs: true,
    };
  }

  async provision(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const sizeBytes = volume.capacityBytes;
    if (sizeBytes === undefined)
      throw new DriverError('InvalidSpec', 'an emptyDir volume has a size', { terminal: true });
    if (isMemory(volume)) {
      await this.stage(volume, signal);
      await this.#growMemory(volume, sizeBytes, signal);
      return;
    }
    const image = await this.#find(volume, signal);
    if (image === undefined) await this.#create(volume, sizeBytes, signal);
    else if (image.sizeBytes < sizeBytes) await this.#grow(volume, image, sizeBytes, signal);
  }

  async stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    if (isMemory(volume)) {
      await this.#stageMemory(volume, signal);
      return;
    }
    const image = await this.#find(volume, signal);
    if (image === undefined) {
      throw new DriverError('DataMissing', `the image of volume ${volume.name} is not in pool ${volume.pool}`);
    }
    const { filesystem, provisioning } = image.name;
    await asDriver('MountFailed', () =>
      this.#node.call(
        'mountImage',
        {
          file: image.file,
          target: this.#stageTarget(volume.uid),
          filesystem,
          options: ['nosuid', 'nodev', 'noatime'],
          // Thick keeps what it was given; Thin gives freed blocks back to the pool.
          discard: provisioning === 'Thin',
          inside: { name: DATA, mode: DATA_MODE },
        },
        { signal, deadlineMs: IMAGE_DEADLINE_MS },
      ),
    );
  }

  async observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    const request = { target: targetOf(mount), own: this.#dataOf(volume.uid) };
    const seen = await asDriver('MountFailed', () => this.#node.observeTarget(request, signal));
    return judgeTarget(seen, this.#wanted(volume, mount));
  }

  publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    const request = {
      source: this.#dataOf(volume.uid),
      target: targetOf(mount),
      readOnly: mount.readOnly,
      options: volume.mountOptions,
    };
    return bindOrReplace({
      bind: () => this.#node.bindOwn(request, signal),
      observe: () => this.observeMount(volume, mount, signal),
      unpublish: () => this.unpublish(volume, mount, signal),
    });
  }

  async unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    const target = targetOf(mount);
    return asDriver('UnmountFailed', async () => {
      const seen = await this.#node.observeTarget({ target, own: this.#dataOf(volume.uid) }, signal);
      const { state, entry, message } = judgeTarget(seen, this.#wanted(volume, mount));
      if (state === 'foreign') throw new DriverError('MountTargetConflict', message);
      if (state === 'overmounted') throw new DriverError('MountCovered', message);
      const was =
        seen.source === null
          ? {}
          : { was: { device: seen.source.device, root: seen.source.root, options: volume.mountOptions } };
      return await this.#node.unmount({ target, mountId: entry?.id, scope: 'copies', ...was }, signal);
    });
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    // The files of a tmpfs live as long as its mount: only delete() takes it down.
    return isMemory(volume) ? Promise.resolve({ outcome: 'done' }) : this.#unmountStage(volume, signal);
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { outcome } = await this.#unmountStage(volume, signal);
    if (outcome !== 'done') {
      throw new DriverError('VolumeInUse', `the storage of volume ${volume.name} is still in use (${outcome})`);
    }
    if (isMemory(volume)) return;
    // Each one there is: an interrupted change of mind about its kind must not leave a second behind.
    for (const image of await this.#imagesOf(volume, signal)) {
      await asDriver('DeleteFailed', () => this.#node.call('removeImage', { file: image.file }, { signal }));
    }
  }

  async usage(volume: DriverVolume, signal: AbortSignal): Promise<Usage | undefined> {
    const mount = this.#stageMount(volume);
    if (mount === undefined) return undefined;
    const { usedBytes, totalBytes } = await asDriver('MountUnresponsive', () =>
      this.#node.statfs(mount.target, signal),
    );
    return { usedBytes, totalBytes };
  }

  async leftovers(signal: AbortSignal): Promise<readonly DriverLeftover[]> {
    const found: DriverLeftover[] = [];
    for (const name of this.#pools.names()) {
      const pool = await this.#pools.open(name, signal).catch(() => undefined);
      if (pool === undefined) continue;
      for (const image of this.#images(pool)) {
        found.push({ volumeUID: image.name.volumeUID, path: image.file, bytes: image.sizeBytes });
      }
    }
    for (const { target, fsType, source } of this.#node.table.below(join(this.#node.mountRoot, STAGE_FOLDER))) {
      if (fsType !== 'tmpfs' || !source.startsWith(TMPFS_PREFIX)) continue;
      found.push({ volumeUID: source.slice(TMPFS_PREFIX.length), path: target, bytes: undefined });
    }
    return found;
  }

  /** Every Thin image of a pool that is mounted now: whose writers can be made to wait. */
  thinMounts(pool: Pool): readonly ThinMount[] {
    return this.#node.table.below(join(this.#node.mountRoot, STAGE_FOLDER)).flatMap(({ target, device }) => {
      const file = backingFileOf(device);
      if (file === undefined || !file.startsWith(`${pool.directory}/`)) return [];
      const name = parseImageName(file.slice(pool.directory.length + 1));
      if (name?.provisioning !== 'Thin') return [];
      return [{ device, target: this.#stageTarget(name.volumeUID) }].filter((mount) => pathOf(mount.target) === target);
    });
  }

  async #create(volume: DriverVolume, sizeBytes: bigint, signal: AbortSignal): Promise<void> {
    if (sizeBytes < SMALLEST_EXT4) {
      throw new DriverError('CapacityTooSmall', `a volume image needs at least ${SMALLEST_EXT4 / MIB}Mi`, {
        terminal: true,
      });
    }
    const pool = await this.#pool(volume, signal);
    await this.#refuseWithoutRoom(volume, pool, volume.provisioning === 'Thick' ? sizeBytes : 0n, signal);
    const filesystem: ImageFilesystem = sizeBytes < SMALLEST_XFS ? 'ext4' : 'xfs';
    const name = formatImageName({ volumeUID: volume.uid, provisioning: volume.provisioning, filesystem });
    const allocation = volume.provisioning === 'Thick' ? 'full' : 'sparse';
    await asDriver('ProvisionFailed', () =>
      this.#node.call(
        'createImage',
        { file: join(pool.directory, name), sizeBytes, allocation, filesystem },
        { signal, deadlineMs: IMAGE_DEADLINE_MS },
      ),
    );
  }

  async #grow(volume: DriverVolume, image: Image, sizeBytes: bigint, signal: AbortSignal): Promise<void> {
    const { filesystem, provisioning } = image.name;
    const pool = await this.#pool(volume, signal);
    const wanted = provisioning === 'Thick' ? sizeBytes - image.sizeBytes : 0n;
    await this.#refuseWithoutRoom(volume, pool, wanted, signal);
    const staged = this.#stageMount(volume) !== undefined;
    await asDriver('ResizeFailed', () =>
      this.#node.call(
        'growImage',
        {
          file: image.file,
          sizeBytes,
          allocation: provisioning === 'Thick' ? 'full' : 'sparse',
          filesystem,
          target: staged ? this.#stageTarget(volume.uid) : null,
        },
        { signal, deadlineMs: IMAGE_DEADLINE_MS },
      ),
    );
  }

  async #refuseWithoutRoom(volume: DriverVolume, pool: Pool, wanted: bigint, signal: AbortSignal): Promise<void> {
    if (this.#isHeld()) {
      throw new DriverError('PoolLowSpace', `pool ${pool.name} is full; nothing is made on it until it has room`);
    }
    const space = await asDriver('ProvisionFailed', () => this.#pools.makeRoom(pool, wanted, signal));
    if (this.#pools.hasRoom(space, wanted)) return;
    if (wanted === 0n) {
      throw new DriverError(
        'PoolLowSpace',
        `pool ${pool.name} has ${space.freeBytes / MIB}Mi left, which is too little`,
      );
    }
    throw new DriverError(
      'InsufficientCapacity',
      `volume ${volume.name} needs ${wanted / MIB}Mi of pool ${pool.name}, which has ${space.freeBytes / MIB}Mi free`,
    );
  }

  async #stageMemory(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const target = this.#stageTarget(volume.uid);
    const { entry } = await asDriver('MountFailed', () =>
      this.#node.tmpfs(
        {
          target,
          sizeBytes: volume.capacityBytes ?? 0n,
          mode: 0o755,
          readOnly: false,
          options: ['nosuid', 'nodev'],
          name: `${TMPFS_PREFIX}${uidSegment('metadata.uid', volume.uid)}`,
        },
        signal,
      ),
    );
    await asDriver('MountFailed', () =>
      this.#node.call('makeInside', { target, device: entry.device, name: DATA, mode: DATA_MODE }, { signal }),
    );
  }

  async #growMemory(volume: DriverVolume, sizeBytes: bigint, signal: AbortSignal): Promise<void> {
    const mount = this.#stageMount(volume);
    const present = mount === undefined ? undefined : tmpfsSize(mount);
    if (mount === undefined || (present !== undefined && present >= sizeBytes)) return;
    const argv = ['mount', '-o', `remount,size=${sizeBytes}`, mount.target] as const;
    const { status, stderr } = await asDriver('ResizeFailed', () =>
      this.#node.call('run', { argv: [...argv] }, { signal }),
    );
    if (status !== 0) throw new DriverError('ResizeFailed', `the tmpfs could not be grown: ${stderr.trim()}`);
  }

  async #unmountStage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    const target = this.#stageTarget(volume.uid);
    const mount = this.#stageMount(volume);
    const image = isMemory(volume) ? undefined : (await this.#imagesOf(volume, signal))[0];
    // Mounted nowhere here but still attached: some other namespace shows it.
    const attached = image === undefined ? undefined : loopsOf(image.file)[0];
    const was = attached === undefined ? {} : { was: { device: attached.device, root: '/', options: [] } };
    if (mount !== undefined && image?.name.provisioning === 'Thin') {
      // A frozen filesystem that is unmounted could never be thawed.
      await asDriver('UnmountFailed', () =>
        this.#node.call('freeze', { target, device: mount.device, frozen: false }, { signal }),
      );
    }
    return asDriver('UnmountFailed', () =>
      this.#node.unmount({ target, mountId: mount?.id, scope: 'device', ...was }, signal),
    );
  }

  async #pool(volume: DriverVolume, signal: AbortSignal): Promise<Pool> {
    try {
      return await this.#pools.open(volume.pool, signal);
    } catch (thrown) {
      const error = NodeError.from(thrown);
      if (error.code === 'NotFound')
        throw new DriverError('PoolNotFound', error.message, { terminal: true, cause: error });
      const reason = error.code === 'NoSpace' ? 'InsufficientCapacity' : 'ProvisionFailed';
      throw new DriverError(reason, error.message, { cause: error });
    }
  }

  /** The volume's image, whatever its name says besides the UID. */
  async #find(volume: DriverVolume, signal: AbortSignal): Promise<Image | undefined> {
    return (await this.#imagesOf(volume, signal))[0];
  }

  async #imagesOf(volume: DriverVolume, signal: AbortSignal): Promise<readonly Image[]> {
    const pool = await this.#pool(volume, signal);
    const uid = uidSegment('metadata.uid', volume.uid);
    return POSSIBLE.flatMap(({ provisioning, filesystem }) => {
      const name: ImageName = { volumeUID: uid, provisioning, filesystem };
      const file = join(pool.directory, formatImageName(name));
      const stat = statSync(file, { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ name, file, sizeBytes: BigInt(stat.size) }];
    });
  }

  #images(pool: Pool): readonly Image[] {
    return readdirSync(pool.directory).flatMap((entry) => {
      const name = parseImageName(entry);
      if (name === undefined) return [];
      const file = join(pool.directory, entry);
      return [{ name, file, sizeBytes: BigInt(statSync(file, { throwIfNoEntry: false })?.size ?? 0) }];
    });
  }

  #stageMount(volume: DriverVolume): MountEntry | undefined {
    return this.#node.table.at(pathOf(this.#stageTarget(volume.uid)));
  }

  #stageTarget(uid: string): TargetPath {
    return { root: this.#node.mountRoot, path: `${STAGE_FOLDER}/${uidSegment('metadata.uid', uid)}` };
  }

  #wanted(volume: DriverVolume, mount: DriverMount): WantedMount {
    const sourceName = isMemory(volume) ? 'tmpfs' : `${volume.pool}/${volume.uid}`;
    return { readOnly: mount.readOnly, options: volume.mountOptions, sourceName };
  }

  #dataOf(uid: string): TargetPath {
    const { root, path } = this.#stageTarget(uid);
    return { root, path: `${path}/${DATA}` };
  }
}

const POSSIBLE: readonly Omit<ImageName, 'volumeUID'>[] = [
  { provisioning: 'Thin', filesystem: 'xfs' },
  { provisioning: 'Thick', filesystem: 'xfs' },
  { provisioning: 'Thin', filesystem: 'ext4' },
  { provisioning: 'Thick', filesystem: 'ext4' },
];

const NOTHING: VolumeObservation = {
  provisioned: false,
  enforcedBytes: undefined,
  capacity: { enforced: false, reason: 'Provisioning', message: 'The storage is not made yet.' },
  staged: false,
  stageMount: undefined,
  problem: undefined,
  ownedByUs: true,
};

function isMemory({ source }: DriverVolume): boolean {
  return source.type === 'emptyDir' && source.medium === 'Memory';
}

function observeMemory(volume: DriverVolume, mount: MountEntry | undefined): VolumeObservation {
  if (mount === undefined) return NOTHING;
  return {
    provisioned: mount.fsType === 'tmpfs',
    enforcedBytes: tmpfsSize(mount) ?? volume.capacityBytes,
    capacity: { enforced: true, reason: 'CapacityEnforced', message: 'A writer gets "no space left" at the capacity.' },
    staged: mount.fsType === 'tmpfs',
    stageMount: mount,
    problem: problemOf(volume, mount),
    ownedByUs: true,
  };
}

/** A filesystem that the kernel made read-only after an I/O error, or something else at its place. */
function problemOf(volume: DriverVolume, mount: MountEntry): VolumeObservation['problem'] {
  if (isMemory(volume) ? mount.fsType !== 'tmpfs' : backingFileOf(mount.device)?.includes(volume.uid) !== true) {
    return {
      reason: 'MountCovered',
      message: `${mount.source} is mounted over the storage of the volume`,
      terminal: false,
    };
  }
  if (!mount.superOptions.includes('ro')) return undefined;
  return {
    reason: 'MountDrifted',
    message: 'The kernel made the filesystem of the volume read-only, as it does after an I/O error; see dmesg.',
    terminal: true,
  };
}

/** `size=` of tmpfs(5) as the mount table shows it, in bytes. */
function tmpfsSize({ superOptions }: MountEntry): bigint | undefined {
  const option = superOptions.find((text) => text.startsWith('size='))?.slice('size='.length);
  const [, digits, unit] = /^(\d+)([kmg]?)$/.exec(option ?? '') ?? [];
  if (digits === undefined) return undefined;
  const factor = { '': 1n, k: 1024n, m: MIB, g: 1024n * MIB }[unit ?? ''] ?? 1n;
  return BigInt(digits) * factor;
}

function targetOf({ targetRoot, targetPath }: DriverMount): TargetPath {
  return { root: targetRoot, path: targetPath };
}

function pathOf({ root, path }: TargetPath): string {
  return join(root, path);
}
