/** Where a volume is mounted once on this node, and what workloads see of it. Shared by both media. */
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import type { NodeLayer, TargetPath, UnmountOutcome, UnmountRequest } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { DriverLeftover, DriverVolume, VolumeObservation } from '../driver.ts';
import { asDriver } from '../failure.ts';

/** Below the mount root; no namespace has a name like this. */
export const STAGE_FOLDER = '.volumes';
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

/** @throws NameError when the UID could not be part of a path. */
export function stageTarget({ mountRoot }: Pick<NodeLayer, 'mountRoot'>, uid: string): TargetPath {
  return { root: mountRoot, path: `${STAGE_FOLDER}/${uidSegment('metadata.uid', uid)}` };
}

export function dataDirectory(node: Pick<NodeLayer, 'mountRoot'>, uid: string): TargetPath {
  const { root, path } = stageTarget(node, uid);
  return { root, path: `${path}/${DATA}` };
}

export function stageMountOf(node: Pick<NodeLayer, 'mountRoot' | 'table'>, uid: string): MountEntry | undefined {
  return node.table.at(pathOf(stageTarget(node, uid)));
}

/** Every stage mount of this node. */
export function stageMounts({ mountRoot, table }: Pick<NodeLayer, 'mountRoot' | 'table'>): readonly MountEntry[] {
  return table.below(join(mountRoot, STAGE_FOLDER));
}

/** Takes the stage mount down; done only when no mount namespace shows its filesystem any more. */
export function unmountStage(
  node: Pick<NodeLayer, 'mountRoot' | 'table' | 'unmount'>,
  uid: string,
  signal: AbortSignal,
  was?: UnmountRequest['was'],
): Promise<UnmountOutcome> {
  const request: UnmountRequest = {
    target: stageTarget(node, uid),
    mountId: stageMountOf(node, uid)?.id,
    scope: 'device',
    ...(was === undefined ? {} : { was }),
  };
  return asDriver('UnmountFailed', () => node.unmount(request, signal));
}

/** In a few words, why an unmount of a stage is not done. */
export function inUse(outcome: UnmountOutcome): string {
  if (outcome.outcome !== 'busy') return outcome.outcome;
  const { mounts = [] } = outcome;
  return mounts.length > 0 ? `mounted at ${mounts.join(', ')}` : outcome.outcome;
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
  if (!mount.superOptions.includes('ro')) return undefined;
  return {
    reason: 'MountDrifted',
    message: 'The kernel made the filesystem of the volume read-only, as it does after an I/O error; see dmesg.',
    terminal: true,
  };
}

export function pathOf({ root, path }: TargetPath): string {
  return join(root, path);
}
