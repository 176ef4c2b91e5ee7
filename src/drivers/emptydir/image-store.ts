/** The files of a pool, told by their names: images of volumes and of snapshots. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import { GROWING, type ImageFilesystem, UNFINISHED } from '../../node/images/operations.ts';
import { NodeError } from '../../node/node-error.ts';
import type { Pool, Pools } from '../../node/pools/pools.ts';
import { DriverError } from '../driver.ts';
import {
  formatImageName,
  formatSnapshotName,
  type ImageName,
  parseImageName,
  parseSnapshotName,
  type SnapshotImageName,
} from './image-name.ts';

/** `st_blocks`, stat(2). */
const STAT_BLOCK = 512n;
const FILESYSTEMS: readonly ImageFilesystem[] = ['xfs', 'ext4'];
const POSSIBLE: readonly Omit<ImageName, 'volumeUID'>[] = [
  { provisioning: 'Thin', filesystem: 'xfs' },
  { provisioning: 'Thick', filesystem: 'xfs' },
  { provisioning: 'Thin', filesystem: 'ext4' },
  { provisioning: 'Thick', filesystem: 'ext4' },
];

/** The image of a volume. */
export interface Image {
  readonly name: ImageName;
  readonly file: string;
  /** Size of its filesystem, which may be about to grow into its file. */
  readonly sizeBytes: bigint;
  readonly allocatedBytes: bigint;
}

export interface SnapshotImage {
  readonly name: SnapshotImageName;
  readonly file: string;
  readonly allocatedBytes: bigint;
}

/** Opens a pool. @throws DriverError `PoolNotFound`, `InsufficientCapacity`, or `otherwise`. */
export async function openPool(
  pools: Pools,
  name: string,
  otherwise: 'ProvisionFailed' | 'SnapshotFailed' | 'CloneFailed' | 'RevertFailed',
  signal: AbortSignal,
): Promise<Pool> {
  try {
    return await pools.open(name, signal);
  } catch (thrown) {
    const error = NodeError.from(thrown);
    if (error.code === 'NotFound')
      throw new DriverError('PoolNotFound', error.message, { terminal: true, cause: error });
    const reason = error.code === 'NoSpace' ? 'InsufficientCapacity' : otherwise;
    throw new DriverError(reason, error.message, { cause: error });
  }
}

/** The images of a volume, whatever their names say besides the UID; more than one is a crash's leaving. */
export function imagesOfVolume(pool: Pool, uid: string): readonly Image[] {
  const volumeUID = uidSegment('metadata.uid', uid);
  return POSSIBLE.flatMap((kind) => imageAt(pool, { volumeUID, ...kind }));
}

/** The images of all volumes of a pool, or of those that were made so. */
export function imagesOf(pool: Pool, provisioning?: ImageName['provisioning']): readonly Image[] {
  return readdirSync(pool.directory).flatMap((entry) => {
    const name = parseImageName(entry);
    const isMeant = provisioning === undefined || name?.provisioning === provisioning;
    return name === undefined || !isMeant ? [] : imageAt(pool, name);
  });
}

/** Where the images of a volume are, finished or not. */
export function filesOf(pool: Pool, volumeUID: string): readonly string[] {
  return present(
    pool,
    POSSIBLE.map((kind) => formatImageName({ volumeUID, ...kind })),
  );
}

export function snapshotsOf(pool: Pool): readonly SnapshotImage[] {
  return readdirSync(pool.directory).flatMap((entry) => {
    const name = parseSnapshotName(entry);
    return name === undefined ? [] : snapshotAt(pool, name);
  });
}

/** The snapshot of that UID, once it is complete. */
export function snapshotOf(pool: Pool, snapshotUID: string, volumeUID: string): SnapshotImage | undefined {
  return FILESYSTEMS.flatMap((filesystem) => snapshotAt(pool, { snapshotUID, volumeUID, filesystem }))[0];
}

/** Where the snapshot of that UID is, finished or not. */
export function snapshotFilesOf(pool: Pool, snapshotUID: string, volumeUID: string): readonly string[] {
  return present(
    pool,
    FILESYSTEMS.map((filesystem) => formatSnapshotName({ snapshotUID, volumeUID, filesystem })),
  );
}

/** Snapshots whose making has not ended: their names, and where they will be. */
export function unfinishedSnapshotsOf(pool: Pool): readonly Pick<SnapshotImage, 'name' | 'file'>[] {
  return readdirSync(pool.directory).flatMap((entry) => {
    if (!entry.endsWith(UNFINISHED)) return [];
    const finished = entry.slice(0, -UNFINISHED.length);
    const name = parseSnapshotName(finished);
    return name === undefined ? [] : [{ name, file: join(pool.directory, finished) }];
  });
}

/** Bytes that a file takes of its filesystem; 0 when there is none. */
export function allocatedBytesOf(file: string): bigint {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? 0n : stat.blocks * STAT_BLOCK;
}

function present(pool: Pool, names: readonly string[]): readonly string[] {
  const there = new Set(readdirSync(pool.directory));
  return names
    .filter((name) => there.has(name) || there.has(`${name}${UNFINISHED}`))
    .map((name) => join(pool.directory, name));
}

function imageAt(pool: Pool, name: ImageName): readonly Image[] {
  const file = join(pool.directory, formatImageName(name));
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return [];
  return [{ name, file, sizeBytes: sizeBeforeGrowth(file) ?? stat.size, allocatedBytes: stat.blocks * STAT_BLOCK }];
}

function snapshotAt(pool: Pool, name: SnapshotImageName): readonly SnapshotImage[] {
  const file = join(pool.directory, formatSnapshotName(name));
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? [] : [{ name, file, allocatedBytes: stat.blocks * STAT_BLOCK }];
}

/** The size that the filesystem still has while growing it has not ended; undefined when it fills its file. */
function sizeBeforeGrowth(file: string): bigint | undefined {
  try {
    return BigInt(readlinkSync(`${file}${GROWING}`));
  } catch {
    return undefined;
  }
}
