/** The facts of one placement decision, read from the caches. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import type { Namespace } from '../../api/core.ts';
import { ANNOTATIONS, hasUidBoundAnnotation } from '../../api/group.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { contentOf } from '../policy/data-source.ts';
import type { PolicyFacts } from '../policy/facts.ts';
import { resolveVolume, wasProvisioned } from '../policy/resolve-volume.ts';
import {
  BY_DATA_SOURCE,
  BY_NODE,
  BY_NODE_UNPROVISIONED,
  BY_VOLUME,
  BY_VOLUME_UID,
  dataSourceOf,
  nodeOf,
  nodeOfUnprovisioned,
  volumeOfMount,
  volumeOfSnapshot,
  volumeUidOf,
  volumeUidOfVolumeRestore,
} from '../support/indexes.ts';

/** The caches that the controller reads. */
export interface PlacementStores {
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  readonly snapshots: ReadStore<Snapshot>;
  readonly nodes: ReadStore<StorageNode>;
  readonly restores: ReadStore<Restore>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly backups: ReadStore<Backup>;
  readonly repositories: ReadStore<BackupRepository>;
  readonly classes: ReadStore<VolumeClass>;
  readonly namespaces: ReadStore<Namespace>;
}

/** Adds the indexes that the reconciler and its sources need. */
export function addPlacementIndexes(stores: PlacementStores): void {
  stores.mounts.addIndex(BY_VOLUME, volumeOfMount);
  stores.mounts.addIndex(BY_NODE, nodeOf);
  stores.volumes.addIndex(BY_NODE, nodeOf);
  stores.volumes.addIndex(BY_NODE_UNPROVISIONED, nodeOfUnprovisioned);
  stores.volumes.addIndex(BY_DATA_SOURCE, dataSourceOf);
  stores.restores.addIndex(BY_VOLUME_UID, volumeUidOf);
  stores.volumeRestores.addIndex(BY_VOLUME_UID, volumeUidOfVolumeRestore);
  stores.snapshots.addIndex(BY_VOLUME, volumeOfSnapshot);
  stores.snapshots.addIndex(BY_NODE, nodeOf);
}

/** Facts that the policy of a volume needs; what the nodes themselves allow is known to their agents only. */
export function policyFacts(stores: PlacementStores, volume: Volume): PolicyFacts {
  return {
    volume,
    classNamed: (name) => stores.classes.get(name),
    namespaceLabels: stores.namespaces.get(volume.metadata.namespace ?? '')?.metadata.labels,
    node: { hostPathAllow: undefined },
    content: wasProvisioned(volume.status) ? undefined : contentOf(volume, stores),
  };
}

/** What takes a volume back or writes into it, or is about to: nobody is granted it meanwhile. */
export function restoreInto({ metadata }: Volume, { restores, volumeRestores }: PlacementStores): string | undefined {
  const uid = metadata.uid ?? '';
  return unendedOf(restores.byIndex(BY_VOLUME_UID, uid), volumeRestores.byIndex(BY_VOLUME_UID, uid));
}

/** The one of those of a volume that changes it and has not ended. */
export function unendedOf(restores: readonly Restore[], volumeRestores: readonly VolumeRestore[]): string | undefined {
  const revert = restores.find((one) => !isFinished(one));
  if (revert !== undefined) return revert.metadata.name;
  const part = volumeRestores.find(
    (one) => one.spec.mode === 'InPlace' && one.spec.dryRun !== true && !hasRestoreEnded(one),
  );
  return part?.spec.restoreRef?.name ?? part?.metadata.name;
}

/** Whether a node can be asked at all. A node without a StorageNode cannot. */
export function isLost(stores: PlacementStores, nodeName: string): boolean {
  return isLostNode(stores.nodes.get(nodeName));
}

export function isLostNode(node: StorageNode | undefined): boolean {
  return node === undefined || findCondition(node.status?.conditions, 'Ready')?.reason === 'NodeLost';
}

/** Whether a person vouches, bound to a UID, that the lost node is off: for all its grants, or for this mount's. */
export function isFenced(stores: PlacementStores, mount: VolumeMount, nodeName: string): boolean {
  return isFencedOn(stores.nodes.get(nodeName), mount);
}

export function isFencedOn(node: StorageNode | undefined, mount: VolumeMount): boolean {
  if (!isLostNode(node)) return false;
  return (
    hasUidBoundAnnotation(mount, ANNOTATIONS.nodeFenced) ||
    (node !== undefined && hasUidBoundAnnotation(node, ANNOTATIONS.nodeFenced))
  );
}

/**
 * Whether nothing of ours runs on a lost node any more, as far as a person says: that it is off, bound to its UID, or by
 * taking its StorageNode away. (An agent that lives makes that anew; so only once its Lease has run out, too.)
 */
export function isGone(stores: PlacementStores, nodeName: string): boolean {
  return isGoneNode(stores.nodes.get(nodeName));
}

export function isGoneNode(node: StorageNode | undefined): boolean {
  return node === undefined || (isLostNode(node) && hasUidBoundAnnotation(node, ANNOTATIONS.nodeFenced));
}

/**
 * Bytes of Thick volumes that were given a node but that its StorageNode does not count yet.
 *
 * @param assumed Keys of volumes that were given the node and are not in the cache so.
 */
export function promisedBytes(
  stores: PlacementStores,
  nodeName: string,
  pool: string,
  assumed: Iterable<string> = [],
): bigint {
  let sum = 0n;
  const given = [...assumed].map((key) => stores.volumes.get(key)).filter((volume) => volume !== undefined);
  for (const volume of [...stores.volumes.byIndex(BY_NODE_UNPROVISIONED, nodeName), ...given]) {
    const resolution = resolveVolume(policyFacts(stores, volume));
    if (!resolution.ok) continue;
    const { provisioning, capacityBytes, pool: own } = resolution.resolved;
    if (provisioning === 'Thick' && own === pool) sum += capacityBytes ?? 0n;
  }
  return sum;
}
