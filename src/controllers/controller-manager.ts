/**
 * The cluster-wide half: placement, grants, lost nodes, schedules. Runs once, under a Lease; knows API objects only and touches no
 * node.
 */

import type { Backup } from '../api/backup.ts';
import type { BackupRepository } from '../api/backup-repository.ts';
import type { Lease, Namespace } from '../api/core.ts';
import type { DestinationDefaults } from '../api/destination-defaults.ts';
import { CONTROLLER_LEASE, FIELD_MANAGERS, SYSTEM_NAMESPACE } from '../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUPS,
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
import type { Snapshot } from '../api/snapshot.ts';
import type { StorageNode } from '../api/storage-node.ts';
import type { Volume } from '../api/volume.ts';
import type { VolumeClass } from '../api/volume-class.ts';
import type { VolumeMount } from '../api/volume-mount.ts';
import type { VolumeRestore } from '../api/volume-restore.ts';
import type { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { LeaderElector } from '../kube/leader-election.ts';
import { Manager } from '../runtime/manager.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { addBackupBinding } from './backup-binding/wire.ts';
import { addRestoreControllers } from './backup-restore/wire.ts';
import { addMonitoring } from './monitoring/wire.ts';
import { addNodeLifecycle } from './node-lifecycle/wire.ts';
import { addNodeRights } from './node-rights/wire.ts';
import { addPlacementIndexes, isLost } from './placement/observe.ts';
import { addPlacement } from './placement/wire.ts';
import { addRepositoryBinding } from './repository-binding/wire.ts';
import { addRestoreBinding } from './restore-binding/wire.ts';
import { addScheduleControllers } from './schedule/wire.ts';
import { addSnapshotBinding } from './snapshot-binding/wire.ts';
import type { ControllerCaches, ControllerWiring } from './support/controller-wiring.ts';
import { EVENTS_GATHER_MS, eventCloser } from './support/event-closer.ts';
import { Expiry, serverTimeFrom } from './support/expiry.ts';
import { storesOf } from './support/stores.ts';
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
  const caches: ControllerCaches = {
    volumes: manager.cache<Volume>(VOLUMES),
    mounts: manager.cache<VolumeMount>(VOLUME_MOUNTS),
    snapshots: manager.cache<Snapshot>(SNAPSHOTS),
    nodes: manager.cache<StorageNode>(STORAGE_NODES),
    restores: manager.cache<Restore>(RESTORES),
    volumeRestores: manager.cache<VolumeRestore>(VOLUME_RESTORES),
    backups: manager.cache<Backup>(BACKUPS),
    repositories: manager.cache<BackupRepository>(BACKUP_REPOSITORIES),
    classes: manager.cache<VolumeClass>(VOLUME_CLASSES),
    namespaces: manager.cache<Namespace>(NAMESPACES),
  };
  const leases = manager.cache<Lease>(LEASES, { namespace: SYSTEM_NAMESPACE });
  const stores = storesOf(caches);
  addPlacementIndexes(stores);
  const wiring: ControllerWiring = {
    caches,
    client,
    writer,
    events,
    metrics,
    clock,
    expiry: new Expiry(clock, serverTimeFrom(client)),
    leaderOnly,
    isLost: (nodeName) => isLost(stores, nodeName),
  };

  addPlacement(manager, { ...wiring, stores, leases, concurrency, gatherMs });
  addSnapshotBinding(manager, { ...wiring, concurrency });
  addNodeLifecycle(manager, { ...wiring, leases });
  addRestoreBinding(manager, wiring);
  addScheduleControllers(manager, wiring);
  addMonitoring(manager, metrics, clock);
  addBackupBinding(manager, { ...wiring, destinations: options.destinations ?? [] });
  addRepositoryBinding(manager, wiring);
  addRestoreControllers(manager, wiring);
  const { nodeAccounts: accounts } = options;
  if (accounts !== undefined) addNodeRights(manager, { client, clock, leaderOnly, accounts });
  manager.addRunnable(eventCloser('controller-events', events));
}
