/**
 * The processes that serve the buckets of this node, one for each volume, or for who reads one: started, found again by
 * whoever comes later, looked after while they run, and ended when nothing would be lost with them. All by the UID of the
 * volume alone.
 *
 * What was written is in the cache of the process until the server has it. So giving a volume back waits for the uploads;
 * where the process died, the next one sends what it left.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Reason } from '../../api/reasons.ts';
import type { BindResult, NodeLayer } from '../../node/layer.ts';
import type { DaemonProcess } from '../../node/mount-daemons/operations.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { NodeError } from '../../node/node-error.ts';
import { findProgram } from '../../node/programs.ts';
import type { S3Location } from '../../s3/location.ts';
import { DriverError, type PendingUpload, type UnmountOutcome } from '../driver.ts';
import { asDriver } from '../failure.ts';
import { stageMountOf, stageTarget } from '../stage.ts';
import { mendNotes, unsentFiles } from './cache-notes.ts';
import { directoryOf, FS_TYPE, forget, limitLog, rescueOf, sourceOf, startRequest, writeSecrets } from './engine.ts';
import { ping, pushUploads } from './rc.ts';

/** Time for the engine to mount; it does so whether or not the server answers. */
const START_MS = 20_000;
/** Time that an unmount itself waits for uploads before it says what is left. */
const UPLOAD_WAIT_MS = 1_000;
const UPLOAD_POLL_MS = 100;
/** A process that does not answer its socket for so long hangs; it is ended, and another takes its place. */
const HUNG_MS = 10_000;
const EXIT_PATIENCE_MS = 10_000;
const FOLLOW_MS = 86_400_000;

export interface ProcessesOptions {
  /** How long a process may stay silent, in milliseconds. */
  readonly hungMs?: number | undefined;
  /** Time for it to mount, in milliseconds. */
  readonly startMs?: number | undefined;
  /** Told of each volume whose process has ended, as far as it was attended. */
  readonly onEnd?: (uid: string) => void;
}

export class Processes {
  readonly #node: NodeLayer;
  readonly #hungMs: number;
  readonly #startMs: number;
  readonly #onEnd: (uid: string) => void;
  /** Processes whose end is awaited, by volume UID. */
  readonly #followed = new Map<string, DaemonProcess>();
  readonly #pingedAt = new Map<string, number>();

  constructor(node: NodeLayer, options: ProcessesOptions = {}) {
    const { hungMs = HUNG_MS, startMs = START_MS, onEnd = () => undefined } = options;
    this.#node = node;
    this.#hungMs = hungMs;
    this.#startMs = startMs;
    this.#onEnd = onEnd;
  }

  /** Starts the process of a volume, unless it runs already, and attends it; then the mount is there. */
  async start(uid: string, location: S3Location, signal: AbortSignal): Promise<void> {
    const directory = directoryOf(this.#node, uid);
    if (!(await this.isRunning(uid, signal))) mendNotes(directory, rescueOf(this.#node, uid));
    const { process } = await this.#start(uid, location, 'writing', signal);
    this.#follow(uid, process);
  }

  /** Starts one that has no cache and cannot write, for who reads under this UID. @returns its mount. */
  async startReader(uid: string, location: S3Location, signal: AbortSignal): Promise<MountEntry> {
    const { entry } = await this.#start(uid, location, 'reading', signal);
    return entry;
  }

  async isRunning(uid: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#find(uid, signal)) !== undefined;
  }

  /** Whether the process runs and answers; then its end will be told. One that hangs is ended. */
  async attend(uid: string, signal: AbortSignal): Promise<boolean> {
    const daemon = await this.#live(uid, signal);
    if (daemon === undefined) return false;
    this.#follow(uid, daemon);
    limitLog(directoryOf(this.#node, uid));
    return true;
  }

  /** Ends a process that hangs. Cheap: for a look every few seconds. */
  async ping(uid: string): Promise<void> {
    // One that has not mounted yet cannot be asked.
    if (this.mountOf(uid) === undefined) return;
    // The end of one that is followed would have been told of: the helper need not be asked whether it runs.
    const daemon = await this.#live(uid, new AbortController().signal, this.#followed.get(uid));
    if (daemon !== undefined) limitLog(directoryOf(this.#node, uid));
  }

  /** The mount that the process serves, or a dead one served; undefined where something else is mounted. */
  mountOf(uid: string): MountEntry | undefined {
    const entry = stageMountOf(this.#node, uid);
    return entry?.source === sourceOf(uid) ? entry : undefined;
  }

  /** Mounts of the volume's filesystem beside its stage. */
  binds(uid: string): readonly MountEntry[] {
    const { root, path } = stageTarget(this.#node, uid);
    const staged = join(root, path);
    const source = sourceOf(uid);
    return this.#node.table
      .current()
      .filter((entry) => entry.fsType === FS_TYPE && entry.source === source && entry.target !== staged);
  }

  /** What the server does not have yet, after waiting a little for it; nothing is known of what a dead process left. */
  async pending(uid: string, signal: AbortSignal): Promise<PendingUpload | undefined> {
    const deadline = performance.now() + UPLOAD_WAIT_MS;
    for (;;) {
      const daemon = await this.#find(uid, signal);
      if (daemon === undefined) return undefined;
      const queue = await pushUploads(daemon, signal).catch((thrown: unknown) => {
        if (signal.aborted) throw thrown;
        const message = 'the process that serves the mount does not say what it has sent';
        throw new DriverError(Reason.MountUnresponsive, message, { cause: thrown });
      });
      // A file that was closed a moment ago may not be in the queue yet: its note in the cache tells of it.
      const sizes = queue.length > 0 ? queue.map(({ size }) => size) : this.#unsentFiles(uid);
      if (sizes.length === 0) return undefined;
      if (performance.now() > deadline) return pendingOf(sizes);
      await sleep(UPLOAD_POLL_MS);
    }
  }

  /** What this node has of a volume that the server has not, and where it may have been written. */
  async unsent(uid: string, signal: AbortSignal) {
    // A process that has ended, also while it was waited for, says nothing of what it has not sent: its notes do.
    const pending = (await this.pending(uid, signal)) ?? pendingOf(this.#unsentFiles(uid));
    if (pending.files === 0) return undefined;
    return { ...pending, targets: this.binds(uid).map(({ target }) => target) };
  }

  /** Something that was written here has not been sent, as far as is known without asking the process. */
  hasUnsent(uid: string): boolean {
    return this.#unsentFiles(uid).length > 0;
  }

  /** Resolves when the server has all that was written. @throws DriverError `UploadPending` when the process has ended. */
  async flush(uid: string, signal: AbortSignal): Promise<void> {
    while ((await this.pending(uid, signal)) !== undefined) signal.throwIfAborted();
    // Without its process nothing says that the server has it all.
    if (!(await this.isRunning(uid, signal)) || this.#unsentFiles(uid).length > 0) {
      throw new DriverError(Reason.UploadPending, 'the process that uploads what was written has ended');
    }
  }

  /**
   * Gives back what this node has of a volume. `restart` starts the process again, where only it can send what the last one
   * left.
   */
  async giveBack(
    uid: string,
    mayLoseData: boolean,
    restart: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<UnmountOutcome> {
    const binds = this.binds(uid);
    if (binds.length > 0)
      return { outcome: 'busy', holders: [], mounts: binds.slice(0, 5).map(({ target }) => target) };
    if (!mayLoseData) {
      const pending = await this.pending(uid, signal);
      if (pending !== undefined) return pending;
      const unsent = this.#unsentFiles(uid);
      if (unsent.length > 0) {
        // Only a process that runs can send what the last one left.
        if ((await this.#live(uid, signal)) === undefined) await restart();
        return (await this.pending(uid, signal)) ?? pendingOf(unsent);
      }
    }
    const isAlive = await this.isRunning(uid, signal);
    const request = {
      target: stageTarget(this.#node, uid),
      mountId: stageMountOf(this.#node, uid)?.id,
      scope: 'device' as const,
      // What a dead process served can hold no data back.
      force: !isAlive || mayLoseData,
    };
    const outcome = await asDriver(Reason.UnmountFailed, () => this.#node.unmount(request, signal));
    if (outcome.outcome !== 'done') return outcome;
    const directory = directoryOf(this.#node, uid);
    const patience = mayLoseData ? 0 : EXIT_PATIENCE_MS;
    await asDriver(Reason.UnmountFailed, () =>
      this.#node.call('stopDaemon', { directory, patienceMs: patience }, { signal, deadlineMs: 2 * EXIT_PATIENCE_MS }),
    );
    const left = mayLoseData ? [] : this.#unsentFiles(uid);
    if (left.length > 0) return pendingOf(left);
    forget(directory);
    return outcome;
  }

  async #start(
    uid: string,
    location: S3Location,
    use: 'writing' | 'reading',
    signal: AbortSignal,
  ): Promise<BindResult & { readonly process: DaemonProcess }> {
    const rclone = findProgram('rclone');
    if (rclone === undefined) throw new DriverError(Reason.CommandMissing, 'rclone is not installed');
    writeSecrets(directoryOf(this.#node, uid), location);
    const request = startRequest(this.#node, rclone, uid, location, use);
    return await asDriver(Reason.MountFailed, () =>
      this.#node.call('startMountDaemon', request, { signal, deadlineMs: this.#startMs }),
    );
  }

  /** The process that serves the volume, if it answers; one that hangs is ended. */
  async #live(uid: string, signal: AbortSignal, known?: DaemonProcess): Promise<DaemonProcess | undefined> {
    const daemon = known ?? (await this.#find(uid, signal));
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

  async #find(uid: string, signal: AbortSignal): Promise<DaemonProcess | undefined> {
    const directory = directoryOf(this.#node, uid);
    const found = await asDriver(Reason.MountFailed, () => this.#node.call('findDaemon', { directory }, { signal }));
    return found ?? undefined;
  }

  /** Sizes of what is in the cache and not at the server, as its notes say. */
  #unsentFiles(uid: string): readonly number[] {
    return unsentFiles(directoryOf(this.#node, uid));
  }

  /** Tells when the process ends, however often the helper is replaced meanwhile. */
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
          this.#onEnd(uid);
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
}

function pendingOf(sizes: readonly number[]): PendingUpload {
  const bytes = sizes.reduce((sum, size) => sum + BigInt(Math.max(0, size)), 0n);
  return { outcome: 'upload-pending', files: sizes.length, bytes };
}
