/** The controllers of the cluster that restore from backups, and what queues their keys. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { isTrue } from '../../api/conditions.ts';
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';
import { restoresOfNode } from '../restore-binding/keys.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { BY_VOLUME_UID } from '../support/indexes.ts';
import { liveFrom } from '../support/live.ts';
import { conditionsDiffer, grantsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { volumeRestoreBindingReconciler } from '../volume-restore-binding/reconciler.ts';
import { firstContentReconciler } from './first-content.ts';
import { backupRestoreReconciler } from './reconciler.ts';

export function addRestoreControllers(manager: Manager, wiring: ControllerWiring): void {
  const { caches, isLost, client, writer, events, metrics, clock, leaderOnly } = wiring;
  const { volumes, mounts, nodes, restores, volumeRestores, backups, repositories } = caches;
  const stores = {
    volumes: volumes.store,
    mounts: mounts.store,
    nodes: nodes.store,
    restores: restores.store,
    volumeRestores: volumeRestores.store,
    backups: backups.store,
    repositories: repositories.store,
  };
  manager.addController({
    name: 'backup-restore',
    reconcile: backupRestoreReconciler({
      ...stores,
      isLost,
      client,
      live: liveFrom(client),
      writer,
      events,
      metrics,
    }),
    leaderOnly,
    sources: [
      deltaSource(restores, restoreKeys),
      deltaSource(volumeRestores, (delta) => ownersOf(delta, stores.restores)),
      deltaSource(volumes, (delta) => restoresInto(delta, stores)),
      deltaSource(nodes, (delta) => restoresOfNode(delta, stores.restores)),
      deltaSource(repositories, (delta) => unboundRestores(delta, stores.restores)),
      // What is refused for good is judged once: everything must be known before.
      deltaSource(backups, () => []),
      deltaSource(mounts, () => []),
      resyncSource('backup-restore-resync', clock, RESYNC_MS, () => stores.restores.keys()),
    ],
  });
  manager.addController({
    name: 'volume-restore-binding',
    reconcile: volumeRestoreBindingReconciler({ ...stores, isLost, writer, events }),
    leaderOnly,
    sources: [
      deltaSource(volumeRestores, bindingKeys),
      deltaSource(volumes, (delta) => unboundParts(delta, stores.volumeRestores)),
      deltaSource(nodes, (delta) => partsOfNode(delta, stores.volumeRestores)),
      deltaSource(mounts, () => []),
      resyncSource('volume-restore-binding-resync', clock, RESYNC_MS, () => stores.volumeRestores.keys()),
    ],
  });
  manager.addController({
    name: 'first-content',
    reconcile: firstContentReconciler({ ...stores, client }),
    leaderOnly,
    sources: [
      deltaSource(volumes, firstContentKeys),
      deltaSource(volumeRestores, () => []),
      deltaSource(backups, (delta) => volumesOfBackup(delta, stores.volumes)),
      deltaSource(repositories, () => []),
      resyncSource('first-content-resync', clock, RESYNC_MS, () =>
        stores.volumes.list().filter(startsEmpty).map(keyOf),
      ),
    ],
  });
}

/** What is decided is decided here; of what agents write only the record matters. */
function restoreKeys(delta: Delta<Restore>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const isNews =
    ordersDiffer(old, object) ||
    old.status?.manifestSecretRef?.name !== object.status?.manifestSecretRef?.name ||
    old.status?.volumes?.length !== object.status?.volumes?.length ||
    JSON.stringify(old.status?.record) !== JSON.stringify(object.status?.record);
  return isNews ? [{ key: delta.key }] : [];
}

function ownersOf(delta: Delta<VolumeRestore>, restores: ReadStore<Restore>): Wanted[] {
  const { metadata, spec } = delta.type === 'deleted' ? delta.old : delta.object;
  if (spec.restoreRef === undefined) return [];
  const key = `${metadata.namespace}/${spec.restoreRef.name}`;
  return restores.get(key) === undefined ? [] : [{ key }];
}

/** A volume that was written into says so. */
function restoresInto(
  delta: Delta<Volume>,
  {
    restores,
    volumeRestores,
  }: { readonly restores: ReadStore<Restore>; readonly volumeRestores: ReadStore<VolumeRestore> },
): Wanted[] {
  if (delta.type !== 'updated' || !conditionsDiffer(delta.old, delta.object, ['Provisioned'])) return [];
  return volumeRestores.byIndex(BY_VOLUME_UID, delta.object.metadata.uid ?? '').flatMap(({ metadata, spec }) => {
    const key = `${metadata.namespace}/${spec.restoreRef?.name ?? ''}`;
    const restore = restores.get(key);
    return restore === undefined || isFinished(restore) ? [] : [{ key }];
  });
}

/** Those that wait for a repository to get a node, or for its node to read. */
function unboundRestores(delta: Delta<BackupRepository>, restores: ReadStore<Restore>): Wanted[] {
  if (delta.type === 'updated' && !ordersDiffer(delta.old, delta.object)) return [];
  const { namespace } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  return restores
    .list()
    .filter((restore) => restore.metadata.namespace === namespace && restore.status?.volumes === undefined)
    .filter((restore) => !isFinished(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}

function bindingKeys(delta: Delta<VolumeRestore>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  return ordersDiffer(old, object) || conditionsDiffer(old, object, ['Ready']) ? [{ key: delta.key }] : [];
}

function unboundParts(delta: Delta<Volume>, volumeRestores: ReadStore<VolumeRestore>): Wanted[] {
  if (delta.type === 'updated' && !ordersDiffer(delta.old, delta.object) && !grantsDiffer(delta.old, delta.object))
    return [];
  const { uid = '' } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  return volumeRestores
    .byIndex(BY_VOLUME_UID, uid)
    .filter((part) => !hasRestoreEnded(part) && (part.status?.nodeName === undefined || delta.type === 'deleted'))
    .map((part) => ({ key: keyOf(part) }));
}

function partsOfNode(delta: Delta<StorageNode>, volumeRestores: ReadStore<VolumeRestore>): Wanted[] {
  if (delta.type === 'updated' && !conditionsDiffer(delta.old, delta.object, ['Ready'])) return [];
  return volumeRestores
    .list()
    .filter((part) => part.status?.nodeName === delta.key && !hasRestoreEnded(part))
    .map((part) => ({ key: keyOf(part) }));
}

function firstContentKeys(delta: Delta<Volume>): Wanted[] {
  if (delta.type === 'deleted' || !startsEmpty(delta.object)) return [];
  return delta.type === 'added' || ordersDiffer(delta.old, delta.object) ? [{ key: delta.key }] : [];
}

/** Volumes that wait for a Backup to have ended. */
function volumesOfBackup(delta: Delta<Backup>, volumes: ReadStore<Volume>): Wanted[] {
  if (delta.type !== 'updated' || !isTrue(delta.object.status?.conditions, 'Ready')) return [];
  const { name, namespace } = delta.object.metadata;
  return volumes
    .list()
    .filter(({ metadata, spec }) => metadata.namespace === namespace && spec.dataSource?.backupRef?.name === name)
    .filter(startsEmpty)
    .map((volume) => ({ key: keyOf(volume) }));
}

function startsEmpty(volume: Volume): boolean {
  return volume.spec.dataSource?.backupRef !== undefined && !wasProvisioned(volume.status);
}
