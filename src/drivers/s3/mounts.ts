/** Mounts of a bucket at the targets of workloads: binds of what the process of the volume serves, and what becomes of them. */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, UnmountOutcome as NodeUnmountOutcome } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { locationName } from '../../s3/location.ts';
import { bindOrReplace } from '../bind-or-replace.ts';
import {
  DriverError,
  type DriverMount,
  type DriverVolume,
  type MountObservation,
  type UnmountOutcome,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { stageMountOf, stageTarget } from '../stage.ts';
import { judgeTarget, refuseOthers, targetOf } from '../target-state.ts';
import { FS_TYPE, sourceOf } from './engine.ts';
import type { Processes } from './processes.ts';
import { locationOf, missingOf, requireMaterial } from './volume.ts';

export class Mounts {
  readonly #node: NodeLayer;
  readonly #processes: Processes;
  readonly #refuseHalf: (volume: DriverVolume, signal: AbortSignal) => Promise<void>;

  /** @param refuseHalf Throws where a part of the volume is of before a revert that has not ended. */
  constructor(
    node: NodeLayer,
    processes: Processes,
    refuseHalf: (volume: DriverVolume, signal: AbortSignal) => Promise<void>,
  ) {
    this.#node = node;
    this.#processes = processes;
    this.#refuseHalf = refuseHalf;
  }

  /** Not of what is half: the process would remember how that looked. */
  async stage(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    await this.#refuseHalf(volume, signal);
    await this.#start(volume, signal);
  }

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#processes.giveBack(volume.uid, volume.mayLoseData, () => this.#start(volume, signal), signal);
  }

  /** The stage mount of a volume whose process runs, started if need be. @throws DriverError `VolumeNotReady` */
  async served(volume: DriverVolume, signal: AbortSignal): Promise<MountEntry> {
    if (!(await this.#processes.isRunning(volume.uid, signal))) await this.stage(volume, signal);
    const entry = this.#processes.mountOf(volume.uid);
    if (entry !== undefined) return entry;
    throw new DriverError(Reason.VolumeNotReady, `${locationName(locationOf(volume))} is not mounted on this node`);
  }

  async observe(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation> {
    const { uid } = volume;
    const request = { target: targetOf(mount), own: stageTarget(this.#node, uid) };
    const seen = await asDriver(Reason.MountFailed, () => this.#node.observeTarget(request, signal));
    const judged = judgeTarget(seen, {
      readOnly: mount.readOnly,
      options: volume.mountOptions,
      sourceName: locationName(locationOf(volume)),
    });
    const { state, entry } = judged;
    if (state === 'absent' || state === 'overmounted' || entry?.source !== sourceOf(uid)) return judged;
    // One that is served no more looks like any other: as dead as the stage, or of another filesystem than the new one.
    const isServed = entry.device === stageMountOf(this.#node, uid)?.device;
    if (state !== 'foreign' && isServed && (await this.#processes.isRunning(uid, signal))) {
      return state === 'mounted' && mount.remounted === true ? this.#lookAround(uid, judged, signal) : judged;
    }
    const source = locationName(locationOf(volume));
    return { ...judged, state: 'stale', source, message: 'the process that served the mount has ended' };
  }

  async publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void> {
    await this.#refuseHalf(volume, signal);
    const { device } = await this.served(volume, signal);
    const request = {
      source: stageTarget(this.#node, volume.uid),
      device,
      target: targetOf(mount),
      readOnly: mount.readOnly,
      options: volume.mountOptions,
    };
    await bindOrReplace({
      bind: () => this.#node.bindOwn(request, signal),
      observe: () => this.observe(volume, mount, signal),
      unpublish: async () => {
        const outcome = await this.#unbind(volume, mount, signal);
        // A copy elsewhere of what is dead holds nothing back; it is reported once the new one is there.
        return outcome.outcome === 'in-use-by-other-namespace' ? { outcome: 'done' } : outcome;
      },
    });
  }

  async unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome> {
    const outcome = await this.#unbind(volume, mount, signal);
    const { uid } = volume;
    // Another mount of the volume goes on writing: its own unmount will wait.
    if (outcome.outcome !== 'done' || volume.mayLoseData || this.#processes.binds(uid).length > 0) return outcome;
    // Once the mount is gone, nobody looks for what was left by a process that died, or by a machine without power. Where
    // the credentials are gone for good nobody can send it: it stays in the cache, and the namespace may go.
    const isLeft = this.#processes.hasUnsent(uid) && !(await this.#processes.isRunning(uid, signal));
    if (isLeft && missingOf(volume)?.confirmed !== true) await this.#start(volume, signal);
    return (await this.#processes.pending(uid, signal)) ?? outcome;
  }

  async #start(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    requireMaterial(volume);
    await this.#processes.start(volume.uid, locationOf(volume), signal);
  }

  async #unbind(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<NodeUnmountOutcome> {
    const observed = await this.observe(volume, mount, signal);
    refuseOthers(observed);
    const { entry } = observed;
    const device = entry?.device ?? stageMountOf(this.#node, volume.uid)?.device;
    const was = device === undefined ? {} : { was: { device, root: '/', options: volume.mountOptions } };
    const request = {
      target: targetOf(mount),
      mountId: entry?.id,
      scope: 'copies' as const,
      // Of a dead process: who still holds it gets errors alone, and must not keep the new mount away.
      force: observed.state === 'stale',
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
}
