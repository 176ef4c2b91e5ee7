/**
 * Going back to a moment: the image of the volume is replaced by a clone of the snapshot's, by one rename. Which file that
 * is (its inode) is noted before, for the Restore that asks: after a kill the image itself tells whether it was done, so
 * that it is never done over what was written since.
 */
import { statSync } from 'node:fs';
import { crashPoint } from '../../node/crash-points.ts';
import { UNFINISHED } from '../../node/images/operations.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { Pools } from '../../node/pools/pools.ts';
import type { DriverRestore, DriverSnapshot, DriverVolume, LongCall } from '../driver.ts';
import { DriverError } from '../driver.ts';
import { asDriver } from '../failure.ts';
import type { Reverts } from '../reverts.ts';
import { inUse } from '../stage.ts';
import type { ImageMedium } from './image-medium.ts';
import type { ImageSnapshots } from './image-snapshots.ts';
import { type Image, imagesOfVolume, openPool } from './image-store.ts';

export interface ImageRevertsOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  readonly medium: ImageMedium;
  readonly snapshots: Pick<ImageSnapshots, 'replacement'>;
  readonly reverts: Reverts;
}

export class ImageReverts {
  readonly #options: ImageRevertsOptions;

  constructor(options: ImageRevertsOptions) {
    this.#options = options;
  }

  revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    return asDriver('RevertFailed', () => this.#revert(volume, snapshot, restore, call));
  }

  /** Removes a clone that did not take the place of the image. */
  async tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { node, pools, reverts } = this.#options;
    const pool = await openPool(pools, volume.pool, 'RevertFailed', signal);
    const image = imagesOfVolume(pool, volume.uid)[0];
    if (image === undefined) return;
    const file = `${image.file}${UNFINISHED}`;
    await asDriver('RevertFailed', () => node.call('removeImage', { file }, { signal }));
    reverts.copyIsGone(volume.uid);
  }

  async #revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    const { pools, medium, snapshots, reverts } = this.#options;
    const { signal } = call;
    const pool = await openPool(pools, volume.pool, 'RevertFailed', signal);
    const image = imagesOfVolume(pool, volume.uid)[0];
    if (image === undefined) {
      throw new DriverError('DataMissing', `the image of volume ${volume.name} is not in pool ${volume.pool}`);
    }
    const noted = reverts.of(restore);
    if (noted?.done === true) return reverts.copyIsGone(volume.uid);
    const isThere = noted?.inode === String(inodeOf(image.file));
    if (isThere) return this.#finish(volume, snapshot, restore);
    await this.#unstage(volume, signal);
    reverts.noteCopy(volume.uid, restore.uid);
    const filesystemBytes = await snapshots.replacement(snapshot, volume, image, call);
    crashPoint('revert.after-clone');
    const inode = inodeOf(`${image.file}${UNFINISHED}`);
    reverts.note(restore, volume, snapshot, inode);
    await this.#replace(image, inode, filesystemBytes, signal);
    crashPoint('revert.after-name');
    this.#finish(volume, snapshot, restore);
    medium.forget(pool.name);
  }

  #finish(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore): void {
    const { reverts } = this.#options;
    reverts.finish(restore.uid, volume.uid, snapshot.uid);
    reverts.copyIsGone(volume.uid);
  }

  async #replace({ file }: Image, inode: bigint, filesystemBytes: bigint, signal: AbortSignal): Promise<void> {
    const request = { file, inode, filesystemBytes };
    await asDriver('RevertFailed', () => this.#options.node.call('replaceImage', request, { signal }));
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
