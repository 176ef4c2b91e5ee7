/**
 * s3: a bucket, or what lies under a prefix of it. Its objects are looked at, claimed and deleted through the S3 API
 * (`objects.ts`); rclone mounts them (`engine.ts`) once per node, in a process that outlives the agent, and each mount is
 * a bind of that.
 *
 * What was written is in the cache of that process until the server has it. So the last unmount, and everything that
 * would end the process, waits for the uploads; when the process dies, the next one sends what it left.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, UnmountOutcome as NodeUnmountOutcome, TargetPath } from '../../node/layer.ts';
import type { DaemonProcess } from '../../node/mount-daemons/operations.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { NodeError } from '../../node/node-error.ts';
import { findProgram } from '../../node/programs.ts';
import type { TreeChanges } from '../../node/trees/operations.ts';
import { locationName, type S3Location } from '../../s3/location.ts';
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
  type LongCall,
  type MountObservation,
  type OpenedForReading,
  type PendingUpload,
  type Reading,
  type ReadingCalls,
  type UnmountOutcome,
  type Usage,
  type VolumeObservation,
  type WritingCalls,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { readConsistency, thenClose } from '../reading.ts';
import { Reverts } from '../reverts.ts';
import { snapshotRecords } from '../snapshot-record.ts';
import { inUse, stageMountOf, stageTarget } from '../stage.ts';
import { judgeTarget } from '../target-state.ts';
import { lookInside, refuseMounted } from '../writing.ts';
import { mendNotes, unsentFiles } from './cache-notes.ts';
import { listAll } from './copies.ts';
import {
  directoryOf,
  FS_TYPE,
  forget,
  keptUids,
  limitLog,
  rescueOf,
  sourceOf,
  startRequest,
  writeSecrets,
} from './engine.ts';
import { Looks } from './looks.ts';
import type { Listed } from './objects.ts';
import { ping, pushUploads } from './rc.ts';
import { S3Snapshots } from './snapshots.ts';
import { Watch } from './watch.ts';

const NEEDED_FEATURES: readonly string[] = ['Koffi', 'BindMounts'];
const MINIMUM = [1, 68] as const;
/** Time for the engine to mount; it does so whether or not the server answers. */
const START_MS = 20_000;
/** Time that an unmount itself waits for uploads before it says what is left. */
const UPLOAD_WAIT_MS = 1_000;
const UPLOAD_POLL_MS = 100;
/** A process that does not answer its socket for so long hangs; it is ended, and another takes its place. */
const HUNG_MS = 10_000;
const EXIT_PATIENCE_MS = 10_000;
const FOLLOW_MS = 86_400_000;
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
  readonly hungMs?: number;
  readonly watchMs?: number;
}

export class S3Driver implements Driver {
  readonly type = 's3';
  readonly #node: NodeLayer;
  readonly #hungMs: number;
  readonly #looks = new Looks();
  readonly #listeners = new Set<(volumeUID: string) => void>();
  /** Processes whose end is awaited, by volume UID. */
  readonly #followed = new Map<string, DaemonProcess>();
  readonly #pingedAt = new Map<string, number>();
  readonly #watchMs: number;
  /** Runs while somebody listens. */
  #watch: Watch | undefined;
  readonly snapshots: S3Snapshots;
  readonly #reverts: Reverts;
  #probed: { readonly file: string; readonly changedMs: number; readonly version: string } | undefined;

  /**
   * @param options.hungMs How long the process that serves a mount may stay silent.
   * @param options.watchMs How often servers are asked whether they still answer.
   */
  constructor(node: NodeLayer, { hungMs = HUNG_MS, watchMs = WATCH_MS }: S3DriverOptions = {}) {
    this.#node = node;
    this.#hungMs = hungMs;
    this.#watchMs = watchMs;
    this.#reverts = new Reverts(node.stateDir);
    this.snapshots = new S3Snapshots({
      records: snapshotRecords(node.stateDir),
      reverts: this.#reverts,
      locationOf: (volume) => {
        this.#requireMaterial(volume);
        return locationOf(volume);
      },
      pending: (volume, signal) => this.#unsent(volume, signal),
    });
  }

  onChange(listener: (volumeUID: string) => void): () => void {
    this.#listeners.add(listener);
    this.#watch ??= new Watch({
      looks: this.#looks,
      periodMs: this.#watchMs,
      pingProcess: (uid) => this.#pingProcess(uid),
      onServerChange: (uid) => this.#tell(uid),
    });
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#watch?.stop();
      this.#watch = undefined;
    };
  }

  async capabilities(signal: AbortSignal): Promise<DriverCapabilities> {
    const lacks = (reason: Reason, message: string): DriverCapabilities => {
      return { supported: false, reason, message, features: [] };
    };
    const lacking = this.#node.features.find(({ name, available }) => NEEDED_FEATURES.includes(name) && !available);
    if (lacking !== undefined) return lacks(Reason.KernelFeatureMissing, lacking.message);
    if (statSync('/dev/fuse', { throwIfNoEntry: false }) === undefined) {
      return lacks(Reason.KernelFeatureMissing, 'there is no /dev/fuse: load the kernel module fuse');
    }
    for (const [program, pkg] of [
      ['fusermount3', 'fuse3'],
      ['rclone', 'rclone'],
    ] as const) {
      if (findProgram(program) === undefined) {
        return lacks(Reason.CommandMissing, `${program} is not installed: apt-get install ${pkg}`);
      }
    }
    const version = await this.#version(signal);
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
      return lacks(Reason.CommandMissing, `rclone ${version} is too old: ${MINIMUM.join('.')} or newer is needed`);
    }
    const message = 'nothing limits what is written to a bucket';
    const features = [{ name: 'CapacityEnforcement', available: false, reason: Reason.NotEnforceable, message }];
    return { supported: true, reason: Reason.Supported, message: '', features };
  }

  async observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation> {
    const location = locationOf(volume);
    const stageMount = this.#stageMount(volume.uid);
    const isOurs = stageMount !== undefined && stageMount.source === sourceOf(volume.uid);
    const daemon = isOurs ? await this.#liveDaemon(volume.uid, signal) : undefined;
    if (daemon !== undefined) {
      this.#follow(volume.uid, daemon);
      const directory = directoryOf(this.#node, volume.uid);
      if (missingOf(volume) === undefined) writeSecrets(directory, location);
      limitLog(directory);
    }
    const base = { note: NOTE, enforcedBytes: undefined, capacity: CAPACITY, staged: daemon !== undefined, stageMount };
    if (stageMount !== undefined && !isOurs) {
      const message = `${stageMount.source} is mounted over the storage of the volume`;
      const problem = { reason: Reason.MountCovered, message, terminal: false };
      return { ...base, provisioned: volume.wasProvisioned, ownedByUs: false, problem };
    }
    try {
      this.#requireMaterial(volume);
      this.#watch?.follow(volume.uid, location);
      const { empty, ours, complete } = await this.#looks.look(volume.uid, location, signal);
      const isThere = ours || !empty || location.prefix === '' || volume.wasProvisioned;
      // With a content it is there once all of that is; what lies there of somebody else is none of it.
      const provisioned = volume.content === undefined ? isThere && complete : ours && complete;
      return { ...base, provisioned, ownedByUs: ours, problem: this.#reverts.problemOf(volume.uid) };
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
    this.#requireMaterial(volume);
    const location = locationOf(volume);
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
    try {
      await this.snapshots.fill(volume, content, call);
    } finally {
      this.#looks.forget(volume.uid);
    }
  }

  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    this.#requireMaterial(volume);
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

  async stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    this.#requireMaterial(volume);
    const rclone = findProgram('rclone');
    if (rclone === undefined) throw new DriverError(Reason.CommandMissing, 'rclone is not installed');
    const location = locationOf(volume);
    const directory = directoryOf(this.#node, volume.uid);
    writeSecrets(directory, location);
    if ((await this.#findDaemon(volume.uid, signal)) === undefined)
      mendNotes(directory, rescueOf(this.#node, volume.uid));
    const request = startRequest(this.#node, rclone, volume.uid, location, 'writing');
    const { process } = await asDriver(Reason.MountFailed, () =>
      this.#node.call('startMountDaemon', request, { signal, deadlineMs: START_MS }),
    );
    this.#follow(volume.uid, process);
  }

  readonly reading: ReadingCalls = {
    read: (volume, reading, work, signal) => this.#read(volume, reading, work, signal),
    close: async (uid, signal) => {
      // What it shows can be lost: nothing is ever written to it.
      const outcome = await this.giveBack(uid, true, () => Promise.resolve(), signal);
      if (outcome.outcome === 'done') return;
      throw new DriverError(
        Reason.UnmountFailed,
        `the mount that a bucket was read by is still in use (${outcome.outcome})`,
      );
    },
  };

  /** What is flushed has been uploaded, not only written into the cache of the process. */
  readonly writing: WritingCalls = {
    open: async (volume, signal) => {
      if ((await this.#findDaemon(volume.uid, signal)) === undefined) await this.stage(volume, signal);
      const stageMount = this.#stageMount(volume.uid);
      if (stageMount?.source !== sourceOf(volume.uid)) {
        throw new DriverError(Reason.VolumeNotReady, `${locationName(locationOf(volume))} is not mounted on this node`);
      }
      refuseMounted(this.#node, volume.name, stageMount);
      const own = stageTarget(this.#node, volume.uid);
      const look = await asDriver(Reason.RestoreFailed, () => lookInside(this.#node, { own }, signal));
      return { ...look, device: stageMount.device };
    },
    flush: async ({ uid }, signal) => {
      while ((await this.#pending(uid, signal)) !== undefined) signal.throwIfAborted();
      // Without its process nothing says that the server has it all.
      if ((await this.#findDaemon(uid, signal)) === undefined || unsentFiles(directoryOf(this.#node, uid)).length > 0) {
        throw new DriverError(Reason.UploadPending, 'the process that uploads what was written has ended');
      }
    },
  };

  /** By a mount of its own, which has no cache and cannot write, once the server has all that was written. */
  async #read<T>(
    volume: DriverVolume,
    { uid, elsewhere, most }: Reading,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    this.#requireMaterial(volume);
    this.#reverts.refuseHalf(volume.uid);
    const rclone = findProgram('rclone');
    if (rclone === undefined) throw new DriverError(Reason.CommandMissing, 'rclone is not installed');
    await this.reading.close(uid, signal);
    await this.snapshots.flush(`a backup of ${volume.name}`, volume, elsewhere, signal);
    const location = locationOf(volume);
    const list = (limit: AbortSignal) => this.#looks.use(location, (objects) => listAll(objects, limit));
    const before = await list(signal);
    writeSecrets(directoryOf(this.#node, uid), location);
    const show = async (): Promise<T> => {
      const request = startRequest(this.#node, rclone, uid, location, 'reading');
      const { entry } = await asDriver(Reason.MountFailed, () =>
        this.#node.call('startMountDaemon', request, { signal, deadlineMs: START_MS }),
      );
      return await work({
        directory: { own: stageTarget(this.#node, uid) },
        device: entry.device,
        method: 'Bucket',
        ignoreInode: true,
        exclude: undefined,
        isEmpty: before.size === 0,
        isMountPoint: true,
        lacking: [],
        consistency: async (limit) => readConsistency(changedObjects(before, await list(limit), most)),
      });
    };
    return await thenClose(show, (limit) => this.reading.close(uid, limit));
  }

  async observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    const request = { target: targetOf(mount), own: stageTarget(this.#node, volume.uid) };
    const seen = await asDriver(Reason.MountFailed, () => this.#node.observeTarget(request, signal));
    const judged = judgeTarget(seen, {
      readOnly: mount.readOnly,
      options: volume.mountOptions,
      sourceName: locationName(locationOf(volume)),
    });
    const { state, entry } = judged;
    if (state === 'absent' || state === 'overmounted' || entry?.source !== sourceOf(volume.uid)) return judged;
    // One that is served no more looks like any other: as dead as the stage, or of another filesystem than the new one.
    const isServed = entry.device === this.#stageMount(volume.uid)?.device;
    if (state !== 'foreign' && isServed && (await this.#findDaemon(volume.uid, signal)) !== undefined) {
      return state === 'mounted' && mount.remounted === true ? this.#lookAround(volume.uid, judged, signal) : judged;
    }
    const source = locationName(locationOf(volume));
    return { ...judged, state: 'stale', source, message: 'the process that served the mount has ended' };
  }

  async publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    if ((await this.#findDaemon(volume.uid, signal)) === undefined) await this.stage(volume, signal);
    const stageMount = this.#stageMount(volume.uid);
    if (stageMount?.source !== sourceOf(volume.uid)) {
      throw new DriverError(Reason.VolumeNotReady, `${locationName(locationOf(volume))} is not mounted on this node`);
    }
    const request = {
      source: stageTarget(this.#node, volume.uid),
      device: stageMount.device,
      target: targetOf(mount),
      readOnly: mount.readOnly,
      options: volume.mountOptions,
    };
    await bindOrReplace({
      bind: () => this.#node.bindOwn(request, signal),
      observe: () => this.observeMount(volume, mount, signal),
      unpublish: async () => {
        const outcome = await this.#unbind(volume, mount, signal);
        // A copy elsewhere of what is dead holds nothing back; it is reported once the new one is there.
        return outcome.outcome === 'in-use-by-other-namespace' ? { outcome: 'done' } : outcome;
      },
    });
  }

  async unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    const outcome = await this.#unbind(volume, mount, signal);
    // Another mount of the volume goes on writing: its own unmount will wait.
    if (outcome.outcome !== 'done' || volume.mayLoseData || this.#binds(volume.uid).length > 0) return outcome;
    return (await this.#pending(volume.uid, signal)) ?? outcome;
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.giveBack(volume.uid, volume.mayLoseData, () => this.stage(volume, signal), signal);
  }

  /**
   * Gives back what this node has of a volume, by its UID alone. `restage` starts the process again, where only it can
   * send what the last one left.
   */
  async giveBack(
    uid: string,
    mayLoseData: boolean,
    restage: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<UnmountOutcome> {
    const directory = directoryOf(this.#node, uid);
    const binds = this.#binds(uid);
    if (binds.length > 0)
      return { outcome: 'busy', holders: [], mounts: binds.slice(0, 5).map(({ target }) => target) };
    if (!mayLoseData) {
      const pending = await this.#pending(uid, signal);
      if (pending !== undefined) return pending;
      const unsent = unsentFiles(directory);
      if (unsent.length > 0) {
        // Only a process that runs can send what the last one left.
        if ((await this.#liveDaemon(uid, signal)) === undefined) await restage();
        return (await this.#pending(uid, signal)) ?? pendingOf(unsent);
      }
    }
    const isAlive = (await this.#findDaemon(uid, signal)) !== undefined;
    const request = {
      target: stageTarget(this.#node, uid),
      mountId: this.#stageMount(uid)?.id,
      scope: 'device' as const,
      // What a dead process served can hold no data back.
      force: !isAlive || mayLoseData,
    };
    const outcome = await asDriver(Reason.UnmountFailed, () => this.#node.unmount(request, signal));
    if (outcome.outcome !== 'done') return outcome;
    const patience = mayLoseData ? 0 : EXIT_PATIENCE_MS;
    await asDriver(Reason.UnmountFailed, () =>
      this.#node.call('stopDaemon', { directory, patienceMs: patience }, { signal, deadlineMs: 2 * EXIT_PATIENCE_MS }),
    );
    const left = mayLoseData ? [] : unsentFiles(directory);
    if (left.length > 0) return pendingOf(left);
    forget(directory);
    return outcome;
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<Deletion> {
    const location = locationOf(volume);
    const { uid } = volume;
    if (this.#stageMount(uid) !== undefined) {
      throw new DriverError(Reason.VolumeInUse, `${locationName(location)} is still mounted on this node`);
    }
    const missing = missingOf(volume);
    if (missing?.confirmed === true) return { kept: missing.message };
    this.#requireMaterial(volume);
    this.#watch?.forget(uid);
    try {
      const { deleted, kept, why } = await this.#looks.use(location, (objects) => objects.purge(uid, signal));
      if (kept > 0) {
        const message = `${kept} objects in ${locationName(location)} cannot be deleted yet, ${deleted} were: ${why}`;
        throw new DriverError(Reason.ObjectsLocked, message);
      }
      await this.release(volume);
      return { kept: undefined };
    } catch (thrown) {
      if (thrown instanceof DriverError && thrown.reason === Reason.DataRetained) {
        // Deleted in an earlier call, or never ours.
        const { empty } = await this.#looks.use(location, (objects) => objects.look(uid, signal));
        return { kept: empty ? undefined : thrown.message };
      }
      throw thrown;
    } finally {
      this.#looks.forget(uid);
    }
  }

  release({ uid }: DriverVolume): Promise<void> {
    this.#reverts.forget(uid);
    return Promise.resolve();
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

  async #unbind(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<NodeUnmountOutcome> {
    const { state, entry, message } = await this.observeMount(volume, mount, signal);
    if (state === 'foreign') throw new DriverError(Reason.MountTargetConflict, message);
    if (state === 'overmounted') throw new DriverError(Reason.MountCovered, message);
    const stageMount = this.#stageMount(volume.uid);
    const device = entry?.device ?? stageMount?.device;
    const was = device === undefined ? {} : { was: { device, root: '/', options: volume.mountOptions } };
    const request = {
      target: targetOf(mount),
      mountId: entry?.id,
      scope: 'copies' as const,
      // Of a dead process: who still holds it gets errors alone, and must not keep the new mount away.
      force: state === 'stale',
      ...was,
    };
    return await asDriver(Reason.UnmountFailed, () => this.#node.unmount(request, signal));
  }

  /** After a remount: whether a workload with a private copy of the older mount is left. */
  async #lookAround(uid: string, judged: MountObservation, signal: AbortSignal): Promise<MountObservation> {
    const request = {
      target: stageTarget(this.#node, uid),
      fsType: FS_TYPE,
      source: sourceOf(uid),
      device: judged.entry?.device ?? '',
    };
    const holders = await asDriver(Reason.MountFailed, () => this.#node.call('staleCopies', request, { signal }));
    if (holders.length === 0) return judged;
    const who = holders.map(({ pid, comm }) => `${comm} (pid ${pid})`).join(', ');
    const message = `${who} still see the older mount, which answers nothing any more; start them again, and bind the parent of the target with rslave propagation.`;
    return { ...judged, reason: Reason.StaleInWorkload, message };
  }

  /** What the server does not have yet, after waiting a little for it. */
  async #pending(uid: string, signal: AbortSignal): Promise<PendingUpload | undefined> {
    const deadline = performance.now() + UPLOAD_WAIT_MS;
    for (;;) {
      const daemon = await this.#findDaemon(uid, signal);
      if (daemon === undefined) return undefined;
      const queue = await pushUploads(daemon, signal).catch((thrown: unknown) => {
        if (signal.aborted) throw thrown;
        throw new DriverError(
          Reason.MountUnresponsive,
          'the process that serves the mount does not say what it has sent',
          {
            cause: thrown,
          },
        );
      });
      // A file that was closed a moment ago may not be in the queue yet: its note in the cache tells of it.
      const sizes = queue.length > 0 ? queue.map(({ size }) => size) : unsentFiles(directoryOf(this.#node, uid));
      if (sizes.length === 0) return undefined;
      if (performance.now() > deadline) return pendingOf(sizes);
      await new Promise((resolve) => setTimeout(resolve, UPLOAD_POLL_MS));
    }
  }

  /** What this node has of a volume that the server has not, and where it may have been written. */
  async #unsent({ uid }: DriverVolume, signal: AbortSignal) {
    const left = (await this.#findDaemon(uid, signal)) === undefined ? unsentFiles(directoryOf(this.#node, uid)) : [];
    const pending = left.length > 0 ? pendingOf(left) : await this.#pending(uid, signal);
    if (pending === undefined) return undefined;
    return { ...pending, targets: this.#binds(uid).map(({ target }) => target) };
  }

  /** The process that serves the volume, if it answers; one that hangs is ended. */
  async #liveDaemon(uid: string, signal: AbortSignal, known?: DaemonProcess): Promise<DaemonProcess | undefined> {
    const daemon = known ?? (await this.#findDaemon(uid, signal));
    const pingedAt = this.#pingedAt.get(uid) ?? Number.NEGATIVE_INFINITY;
    if (daemon === undefined || performance.now() - pingedAt < this.#hungMs / 2) return daemon;
    if (await ping(daemon, signal, this.#hungMs)) {
      this.#pingedAt.set(uid, performance.now());
      return daemon;
    }
    await asDriver(Reason.MountUnresponsive, () =>
      this.#node.call('stopDaemon', { directory: directoryOf(this.#node, uid), patienceMs: 0 }, { signal }),
    );
    return undefined;
  }

  async #findDaemon(uid: string, signal: AbortSignal): Promise<DaemonProcess | undefined> {
    const directory = directoryOf(this.#node, uid);
    const found = await asDriver(Reason.MountFailed, () => this.#node.call('findDaemon', { directory }, { signal }));
    return found ?? undefined;
  }

  /** Tells the listeners when the process ends, however often the helper is replaced meanwhile. */
  #follow(uid: string, daemon: DaemonProcess): void {
    const followed = this.#followed.get(uid);
    if (followed?.pid === daemon.pid && followed.startTime === daemon.startTime) return;
    this.#followed.set(uid, daemon);
    const isCurrent = (): boolean => this.#followed.get(uid) === daemon;
    const wait = (): void => {
      const never = new AbortController().signal;
      this.#node.call('awaitDaemonEnd', daemon, { signal: never, deadlineMs: FOLLOW_MS }).then(
        () => {
          if (!isCurrent()) return;
          this.#followed.delete(uid);
          this.#pingedAt.delete(uid);
          this.#tell(uid);
        },
        (thrown: unknown) => {
          if (!isCurrent()) return;
          const { code } = NodeError.from(thrown);
          // The layer was closed, or the helper does not come back: a look will follow it again.
          if (code === 'HelperLost' || code === 'DeadlineExceeded') setTimeout(wait, 100).unref();
          else this.#followed.delete(uid);
        },
      );
    };
    wait();
  }

  async #pingProcess(uid: string): Promise<void> {
    // One that has not mounted yet cannot be asked.
    if (this.#stageMount(uid)?.source !== sourceOf(uid)) return;
    // The end of one that is followed would have been told of: the helper need not be asked whether it runs.
    const daemon = await this.#liveDaemon(uid, new AbortController().signal, this.#followed.get(uid));
    if (daemon !== undefined) limitLog(directoryOf(this.#node, uid));
  }

  #tell(uid: string): void {
    for (const listener of this.#listeners) listener(uid);
  }

  #stageMount(uid: string): MountEntry | undefined {
    return stageMountOf(this.#node, uid);
  }

  /** Mounts of the volume's filesystem beside its stage. */
  #binds(uid: string): readonly MountEntry[] {
    const { root, path } = stageTarget(this.#node, uid);
    const staged = join(root, path);
    const source = sourceOf(uid);
    return this.#node.table
      .current()
      .filter((entry) => entry.fsType === FS_TYPE && entry.source === source && entry.target !== staged);
  }

  #requireMaterial(volume: DriverVolume): void {
    const missing = missingOf(volume);
    if (missing !== undefined) throw new DriverError(Reason.CredentialsNotFound, missing.message);
  }

  async #version(signal: AbortSignal): Promise<string> {
    const file = findProgram('rclone') ?? 'rclone';
    const changedMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (this.#probed?.file !== file || this.#probed.changedMs !== changedMs) {
      const { stdout } = await asDriver(Reason.CommandMissing, () =>
        this.#node.call('run', { argv: [file, 'version'] }, { signal }),
      );
      this.#probed = { file, changedMs, version: /v(\d+\.\d+)/.exec(stdout)?.[1] ?? '0.0' };
    }
    return this.#probed.version;
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

function pendingOf(sizes: readonly number[]): PendingUpload {
  const bytes = sizes.reduce((sum, size) => sum + BigInt(Math.max(0, size)), 0n);
  return { outcome: 'upload-pending', files: sizes.length, bytes };
}

type S3Source = Extract<DriverVolume['source'], { readonly type: 's3' }>;

function s3Of({ source }: DriverVolume): S3Source {
  if (source.type === 's3') return source;
  throw new DriverError(Reason.InvalidSpec, `a ${source.type} volume was given to the s3 driver`, { terminal: true });
}

function locationOf(volume: DriverVolume): S3Location {
  return s3Of(volume).location;
}

function missingOf(volume: DriverVolume): S3Source['missing'] {
  return s3Of(volume).missing;
}

function targetOf({ targetRoot, targetPath }: DriverMount): TargetPath {
  return { root: targetRoot, path: targetPath };
}
