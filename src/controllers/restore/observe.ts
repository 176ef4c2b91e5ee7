/** The facts of one Restore on its node: the object, its Volume and Snapshots, who uses the volume. */
import { keyOf } from '../../api/meta.ts';
import type { Restore, RestoreOrigin } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Driver, DriverSnapshot, DriverVolume } from '../../drivers/driver.ts';
import { driverSnapshot, volumeOfMoment } from '../policy/driver-snapshot.ts';
import type { Resolution } from '../policy/resolve-volume.ts';
import { driverVolume, resolveVolume } from '../policy/resolve-volume.ts';
import { wordingOf } from '../snapshot/observe.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { BY_UID, BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';

export interface RestoreFacts {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly restore: Restore;
  readonly source: RestoreOrigin;
  /** The Volume with the UID of the source; undefined when it is gone. */
  readonly volume: Volume | undefined;
  readonly resolution: Resolution | undefined;
  /** The Snapshot with the UID of the source; undefined when it is gone. */
  readonly snapshot: Snapshot | undefined;
  /** The Snapshot of what is there now; undefined when this node does not know it yet. */
  readonly safety: Snapshot | undefined;
  /** VolumeMounts of the volume on this node. */
  readonly mounts: readonly VolumeMount[];
  readonly driver: Driver | undefined;
  /** Both in the words of the driver; undefined where one of them is not there. */
  readonly words: { readonly volume: DriverVolume; readonly snapshot: DriverSnapshot } | undefined;
}

/** Gathers the facts. Reads caches only. */
export function observeRestore(
  restore: Restore,
  source: RestoreOrigin,
  deps: AgentDependencies,
  now: number,
): RestoreFacts {
  const { stores, drivers, named } = deps;
  const volume = stores.volumes.byIndex(BY_UID, source.volumeUID)[0];
  const resolution = volume === undefined ? undefined : resolveVolume(policyFacts(deps, volume));
  const snapshot = stores.snapshots.byIndex(BY_UID, source.snapshotUID)[0];
  const { namespace = '' } = restore.metadata;
  const safetyName = restore.status?.safetySnapshotRef?.name;
  const driver = resolution?.ok === true ? drivers.get(resolution.resolved.type) : undefined;
  return {
    now,
    restore,
    source,
    volume,
    resolution,
    snapshot,
    safety: safetyName === undefined ? undefined : stores.snapshots.get(`${namespace}/${safetyName}`),
    mounts: volume === undefined ? [] : stores.mounts.byIndex(BY_VOLUME, keyOf(volume)),
    driver,
    words: wordsOf(),
  };

  function wordsOf(): RestoreFacts['words'] {
    if (volume === undefined || resolution?.ok !== true || snapshot?.status?.source === undefined) return undefined;
    const moment = volumeOfMoment(snapshot, snapshot.status.source, wordingOf(deps));
    if (moment === undefined) return undefined;
    const words = driverVolume(volume, resolution.resolved, named);
    return { volume: words, snapshot: driverSnapshot(snapshot, moment) };
  }
}

/** The Restore that takes a volume back at the moment, on this node; undefined when there is none. */
export function restoreOf(volumeUID: string, { stores, nodeName }: AgentDependencies): Restore | undefined {
  return stores.restores
    .byIndex(BY_VOLUME_UID, volumeUID)
    .find((restore) => restore.status?.nodeName === nodeName && !isFinished(restore));
}
