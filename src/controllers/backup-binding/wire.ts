/** The controller's part of Backups, wired. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { DestinationDefaults } from '../../api/destination-defaults.ts';
import { FIELD_MANAGERS, FINALIZERS } from '../../api/group.ts';
import { isDeleting, keyOf, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { liveFrom } from '../support/live.ts';
import { conditionsDiffer, ordersDiffer, wasTakenOver } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { createWriter } from '../support/writes.ts';
import { addPartIndexes, backupOf } from './dependencies.ts';
import { backupBindingReconciler } from './reconciler.ts';

export interface BackupBindingWiring extends ControllerWiring {
  readonly destinations: readonly DestinationDefaults[];
}

/** Backups worked on at once. */
const AT_ONCE = 8;
/** Of those that wait for their turn. */
const NEXT = { priority: -10 } as const;

export function addBackupBinding(manager: Manager, wiring: BackupBindingWiring): void {
  const { caches, client, writer, events, metrics, clock, expiry, leaderOnly, isLost, destinations } = wiring;
  const { backups, repositories, volumes, nodes, classes, namespaces } = caches;
  const parts = manager.cache<VolumeBackup>(VOLUME_BACKUPS);
  addPartIndexes(parts.store);
  manager.addController({
    name: 'backup-binding',
    concurrency: AT_ONCE,
    reconcile: backupBindingReconciler({
      backups: backups.store,
      parts: parts.store,
      repositories: repositories.store,
      volumes: volumes.store,
      nodes: nodes.store,
      classes: classes.store,
      namespaces: namespaces.store,
      isLost,
      destinations,
      client,
      live: liveFrom(client),
      expiry,
      writer,
      volumeWriter: createWriter(client, FIELD_MANAGERS.backups),
      events,
      metrics,
    }),
    leaderOnly,
    sources: [
      deltaSource(backups, backupKeys),
      deltaSource(parts, (delta) => partKeys(delta, backups.store)),
      deltaSource(repositories, (delta) => repositoryKeys(delta, backups.store)),
      deltaSource(nodes, (delta) => nodeKeys(delta, backups.store)),
      deltaSource(volumes, (delta) => volumeKeys(delta, backups.store)),
      // What is chosen and refused is so for good: everything must be known before.
      deltaSource(classes, () => []),
      deltaSource(namespaces, () => []),
      resyncSource('backup-binding-resync', clock, RESYNC_MS, () => backups.store.keys()),
    ],
  });
}

/** What people say, what the agent has written down, and what was taken away from us. */
function backupKeys(delta: Delta<Backup>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const matters =
    ordersDiffer(old, object) ||
    wasTakenOver(old, object, FINALIZERS.backup) ||
    conditionsDiffer(old, object, ['Recorded']) ||
    hasEnded(old) !== hasEnded(object) ||
    !sameValue(old.status?.record, object.status?.record);
  return matters ? [{ key: delta.key }] : [];
}

/** A part's own Backup; and when it has ended, those that wait for its place. */
function partKeys(delta: Delta<VolumeBackup>, backups: ReadStore<Backup>): Wanted[] {
  const part = delta.type === 'deleted' ? delta.old : delta.object;
  const own = backupOf(part).map((key) => ({ key }));
  const hasFreed =
    delta.type === 'deleted' ? !hasEnded(part) : delta.type === 'updated' && hasEnded(part) && !hasEnded(delta.old);
  if (!hasFreed) return own;
  const waiting = backups.list().filter((backup) => !hasEnded(backup) && backup.status?.items !== undefined);
  return [...own, ...waiting.map((backup) => ({ key: keyOf(backup), options: NEXT }))];
}

/** Backups that wait for it, or for its storage, and say why. */
function volumeKeys(delta: Delta<Volume>, backups: ReadStore<Backup>): Wanted[] {
  if (delta.type === 'deleted') return unfinishedIn(delta.old.metadata.namespace, backups);
  if (delta.type === 'updated') {
    const { old, object } = delta;
    const matters =
      old.metadata.uid !== object.metadata.uid ||
      old.status?.nodeName !== object.status?.nodeName ||
      conditionsDiffer(old, object, ['Provisioned', 'Ready', 'Stalled']);
    if (!matters) return [];
  }
  return unfinishedIn(delta.object.metadata.namespace, backups);
}

function unfinishedIn(namespace: string | undefined, backups: ReadStore<Backup>): Wanted[] {
  return backups
    .list()
    .filter((backup) => backup.metadata.namespace === namespace && !hasEnded(backup))
    .map((backup) => ({ key: keyOf(backup) }));
}

/** Backups that wait for it; and all that lie in it, where another node tends it or it goes. */
function repositoryKeys(delta: Delta<BackupRepository>, backups: ReadStore<Backup>): Wanted[] {
  const repository = delta.type === 'deleted' ? delta.old : delta.object;
  const hasMoved =
    delta.type === 'deleted' ||
    (delta.type === 'updated' && delta.old.status?.nodeName !== delta.object.status?.nodeName);
  if (delta.type === 'updated' && !hasMoved) {
    const { old, object } = delta;
    if (!ordersDiffer(old, object) && !conditionsDiffer(old, object, ['Ready', 'Stalled'])) return [];
  }
  return backups
    .list()
    .filter(({ metadata }) => metadata.namespace === repository.metadata.namespace)
    .filter((backup) => {
      const name = backup.status?.repositoryRef?.name ?? backup.spec.repositoryRef?.name;
      if (name === undefined) return !hasEnded(backup);
      return name === repository.metadata.name && (hasMoved || isDeleting(backup) || !hasEnded(backup));
    })
    .map((backup) => ({ key: keyOf(backup) }));
}

/** A node that is lost, back or gone concerns what has not ended, and what is deleted through it. */
function nodeKeys(delta: Delta<StorageNode>, backups: ReadStore<Backup>): Wanted[] {
  if (delta.type === 'updated') {
    const { old, object } = delta;
    if (!ordersDiffer(old, object) && !conditionsDiffer(old, object, ['Ready'])) return [];
  }
  return backups
    .list()
    .filter((backup) => !hasEnded(backup) || isDeleting(backup))
    .map((backup) => ({ key: keyOf(backup) }));
}
