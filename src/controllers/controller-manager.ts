/**
 * The cluster-wide half: placement, grants, lost nodes, schedules. Runs once, under a Lease; knows API objects only and touches no
 * node.
 */

import type { Backup } from '../api/backup.ts';
import type { BackupRepository } from '../api/backup-repository.ts';
import { findCondition, isTrue } from '../api/conditions.ts';
import type { Lease, Namespace } from '../api/core.ts';
import type { DestinationDefaults } from '../api/destination-defaults.ts';
import { CONTROLLER_LEASE, FIELD_MANAGERS, FINALIZERS, SYSTEM_NAMESPACE } from '../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUPS,
  keyOf,
  LEASES,
  NAMESPACES,
  RESTORES,
  SNAPSHOTS,
  STORAGE_NODES,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUME_RESTORES,
  VOLUMES,
} from '../api/meta.ts';
import type { Restore } from '../api/restore.ts';
import { isFinished } from '../api/restore.ts';
import type { Snapshot } from '../api/snapshot.ts';
import type { StorageNode } from '../api/storage-node.ts';
import type { Volume } from '../api/volume.ts';
import type { VolumeClass } from '../api/volume-class.ts';
import type { VolumeMount } from '../api/volume-mount.ts';
import type { VolumeRestore } from '../api/volume-restore.ts';
import { hasRestoreEnded } from '../api/volume-restore.ts';
import type { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { sameValue } from '../kube/field-diff.ts';
import { LeaderElector } from '../kube/leader-election.ts';
import { Manager } from '../runtime/manager.ts';
import type { AddOptions } from '../runtime/source.ts';
import { cacheSource } from '../runtime/source.ts';
import type { Delta, ReadStore } from '../runtime/store.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { addBackupBinding } from './backup-binding/wire.ts';
import { addRestoreControllers } from './backup-restore/wire.ts';
import { addMonitoring } from './monitoring/wire.ts';
import { LeaseTracker } from './node-lifecycle/lease-tracker.ts';
import { livenessOf, nodeLifecycleReconciler, nodeOfLease } from './node-lifecycle/reconciler.ts';
import { addNodeRights } from './node-rights/wire.ts';
import type { PlacementStores } from './placement/observe.ts';
import { addPlacementIndexes, isLost } from './placement/observe.ts';
import { placementReconciler } from './placement/reconciler.ts';
import { isNodeLocal } from './policy/sources/index.ts';
import { addRepositoryBinding } from './repository-binding/wire.ts';
import { restoreBindingReconciler } from './restore-binding/reconciler.ts';
import { addScheduleControllers } from './schedule/wire.ts';
import { snapshotBindingReconciler } from './snapshot-binding/reconciler.ts';
import { annotationsDiffer } from './support/annotations.ts';
import { EVENTS_GATHER_MS, eventCloser } from './support/event-closer.ts';
import { BY_DATA_SOURCE, BY_NODE, BY_VOLUME, dataSourceKey, volumeKeyOf } from './support/indexes.ts';
import { liveFrom } from './support/live.ts';
import { conditionsDiffer, ordersDiffer, wasTakenOver } from './support/relevance.ts';
import type { Wanted } from './support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from './support/sources.ts';
import { gatherFor } from './support/wide.ts';
import { createWriter } from './support/writes.ts';

export interface ControllersOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
  /** Run only while leading; default true. False where nobody else can (`clawstore up`, which holds a lock). */
  readonly leaderOnly?: boolean | undefined;
  /** Keys worked on at once; default 64. */
  readonly concurrency?: number | undefined;
  /** Completes repositories that are made for destinations of backups. */
  readonly destinations?: readonly DestinationDefaults[] | undefined;
  /** Namespace with the ServiceAccounts of nodes, on a real cluster: agents read Secrets by name, as it is granted to them. */
  readonly nodeAccounts?: string | undefined;
  /** Time to gather the mounts of a volume that was just made, so that one write does for all; default 10 ms. */
  readonly gatherMs?: number | undefined;
}

export interface ControllerManagerOptions extends ControllersOptions {
  /** Unique among candidates for the controller's Lease. */
  readonly identity: string;
}

/** What people would notice last: counts and phases. A volume's and its mounts' changes are gathered for one write. */
const SUMMARY = { priority: -50, afterMs: 100 } as const;
/** What placement reads of conditions that agents write. */
const VOLUME_CONDITIONS = ['Ready', 'Stalled', 'Provisioned'] as const;
const MOUNT_CONDITIONS = ['Ready', 'Mounted'] as const;

/** The process `clawstore controller`. */
export function buildControllerManager(options: ControllerManagerOptions): Manager {
  const { client, log, metrics, clock, identity } = options;
  const election = { client, log, metrics, clock, identity, namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE };
  const leaderElector = options.leaderOnly === false ? undefined : new LeaderElector(election);
  const manager = new Manager({ client, log, metrics, clock, leaderElector });
  addControllers(manager, options);
  return manager;
}

/** Adds the cluster-wide controllers to a manager, which may run other things beside them. */
export function addControllers(manager: Manager, options: ControllersOptions): void {
  const { client, log, metrics, clock = systemClock, leaderOnly = true, concurrency = 64, gatherMs = 10 } = options;
  const reporter = { component: FIELD_MANAGERS.controller, gatherMs: EVENTS_GATHER_MS };
  const events = new EventRecorder({ client, ...reporter, log, metrics, clock });
  const writer = createWriter(client, FIELD_MANAGERS.controller);

  const volumes = manager.cache<Volume>(VOLUMES);
  const mounts = manager.cache<VolumeMount>(VOLUME_MOUNTS);
  const snapshots = manager.cache<Snapshot>(SNAPSHOTS);
  const nodes = manager.cache<StorageNode>(STORAGE_NODES);
  const restores = manager.cache<Restore>(RESTORES);
  const volumeRestores = manager.cache<VolumeRestore>(VOLUME_RESTORES);
  const backups = manager.cache<Backup>(BACKUPS);
  const repositories = manager.cache<BackupRepository>(BACKUP_REPOSITORIES);
  const classes = manager.cache<VolumeClass>(VOLUME_CLASSES);
  const namespaces = manager.cache<Namespace>(NAMESPACES);
  const leases = manager.cache<Lease>(LEASES, { namespace: SYSTEM_NAMESPACE });
  const stores: PlacementStores = {
    volumes: volumes.store,
    mounts: mounts.store,
    snapshots: snapshots.store,
    nodes: nodes.store,
    restores: restores.store,
    volumeRestores: volumeRestores.store,
    backups: backups.store,
    repositories: repositories.store,
    classes: classes.store,
    namespaces: namespaces.store,
  };
  addPlacementIndexes(stores);
  const leaseTracker = new LeaseTracker();

  const unplaced = (namespace?: string): Wanted[] =>
    stores.volumes
      .byIndex(BY_NODE, '')
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
      .map((volume) => ({ key: keyOf(volume) }));

  manager.addController({
    name: 'placement',
    reconcile: placementReconciler({
      stores,
      writer,
      events,
      leaseLeft: (nodeName) => livenessOf(nodeName, leases.store, leaseTracker, clock).remainingMs,
      live: liveFrom(client),
    }),
    concurrency,
    leaderOnly,
    sources: [
      deltaSource(volumes, (delta) => volumeKeys(delta, stores, gatherMs)),
      deltaSource(mounts, (delta) => mountKeys(delta, stores)),
      deltaSource(volumes, (delta) => unplacedClones('Volume', delta, stores)),
      deltaSource(snapshots, (delta) => unplacedClones('Snapshot', delta, stores)),
      deltaSource(restores, (delta) => revertedVolumes(delta, stores)),
      deltaSource(volumeRestores, (delta) => restoredVolumes(delta, stores)),
      deltaSource(backups, (delta) => unplacedOfBackup(delta, stores)),
      deltaSource(repositories, () => []),
      deltaSource(nodes, (delta) => [...nodeKeys(delta, stores, unplaced), ...strandedVolumes(delta, stores)]),
      deltaSource(leases, () => []),
      deltaSource(classes, () => unplaced()),
      deltaSource(namespaces, (delta) => {
        const changed = delta.type !== 'updated' || !sameValue(delta.old.metadata.labels, delta.object.metadata.labels);
        return changed ? unplaced(delta.key) : [];
      }),
      resyncSource('placement-resync', clock, RESYNC_MS, () => [
        ...new Set([...stores.volumes.keys(), ...stores.mounts.list().map(volumeKeyOf)]),
      ]),
    ],
  });
  manager.addController({
    name: 'snapshot-binding',
    reconcile: snapshotBindingReconciler({
      snapshots: snapshots.store,
      volumes: volumes.store,
      isLost: (nodeName) => isLost(stores, nodeName),
      client,
      writer,
      events,
    }),
    concurrency,
    leaderOnly,
    sources: [
      deltaSource(snapshots, snapshotKeys),
      deltaSource(volumes, (delta) => unboundSnapshots(delta, stores)),
      deltaSource(nodes, (delta) => snapshotsOfNode(delta, stores)),
      resyncSource('snapshot-binding-resync', clock, RESYNC_MS, () => stores.snapshots.keys()),
    ],
  });
  manager.addController({
    name: 'node-lifecycle',
    reconcile: nodeLifecycleReconciler({ nodes: nodes.store, leases: leases.store, writer, events }),
    leaderOnly,
    sources: [
      cacheSource(nodes, {
        predicate: (delta) => delta.type !== 'updated' || conditionsDiffer(delta.old, delta.object, ['Ready']),
      }),
      cacheSource(leases, { mapTo: (lease) => [nodeOfLease(lease)].filter((name) => name !== undefined) }),
    ],
  });
  manager.addController({
    name: 'restore-binding',
    reconcile: restoreBindingReconciler({
      restores: restores.store,
      snapshots: snapshots.store,
      volumes: volumes.store,
      mounts: mounts.store,
      volumeRestores: volumeRestores.store,
      isLost: (nodeName) => isLost(stores, nodeName),
      client,
      live: liveFrom(client),
      writer,
      events,
    }),
    leaderOnly,
    sources: [
      cacheSource(restores),
      deltaSource(nodes, (delta) => restoresOfNode(delta, restores.store)),
      // What is refused for good is judged once: everything must be known before.
      deltaSource(volumeRestores, () => []),
      deltaSource(snapshots, () => []),
      deltaSource(volumes, () => []),
      deltaSource(mounts, () => []),
      resyncSource('restore-binding-resync', clock, RESYNC_MS, () => restores.store.keys()),
    ],
  });
  addScheduleControllers(manager, { client, writer, events, clock, leaderOnly });
  addMonitoring(manager, metrics, clock);
  addBackupBinding(manager, {
    client,
    writer,
    events,
    metrics,
    clock,
    leaderOnly,
    isLost: (nodeName) => isLost(stores, nodeName),
    destinations: options.destinations ?? [],
  });
  addRepositoryBinding(manager, { client, writer, events, clock, leaderOnly, isLost: (name) => isLost(stores, name) });
  addRestoreControllers(manager, {
    volumes,
    mounts,
    nodes,
    restores,
    volumeRestores,
    client,
    writer,
    events,
    metrics,
    clock,
    leaderOnly,
    isLost: (nodeName) => isLost(stores, nodeName),
  });
  const { nodeAccounts: accounts } = options;
  if (accounts !== undefined) addNodeRights(manager, { client, clock, leaderOnly, accounts });
  manager.addRunnable(eventCloser('controller-events', events));
}

/** A new volume waits a moment for its mounts; a change of what agents report alone comes last. */
function volumeKeys(delta: Delta<Volume>, stores: PlacementStores, gatherMs: number): Wanted[] {
  const { key } = delta;
  if (delta.type === 'deleted') return [{ key }];
  if (delta.type === 'added') {
    const alone = delta.object.status?.nodeName === undefined && stores.mounts.byIndex(BY_VOLUME, key).length === 0;
    return [alone ? { key, options: { afterMs: gatherMs } } : { key }];
  }
  const { old, object } = delta;
  if (ordersDiffer(old, object) || wasTakenOver(old, object, FINALIZERS.volume)) return [{ key }];
  return conditionsDiffer(old, object, VOLUME_CONDITIONS) ? [{ key, options: SUMMARY }] : [];
}

/** Mounts are decided with their volume. A reference that was changed concerns both volumes. */
function mountKeys(delta: Delta<VolumeMount>, { volumes }: PlacementStores): Wanted[] {
  const wanted = (key: string, least: AddOptions = {}): Wanted => {
    const afterMs = Math.max(least.afterMs ?? 0, gatherFor(volumes.get(key)));
    return { key, options: { ...least, afterMs } };
  };
  if (delta.type === 'added') return [wanted(volumeKeyOf(delta.object))];
  if (delta.type === 'deleted') return [wanted(volumeKeyOf(delta.old))];
  const { old, object } = delta;
  const keys = [...new Set([volumeKeyOf(old), volumeKeyOf(object)])];
  if (ordersDiffer(old, object)) return keys.map((key) => wanted(key));
  if (!conditionsDiffer(old, object, MOUNT_CONDITIONS)) return [];
  return keys.map((key) => wanted(key, SUMMARY));
}

/** A node that comes or changes may take volumes that wait; one that is lost or back concerns all that is on it. */
function nodeKeys(delta: Delta<StorageNode>, stores: PlacementStores, unplaced: () => Wanted[]): Wanted[] {
  if (delta.type === 'updated' && !nodeDiffers(delta.old, delta.object)) return [];
  const keys = unplaced();
  if (!lossDiffers(delta) && delta.type === 'updated' && !annotationsDiffer(delta.old, delta.object)) return keys;
  for (const volume of stores.volumes.byIndex(BY_NODE, delta.key)) keys.push({ key: keyOf(volume) });
  for (const mount of stores.mounts.byIndex(BY_NODE, delta.key)) keys.push({ key: volumeKeyOf(mount) });
  return keys;
}

/** Volumes that could go to another node than the one that is lost, for which a node that can take them now may be the one. */
function strandedVolumes(delta: Delta<StorageNode>, stores: PlacementStores): Wanted[] {
  if (delta.type === 'deleted' || !takesVolumes(delta.object)) return [];
  if (delta.type === 'updated' && takesVolumes(delta.old) && canTheSame(delta.old, delta.object)) return [];
  return stores.volumes
    .list()
    .filter(({ spec, status }) => {
      return status?.nodeName !== undefined && !isNodeLocal(spec) && isLost(stores, status.nodeName);
    })
    .map((volume) => ({ key: keyOf(volume) }));
}

function canTheSame(old: StorageNode, object: StorageNode): boolean {
  return sameValue([old.metadata.labels, old.status?.types], [object.metadata.labels, object.status?.types]);
}

function takesVolumes({ spec, status }: StorageNode): boolean {
  return isTrue(status?.conditions, 'Ready') && spec?.unschedulable !== true;
}

/** Whether a node came or went, was lost or is back. */
function lossDiffers(delta: Delta<StorageNode>): boolean {
  const saysLost = ({ status }: StorageNode) => findCondition(status?.conditions, 'Ready')?.reason === 'NodeLost';
  return delta.type !== 'updated' || saysLost(delta.old) !== saysLost(delta.object);
}

/** What the binding reads of a Snapshot: what people say, and when it was taken. */
function snapshotKeys(delta: Delta<Snapshot>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const matters =
    ordersDiffer(old, object) ||
    wasTakenOver(old, object, FINALIZERS.snapshot) ||
    conditionsDiffer(old, object, ['Ready']) ||
    old.status?.creationTime !== object.status?.creationTime;
  return matters ? [{ key: delta.key }] : [];
}

/** Snapshots that wait for a volume. */
function unboundSnapshots(delta: Delta<Volume>, { snapshots }: PlacementStores): Wanted[] {
  if (delta.type === 'updated') {
    const { old, object } = delta;
    if (!ordersDiffer(old, object) && !conditionsDiffer(old, object, ['Provisioned'])) return [];
  }
  return snapshots
    .byIndex(BY_VOLUME, delta.key)
    .filter(({ status }) => status?.nodeName === undefined)
    .map((snapshot) => ({ key: keyOf(snapshot) }));
}

function snapshotsOfNode(delta: Delta<StorageNode>, { snapshots }: PlacementStores): Wanted[] {
  if (!lossDiffers(delta)) return [];
  return snapshots.byIndex(BY_NODE, delta.key).map((snapshot) => ({ key: keyOf(snapshot) }));
}

/** Volumes without a node that are to be made from something, and may be able to now. */
function unplacedClones(
  kind: 'Snapshot' | 'Volume',
  delta: Delta<Snapshot> | Delta<Volume>,
  { volumes }: PlacementStores,
): Wanted[] {
  return volumes
    .byIndex(BY_DATA_SOURCE, dataSourceKey(kind, delta.key))
    .filter(({ status }) => status?.nodeName === undefined)
    .map((volume) => ({ key: keyOf(volume) }));
}

/** Volumes that were held because they go back, or are now. */
function revertedVolumes(delta: Delta<Restore>, { volumes }: PlacementStores): Wanted[] {
  if (delta.type === 'updated' && isFinished(delta.old) === isFinished(delta.object)) return [];
  const { metadata, status } = delta.type === 'deleted' ? delta.old : delta.object;
  const key = `${metadata.namespace}/${status?.source?.volumeName}`;
  return volumes.get(key) === undefined ? [] : [{ key }];
}

/** Volumes that were held for what is written into them, or are now. */
function restoredVolumes(delta: Delta<VolumeRestore>, { volumes }: PlacementStores): Wanted[] {
  if (delta.type === 'updated' && hasRestoreEnded(delta.old) === hasRestoreEnded(delta.object)) return [];
  const { metadata, spec } = delta.type === 'deleted' ? delta.old : delta.object;
  const key = `${metadata.namespace}/${spec.volumeRef.name}`;
  return volumes.get(key) === undefined ? [] : [{ key }];
}

/** Volumes without a node that are to start with a backup, and may be able to now. */
function unplacedOfBackup(delta: Delta<Backup>, { volumes }: PlacementStores): Wanted[] {
  return volumes
    .byIndex(BY_DATA_SOURCE, dataSourceKey('Backup', delta.key))
    .filter(({ status }) => status?.nodeName === undefined)
    .map((volume) => ({ key: keyOf(volume) }));
}

/** A node that is lost or back concerns the Restores that have not ended on it. */
function restoresOfNode(delta: Delta<StorageNode>, restores: ReadStore<Restore>): Wanted[] {
  if (delta.type === 'updated' && !conditionsDiffer(delta.old, delta.object, ['Ready'])) return [];
  return restores
    .list()
    .filter((restore) => restore.status?.nodeName === delta.key && !isFinished(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}

/** What placement reads of a StorageNode. */
function nodeDiffers(old: StorageNode, object: StorageNode): boolean {
  const read = ({ metadata, spec, status }: StorageNode) => [metadata.labels, spec, status?.types, status?.pools];
  return (
    annotationsDiffer(old, object) || conditionsDiffer(old, object, ['Ready']) || !sameValue(read(old), read(object))
  );
}
