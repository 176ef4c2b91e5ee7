/**
 * Moments of volumes on disk: a snapshot is an image beside the volume's, which shares its blocks where the pool can do
 * that. It is made under an unfinished name; the record of what it is comes before its name (docs/decisions/0023-snapshots.md).
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crashPoint } from '../../node/crash-points.ts';
import { backingFileOf } from '../../node/images/loop-devices.ts';
import { type ClonedImage, type CloneImage, type MountedImage, UNFINISHED } from '../../node/images/operations.ts';
import type { NodeLayer } from '../../node/layer.ts';
import { NodeError } from '../../node/node-error.ts';
import type { Pool, Pools } from '../../node/pools/pools.ts';
import type { Records } from '../../node/records.ts';
import {
  type DriverContent,
  DriverError,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
  type SnapshotFacts,
  type SnapshotLeftover,
  type SnapshotObservation,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { factsOf, recordOf, type SnapshotRecord } from '../snapshot-record.ts';
import { stageMountOf, stageTarget } from '../stage.ts';
import type { ImageMedium } from './image-medium.ts';
import { formatImageName, formatSnapshotName, type ImageName } from './image-name.ts';
import {
  allocatedBytesOf,
  type Image,
  imagesOfVolume,
  openPool,
  type SnapshotImage,
  snapshotFilesOf,
  snapshotOf,
  snapshotsOf,
  unfinishedSnapshotsOf,
} from './image-store.ts';
import { type MediumSnapshots, NOT_THERE } from './medium-snapshots.ts';
import { OneAtATime } from './one-at-a-time.ts';
import type { Room } from './room.ts';

/** Longer than any copy takes; its own signal ends it. */
const LONG_MS = 7 * 24 * 3_600_000;
const DEADLINE_MS = 30_000;
const PROGRESS_MS = 500;
/** With more extents than this nobody waits for what a deletion would give back. */
const MOST_EXTENTS = 20_000;
const USED_AGE_MS = 60_000;
/** How long writers of a volume wait while another is made from it. */
const HELD_FOR_FILL_MS = 10_000;

export interface ImageSnapshotsOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  readonly medium: ImageMedium;
  readonly room: Room;
  readonly records: Records<SnapshotRecord>;
  readonly isHeld: () => boolean;
}

export class ImageSnapshots implements MediumSnapshots {
  readonly #options: ImageSnapshotsOptions;
  /** UIDs of what is being made now: what a look finds of it is no leaving. */
  readonly #work = new OneAtATime();
  readonly #used = new Map<string, { readonly at: number; readonly bytes: Promise<bigint | undefined> }>();

  constructor(options: ImageSnapshotsOptions) {
    this.#options = options;
  }

  async observe(snapshot: DriverSnapshot, signal: AbortSignal): Promise<SnapshotObservation> {
    const { records } = this.#options;
    const image = snapshotOf(await this.#pool(snapshot.volume, signal), snapshot.uid, snapshot.volume.uid);
    const record = records.read(snapshot.uid);
    if (image === undefined || record === undefined) return NOT_THERE;
    return { facts: factsOf(record), usedBytes: await this.#usedBytes(image) };
  }

  take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    return this.#work.run(snapshot.uid, 'SnapshotFailed', () => this.#take(snapshot, call));
  }

  async delete({ uid, volume }: DriverSnapshot, signal: AbortSignal): Promise<void> {
    await this.#work.run(uid, 'DeleteFailed', async () => {
      const pool = await this.#pool(volume, signal);
      for (const file of snapshotFilesOf(pool, uid, volume.uid)) {
        await asDriver('DeleteFailed', () => this.#options.node.call('removeImage', { file }, { signal }));
      }
      this.#options.records.remove(uid);
      this.#changed(pool);
    });
  }

  async leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]> {
    const { pools } = this.#options;
    const found: SnapshotLeftover[] = [];
    for (const name of pools.names()) {
      const pool = await pools.open(name, signal).catch(() => undefined);
      if (pool === undefined) continue;
      await this.#sweep(pool, signal);
      const images = snapshotsOf(pool);
      found.push(
        ...images.map(({ name: { snapshotUID }, file, allocatedBytes }) => ({
          snapshotUID,
          path: file,
          bytes: allocatedBytes,
        })),
      );
    }
    return found;
  }

  /** Makes the image of a volume from another; there already = nothing is done but growing. */
  fill(volume: DriverVolume, content: DriverContent, call: LongCall): Promise<void> {
    return this.#work.run(volume.uid, 'CloneFailed', async () => {
      const { node, medium } = this.#options;
      const pool = await openPool(this.#options.pools, volume.pool, 'CloneFailed', call.signal);
      if (imagesOfVolume(pool, volume.uid).length === 0) {
        const source = await this.#source(content, call.signal);
        await this.#fillFrom(source, volume, pool, call);
        medium.forget(pool.name);
      }
      const { capacityBytes = 0n } = volume;
      await medium.provision(volume, capacityBytes, stageMountOf(node, volume.uid), call.signal);
    });
  }

  async #take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { room } = this.#options;
    const { uid, volume, name } = snapshot;
    const pool = await this.#pool(volume, call.signal);
    if (snapshotOf(pool, uid, volume.uid) !== undefined) return this.#refuseUndescribed(snapshot);
    const image = imagesOfVolume(pool, volume.uid)[0];
    if (image === undefined) {
      throw new DriverError('DataMissing', `the image of volume ${volume.name} is not in pool ${volume.pool}`);
    }
    const overwritable = image.name.provisioning === 'Thick' ? await room.unsharedBytes(image, call.signal) : 0n;
    const wanted = pool.cloneable ? overwritable : image.allocatedBytes;
    await room.whileAdmitted(pool, wanted, `snapshot ${name}`, call.signal, () =>
      this.#takeOf(image, pool, snapshot, call),
    );
  }

  async #takeOf(image: Image, pool: Pool, snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { records } = this.#options;
    const { uid, volume } = snapshot;
    const { filesystem } = image.name;
    const by = pool.cloneable ? 'clone' : 'copy';
    const file = join(pool.directory, formatSnapshotName({ snapshotUID: uid, volumeUID: volume.uid, filesystem }));
    const mounted = this.#mountOf(image);
    const request: CloneImage = {
      source: image.file,
      mounted,
      file,
      by,
      allocation: 'sparse',
      freezeTimeoutMs: snapshot.freezeTimeoutMs,
      hold: holdFor(snapshot, by),
    };
    try {
      const cloned = await this.#clone(request, image, 'SnapshotFailed', call);
      const facts: SnapshotFacts = {
        takenAt: cloned.takenAt,
        restoreBytes: image.sizeBytes,
        method: by === 'clone' ? 'Reflink' : 'Copy',
        consistent: consistencyOf(cloned),
      };
      crashPoint('snapshot.before-record');
      await records.save(uid, recordOf(facts, { driver: 'emptyDir', volumeUID: volume.uid, path: file }));
      crashPoint('snapshot.after-record');
      await this.#name(file, null, 'SnapshotFailed');
      crashPoint('snapshot.after-name');
    } catch (thrown) {
      await this.#undo(file);
      if (snapshotOf(pool, uid, volume.uid) === undefined) records.remove(uid);
      throw thrown;
    } finally {
      this.#changed(pool);
    }
  }

  /**
   * Makes the content of a snapshot under the unfinished name of the image of its volume, which stays as it is.
   * @returns the size of its filesystem, bytes.
   */
  replacement(snapshot: DriverSnapshot, volume: DriverVolume, image: Image, call: LongCall): Promise<bigint> {
    return this.#work.run(volume.uid, 'RevertFailed', async () => {
      const pool = await this.#pool(volume, call.signal);
      const source = await this.#source({ from: 'snapshot', snapshot }, call.signal);
      if (source.filesystem !== image.name.filesystem) {
        const message = `snapshot ${snapshot.name} has another filesystem than volume ${volume.name}`;
        throw new DriverError('RevertNotSupported', message, { terminal: true });
      }
      await this.#cloneUnfinished(source, volume, image, pool, call);
      return source.sizeBytes;
    });
  }

  async #fillFrom(source: Source, volume: DriverVolume, pool: Pool, call: LongCall): Promise<void> {
    const { provisioning, uid } = volume;
    const name: ImageName = { volumeUID: uid, provisioning, filesystem: source.filesystem };
    const file = join(pool.directory, formatImageName(name));
    try {
      await this.#cloneUnfinished(source, volume, { name, file }, pool, call);
      await this.#name(file, source.sizeBytes, 'CloneFailed');
    } catch (thrown) {
      await this.#undo(file);
      throw thrown;
    }
  }

  /** Makes what a volume is made from under an unfinished name, if there is room for it. */
  async #cloneUnfinished(
    source: Source,
    volume: DriverVolume,
    { name: { provisioning }, file }: Pick<Image, 'name' | 'file'>,
    pool: Pool,
    call: LongCall,
  ): Promise<void> {
    const { room } = this.#options;
    const { capacityBytes = 0n, name } = volume;
    if (capacityBytes < source.sizeBytes) {
      const message = `volume ${name} needs a capacity of at least ${source.sizeBytes} bytes, the size of what it is made from`;
      throw new DriverError('CapacityTooSmall', message, { terminal: true });
    }
    const by = pool.cloneable && source.pool.name === pool.name ? 'clone' : 'copy';
    const copied = by === 'copy' ? allocatedBytesOf(source.file) : 0n;
    const wanted = provisioning === 'Thick' ? capacityBytes : copied;
    await room.refuseWithout(pool, wanted, `volume ${name}`, call.signal);
    const request: CloneImage = {
      source: source.file,
      mounted: source.image === undefined ? null : this.#mountOf(source.image),
      file,
      by,
      allocation: provisioning === 'Thick' ? 'full' : 'sparse',
      freezeTimeoutMs: HELD_FOR_FILL_MS,
      hold: 'try',
    };
    await this.#clone(request, source.image, 'CloneFailed', call);
  }

  /** What a volume is made from. @throws DriverError when it is not there. */
  async #source(content: DriverContent, signal: AbortSignal): Promise<Source> {
    if (content.from === 'volume') {
      const pool = await openPool(this.#options.pools, content.volume.pool, 'CloneFailed', signal);
      const image = imagesOfVolume(pool, content.volume.uid)[0];
      if (image === undefined) {
        throw new DriverError('DataMissing', `the image of volume ${content.volume.name} is not in pool ${pool.name}`);
      }
      return { pool, image, file: image.file, sizeBytes: image.sizeBytes, filesystem: image.name.filesystem };
    }
    const { uid, name, volume } = content.snapshot;
    const pool = await openPool(this.#options.pools, volume.pool, 'CloneFailed', signal);
    const image = snapshotOf(pool, uid, volume.uid);
    const record = this.#options.records.read(uid);
    if (image === undefined || record === undefined) {
      throw new DriverError('SnapshotNotReady', `snapshot ${name} is not in pool ${pool.name}`);
    }
    const { restoreBytes } = factsOf(record);
    return { pool, image: undefined, file: image.file, sizeBytes: restoreBytes, filesystem: image.name.filesystem };
  }

  async #clone(
    request: CloneImage,
    image: Image | undefined,
    otherwise: 'SnapshotFailed' | 'CloneFailed',
    call: LongCall,
  ): Promise<ClonedImage> {
    const { node } = this.#options;
    const bytesTotal = allocatedBytesOf(request.source);
    const timer = setInterval(() => {
      call.onProgress({ bytesDone: min(allocatedBytesOf(`${request.file}${UNFINISHED}`), bytesTotal), bytesTotal });
    }, PROGRESS_MS);
    try {
      return await node.call('cloneImage', request, { signal: call.signal, deadlineMs: LONG_MS });
    } catch (thrown) {
      if (NodeError.from(thrown).code === 'HelperLost') await this.#letGo(request.mounted, image);
      throw toDriverError(thrown, otherwise);
    } finally {
      clearInterval(timer);
    }
  }

  /** In case that its watchdog died with the helper. What is held for lack of space stays held. */
  async #letGo(mounted: MountedImage | null, image: Image | undefined): Promise<void> {
    const { node, isHeld } = this.#options;
    if (mounted === null || (isHeld() && image?.name.provisioning === 'Thin')) return;
    const options = { signal: AbortSignal.timeout(DEADLINE_MS) };
    await node.call('freeze', { ...mounted, frozen: false }, options).catch(() => undefined);
  }

  /** Nobody gives this up: a name that came after its record was taken back would be described by nothing. */
  async #name(
    file: string,
    filesystemBytes: bigint | null,
    otherwise: 'SnapshotFailed' | 'CloneFailed',
  ): Promise<void> {
    const options = { signal: AbortSignal.timeout(DEADLINE_MS), deadlineMs: DEADLINE_MS };
    await asDriver(otherwise, () => this.#options.node.call('nameImage', { file, filesystemBytes }, options));
  }

  /** Leaves nothing half: what has its name by now is whole. */
  async #undo(file: string): Promise<void> {
    if (exists(file)) return;
    const options = { signal: AbortSignal.timeout(DEADLINE_MS) };
    await this.#options.node.call('removeImage', { file }, options).catch(() => undefined);
  }

  #mountOf({ file, name: { volumeUID } }: Image): MountedImage | null {
    const mount = stageMountOf(this.#options.node, volumeUID);
    if (mount === undefined || backingFileOf(mount.device) !== file) return null;
    return { target: stageTarget(this.#options.node, volumeUID), device: mount.device };
  }

  #refuseUndescribed({ uid, name }: DriverSnapshot): void {
    if (this.#options.records.read(uid) !== undefined) return;
    const message = `the data of snapshot ${name} is there, but what was noted of it is gone from the state directory; delete the Snapshot`;
    throw new DriverError('SnapshotFailed', message, { terminal: true });
  }

  /** Removes what a kill has left half: files without their names, and records without data. */
  async #sweep(pool: Pool, signal: AbortSignal): Promise<void> {
    const { node, records } = this.#options;
    for (const { name, file } of unfinishedSnapshotsOf(pool)) {
      if (this.#work.has(name.snapshotUID)) continue;
      await asDriver('DeleteFailed', () => node.call('removeImage', { file }, { signal }));
    }
    const there = new Set(readdirSync(pool.directory).map((entry) => join(pool.directory, entry)));
    for (const [uid, { driver, path }] of records.all()) {
      const isOfPool = driver === 'emptyDir' && path.startsWith(`${pool.directory}/`);
      if (isOfPool && !there.has(path) && !this.#work.has(uid)) records.remove(uid);
    }
  }

  #pool({ pool }: DriverVolume, signal: AbortSignal): Promise<Pool> {
    return openPool(this.#options.pools, pool, 'SnapshotFailed', signal);
  }

  #changed(pool: Pool): void {
    this.#options.medium.forget(pool.name);
    // What one snapshot gives back depends on the others.
    this.#used.clear();
  }

  #usedBytes({ file }: SnapshotImage): Promise<bigint | undefined> {
    const known = this.#used.get(file);
    const at = performance.now();
    if (known !== undefined && at - known.at < USED_AGE_MS) return known.bytes;
    const options = { signal: AbortSignal.timeout(DEADLINE_MS) };
    const bytes = this.#options.node.call('blockUse', { file, most: MOST_EXTENTS }, options).then(
      (use) => (use === null ? undefined : use.allocatedBytes - use.sharedBytes),
      () => undefined,
    );
    this.#used.set(file, { at, bytes });
    return bytes;
  }
}

interface Source {
  readonly pool: Pool;
  /** The volume's image, which may be in use; undefined for a snapshot's. */
  readonly image: Image | undefined;
  readonly file: string;
  readonly sizeBytes: bigint;
  readonly filesystem: Image['name']['filesystem'];
}

/** A copy takes longer than any moment, so that it is good for nothing unless writers wait. */
function holdFor({ consistency }: DriverSnapshot, by: CloneImage['by']): CloneImage['hold'] {
  if (consistency === 'Filesystem') return 'must';
  return consistency === 'Crash' && by === 'clone' ? 'never' : 'try';
}

function consistencyOf({ writers, heldMs, why }: ClonedImage): SnapshotFacts['consistent'] {
  if (writers === 'running') {
    return { consistent: false, reason: 'CrashConsistent', message: `It is as after a power cut: ${why}.` };
  }
  const message =
    writers === 'idle'
      ? 'The volume was mounted nowhere when it was taken.'
      : `Writers were held for ${Math.max(1, Math.round(heldMs))} ms while it was taken.`;
  return { consistent: true, reason: 'FilesystemConsistent', message };
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
