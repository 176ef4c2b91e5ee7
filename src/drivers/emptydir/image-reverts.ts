/**
 * Going back to a moment: the image of the volume is replaced by a clone of the snapshot's, by one rename. Which file that
 * is (its inode) is noted before, for the Restore that asks: after a kill the image itself tells whether it was done, so
 * that it is never done over what was written since.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { crashPoint } from '../../node/crash-points.ts';
import { UNFINISHED } from '../../node/images/operations.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { Pools } from '../../node/pools/pools.ts';
import { Records } from '../../node/records.ts';
import type { DriverRestore, DriverSnapshot, DriverVolume, LongCall } from '../driver.ts';
import { DriverError } from '../driver.ts';
import { asDriver } from '../failure.ts';
import { inUse } from '../stage.ts';
import type { ImageMedium } from './image-medium.ts';
import type { ImageSnapshots } from './image-snapshots.ts';
import { type Image, imagesOfVolume, openPool } from './image-store.ts';

const FOLDER = 'reverts';

/** What is noted of a revert, by the UID of its Restore. */
interface RevertRecord {
  readonly volumeUID: string;
  readonly snapshotUID: string;
  /** Of the file that becomes the image, as text. */
  readonly inode: string;
  /** It became that, whatever has become of it since. */
  readonly done: boolean;
}

export interface ImageRevertsOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  readonly medium: ImageMedium;
  readonly snapshots: Pick<ImageSnapshots, 'replacement'>;
}

export class ImageReverts {
  readonly #options: ImageRevertsOptions;
  readonly #records: Records<RevertRecord>;

  constructor(options: ImageRevertsOptions) {
    this.#options = options;
    this.#records = new Records(join(options.node.stateDir, FOLDER), isRevertRecord);
  }

  revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    return asDriver('RevertFailed', () => this.#revert(volume, snapshot, restore, call));
  }

  /** Forgets what was noted of a volume that is gone. */
  forget(volumeUID: string): void {
    for (const [uid, record] of this.#records.all()) if (record.volumeUID === volumeUID) this.#records.remove(uid);
  }

  async #revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    const { pools, medium, snapshots } = this.#options;
    const { signal } = call;
    const pool = await openPool(pools, volume.pool, 'RevertFailed', signal);
    const image = imagesOfVolume(pool, volume.uid)[0];
    if (image === undefined) {
      throw new DriverError('DataMissing', `the image of volume ${volume.name} is not in pool ${volume.pool}`);
    }
    const noted = this.#records.read(restore.uid);
    if (noted?.done === true) return;
    if (noted !== undefined && noted.inode === String(inodeOf(image.file))) return this.#finish(restore, noted);
    await this.#unstage(volume, signal);
    const filesystemBytes = await snapshots.replacement(snapshot, volume, image, call);
    crashPoint('revert.after-clone');
    const inode = inodeOf(`${image.file}${UNFINISHED}`);
    const record = { volumeUID: volume.uid, snapshotUID: snapshot.uid, inode: String(inode), done: false };
    this.#records.write(restore.uid, record);
    crashPoint('revert.after-record');
    await this.#replace(image, inode, filesystemBytes, signal);
    crashPoint('revert.after-name');
    this.#finish(restore, record);
    medium.forget(pool.name);
  }

  async #replace({ file }: Image, inode: bigint, filesystemBytes: bigint, signal: AbortSignal): Promise<void> {
    const request = { file, inode, filesystemBytes };
    await asDriver('RevertFailed', () => this.#options.node.call('replaceImage', request, { signal }));
  }

  #finish(restore: DriverRestore, record: RevertRecord): void {
    this.#records.write(restore.uid, { ...record, done: true });
    crashPoint('revert.after-done');
  }

  async #unstage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const outcome = await this.#options.medium.unstage(volume, signal);
    if (outcome.outcome === 'done') return;
    throw new DriverError('VolumeInUse', `the storage of volume ${volume.name} is still in use (${inUse(outcome)})`, {
      // Nobody would expect it to go back whenever that ends.
      terminal: true,
    });
  }
}

function inodeOf(file: string): bigint {
  return statSync(file, { bigint: true }).ino;
}

function isRevertRecord(value: unknown): value is RevertRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { volumeUID, snapshotUID, inode, done } = value as Partial<Record<keyof RevertRecord, unknown>>;
  return (
    typeof volumeUID === 'string' &&
    typeof snapshotUID === 'string' &&
    typeof inode === 'string' &&
    /^\d{1,20}$/.test(inode) &&
    typeof done === 'boolean'
  );
}
