/**
 * Moments of buckets: copies made by the server, below a prefix of ours in the same bucket. The marker of that prefix says
 * whose it is, and, until all is copied, that it is not complete: taking the word away is the moment at which the snapshot
 * exists. Nothing is read through the mount; what its process has not sent yet is waited for first.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { uidSegment } from '../../api/names.ts';
import { Reason } from '../../api/reasons.ts';
import { crashPoint } from '../../node/crash-points.ts';
import type { Records } from '../../node/records.ts';
import { HIDDEN_PREFIX, locationName, type S3Location } from '../../s3/location.ts';
import {
  type DriverContent,
  DriverError,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
  type PendingUpload,
  type SnapshotCalls,
  type SnapshotFacts,
  type SnapshotLeftover,
  type SnapshotObservation,
} from '../driver.ts';
import { begunBy, halfError, type Reverts } from '../reverts.ts';
import { factsOf, recordOf, type SnapshotRecord } from '../snapshot-record.ts';
import { copyObjects, listAll } from './copies.ts';
import { S3Objects } from './objects.ts';
import { othersText } from './volume.ts';

/** How long uploads are waited for, in milliseconds. */
const FLUSH_MS = 30_000;
const FLUSH_POLL_MS = 100;
/** For one copy, which a server may do byte by byte, in milliseconds. */
const COPY_MS = 600_000;

export interface S3SnapshotsOptions {
  readonly records: Records<SnapshotRecord>;
  readonly reverts: Reverts;
  /** Where a volume is. @throws DriverError when its credentials are not there. */
  readonly locationOf: (volume: DriverVolume) => S3Location;
  /** What this node has not sent yet; the targets of the mounts that may have written it. */
  readonly pending: (
    volume: DriverVolume,
    signal: AbortSignal,
  ) => Promise<(PendingUpload & { readonly targets: readonly string[] }) | undefined>;
  /** How long uploads are waited for, in milliseconds. */
  readonly flushMs?: number | undefined;
}

export class S3Snapshots implements SnapshotCalls {
  readonly #options: S3SnapshotsOptions;

  constructor(options: S3SnapshotsOptions) {
    this.#options = options;
  }

  async observe(snapshot: DriverSnapshot, signal: AbortSignal): Promise<SnapshotObservation> {
    const record = this.#options.records.read(snapshot.uid);
    if (record === undefined) return { facts: undefined, usedBytes: undefined };
    const { ours, complete } = await this.#with(this.#placeOf(snapshot), (objects) =>
      objects.look(snapshot.uid, signal),
    );
    if (!ours || !complete) return { facts: undefined, usedBytes: undefined };
    const facts = factsOf(record);
    return { facts, usedBytes: facts.restoreBytes };
  }

  async take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    call.signal.throwIfAborted();
    const { uid, name, volume } = snapshot;
    if ((await this.observe(snapshot, call.signal)).facts !== undefined) return;
    await this.#flush(snapshot, call.signal);
    const source = this.#options.locationOf(volume);
    const place = this.#placeOf(snapshot);
    await this.#with(place, async (to) => {
      if (!(await to.claim(uid, call.signal, 'incomplete'))) {
        throw new DriverError(Reason.SnapshotFailed, `${locationName(place)} belongs to somebody else`);
      }
      try {
        const { bytes, at, changed } = await this.#with(source, (from) => copyObjects(from, to, call));
        const facts: SnapshotFacts = {
          takenAt: at,
          restoreBytes: bytes,
          method: 'ServerSideCopy',
          consistent: consistencyOf(changed, source),
        };
        if (!facts.consistent.consistent && snapshot.consistency === 'Filesystem') {
          throw new DriverError(
            Reason.ChangedDuringCopy,
            `snapshot ${name} is to be consistent, and that could not be had: ${facts.consistent.message}`,
          );
        }
        const path = locationName(place);
        this.#options.records.write(uid, recordOf(facts, { driver: 's3', volumeUID: volume.uid, path }));
        await to.complete(uid, call.signal);
      } catch (thrown) {
        await to.purge(uid, AbortSignal.timeout(FLUSH_MS)).catch(() => undefined);
        this.#options.records.remove(uid);
        throw thrown;
      }
    });
  }

  async delete(snapshot: DriverSnapshot, signal: AbortSignal): Promise<void> {
    const { uid } = snapshot;
    const place = this.#placeOf(snapshot);
    await this.#with(place, async (objects) => {
      const { ours, empty } = await objects.look(uid, signal);
      if (!ours && empty) return;
      const { kept, why } = await objects.purge(uid, signal);
      if (kept === 0) return;
      throw new DriverError(
        Reason.ObjectsLocked,
        `${kept} objects in ${locationName(place)} cannot be deleted: ${why}`,
      );
    });
    this.#options.records.remove(uid);
  }

  /** Those that this node took; what another node took of the same bucket is that node's to tell. */
  leftovers(): Promise<readonly SnapshotLeftover[]> {
    const own = [...this.#options.records.all()].filter(([, { driver }]) => driver === 's3');
    return Promise.resolve(
      own.map(([snapshotUID, { path, restoreBytes }]) => ({ snapshotUID, path, bytes: BigInt(restoreBytes) })),
    );
  }

  /** Makes the objects of a volume those of its content, under a prefix where nothing was. */
  async fill(volume: DriverVolume, content: DriverContent, call: LongCall): Promise<void> {
    const { uid, name } = volume;
    const target = this.#options.locationOf(volume);
    const source = await this.#sourceOf(content, target, call.signal);
    await this.#with(target, async (to) => {
      const { empty, ours, complete } = await to.look(uid, call.signal);
      if (ours && complete) return;
      if (!ours && (!empty || !(await to.claim(uid, call.signal, 'incomplete')))) {
        const what = target.prefix === '' ? 'is a whole bucket' : 'has objects already';
        const message = `${locationName(target)} ${what}: volume ${name} can start from something only under a prefix where nothing is`;
        throw new DriverError(Reason.InvalidSpec, message, { terminal: true });
      }
      const { changed } = await this.#with(source, (from) => copyObjects(from, to, call));
      if (changed.length > 0) {
        const why = consistencyOf(changed, source).message;
        throw new DriverError(Reason.CloneFailed, `volume ${name} could not be copied whole: ${why}`);
      }
      await to.complete(uid, call.signal);
    });
  }

  /**
   * Copies every object of a snapshot over those of its volume, which nobody has mounted, and then removes what is not in
   * it. A bucket has no moment: until it has ended, what is there is neither the one nor the other, and is said to be.
   */
  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    const { reverts } = this.#options;
    const { signal } = call;
    const begun = reverts.begunOf(volume.uid);
    if (reverts.of(restore)?.done === true) {
      if (begun?.restoreUID === restore.uid) reverts.takeBack(volume.uid);
      return;
    }
    const target = this.#options.locationOf(volume);
    const source = await this.#sourceOf({ from: 'snapshot', snapshot }, target, signal);
    await this.#with(target, async (to) => {
      const others = await to.othersBelow(volume.uid, signal);
      if (others.length > 0) {
        const message = `${locationName(target)} cannot go back: ${othersText(target, others)}`;
        throw new DriverError(Reason.VolumeInUse, message, { terminal: true });
      }
      // In the bucket first: another node that gets the volume knows nothing of our notes.
      await to.beginRevert(volume.uid, begunBy(restore, snapshot), signal);
      reverts.begin(restore, volume, snapshot);
      await this.#with(source, async (from) => {
        const { changed } = await copyObjects(from, to, call);
        if (changed.length > 0) {
          const why = `objects could not be copied, or are not in the snapshot any more: ${changed.join(', ')}`;
          throw new DriverError(Reason.RevertFailed, `${locationName(target)}: ${why}`);
        }
        crashPoint('revert.after-clone');
        await this.#compare(from, to, signal);
      });
      await to.endRevert(volume.uid, signal);
    });
    crashPoint('revert.after-name');
    reverts.finish(restore.uid, volume.uid, snapshot.uid);
  }

  /** @throws DriverError `RevertFailed` where one place has not what the other has. */
  async #compare(from: S3Objects, to: S3Objects, signal: AbortSignal): Promise<void> {
    const [wanted, there] = [await listAll(from, signal), await listAll(to, signal)];
    const isSame = ({ key, size }: { readonly key: string; readonly size: bigint }) => there.get(key)?.size === size;
    const wrong = [
      ...[...wanted.values()].filter((object) => !isSame(object)).map(({ key }) => key),
      ...[...there.keys()].filter((key) => !wanted.has(key)),
    ];
    if (wrong.length === 0) return;
    const names = wrong.slice(0, 5).map((key) => JSON.stringify(key));
    const message = `${wrong.length} objects in ${locationName(to.location)} are not as in the snapshot (${names.join(', ')}): somebody writes there, or the list is old`;
    throw new DriverError(Reason.RevertFailed, message);
  }

  /** Waits until the server has all that was written. @throws DriverError `UploadPending` when that does not come. */
  flush(name: string, volume: DriverVolume, elsewhere: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#flush({ name, volume, elsewhere }, signal);
  }

  /** @throws DriverError `RevertIncomplete` where the bucket, or this node, knows of a part that is of before. */
  async #refuseHalf(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    this.#options.reverts.refuseHalf(volume.uid);
    const location = this.#options.locationOf(volume);
    const { revert } = await this.#with(location, (objects) => objects.look(volume.uid, signal));
    if (revert !== undefined) throw halfError(revert);
  }

  async #sourceOf(content: DriverContent, target: S3Location, signal: AbortSignal): Promise<S3Location> {
    const source = this.#options.locationOf(content.from === 'snapshot' ? content.snapshot.volume : content.volume);
    if (source.endpoint !== target.endpoint || source.region !== target.region) {
      const message = `${locationName(source)} is on another server or in another region than ${locationName(target)}`;
      throw new DriverError(Reason.DataSourceMismatch, message, { terminal: true });
    }
    if (content.from === 'volume') {
      await this.#refuseHalf(content.volume, signal);
      await this.#flush({ name: `a copy of ${content.volume.name}`, volume: content.volume }, signal);
      return source;
    }
    const { snapshot } = content;
    if ((await this.observe(snapshot, signal)).facts === undefined) {
      throw new DriverError(Reason.DataMissing, `snapshot ${snapshot.name} is not in ${locationName(source)} any more`);
    }
    return this.#placeOf(snapshot);
  }

  /** Only what the server has can be copied by it. */
  async #flush(
    { name, volume, elsewhere = [] }: Pick<DriverSnapshot, 'name' | 'volume' | 'elsewhere'>,
    signal: AbortSignal,
  ): Promise<void> {
    if (elsewhere.length > 0) {
      const message = `${name} is not taken: the volume is also mounted by ${elsewhere.join(', ')}, and what was written there may not have reached the server; unmount it there first`;
      throw new DriverError(Reason.UploadPending, message);
    }
    const deadline = performance.now() + (this.#options.flushMs ?? FLUSH_MS);
    for (;;) {
      const left = await this.#options.pending(volume, signal);
      if (left === undefined) return;
      if (performance.now() > deadline) {
        const where = left.targets.length === 0 ? 'a mount that is gone' : left.targets.join(', ');
        const message = `${name} is not taken: ${left.files} files (${left.bytes} bytes) written at ${where} have not reached the server`;
        throw new DriverError(Reason.UploadPending, message);
      }
      await delay(FLUSH_POLL_MS, undefined, { signal });
    }
  }

  #placeOf({ uid, volume }: DriverSnapshot): S3Location {
    const location = this.#options.locationOf(volume);
    return { ...location, prefix: `${HIDDEN_PREFIX}${uidSegment('metadata.uid', uid)}/` };
  }

  async #with<T>(location: S3Location, work: (objects: S3Objects) => Promise<T>): Promise<T> {
    const objects = await S3Objects.open(location, COPY_MS);
    try {
      return await work(objects);
    } finally {
      objects.close();
    }
  }
}

function consistencyOf(changed: readonly string[], source: S3Location): SnapshotFacts['consistent'] {
  if (changed.length === 0) {
    return { consistent: true, reason: Reason.Unchanged, message: 'Nothing was written while it was copied.' };
  }
  const names = changed.map((key) => JSON.stringify(key)).join(', ');
  const message = `objects in ${locationName(source)} were written or deleted while it was copied: ${names}`;
  return { consistent: false, reason: Reason.ChangedDuringCopy, message };
}
