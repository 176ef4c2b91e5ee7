/**
 * `medium: ""`: one image file per volume on a pool, mounted once on this node. Its filesystem is as large as the volume,
 * so a writer gets ENOSPC at the limit. A volume whose image is mounted nowhere is still provisioned: the facts are the
 * file's name and the mount table.
 */
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import { backingFileOf, loopsOf } from '../../node/images/loop-devices.ts';
import type { ImageFilesystem } from '../../node/images/operations.ts';
import type { NodeLayer, UnmountOutcome } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { Pool, Pools } from '../../node/pools/pools.ts';
import type { ThinMount } from '../../node/pools/space-guard.ts';
import { DriverError, type DriverLeftover, type DriverVolume, type VolumeObservation } from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { inUse, pathOf, stageMountOf, stageMounts, stageTarget, unmountStage } from '../stage.ts';
import { formatImageName, type ImageName, parseImageName } from './image-name.ts';
import { filesOf, type Image, imagesOf, imagesOfVolume, openPool, snapshotsOf } from './image-store.ts';
import { Overcommitment } from './overcommitment.ts';
import type { Room } from './room.ts';
import { DATA, DATA_MODE, dataDirectory, ENFORCED, FAILED, type Medium, NOTHING, problemOf } from './stage.ts';

const MIB = 1024n * 1024n;
/** mkfs.xfs refuses less; below it the image has ext4. */
const SMALLEST_XFS = 300n * MIB;
/** Below this ext4 has no room for its own tables. */
const SMALLEST_EXT4 = 2n * MIB;
/** The exact integers of JavaScript end here, and with them the sizes of files that Node can ask for. */
const TOO_LARGE = 1n << 53n;
/** Making and growing files of any size, milliseconds. */
const DEADLINE_MS = 120_000;

export interface ImageMediumOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  readonly room: Room;
}

export class ImageMedium implements Medium {
  readonly #node: NodeLayer;
  readonly #pools: Pools;
  readonly #room: Room;
  readonly #overcommitment: Overcommitment;

  constructor({ node, pools, room }: ImageMediumOptions) {
    this.#node = node;
    this.#pools = pools;
    this.#room = room;
    this.#overcommitment = new Overcommitment(pools, promisedBytes);
  }

  sourceName({ pool, uid }: DriverVolume): string {
    return `${pool}/${uid}`;
  }

  async observe(
    volume: DriverVolume,
    stageMount: MountEntry | undefined,
    signal: AbortSignal,
  ): Promise<VolumeObservation> {
    const image = (await this.#find(volume, signal))[0];
    const isOurs = stageMount !== undefined && backingFileOf(stageMount.device)?.includes(volume.uid) === true;
    const problem =
      problemOf(stageMount, isOurs) ?? (isOurs && (await this.#isShutDown(volume, signal)) ? FAILED : undefined);
    if (image === undefined) return { ...NOTHING, stageMount, staged: false, problem };
    return {
      provisioned: true,
      enforcedBytes: image.sizeBytes,
      capacity: await this.#capacityOf(volume, image),
      staged: stageMount !== undefined && backingFileOf(stageMount.device) === image.file,
      stageMount,
      problem,
      ownedByUs: true,
    };
  }

  async provision(
    volume: DriverVolume,
    sizeBytes: bigint,
    stageMount: MountEntry | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const image = (await this.#find(volume, signal))[0];
    if (image !== undefined && image.sizeBytes >= sizeBytes) return;
    refuseSize(sizeBytes);
    if (image === undefined) await this.#create(volume, sizeBytes, signal);
    else await this.#grow(volume, image, sizeBytes, stageMount !== undefined, signal);
    this.forget(volume.pool);
  }

  /** What was promised of a pool has changed. */
  forget(pool: string): void {
    this.#overcommitment.forget(pool);
    this.#room.forget(pool);
  }

  async stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const image = (await this.#find(volume, signal))[0];
    if (image === undefined) {
      throw new DriverError('DataMissing', `the image of volume ${volume.name} is not in pool ${volume.pool}`);
    }
    const { filesystem, provisioning } = image.name;
    const request = {
      file: image.file,
      target: stageTarget(this.#node, volume.uid),
      filesystem,
      options: ['nosuid', 'nodev', 'noatime'],
      // Thick keeps what it was given; Thin gives freed blocks back to the pool.
      discard: provisioning === 'Thin',
      inside: { name: DATA, mode: DATA_MODE },
    };
    await asDriver('MountFailed', () => this.#node.call('mountImage', request, { signal, deadlineMs: DEADLINE_MS }));
  }

  async unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    const mount = stageMountOf(this.#node, volume.uid);
    const image = (await this.#find(volume, signal))[0];
    if (mount !== undefined && image?.name.provisioning === 'Thin') {
      // A frozen filesystem that is unmounted could never be thawed.
      const request = { target: stageTarget(this.#node, volume.uid), device: mount.device, frozen: false };
      await asDriver('UnmountFailed', () => this.#node.call('freeze', request, { signal })).catch((error: unknown) => {
        // One that was shut down holds nobody, and answers nothing.
        if (toDriverError(error, 'UnmountFailed').reason !== 'FilesystemFailed') throw error;
      });
    }
    // Mounted nowhere here but still attached: some other namespace shows it.
    const attached = image === undefined ? undefined : loopsOf(image.file)[0];
    const was = attached === undefined ? undefined : { device: attached.device, root: '/', options: [] };
    return unmountStage(this.#node, volume.uid, signal, was);
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const outcome = await this.unstage(volume, signal);
    if (outcome.outcome !== 'done') {
      throw new DriverError('VolumeInUse', `the storage of volume ${volume.name} is still in use (${inUse(outcome)})`);
    }
    // Each one there is: an interrupted change of mind about its kind must not leave a second behind, nor a making that
    // was killed its unfinished file.
    const pool = await this.#pool(volume, signal);
    for (const file of filesOf(pool, uidSegment('metadata.uid', volume.uid))) {
      await asDriver('DeleteFailed', () => this.#node.call('removeImage', { file }, { signal }));
    }
    this.forget(volume.pool);
  }

  async leftovers(signal: AbortSignal): Promise<readonly DriverLeftover[]> {
    const found: DriverLeftover[] = [];
    for (const name of this.#pools.names()) {
      const pool = await this.#pools.open(name, signal).catch(() => undefined);
      const images = pool === undefined ? [] : imagesOf(pool);
      found.push(
        ...images.map((image) => ({ volumeUID: image.name.volumeUID, path: image.file, bytes: image.sizeBytes })),
      );
    }
    return found;
  }

  /** Every image of a pool that is mounted now, of volumes that were made so. */
  mounted(pool: Pool, provisioning: ImageName['provisioning']): readonly ThinMount[] {
    return stageMounts(this.#node).flatMap(({ target, device }) => {
      const file = backingFileOf(device);
      if (file === undefined || !file.startsWith(`${pool.directory}/`)) return [];
      const name = parseImageName(file.slice(pool.directory.length + 1));
      if (name?.provisioning !== provisioning) return [];
      const stage = stageTarget(this.#node, name.volumeUID);
      return pathOf(stage) === target ? [{ device, target: stage }] : [];
    });
  }

  /** XFS shows nothing of it in the mount table. */
  async #isShutDown({ uid }: DriverVolume, signal: AbortSignal): Promise<boolean> {
    const request = { target: stageTarget(this.#node, uid), own: dataDirectory(this.#node, uid) };
    const { problem } = await asDriver('ProvisionFailed', () => this.#node.observeTarget(request, signal));
    return problem?.errno === 'EIO';
  }

  async #capacityOf({ pool }: DriverVolume, { name }: Image): Promise<VolumeObservation['capacity']> {
    if (name.provisioning === 'Thick' || !(await this.#overcommitment.of(pool))) return ENFORCED;
    const message = `${ENFORCED.message} The Thin volumes of pool ${pool} together may need more than it has; when it is full, their writers wait.`;
    return { enforced: true, reason: 'Overcommitted', message };
  }

  async #create(volume: DriverVolume, sizeBytes: bigint, signal: AbortSignal): Promise<void> {
    const pool = await this.#pool(volume, signal);
    const reserved = volume.provisioning === 'Thick' ? sizeBytes : 0n;
    await this.#room.refuseWithout(pool, reserved, `volume ${volume.name}`, signal);
    const filesystem: ImageFilesystem = sizeBytes < SMALLEST_XFS ? 'ext4' : 'xfs';
    const name = formatImageName({ volumeUID: volume.uid, provisioning: volume.provisioning, filesystem });
    const request = {
      file: join(pool.directory, name),
      sizeBytes,
      allocation: volume.provisioning === 'Thick' ? 'full' : 'sparse',
      filesystem,
    } as const;
    await asDriver('ProvisionFailed', () =>
      this.#node.call('createImage', request, { signal, deadlineMs: DEADLINE_MS }),
    );
  }

  async #grow(
    volume: DriverVolume,
    image: Image,
    sizeBytes: bigint,
    isStaged: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { filesystem, provisioning } = image.name;
    const pool = await this.#pool(volume, signal);
    const wanted = provisioning === 'Thick' ? sizeBytes - image.sizeBytes : 0n;
    await this.#room.refuseWithout(pool, wanted, `volume ${volume.name}`, signal);
    // It grows only while it is mounted; unstaged again when no mount wants it.
    const mustStage = filesystem === 'xfs' && !isStaged;
    if (mustStage) await this.stage(volume, signal);
    const request = {
      file: image.file,
      sizeBytes,
      allocation: provisioning === 'Thick' ? 'full' : 'sparse',
      filesystem,
      target: isStaged || mustStage ? stageTarget(this.#node, volume.uid) : null,
    } as const;
    const grow = (change: Partial<typeof request> = {}): Promise<unknown> => {
      const options = { signal, deadlineMs: DEADLINE_MS };
      return asDriver('ResizeFailed', () => this.#node.call('growImage', { ...request, ...change }, options));
    };
    try {
      await grow();
    } catch (thrown) {
      const isUnsupported = thrown instanceof DriverError && thrown.reason === 'KernelFeatureMissing';
      // This filesystem grows only while it is mounted nowhere: done at once where no workload has it.
      if (!isUnsupported || request.target === null) throw thrown;
      if ((await this.unstage(volume, signal)).outcome !== 'done') throw thrown;
      await grow({ target: null });
    }
  }

  #pool({ pool }: DriverVolume, signal: AbortSignal): Promise<Pool> {
    return openPool(this.#pools, pool, 'ProvisionFailed', signal);
  }

  async #find(volume: DriverVolume, signal: AbortSignal): Promise<readonly Image[]> {
    return imagesOfVolume(await this.#pool(volume, signal), volume.uid);
  }
}

/** @throws DriverError for a size that no pool could ever give. */
function refuseSize(sizeBytes: bigint): void {
  if (sizeBytes < SMALLEST_EXT4) {
    const message = `a volume image needs at least ${SMALLEST_EXT4 / MIB}Mi; raise spec.capacity`;
    throw new DriverError('CapacityTooSmall', message, { terminal: true });
  }
  if (sizeBytes >= TOO_LARGE) {
    const message = 'a volume image is smaller than 8Pi; make the volume anew with less spec.capacity';
    throw new DriverError('CapacityTooLarge', message, { terminal: true });
  }
}

/** A snapshot keeps what its volume overwrites, up to all that it has. */
function promisedBytes(pool: Pool): readonly bigint[] {
  const snapshots = snapshotsOf(pool).map(({ allocatedBytes }) => allocatedBytes);
  return [...imagesOf(pool).map(({ sizeBytes }) => sizeBytes), ...snapshots];
}
