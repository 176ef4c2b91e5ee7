/**
 * s3: a bucket, or what lies under a prefix of it. Its objects are looked at, claimed and deleted through the S3 API
 * (`objects.ts`); rclone mounts them (`engine.ts`) once per node, in a process that outlives the agent (`processes.ts`), and
 * each mount is a bind of that (`mounts.ts`).
 */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer } from '../../node/layer.ts';
import { locationName, type S3Location } from '../../s3/location.ts';
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
  type LongCall,
  type MountObservation,
  type ReadingCalls,
  type UnmountOutcome,
  type Usage,
  type VolumeObservation,
  type WritingCalls,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { halfError, halfProblem, Reverts } from '../reverts.ts';
import { snapshotRecords } from '../snapshot-record.ts';
import { inUse, stageMountOf, stageTarget } from '../stage.ts';
import { lookInside, refuseMounted } from '../writing.ts';
import { Capabilities } from './capabilities.ts';
import { directoryOf, hasSecrets, keptUids, removeSecrets, writeSecrets } from './engine.ts';
import { Looks } from './looks.ts';
import { Mounts } from './mounts.ts';
import type { PrefixContents } from './objects.ts';
import { Processes } from './processes.ts';
import { S3Reading } from './reading.ts';
import { S3Snapshots } from './snapshots.ts';
import { locationOf, missingOf, othersText, refuseUnusable, requireMaterial } from './volume.ts';
import { Watch } from './watch.ts';

/** A server that dies makes no event. */
const WATCH_MS = 5_000;
const NOTE =
  'Objects as files: chmod and chown have no effect; links, FIFOs and extended attributes are errors; locks hold on one node; a rename copies; fsync does not wait for the server.';
const CAPACITY: VolumeObservation['capacity'] = {
  enforced: false,
  reason: Reason.NotEnforceable,
  message: 'A bucket has no size; the capacity is only a statement.',
};

export interface S3DriverOptions {
  /** How long the process that serves a mount may stay silent, in milliseconds. */
  readonly hungMs?: number;
  /** Time for the process that serves a mount to have it there, in milliseconds. */
  readonly startMs?: number;
  /** How often servers are asked whether they still answer, in milliseconds. */
  readonly watchMs?: number;
  /** How long a snapshot, a copy or a backup waits for what was written to reach the server, in milliseconds. */
  readonly flushMs?: number;
}

export class S3Driver implements Driver {
  readonly type = 's3';
  readonly snapshots: S3Snapshots;
  readonly reading: ReadingCalls;
  readonly #node: NodeLayer;
  readonly #capabilities: Capabilities;
  readonly #processes: Processes;
  readonly #mounts: Mounts;
  readonly #reverts: Reverts;
  readonly #looks = new Looks();
  readonly #listeners = new Set<(volumeUID: string) => void>();
  readonly #watchMs: number;
  /** Runs while somebody listens. */
  #watch: Watch | undefined;

  constructor(node: NodeLayer, { hungMs, startMs, watchMs = WATCH_MS, flushMs }: S3DriverOptions = {}) {
    this.#node = node;
    this.#watchMs = watchMs;
    this.#capabilities = new Capabilities(node);
    this.#processes = new Processes(node, { hungMs, startMs, onEnd: (uid) => this.#tell(uid) });
    const refuseHalf = (volume: DriverVolume, signal: AbortSignal) => this.#refuseHalf(volume, signal);
    this.#mounts = new Mounts(node, this.#processes, refuseHalf);
    this.#reverts = new Reverts(node.stateDir);
    this.snapshots = new S3Snapshots({
      records: snapshotRecords(node.stateDir),
      reverts: this.#reverts,
      locationOf: (volume) => {
        requireMaterial(volume);
        return locationOf(volume);
      },
      pending: ({ uid }, signal) => this.#processes.unsent(uid, signal),
      flushMs,
    });
    this.reading = new S3Reading({
      node,
      processes: this.#processes,
      looks: this.#looks,
      snapshots: this.snapshots,
      refuseHalf,
    });
  }

  onChange(listener: (volumeUID: string) => void): () => void {
    this.#listeners.add(listener);
    this.#watch ??= new Watch({
      looks: this.#looks,
      periodMs: this.#watchMs,
      pingProcess: (uid) => this.#processes.ping(uid),
      onServerChange: (uid) => this.#tell(uid),
    });
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#watch?.stop();
      this.#watch = undefined;
    };
  }

  capabilities(signal: AbortSignal): Promise<DriverCapabilities> {
    return this.#capabilities.look(signal);
  }

  async observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation> {
    const location = locationOf(volume);
    const stageMount = stageMountOf(this.#node, volume.uid);
    const isOurs = this.#processes.mountOf(volume.uid) !== undefined;
    const staged = isOurs && (await this.#processes.attend(volume.uid, signal));
    if (staged && missingOf(volume) === undefined) writeSecrets(directoryOf(this.#node, volume.uid), location);
    const base = { note: NOTE, enforcedBytes: undefined, capacity: CAPACITY, staged, stageMount };
    if (stageMount !== undefined && !isOurs) {
      const message = `${stageMount.source} is mounted over the storage of the volume`;
      const problem = { reason: Reason.MountCovered, message, terminal: false };
      return { ...base, provisioned: volume.wasProvisioned, ownedByUs: false, problem };
    }
    try {
      refuseUnusable(location);
      requireMaterial(volume);
      this.#watch?.follow(volume.uid, location);
      const { empty, ours, complete, revert } = await this.#look(volume.uid, location, signal);
      const isThere = ours || !empty || location.prefix === '' || volume.wasProvisioned;
      // With a content it is there once all of that is; what lies there of somebody else is none of it.
      const provisioned = volume.content === undefined ? isThere && complete : ours && complete;
      const problem = revert === undefined ? this.#reverts.problemOf(volume.uid) : halfProblem(revert);
      return { ...base, provisioned, ownedByUs: ours, problem };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { reason, message, terminal } = toDriverError(thrown, Reason.ProvisionFailed);
      return {
        ...base,
        provisioned: volume.wasProvisioned,
        ownedByUs: false,
        problem: { reason, message, terminal },
      };
    }
  }

  async provision(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    if (volume.capacityPolicy === 'Enforce') {
      const message = 'capacityPolicy is Enforce, and the size of a bucket cannot be limited';
      throw new DriverError(Reason.CapacityNotEnforceable, message, { terminal: true });
    }
    requireMaterial(volume);
    const location = locationOf(volume);
    refuseUnusable(location);
    await this.#looks.use(location, async (objects) => {
      const { empty, ours } = await objects.look(volume.uid, signal);
      // What holds objects already belongs to whoever wrote them.
      if (empty && !ours) await objects.claim(volume.uid, signal);
    });
    this.#looks.forget(volume.uid);
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    const { content } = volume;
    if (content === undefined) throw new DriverError(Reason.InternalError, 'there is nothing to fill the volume with');
    refuseUnusable(locationOf(volume));
    try {
      await this.snapshots.fill(volume, content, call);
    } finally {
      this.#looks.forget(volume.uid);
    }
  }

  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    requireMaterial(volume);
    // The process of the mount keeps files, and what it has not sent it would send over what is put there.
    const outcome = await this.unstage(volume, call.signal);
    const where = locationName(locationOf(volume));
    if (outcome.outcome === 'upload-pending') {
      const message = `${outcome.files} files (${outcome.bytes} bytes) that were written to ${where} have not reached the server`;
      throw new DriverError(Reason.UploadPending, message);
    }
    if (outcome.outcome !== 'done') {
      throw new DriverError(Reason.VolumeInUse, `${where} is still in use (${inUse(outcome)})`, { terminal: true });
    }
    try {
      await this.snapshots.revert(volume, snapshot, restore, call);
    } finally {
      this.#looks.forget(volume.uid);
    }
  }

  stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#mounts.stage(volume, signal);
  }

  /** What is flushed has been uploaded, not only written into the cache of the process. */
  readonly writing: WritingCalls = {
    open: async (volume, signal) => {
      const stageMount = await this.#mounts.served(volume, signal);
      refuseMounted(this.#node, volume.name, stageMount);
      const own = stageTarget(this.#node, volume.uid);
      const look = await asDriver(Reason.RestoreFailed, () => lookInside(this.#node, { own }, signal));
      return { ...look, device: stageMount.device };
    },
    flush: ({ uid }, signal) => this.#processes.flush(uid, signal),
  };

  observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    return this.#mounts.observe(volume, mount, signal);
  }

  publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    return this.#mounts.publish(volume, mount, signal);
  }

  unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#mounts.unpublish(volume, mount, signal);
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#mounts.unstage(volume, signal);
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<Deletion> {
    const location = locationOf(volume);
    const { uid } = volume;
    if (stageMountOf(this.#node, uid) !== undefined) {
      throw new DriverError(Reason.VolumeInUse, `${locationName(location)} is still mounted on this node`);
    }
    const missing = missingOf(volume);
    if (missing?.confirmed === true) return { kept: missing.message };
    requireMaterial(volume);
    this.#watch?.forget(uid);
    try {
      const { deleted, kept, why, others } = await this.#looks.use(location, (objects) => objects.purge(uid, signal));
      if (kept > 0) {
        const message = `${kept} objects in ${locationName(location)} cannot be deleted yet, ${deleted} were: ${why}`;
        throw new DriverError(Reason.ObjectsLocked, message);
      }
      await this.release(volume, signal);
      return { kept: others.length === 0 ? undefined : `${othersText(location, others)} and stay` };
    } catch (thrown) {
      if (thrown instanceof DriverError && thrown.reason === Reason.DataRetained) {
        // Deleted in an earlier call, or never ours.
        const { empty } = await this.#looks.use(location, (objects) => objects.look(uid, signal));
        await this.release(volume, signal);
        return { kept: empty ? undefined : thrown.message };
      }
      throw thrown;
    } finally {
      this.#looks.forget(uid);
    }
  }

  /** What is noted in the bucket of a volume that goes says nothing to anybody: it is removed where the server answers. */
  async release(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { uid } = volume;
    if (missingOf(volume) === undefined) {
      const location = locationOf(volume);
      try {
        const { revert } = await this.#looks.look(uid, location, signal);
        if (revert !== undefined) await this.#looks.use(location, (objects) => objects.endRevert(uid, signal));
      } catch (thrown) {
        if (signal.aborted) throw thrown;
      } finally {
        this.#looks.forget(uid);
      }
    }
    this.#reverts.forget(uid);
  }

  async usage(volume: DriverVolume, signal: AbortSignal): Promise<Usage | undefined> {
    if (missingOf(volume) !== undefined) return undefined;
    return await this.#looks.usage(volume.uid, locationOf(volume), signal);
  }

  leftovers(): Promise<readonly DriverLeftover[]> {
    return Promise.resolve(
      keptUids(this.#node).map((volumeUID) => ({
        volumeUID,
        path: directoryOf(this.#node, volumeUID),
        bytes: undefined,
      })),
    );
  }

  async dropSecrets(volumeUID: string, isUnused: () => boolean, signal: AbortSignal): Promise<void> {
    const directory = directoryOf(this.#node, volumeUID);
    if (!hasSecrets(directory) || (await this.#processes.isRunning(volumeUID, signal))) return;
    if (stageMountOf(this.#node, volumeUID) === undefined && isUnused()) removeSecrets(directory);
  }

  /** What is half is looked at anew each time: another node may have ended it, whatever is noted on this one. */
  async #look(uid: string, location: S3Location, signal: AbortSignal): Promise<PrefixContents> {
    const begun = this.#reverts.begunOf(uid);
    const isInStorage = begun?.isInStorage === true;
    const seen = await this.#looks.look(uid, location, signal);
    if (seen.revert === undefined && !isInStorage) return seen;
    const now = await this.#looks.lookNow(uid, location, signal);
    if (now.revert === undefined && begun !== undefined && isInStorage) this.#reverts.endedElsewhere(uid, begun);
    return now;
  }

  /** Asked before each stage, bind and backup: what was seen a while ago may have been before a revert began on another node. */
  async #refuseHalf(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { uid } = volume;
    requireMaterial(volume);
    this.#reverts.refuseHalf(uid);
    const location = locationOf(volume);
    // What was written here and not sent yet is of use without its server, and can be sent only through a mount.
    const mayGoOn = this.#processes.hasUnsent(uid);
    const looks = this.#looks;
    const seen = await (mayGoOn
      ? looks.lookNow(uid, location, signal).catch(() => undefined)
      : looks.lookAnew(uid, location, signal));
    signal.throwIfAborted();
    if (seen?.revert !== undefined) throw halfError(seen.revert);
  }

  #tell(uid: string): void {
    for (const listener of this.#listeners) listener(uid);
  }
}
