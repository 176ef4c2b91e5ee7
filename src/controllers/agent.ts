/**
 * The half that runs on each node and does every mount there. It sees, filtered by the server, what the controller gave
 * to its node, and writes what it observes.
 */

import type { BackupRepository } from '../api/backup-repository.ts';
import type { ConfigMap, Namespace, Secret } from '../api/core.ts';
import { FIELD_MANAGERS } from '../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  CONFIG_MAPS,
  NAMESPACES,
  RESTORES,
  SECRETS,
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
import type { BackupEngine } from '../backup/engine.ts';
import type { Driver } from '../drivers/driver.ts';
import type { KubeClient, Selection } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import type { NodeLayer } from '../node/layer.ts';
import { Manager } from '../runtime/manager.ts';
import type { Cache } from '../runtime/source.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { addBackups } from './backup/wire.ts';
import { addMounts } from './mount/wire.ts';
import type { PoolReader } from './node/observe.ts';
import { readNodeInfo } from './node/observe.ts';
import type { FeatureSource } from './node/wire.ts';
import { addNode } from './node/wire.ts';
import { addRepositories } from './repository/wire.ts';
import { addReverts } from './restore/wire.ts';
import { addSnapshots } from './snapshot/wire.ts';
import type { AgentDependencies } from './support/agent.ts';
import { addAgentIndexes } from './support/agent.ts';
import { AgentVolumes } from './support/agent-volumes.ts';
import type { AgentCaches } from './support/agent-wiring.ts';
import { backupTools } from './support/backup-tools.ts';
import { DriftWatch } from './support/drift.ts';
import { EVENTS_GATHER_MS, eventCloser } from './support/event-closer.ts';
import { KeyedLock } from './support/keyed-lock.ts';
import { liveFrom } from './support/live.ts';
import { NamedDataWatch, volumeMentions } from './support/named-data.ts';
import { storageChanges } from './support/storage-changes.ts';
import { storesOf } from './support/stores.ts';
import { Uses } from './support/uses.ts';
import { createWriter } from './support/writes.ts';
import { addVolumes } from './volume/wire.ts';
import { readingRecords } from './volume-backup/records.ts';
import { addVolumeBackups } from './volume-backup/wire.ts';
import { addBackupRestores } from './volume-restore/wire.ts';

export interface AgentOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
  readonly nodeName: string;
  /** Holder of the node's Lease: this installation, over restarts; the node's name without it. */
  readonly identity?: string | undefined;
  /** Version of the product, for the StorageNode. */
  readonly version: string;
  /** Its mount root is where default targets lie. */
  readonly node: NodeLayer;
  readonly drivers: readonly Driver[];
  /** Prefixes that this node allows for host paths; none without it. */
  readonly hostPathAllow?: readonly string[] | undefined;
  /** What makes backups and keeps them; none without it. */
  readonly engine?: BackupEngine | undefined;
  /** The pools of this node; none without it. */
  readonly pools?: PoolReader | undefined;
  /** What else this process can do on the node; its source queues the node's name when that changes. */
  readonly features?: FeatureSource | undefined;
  /**
   * Watch all objects instead of this node's only: right where the controllers run in the same manager, whose caches
   * are then shared (`clawstore up`).
   */
  readonly watchAll?: boolean | undefined;
  /** Keys worked on at once, per kind; default 64. */
  readonly concurrency?: number | undefined;
}

/** Snapshots taken and volumes filled at once, of images: each mostly waits for the disk. */
const CLONES_AT_ONCE = 16;
/** The same of files, which may be copied for hours. */
const COPIES_AT_ONCE = 4;

/** The process `clawstore agent`. */
export function buildAgent(options: AgentOptions): Manager {
  const { client, log, metrics, clock } = options;
  const manager = new Manager({ client, log, metrics, clock });
  addAgent(manager, options);
  return manager;
}

/** Adds the agent's controllers to a manager, which may run other things beside them. */
export function addAgent(manager: Manager, options: AgentOptions): void {
  const { client, log, metrics, clock = systemClock, nodeName, identity = nodeName, node, engine } = options;
  const own = options.watchAll === true ? {} : { fieldSelector: `status.nodeName=${nodeName}` };
  const caches = agentCaches(manager, own, options);
  const stores = storesOf(caches);
  addAgentIndexes(stores, node.mountRoot);
  const reporter = { component: FIELD_MANAGERS.agent, host: nodeName, gatherMs: EVENTS_GATHER_MS };
  const events = new EventRecorder({ client, ...reporter, log, metrics, clock });
  const named = new NamedDataWatch({
    secrets: manager.objects<Secret>(SECRETS),
    configMaps: manager.objects<ConfigMap>(CONFIG_MAPS),
  });
  named.follow(caches.volumes, volumeMentions);
  const info = readNodeInfo(options.version);
  const tools =
    engine === undefined ? undefined : backupTools({ engine, node, nodeName, identity, bootID: info.bootID });
  const uses = new Uses();
  const dependencies: AgentDependencies = {
    nodeName,
    hostPathAllow: options.hostPathAllow ?? [],
    stores,
    drivers: new Map(options.drivers.map((driver) => [driver.type, driver])),
    node,
    writer: createWriter(client, FIELD_MANAGERS.agent),
    live: liveFrom(client),
    events,
    locks: new KeyedLock(),
    uses,
    named,
    metrics,
    backups: tools,
  };
  const jobs = { clock, concurrency: jobsAtOnce, uses, turns: new KeyedLock() };
  const wiring = { dependencies, caches, named, own, client, clock, log, jobs, concurrency: options.concurrency ?? 64 };
  const drift = new DriftWatch(stores, node);
  const storage = storageChanges(options.drivers, uses, stores);
  const records = readingRecords(node.stateDir);

  addVolumes(manager, { ...wiring, drift, storage });
  addMounts(manager, { ...wiring, drift, storage });
  addSnapshots(manager, { ...wiring, storage });
  addReverts(manager, wiring);
  if (tools !== undefined) {
    addRepositories(manager, { ...wiring, tools, node });
    addVolumeBackups(manager, { ...wiring, tools, records });
    addBackups(manager, { ...wiring, tools });
    addBackupRestores(manager, { ...wiring, tools });
  }
  const { pools, features } = options;
  const isBeingRead = (uid: string): boolean => records.readings.mayHave(uid);
  addNode(manager, { ...wiring, node, identity, info, pools, features, isBeingRead });
  manager.addRunnable(drift.runnable());
  manager.addRunnable(eventCloser('agent-events', events));
}

/** What the server is asked to show this node: its own, and what says what is allowed. */
function agentCaches(manager: Manager, own: Selection, { nodeName, watchAll, log }: AgentOptions): AgentCaches {
  const mounts = manager.cache<VolumeMount>(VOLUME_MOUNTS, own);
  return {
    mounts,
    volumes: watchAll === true ? manager.cache<Volume>(VOLUMES) : nodeVolumes(manager, own, mounts, log),
    snapshots: manager.cache<Snapshot>(SNAPSHOTS, own),
    restores: manager.cache<Restore>(RESTORES, own),
    volumeRestores: manager.cache<VolumeRestore>(VOLUME_RESTORES, own),
    repositories: manager.cache<BackupRepository>(BACKUP_REPOSITORIES, own),
    classes: manager.cache<VolumeClass>(VOLUME_CLASSES),
    namespaces: manager.cache<Namespace>(NAMESPACES),
    nodes: manager.cache<StorageNode>(
      STORAGE_NODES,
      watchAll === true ? {} : { fieldSelector: `metadata.name=${nodeName}` },
    ),
  };
}

/** Volumes of this node, and those of others that its mounts refer to. */
function nodeVolumes(manager: Manager, own: Selection, mounts: Cache<VolumeMount>, log: Logger): Cache<Volume> {
  return new AgentVolumes({
    own: manager.cache<Volume>(VOLUMES, own),
    named: manager.objects<Volume>(VOLUMES),
    mounts,
    onListenerError: (err) => log.error({ err }, 'A listener threw'),
  });
}

/** By type of volume. */
function jobsAtOnce(type: string): number {
  return type === 'emptyDir' ? CLONES_AT_ONCE : COPIES_AT_ONCE;
}
