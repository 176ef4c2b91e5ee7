/** Reading a whole bucket, for a backup: by a mount of its own, which has no cache and cannot write. */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { TreeChanges } from '../../node/trees/operations.ts';
import { DriverError, type DriverVolume, type OpenedForReading, type Reading, type ReadingCalls } from '../driver.ts';
import { readConsistency, thenClose } from '../reading.ts';
import { stageTarget } from '../stage.ts';
import { listAll } from './copies.ts';
import type { Looks } from './looks.ts';
import type { Listed } from './objects.ts';
import type { Processes } from './processes.ts';
import type { S3Snapshots } from './snapshots.ts';
import { locationOf, requireMaterial } from './volume.ts';

export interface S3ReadingOptions {
  readonly node: NodeLayer;
  readonly processes: Processes;
  readonly looks: Looks;
  readonly snapshots: S3Snapshots;
  /** Throws where a part of the volume is of before a revert that has not ended. */
  readonly refuseHalf: (volume: DriverVolume, signal: AbortSignal) => Promise<void>;
}

export class S3Reading implements ReadingCalls {
  readonly #options: S3ReadingOptions;

  constructor(options: S3ReadingOptions) {
    this.#options = options;
  }

  /** Begins once the server has all that was written. */
  async read<T>(
    volume: DriverVolume,
    { uid, elsewhere, most }: Reading,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { node, processes, looks, refuseHalf, snapshots } = this.#options;
    requireMaterial(volume);
    await refuseHalf(volume, signal);
    await this.close(uid, signal);
    await snapshots.flush(`a backup of ${volume.name}`, volume, elsewhere, signal);
    const location = locationOf(volume);
    const list = (limit: AbortSignal) => looks.use(location, (objects) => listAll(objects, limit));
    const before = await list(signal);
    const show = async (): Promise<T> => {
      const { device } = await processes.startReader(uid, location, signal);
      return await work({
        directory: { own: stageTarget(node, uid) },
        device,
        method: 'Bucket',
        ignoreInode: true,
        exclude: undefined,
        isEmpty: before.size === 0,
        isMountPoint: true,
        lacking: [],
        consistency: async (limit) => readConsistency(changedObjects(before, await list(limit), most)),
      });
    };
    return await thenClose(show, (limit) => this.close(uid, limit));
  }

  async close(uid: string, signal: AbortSignal): Promise<void> {
    // What it shows can be lost: nothing is ever written to it.
    const { outcome } = await this.#options.processes.giveBack(uid, true, () => Promise.resolve(), signal);
    if (outcome === 'done') return;
    throw new DriverError(Reason.UnmountFailed, `the mount that a bucket was read by is still in use (${outcome})`);
  }
}

/** Objects that are not as they were listed before. */
function changedObjects(
  before: ReadonlyMap<string, Listed>,
  after: ReadonlyMap<string, Listed>,
  most: number,
): TreeChanges {
  const written = [...after.values()].filter(({ key, etag }) => before.get(key)?.etag !== etag).map(({ key }) => key);
  const names = [...written, ...[...before.keys()].filter((key) => !after.has(key))];
  return { count: names.length, examples: names.slice(0, most).map((name) => JSON.stringify(name)) };
}
