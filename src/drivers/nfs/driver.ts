/**
 * nfs: a directory that a server exports, mounted by the kernel's client once per volume and node, and bound from there.
 *
 * Everything that asks the server has a deadline and runs where it can be killed. A mount whose server does not answer is
 * left alone: it works again when the server does. One whose handle the server no longer knows is mounted anew.
 */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, TargetPath, UnmountOutcome } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { NfsMounted } from '../../node/network/operations.ts';
import type { Records } from '../../node/records.ts';
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
  type ReadingCalls,
  type SnapshotCalls,
  type Usage,
  type VolumeObservation,
  type WritingCalls,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { lackingFeature } from '../lacking.ts';
import type { Reverts } from '../reverts.ts';
import type { SnapshotRecord } from '../snapshot-record.ts';
import { inUse, pathOf, stageMountOf, stageTarget } from '../stage.ts';
import { judgeTarget, refuseOthers, targetOf, type WantedMount } from '../target-state.ts';
import type { FillRecord } from '../trees/fill.ts';
import { lookInside, refuseMounted, syncTo } from '../writing.ts';
import { NfsContent, refuseHidden } from './content.ts';
import { nfsFailure } from './failure.ts';
import { nfsOptions } from './mount-options.ts';
import { type FoundDirectory, NfsNotes } from './notes.ts';
import type { NfsRecord } from './record.ts';
import { NfsServers, PROBE_MS } from './servers.ts';
import { NfsStage, unmounted } from './stage.ts';
import { capacityOf, isExport, sourceNameOf, sourceOf } from './volume.ts';

/** As Kubernetes makes them: any user of the workload may write. */
const DIRECTORY_MODE = 0o777;

/** What the driver needs of the node layer. */
export type NfsNode = Pick<
  NodeLayer,
  'features' | 'mountRoot' | 'table' | 'bindOwn' | 'unmount' | 'removeTree' | 'call'
>;

export interface NfsDriverOptions {
  readonly node: NfsNode;
  readonly records: Records<NfsRecord>;
  readonly snapshots: Records<SnapshotRecord>;
  readonly fills: Records<FillRecord>;
  readonly reverts: Reverts;
  /** Milliseconds of a clock that only goes forward; replaced in tests. */
  readonly now?: () => number;
}

export class NfsDriver implements Driver {
  readonly type = 'nfs';
  readonly #node: NfsNode;
  readonly #notes: NfsNotes;
  readonly #servers: NfsServers;
  readonly #stage: NfsStage;
  readonly #content: NfsContent;
  readonly #reverts: Reverts;

  constructor({ node, records, snapshots, fills, reverts, now = () => performance.now() }: NfsDriverOptions) {
    this.#node = node;
    this.#notes = new NfsNotes(records);
    this.#reverts = reverts;
    this.#content = new NfsContent({ node, snapshots, fills, reverts });
    this.#servers = new NfsServers(node, now);
    this.#stage = new NfsStage(node, this.#servers);
  }

  async capabilities(signal: AbortSignal): Promise<DriverCapabilities> {
    const features = [
      {
        name: 'CapacityEnforcement',
        available: false,
        reason: Reason.NotEnforceable,
        message: 'what an NFS server limits is its own affair',
      },
    ];
    const no = (reason: Reason, message: string) => ({ supported: false, reason, message, features });
    const lacking = lackingFeature(this.#node);
    if (lacking !== undefined) return no(Reason.KernelFeatureMissing, lacking.message);
    const { kernel, command } = await asDriver(Reason.HelperUnavailable, () => {
      return this.#node.call('probeNfs', null, { signal });
    });
    if (!kernel) return no(Reason.KernelFeatureMissing, 'this kernel has no NFS client (module nfs)');
    if (!command) return no(Reason.CommandMissing, 'mount.nfs is missing; install nfs-common');
    return { supported: true, reason: Reason.Supported, message: '', features };
  }

  get snapshots(): SnapshotCalls {
    return this.#content.snapshots;
  }

  async observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation> {
    const note = this.#content.noteOf(volume);
    const record = this.#notes.of(volume);
    const stageMount = stageMountOf(this.#node, volume.uid);
    const staged = stageMount !== undefined && isExport(stageMount, volume);
    return {
      provisioned: record !== undefined,
      enforcedBytes: undefined,
      capacity: capacityOf(volume, record),
      staged,
      stageMount,
      problem: (await this.#problemOf(volume, stageMount, staged, signal)) ?? (await this.#halfOf(volume, signal)),
      ownedByUs: record?.created === true,
      copyFor: this.#reverts.copyOf(volume.uid),
      ...(note === undefined ? {} : { note }),
    };
  }

  async provision(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    refuseUnusable(volume);
    if (this.#notes.of(volume) !== undefined) return;
    const { subPath } = sourceOf(volume);
    const { entry, fsid } = await this.#stage.mountNew(volume, signal);
    const found = subPath === undefined ? undefined : await this.#directory(volume, entry, subPath, signal);
    // The node that had it before may have been lost in the middle of a revert.
    if (found?.created !== true) {
      const options = { signal, deadlineMs: PROBE_MS };
      await this.#servers.ask(volume, () => this.#content.takeUpHalf(volume, this.#dataOf(volume), options));
    }
    await this.#note(volume, { entry, fsid }, found, signal);
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    refuseUnusable(volume);
    if (this.#notes.of(volume) !== undefined) return;
    if (volume.wasProvisioned) throw new DriverError(Reason.DataMissing, missing(volume), { terminal: true });
    const { isMade } = await this.#content.fill(volume, call);
    const { subPath } = sourceOf(volume);
    const { entry, fsid } = await this.#stage.mountNew(volume, call.signal);
    const found = subPath === undefined ? undefined : await this.#directory(volume, entry, subPath, call.signal);
    await this.#note(volume, { entry, fsid }, found && { ...found, created: isMade }, call.signal);
  }

  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    refuseUnusable(volume);
    // What is mounted would show the old files by their handles.
    const outcome = await this.unstage(volume, call.signal);
    if (outcome.outcome !== 'done') {
      const message = `${sourceNameOf(volume)} is still in use (${inUse(outcome)})`;
      throw new DriverError(Reason.VolumeInUse, message, { terminal: true });
    }
    await this.#content.revert(volume, snapshot, restore, call);
  }

  tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return this.#servers.ask(volume, () => this.#content.tidy(volume, signal), Reason.RevertFailed);
  }

  readonly reading: ReadingCalls = {
    read: (volume, reading, work, signal) => this.#content.read(volume, reading, work, signal),
    close: (uid) => this.#content.close(uid),
  };

  /** What was written by others meanwhile is the server's affair: it is exported to whomever. */
  readonly writing: WritingCalls = {
    open: async (volume, signal) => {
      await this.#stage.renew(volume, signal);
      const stage = stageMountOf(this.#node, volume.uid);
      refuseMounted(this.#node, volume.name, stage);
      const look = await this.#servers.ask(volume, () => lookInside(this.#node, { own: this.#dataOf(volume) }, signal));
      return { ...look, device: stage?.device };
    },
    flush: (volume, signal) =>
      this.#servers.ask(volume, () => syncTo(this.#node, pathOf(stageTarget(this.#node, volume.uid)), signal)),
  };

  async stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    await this.#stage.mount(volume, signal);
  }

  async observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    const target = targetOf(mount);
    try {
      const request = { target, own: this.#dataOf(volume) };
      const seen = await this.#servers.ask(volume, () => {
        return this.#node.call('observeTarget', request, { signal, deadlineMs: PROBE_MS });
      });
      const judged = judgeTarget(seen, wantedOf(volume, mount));
      if (judged.state !== 'mounted' && judged.state !== 'stale') return judged;
      const trouble = await this.#servers.trouble(volume, pathOf(target), signal);
      if (trouble === undefined) return judged;
      const state = trouble.reason === Reason.StaleHandle ? 'stale' : 'unresponsive';
      return { ...judged, state, source: sourceNameOf(volume), message: trouble.message, reason: trouble.reason };
    } catch (thrown) {
      const failure = nfsFailure(thrown, sourceNameOf(volume), Reason.MountUnresponsive);
      if (signal.aborted || failure.reason !== Reason.ServerUnreachable) throw failure;
      return this.#unanswered(volume, target, failure);
    }
  }

  async publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    await this.#stage.renew(volume, signal);
    // On whatever node: only the one that was lost may have a note of it.
    const options = { signal, deadlineMs: PROBE_MS };
    await this.#servers.ask(volume, () => this.#content.refuseHalf(this.#dataOf(volume), options));
    const { attributes } = nfsOptions(volume.mountOptions);
    const request = {
      source: this.#dataOf(volume),
      target: targetOf(mount),
      readOnly: mount.readOnly,
      options: attributes,
    };
    await bindOrReplace({
      bind: () => this.#servers.ask(volume, () => this.#node.bindOwn(request, signal)),
      observe: () => this.observeMount(volume, mount, signal),
      unpublish: () => this.unpublish(volume, mount, signal),
    });
  }

  async unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    const target = targetOf(mount);
    const observed = await this.observeMount(volume, mount, signal);
    refuseOthers(observed);
    const { entry } = observed;
    const stage = stageMountOf(this.#node, volume.uid);
    const of = entry ?? stage;
    const was =
      of === undefined ? {} : { was: { device: of.device, root: of.root, options: this.#attributes(volume) } };
    // Asks no server: only the last mount of the export has something to write out.
    return await unmounted(volume, () => {
      return this.#node.unmount({ target, mountId: entry?.id, scope: 'copies', ...was }, signal);
    });
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#stage.unstage(volume, signal);
  }

  async delete(volume: DriverVolume, signal: AbortSignal): Promise<Deletion> {
    const record = this.#notes.of(volume);
    const kept = this.#notes.reasonToKeep(volume);
    if (kept !== undefined || record?.subPath === null || record === undefined) {
      await this.release(volume, signal);
      return { kept };
    }
    const { entry, fsid } = await this.#stage.mountNew(volume, signal);
    const { device, target } = entry;
    const user = this.#node.table.current().find((other) => other.device === device && other.id !== entry.id);
    if (user !== undefined) {
      throw new DriverError(Reason.VolumeInUse, `${sourceNameOf(volume)} is still mounted at ${user.target}`);
    }
    const mount = stageTarget(this.#node, volume.uid);
    const path = record.subPath;
    const found = await this.#servers.ask(volume, () => {
      return this.#node.call('findDirectory', { mount, device, path }, { signal, deadlineMs: PROBE_MS });
    });
    const isOurs = found !== null && String(found.ino) === record.ino && fsid === record.fsid;
    await this.#servers.ask(volume, () => this.#content.forget(volume, signal), Reason.DeleteFailed);
    if (isOurs) {
      await this.#servers.ask(volume, () => this.#node.removeTree({ root: target, path }, signal), Reason.DeleteFailed);
    }
    this.#notes.forget(volume.uid);
    const outcome = await this.unstage(volume, signal);
    if (outcome.outcome !== 'done') {
      throw new DriverError(Reason.VolumeInUse, `${sourceNameOf(volume)} is still in use (${inUse(outcome)})`);
    }
    const other = `"${sourceNameOf(volume)}" is another directory than the one that was made for the volume.`;
    return { kept: found === null || isOurs ? undefined : other };
  }

  async release(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    await this.#servers.ask(volume, () => this.#content.forget(volume, signal), Reason.DeleteFailed);
    this.#notes.forgetUnlessMade(volume.uid);
  }

  async usage(volume: DriverVolume, signal: AbortSignal): Promise<Usage | undefined> {
    const entry = stageMountOf(this.#node, volume.uid);
    if (entry === undefined || !isExport(entry, volume)) return undefined;
    const { usedBytes, totalBytes } = await this.#servers.statfs(volume, entry.target, signal);
    return { usedBytes, totalBytes };
  }

  leftovers(): Promise<readonly DriverLeftover[]> {
    return Promise.resolve(this.#notes.made());
  }

  /** Makes the volume's own directory, or finds it; one that was there before and is gone is not made anew. */
  async #directory(volume: DriverVolume, { device }: MountEntry, path: string, signal: AbortSignal) {
    const mount = stageTarget(this.#node, volume.uid);
    const options = { signal, deadlineMs: PROBE_MS };
    if (!volume.wasProvisioned) {
      const request = { mount, device, path, mode: DIRECTORY_MODE };
      return await this.#servers.ask(volume, () => this.#node.call('makeDirectory', request, options));
    }
    const found = await this.#servers.ask(volume, () =>
      this.#node.call('findDirectory', { mount, device, path }, options),
    );
    if (found !== null) return { ...found, created: false, adopted: true };
    throw new DriverError(Reason.DataMissing, missing(volume), { terminal: true });
  }

  /** From now on the volume is provisioned. */
  async #note(
    volume: DriverVolume,
    { entry, fsid }: Pick<NfsMounted, 'entry' | 'fsid'>,
    found: FoundDirectory | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { totalBytes } = await this.#servers.statfs(volume, entry.target, signal);
    this.#notes.write(volume, { fsid, totalBytes }, found);
  }

  async #problemOf(
    volume: DriverVolume,
    entry: MountEntry | undefined,
    staged: boolean,
    signal: AbortSignal,
  ): Promise<VolumeObservation['problem']> {
    try {
      nfsOptions(volume.mountOptions);
    } catch (thrown) {
      const { reason, message } = nfsFailure(thrown, '', Reason.MountOptionNotAllowed);
      return { reason, message, terminal: true };
    }
    if (entry === undefined) return undefined;
    if (!staged) {
      const message = `${entry.source} is mounted over the storage of the volume`;
      return { reason: Reason.MountCovered, message, terminal: false };
    }
    const trouble = await this.#servers.trouble(volume, entry.target, signal);
    if (trouble !== undefined) return { reason: trouble.reason, message: trouble.message, terminal: false };
    const { subPath } = sourceOf(volume);
    if (subPath === undefined) return undefined;
    const isMissing =
      (await this.#servers.trouble(volume, pathOf(this.#dataOf(volume)), signal))?.reason === Reason.DataMissing;
    const isMade = volume.wasProvisioned || this.#notes.of(volume) !== undefined;
    return isMissing && isMade ? { reason: Reason.DataMissing, message: missing(volume), terminal: false } : undefined;
  }

  /** What a person should read of a revert that has not ended; another node may have ended it meanwhile. */
  async #halfOf(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation['problem']> {
    if (this.#reverts.begunOf(volume.uid) === undefined) return undefined;
    try {
      await this.#servers.ask(volume, () => this.#content.forgetEnded(volume, signal));
    } catch (thrown) {
      // What is known last stands as long as the server cannot be asked.
      if (signal.aborted) throw thrown;
    }
    return this.#reverts.problemOf(volume.uid);
  }

  /** What the mount table alone can say of a target whose server did not answer. */
  #unanswered(volume: DriverVolume, target: TargetPath, failure: DriverError): MountObservation {
    const entry = this.#node.table.at(pathOf(target));
    const { message, reason } = failure;
    if (entry === undefined)
      return { state: 'absent', entry, source: undefined, message: 'nothing is mounted', reason };
    if (!isExport(entry, volume, 'bind')) {
      return { state: 'foreign', entry, source: undefined, message: `${entry.source} is mounted at the target` };
    }
    return { state: 'unresponsive', entry, source: sourceNameOf(volume), message, reason };
  }

  /** What workloads see of the volume. */
  #dataOf(volume: DriverVolume): TargetPath {
    const { root, path } = stageTarget(this.#node, volume.uid);
    const { subPath } = sourceOf(volume);
    return { root, path: subPath === undefined ? path : `${path}/${subPath}` };
  }

  #attributes(volume: DriverVolume): readonly string[] {
    return nfsOptions(volume.mountOptions).attributes;
  }
}

function missing(volume: DriverVolume): string {
  return `"${sourceNameOf(volume)}" was there and is not any more; nothing new is made in its place. Bring it back or delete the volume.`;
}

function refuseUnusable(volume: DriverVolume): void {
  refuseHidden(volume);
  if (volume.capacityPolicy !== 'Enforce') return;
  const message = 'capacityPolicy is Enforce, and what is written to an NFS server cannot be limited from here';
  throw new DriverError(Reason.CapacityNotEnforceable, message, { terminal: true });
}

function wantedOf(volume: DriverVolume, mount: DriverMount): WantedMount {
  return { readOnly: mount.readOnly, options: volume.mountOptions, sourceName: sourceNameOf(volume) };
}
