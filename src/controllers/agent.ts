/**
 * The half that runs on each node and does every mount there. It sees, filtered by the server, what the controller gave
 * to its node, and writes what it observes.
 */

import { uptime } from 'node:os';
import type { BackupRepository } from '../api/backup-repository.ts';
import { isTrue } from '../api/conditions.ts';
import type { ConfigMap, Namespace, Secret } from '../api/core.ts';
import { FIELD_MANAGERS, FINALIZERS } from '../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  CONFIG_MAPS,
  isDeleting,
  keyOf,
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
import type { NodeFeature, StorageNode } from '../api/storage-node.ts';
import type { Volume } from '../api/volume.ts';
import { volumeTypeOf } from '../api/volume.ts';
import type { VolumeClass } from '../api/volume-class.ts';
import type { VolumeMount } from '../api/volume-mount.ts';
import type { VolumeRestore } from '../api/volume-restore.ts';
import type { BackupEngine } from '../backup/engine.ts';
import type { Driver } from '../drivers/driver.ts';
import type { KubeClient, Selection } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { sameValue } from '../kube/field-diff.ts';
import type { NodeLayer } from '../node/layer.ts';
import { Manager } from '../runtime/manager.ts';
import type { Cache, Source } from '../runtime/source.ts';
import { channelSource, timerSource } from '../runtime/source.ts';
import type { Delta } from '../runtime/store.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { addBackups } from './backup/wire.ts';
import { rivalKeys, volumeToMountKeys } from './mount/keys.ts';
import { mountReconciler } from './mount/reconciler.ts';
import { heartbeat } from './node/heartbeat.ts';
import type { PoolReader } from './node/observe.ts';
import { readNodeInfo } from './node/observe.ts';
import { nodeReconciler } from './node/reconciler.ts';
import { isNodeLocal } from './policy/sources/index.ts';
import { addRepositoryController } from './repository/wire.ts';
import {
  mountToRestoreKeys,
  restoreKeys,
  restoreToMountKeys,
  restoreToVolumeKeys,
  snapshotToRestoreKeys,
  volumeToRestoreKeys,
} from './restore/keys.ts';
import { restoreReconciler } from './restore/reconciler.ts';
import { snapshotKeys, snapshotToVolumeKeys, volumeToCloneKeys, volumeToSnapshotKeys } from './snapshot/keys.ts';
import { snapshotReconciler } from './snapshot/reconciler.ts';
import type { AgentDependencies, AgentStores } from './support/agent.ts';
import { addAgentIndexes } from './support/agent.ts';
import { AgentVolumes } from './support/agent-volumes.ts';
import { DRIFT, DriftWatch } from './support/drift.ts';
import { ENGINE_CACHE } from './support/engine-cache.ts';
import { EVENTS_GATHER_MS, eventCloser } from './support/event-closer.ts';
import { BY_UID, BY_VOLUME, volumeKeyOf } from './support/indexes.ts';
import { Jobs } from './support/jobs.ts';
import { KeyedLock } from './support/keyed-lock.ts';
import { liveFrom } from './support/live.ts';
import { lockHolder } from './support/lock-holder.ts';
import { keysNamingObjects, NamedDataWatch, volumeMentions } from './support/named-data.ts';
import { concernsAgent, conditionsDiffer, grantsDiffer } from './support/relevance.ts';
import type { Wanted } from './support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from './support/sources.ts';
import { Uses } from './support/uses.ts';
import { createWriter } from './support/writes.ts';
import { volumeReconciler } from './volume/reconciler.ts';
import { readingRecords } from './volume-backup/records.ts';
import { addVolumeBackups } from './volume-backup/wire.ts';
import { volumeRestoreToMountKeys, volumeRestoreToVolumeKeys } from './volume-restore/keys.ts';
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

/** Features of the node that neither the node layer nor a driver knows of. */
export interface FeatureSource {
  list(): readonly NodeFeature[];
  readonly source: Source;
}

/** Snapshots taken and volumes filled at once, of images: each mostly waits for the disk. */
const CLONES_AT_ONCE = 16;
/** The same of files, which may be copied for hours. */
const COPIES_AT_ONCE = 4;
/** Snapshots looked at at once: who wants to mount a volume waits behind those of it that are in line for their turn. */
const SNAPSHOTS_AT_ONCE = 16;
/** How often storage on a server is looked at where its driver does not do that, in milliseconds: it makes no event. */
const PROBE_MS = 5_000;
/** How often the node itself and the space its volumes use are looked at, in milliseconds. */
const LOOK_MS = 60_000;
/** Time for a vanished object to come back (a restarted watch) before orphans are counted, in milliseconds. */
const ORPHAN_DELAY_MS = 2000;
/** Time before an object is taken back from a controller that calls it lost, in milliseconds. */
const TAKE_BACK_MS = 3000;

/** A volume that is not read any more may be grown or unstaged; many uses often end together. */
const FREED = { priority: -50, afterMs: 500 } as const;

/** The process `clawstore agent`. */
export function buildAgent(options: AgentOptions): Manager {
  const { client, log, metrics, clock } = options;
  const manager = new Manager({ client, log, metrics, clock });
  addAgent(manager, options);
  return manager;
}

/** Adds the agent's controllers to a manager, which may run other things beside them. */
export function addAgent(manager: Manager, options: AgentOptions): void {
  const { client, log, metrics, clock = systemClock, nodeName, node, concurrency = 64 } = options;
  const own = options.watchAll === true ? {} : { fieldSelector: `status.nodeName=${nodeName}` };
  const mounts = manager.cache<VolumeMount>(VOLUME_MOUNTS, own);
  const volumes = options.watchAll === true ? manager.cache<Volume>(VOLUMES) : nodeVolumes(manager, own, mounts, log);
  const snapshots = manager.cache<Snapshot>(SNAPSHOTS, own);
  const restores = manager.cache<Restore>(RESTORES, own);
  const volumeRestores = manager.cache<VolumeRestore>(VOLUME_RESTORES, own);
  const repositories = manager.cache<BackupRepository>(BACKUP_REPOSITORIES, own);
  const classes = manager.cache<VolumeClass>(VOLUME_CLASSES);
  const namespaces = manager.cache<Namespace>(NAMESPACES);
  const nodes = manager.cache<StorageNode>(
    STORAGE_NODES,
    options.watchAll === true ? {} : { fieldSelector: `metadata.name=${nodeName}` },
  );
  const stores: AgentStores = {
    volumes: volumes.store,
    mounts: mounts.store,
    snapshots: snapshots.store,
    restores: restores.store,
    volumeRestores: volumeRestores.store,
    classes: classes.store,
    namespaces: namespaces.store,
  };
  addAgentIndexes(stores, node.mountRoot);
  const reporter = { component: FIELD_MANAGERS.agent, host: nodeName, gatherMs: EVENTS_GATHER_MS };
  const events = new EventRecorder({ client, ...reporter, log, metrics, clock });
  const drift = new DriftWatch({ mounts: mounts.store, volumes: volumes.store }, node);
  const named = new NamedDataWatch({
    secrets: manager.objects<Secret>(SECRETS),
    configMaps: manager.objects<ConfigMap>(CONFIG_MAPS),
  });
  named.follow(volumes, volumeMentions);
  const info = readNodeInfo(options.version);
  const uses = new Uses();
  const jobOptions = { clock, concurrency: jobsAtOnce, uses, turns: new KeyedLock() };
  const fills = new Jobs({ name: 'fill', ...jobOptions });
  const takes = new Jobs({ name: 'snapshot', ...jobOptions });
  const reverts = new Jobs({ name: 'revert', ...jobOptions });
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
    backups: backupTools(options, info.bootID),
  };

  const storage = storageSources(options.drivers, uses, stores);

  const policyChanged = (delta: Delta<VolumeClass | Namespace>): boolean =>
    delta.type === 'deleted' ||
    (delta.type === 'added' && !delta.initial) ||
    (delta.type === 'updated' && differs(delta.old, delta.object));
  const everything = (keys: () => readonly string[]) => (delta: Delta<VolumeClass | Namespace>) =>
    policyChanged(delta) ? keys().map((key) => ({ key })) : [];

  manager.addController({
    name: 'volume',
    concurrency,
    reconcile: volumeReconciler({ ...dependencies, jobs: fills }),
    sources: [
      deltaSource(volumes, (delta) => [...volumeKeys(delta), ...volumeToCloneKeys(delta, stores)]),
      deltaSource(snapshots, (delta) => snapshotToVolumeKeys(delta, stores)),
      deltaSource(mounts, mountToVolumeKeys),
      deltaSource(restores, (delta) => restoreToVolumeKeys(delta, stores)),
      deltaSource(volumeRestores, (delta) => volumeRestoreToVolumeKeys(delta, stores)),
      deltaSource(
        classes,
        everything(() => stores.volumes.keys()),
      ),
      deltaSource(
        namespaces,
        everything(() => stores.volumes.keys()),
      ),
      drift.volumes,
      storage.volumes,
      fills.source,
      named.source('named-data', () => keysNamingObjects(stores.volumes.list())),
      timerSource('usage', clock, LOOK_MS, () => limitedVolumes(stores)),
      timerSource('probe', clock, PROBE_MS, () => remoteVolumes(stores, dependencies.drivers)),
      resyncSource('volume-resync', clock, RESYNC_MS, () => stores.volumes.keys()),
    ],
  });
  manager.addController({
    name: 'mount',
    concurrency,
    reconcile: mountReconciler({
      ...dependencies,
      quietly: (key, target, work) => drift.quietly(key, target, work),
    }),
    sources: [
      deltaSource(mounts, (delta) => [...mountKeys(delta), ...rivalKeys(delta, stores, node.mountRoot)]),
      deltaSource(volumes, (delta) => volumeToMountKeys(delta, stores)),
      deltaSource(restores, (delta) => restoreToMountKeys(delta, stores)),
      deltaSource(volumeRestores, (delta) => volumeRestoreToMountKeys(delta, stores)),
      deltaSource(
        classes,
        everything(() => stores.mounts.keys()),
      ),
      drift.mounts,
      storage.mounts,
      named.source('named-data-of-mounts', () => mountsNamingObjects(stores)),
      timerSource('probe', clock, PROBE_MS, () => mountsToProbe(stores, dependencies.drivers)),
      resyncSource('mount-resync', clock, RESYNC_MS, () => stores.mounts.keys()),
    ],
  });
  manager.addController({
    name: 'snapshot',
    concurrency: SNAPSHOTS_AT_ONCE,
    reconcile: snapshotReconciler({ ...dependencies, jobs: takes }),
    sources: [
      deltaSource(snapshots, snapshotKeys),
      deltaSource(volumes, (delta) => volumeToSnapshotKeys(delta, stores)),
      storage.snapshots,
      takes.source,
      resyncSource('snapshot-resync', clock, RESYNC_MS, () => stores.snapshots.keys()),
    ],
  });
  manager.addController({
    name: 'restore',
    concurrency,
    reconcile: restoreReconciler({ ...dependencies, jobs: reverts }),
    sources: [
      deltaSource(restores, restoreKeys),
      deltaSource(snapshots, (delta) => snapshotToRestoreKeys(delta, stores.restores)),
      deltaSource(volumes, (delta) => volumeToRestoreKeys(delta, stores.restores)),
      deltaSource(mounts, (delta) => mountToRestoreKeys(delta, stores)),
      reverts.source,
      resyncSource('restore-resync', clock, RESYNC_MS, () => stores.restores.keys()),
    ],
  });
  const caches = { volumes, mounts, snapshots, restores, volumeRestores, repositories };
  const { backups } = dependencies;
  const records = readingRecords(node.stateDir);
  if (backups !== undefined) {
    addRepositoryController(manager, {
      client,
      clock,
      dependencies: { ...dependencies, named },
      tools: backups,
      node,
      own,
    });
    addVolumeBackups(manager, {
      dependencies,
      tools: backups,
      volumes,
      named,
      records,
      own,
      clock,
      log,
      jobs: jobOptions,
    });
    addBackups(manager, { dependencies, tools: backups, repositories, named, own, client, clock, jobs: jobOptions });
    addBackupRestores(manager, { dependencies, tools: backups, caches, named, client, clock, jobs: jobOptions });
  }
  manager.addController({
    name: 'node',
    reconcile: nodeReconciler({
      ...dependencies,
      client,
      nodes: nodes.store,
      info,
      pools: options.pools ?? (() => Promise.resolve([])),
      features: () => [...node.features, ...(options.features?.list() ?? [])],
      isBeingRead: (uid) => records.readings.mayHave(uid),
    }),
    sources: [
      ...(options.features === undefined ? [] : [options.features.source]),
      { name: 'start', start: (enqueue) => enqueue(nodeName), synced: () => Promise.resolve() },
      deltaSource(nodes, (delta) => nodeKeys(delta, nodeName)),
      deltaSource(volumes, (delta) => goneKeys(delta, nodeName)),
      deltaSource(mounts, (delta) => goneKeys(delta, nodeName)),
      deltaSource(snapshots, (delta) => goneKeys(delta, nodeName)),
      timerSource('node', clock, LOOK_MS, () => [nodeName]),
    ],
  });
  manager.addRunnable({
    name: 'drift',
    run: (signal) => {
      drift.run(signal);
      return aborted(signal);
    },
  });
  manager.addRunnable(fills.closer('fills'));
  manager.addRunnable(takes.closer('snapshots'));
  manager.addRunnable(reverts.closer('reverts'));
  const onReturn = (awayMs: number): void => {
    const own = nodes.store.get(nodeName);
    if (own === undefined) return;
    const message = `The API server is reached again, after ${Math.round(awayMs / 1000)} seconds without. Mounts were kept, and healed, meanwhile.`;
    events.record(own, 'Normal', 'Reconnected', message);
  };
  manager.addRunnable(heartbeat({ client, nodeName, identity: options.identity ?? nodeName, clock, log, onReturn }));
  manager.addRunnable(eventCloser('agent-events', events));
}

function backupTools({ engine, node, nodeName, identity = nodeName }: AgentOptions, bootID: string) {
  if (engine === undefined) return undefined;
  return {
    engine,
    cacheDirectory: { root: node.stateDir, path: ENGINE_CACHE },
    holder: lockHolder({ identity, nodeName, bootID }),
    bootedAt: () => Date.now() - uptime() * 1000,
    ownDirectories: [node.stateDir, node.mountRoot],
  };
}

/** By type of volume. */
function jobsAtOnce(type: string): number {
  return type === 'emptyDir' ? CLONES_AT_ONCE : COPIES_AT_ONCE;
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

/** Mounts of volumes that name a Secret or ConfigMap: of one that another node owns, only they are worked on here. */
function mountsNamingObjects({ volumes, mounts }: AgentStores): string[] {
  return keysNamingObjects(volumes.list()).flatMap((key) => mounts.byIndex(BY_VOLUME, key).map(keyOf));
}

/**
 * What drivers notice by themselves, as keys of the volume and of its mounts, ahead of everything else; and the end of the
 * last use of something, which lets others go on.
 */
function storageSources(drivers: readonly Driver[], uses: Uses, stores: AgentStores) {
  const [volumes, mounts] = [channelSource('storage'), channelSource('storage-of-mounts')];
  const snapshots = channelSource('storage-of-snapshots');
  for (const driver of drivers) {
    driver.onChange?.((uid) => {
      for (const volume of stores.volumes.byIndex(BY_UID, uid)) {
        const key = keyOf(volume);
        for (const mount of stores.mounts.byIndex(BY_VOLUME, key)) mounts.send(keyOf(mount), DRIFT);
        volumes.send(key, DRIFT);
      }
    });
  }
  uses.onFree((uid) => {
    for (const volume of stores.volumes.byIndex(BY_UID, uid)) {
      const key = keyOf(volume);
      volumes.send(key, isDeleting(volume) ? {} : FREED);
      const waiting = stores.mounts
        .byIndex(BY_VOLUME, key)
        .filter(({ status }) => !isTrue(status?.conditions, 'Ready'));
      for (const mount of waiting) mounts.send(keyOf(mount));
    }
    for (const snapshot of stores.snapshots.byIndex(BY_UID, uid))
      if (isDeleting(snapshot)) snapshots.send(keyOf(snapshot));
  });
  return { volumes, mounts, snapshots };
}

function volumeKeys(delta: Delta<Volume>): Wanted[] {
  if (concernsAgent(delta, FINALIZERS.volume)) return [wanted(delta)];
  // The last grant that goes lets a deletion go on; otherwise they are of its mounts.
  const goesOn = delta.type === 'updated' && isDeleting(delta.object) && grantsDiffer(delta.old, delta.object);
  return goesOn ? [wanted(delta)] : [];
}

function mountKeys(delta: Delta<VolumeMount>): Wanted[] {
  return concernsAgent(delta, FINALIZERS.mount) ? [wanted(delta)] : [];
}

/** The node itself, when somebody else wrote its Ready condition or removed it. */
function nodeKeys(delta: Delta<StorageNode>, nodeName: string): Wanted[] {
  if (delta.key !== nodeName) return [];
  return delta.type !== 'updated' || conditionsDiffer(delta.old, delta.object, ['Ready']) ? [wanted(delta)] : [];
}

/**
 * An object that the controller calls lost is taken back after a while, not at once: if the Lease cannot be renewed but
 * statuses can be written, the two would contradict each other without end.
 */
function wanted(delta: Delta<Volume> | Delta<VolumeMount> | Delta<StorageNode>): Wanted {
  if (delta.type !== 'updated') return { key: delta.key };
  const reason = delta.object.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
  return reason === 'NodeLost' ? { key: delta.key, options: { afterMs: TAKE_BACK_MS } } : { key: delta.key };
}

/** A mount that goes may let its volume be unstaged or deleted. */
function mountToVolumeKeys(delta: Delta<VolumeMount>): Wanted[] {
  if (delta.type === 'added') return [];
  if (delta.type === 'updated' && delta.old.metadata.deletionTimestamp === delta.object.metadata.deletionTimestamp) {
    return [];
  }
  return [{ key: volumeKeyOf(delta.old) }];
}

/** Volumes whose use of space is worth watching. */
function limitedVolumes({ volumes }: AgentStores): string[] {
  return volumes
    .list()
    .filter(({ status }) => isTrue(status?.conditions, 'CapacityEnforced'))
    .map(keyOf);
}

/** Mounts of storage that is not on this node, where the driver does not tell by itself that one has died. */
function mountsToProbe({ mounts, volumes }: AgentStores, drivers: AgentDependencies['drivers']): string[] {
  return mounts
    .list()
    .filter((mount) => {
      const volume = volumes.get(volumeKeyOf(mount));
      return volume !== undefined && mustBeProbed(volume, drivers);
    })
    .map(keyOf);
}

function mustBeProbed({ spec }: Volume, drivers: AgentDependencies['drivers']): boolean {
  if (isNodeLocal(spec)) return false;
  const type = volumeTypeOf(spec);
  return type === undefined || drivers.get(type)?.onChange === undefined;
}

/** The volumes of those mounts, and those whose server was not as it should be: it makes no event when it is back. */
function remoteVolumes({ mounts, volumes }: AgentStores, drivers: AgentDependencies['drivers']): string[] {
  return volumes
    .list()
    .filter((volume) => mustBeProbed(volume, drivers) && !isTrue(volume.status?.conditions, 'Stalled'))
    .filter(
      (volume) => mounts.byIndex(BY_VOLUME, keyOf(volume)).length > 0 || !isTrue(volume.status?.conditions, 'Ready'),
    )
    .map(keyOf);
}

/** An object that is gone without having been taken down leaves an orphan behind. */
function goneKeys(delta: Delta<Volume> | Delta<VolumeMount> | Delta<Snapshot>, nodeName: string): Wanted[] {
  return delta.type === 'deleted' ? [{ key: nodeName, options: { afterMs: ORPHAN_DELAY_MS } }] : [];
}

function differs(old: VolumeClass | Namespace, object: VolumeClass | Namespace): boolean {
  return (
    old.metadata.generation !== object.metadata.generation || !sameValue(old.metadata.labels, object.metadata.labels)
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
