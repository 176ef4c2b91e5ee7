/** The facts of one VolumeRestore on its node: the object, its Volume, who uses that, how its repository is reached. */
import { keyOf } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { RestoringEngine } from '../../backup/find-backup.ts';
import type { Driver, DriverVolume, VolumeObservation } from '../../drivers/driver.ts';
import type { AccessResolution } from '../policy/repository.ts';
import type { Resolution } from '../policy/resolve-volume.ts';
import { driverVolume, resolveVolume } from '../policy/resolve-volume.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { BY_UID, BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';
import type { AccessOf } from './access.ts';

export interface VolumeRestoreDependencies extends AgentDependencies {
  readonly engine: RestoringEngine;
  readonly accessOf: AccessOf;
}

export interface VolumeRestoreFacts {
  readonly restore: VolumeRestore;
  /** The Volume with the UID that is named; undefined when it is gone. */
  readonly volume: Volume | undefined;
  readonly resolution: Resolution | undefined;
  readonly driver: Driver | undefined;
  readonly words: DriverVolume | undefined;
  /** What the driver sees of it; undefined when it was not asked. */
  readonly seen: VolumeObservation | undefined;
  /** The Snapshot of what is there now; undefined when this node does not know it yet. */
  readonly safety: Snapshot | undefined;
  /** VolumeMounts of the volume on this node. */
  readonly mounts: readonly VolumeMount[];
  readonly access: AccessResolution;
  /** Who reads the storage at the moment: backups, snapshots, volumes that are made from it. */
  readonly readers: readonly string[];
}

/** Gathers the facts. */
export async function observeVolumeRestore(
  restore: VolumeRestore,
  deps: VolumeRestoreDependencies,
  signal: AbortSignal,
): Promise<VolumeRestoreFacts> {
  const { stores, drivers, named } = deps;
  const { namespace = '' } = restore.metadata;
  const { volumeUID, safetySnapshotRef, repository, accessMode } = restore.spec;
  const volume = stores.volumes.byIndex(BY_UID, volumeUID)[0];
  const resolution = volume === undefined ? undefined : resolveVolume(policyFacts(deps, volume));
  const driver = resolution?.ok === true ? drivers.get(resolution.resolved.type) : undefined;
  const words =
    volume === undefined || resolution?.ok !== true ? undefined : driverVolume(volume, resolution.resolved, named);
  return {
    restore,
    volume,
    resolution,
    driver,
    words,
    seen: words === undefined ? undefined : await driver?.observeVolume(words, signal),
    safety: safetySnapshotRef && stores.snapshots.get(`${namespace}/${safetySnapshotRef.name}`),
    mounts: volume === undefined ? [] : stores.mounts.byIndex(BY_VOLUME, keyOf(volume)),
    readers: deps.uses.of(volumeUID),
    access: deps.accessOf({ namespace, location: repository, readOnly: accessMode === 'ReadOnly' }),
  };
}

/** The VolumeRestore that writes into a volume on this node, or is about to; undefined when there is none. */
export function volumeRestoreOf(volumeUID: string, { stores, nodeName }: AgentDependencies): VolumeRestore | undefined {
  return stores.volumeRestores
    .byIndex(BY_VOLUME_UID, volumeUID)
    .find((restore) => restore.status?.nodeName === nodeName && isWriting(restore));
}

/** It writes, or will: not one that has ended, nor one that only looks. */
export function isWriting(restore: VolumeRestore): boolean {
  return !hasRestoreEnded(restore) && restore.spec.dryRun !== true;
}
