/** What both media share: what workloads see of a volume, and what is said of it. */
import type { NodeLayer, TargetPath, UnmountOutcome } from '../../node/layer.ts';
import { hasGivenUp, type MountEntry } from '../../node/mount-entry.ts';
import type { DriverLeftover, DriverVolume, VolumeObservation } from '../driver.ts';
import { stageTarget } from '../stage.ts';

/** Directory inside that is bound for workloads: the root itself may hold `lost+found`. */
export const DATA = 'data';
/** As Kubernetes makes them: any user of the workload may write. */
export const DATA_MODE = 0o777;

/** How one medium makes, stages and removes volumes; publishing is the same for all. */
export interface Medium {
  observe(volume: DriverVolume, stageMount: MountEntry | undefined, signal: AbortSignal): Promise<VolumeObservation>;
  /** Makes the storage, or grows it. */
  provision(
    volume: DriverVolume,
    sizeBytes: bigint,
    stageMount: MountEntry | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  stage(volume: DriverVolume, signal: AbortSignal): Promise<void>;
  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome>;
  delete(volume: DriverVolume, signal: AbortSignal): Promise<void>;
  leftovers(signal: AbortSignal): Promise<readonly DriverLeftover[]>;
  /** What the data comes from, for people. */
  sourceName(volume: DriverVolume): string;
}

export const ENFORCED: VolumeObservation['capacity'] = {
  enforced: true,
  reason: 'CapacityEnforced',
  message: 'A writer gets "no space left" at the capacity.',
};

/** What is seen of a volume that was not made yet. */
export const NOTHING: VolumeObservation = {
  provisioned: false,
  enforcedBytes: undefined,
  capacity: { enforced: false, reason: 'Provisioning', message: 'The storage is not made yet.' },
  staged: false,
  stageMount: undefined,
  problem: undefined,
  ownedByUs: true,
};

/** Reported and not repaired: only a person knows whether the disk below can be trusted again. */
export const FAILED: NonNullable<VolumeObservation['problem']> = {
  reason: 'FilesystemFailed',
  message:
    'The kernel made the filesystem of the volume read-only or shut it down, as it does after an I/O error; see dmesg. When the cause is gone, delete the VolumeMounts and make them again: it is then mounted anew, with what had reached the disk.',
  terminal: true,
};

export function dataDirectory(node: Pick<NodeLayer, 'mountRoot'>, uid: string): TargetPath {
  const { root, path } = stageTarget(node, uid);
  return { root, path: `${path}/${DATA}` };
}

/** A filesystem that the kernel made read-only after an I/O error, or something else at its place. */
export function problemOf(mount: MountEntry | undefined, isOurs: boolean): VolumeObservation['problem'] {
  if (mount === undefined) return undefined;
  if (!isOurs) {
    return {
      reason: 'MountCovered',
      message: `${mount.source} is mounted over the storage of the volume`,
      terminal: false,
    };
  }
  return mount.superOptions.includes('ro') || hasGivenUp(mount) ? FAILED : undefined;
}
