/** The controller of BackupRepositories, and what queues their keys. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { FINALIZERS } from '../../api/group.ts';
import { keyOf, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Manager } from '../../runtime/manager.ts';
import { cacheSource } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { BY_NODE, BY_REPOSITORY, nodeOf, repositoryOfBackup } from '../support/indexes.ts';
import { liveFrom } from '../support/live.ts';
import { conditionsDiffer, ordersDiffer, wasTakenOver } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { repositoryBindingReconciler } from './reconciler.ts';

export function addRepositoryBinding(manager: Manager, wiring: ControllerWiring): void {
  const { caches, client, writer, events, clock, leaderOnly, isLost } = wiring;
  const { repositories, backups, restores, volumeRestores, nodes, classes, namespaces } = caches;
  const volumeBackups = manager.cache<VolumeBackup>(VOLUME_BACKUPS);
  repositories.store.addIndex(BY_NODE, nodeOf);
  backups.store.addIndex(BY_REPOSITORY, repositoryOfBackup);
  const waiting = (): Wanted[] =>
    repositories.store
      .list()
      .filter(({ status }) => status?.nodeName === undefined)
      .map((repository) => ({ key: keyOf(repository) }));
  manager.addController({
    name: 'repository-binding',
    reconcile: repositoryBindingReconciler({
      repositories: repositories.store,
      backups: backups.store,
      work: () => ({
        volumeBackups: volumeBackups.store.list(),
        restores: restores.store.list(),
        volumeRestores: volumeRestores.store.list(),
      }),
      nodes: nodes.store,
      classes: classes.store,
      namespaces: namespaces.store,
      isLost,
      client,
      live: liveFrom(client),
      writer,
      events,
    }),
    leaderOnly,
    sources: [
      deltaSource(repositories, repositoryKeys),
      deltaSource(backups, backupKeys),
      deltaSource(nodes, (delta) => [...waiting(), ...lossKeys(delta)]),
      deltaSource(classes, waiting),
      deltaSource(namespaces, waiting),
      // A deletion waits for what it sees of them: everything must be known before.
      cacheSource(volumeBackups, { predicate: () => false }),
      cacheSource(restores, { predicate: () => false }),
      cacheSource(volumeRestores, { predicate: () => false }),
      resyncSource('repository-binding-resync', clock, RESYNC_MS, () => repositories.store.keys()),
    ],
  });

  /** A node that is lost or back concerns the repositories that it tends, and those that it may tend. */
  function lossKeys(delta: Delta<StorageNode>): Wanted[] {
    if (delta.type === 'updated' && !conditionsDiffer(delta.old, delta.object, ['Ready']) && !featuresDiffer(delta)) {
      return [];
    }
    return repositories.store
      .list()
      .filter(
        ({ status }) => status?.nodeName !== undefined && (status.nodeName === delta.key || isLost(status.nodeName)),
      )
      .map((repository) => ({ key: keyOf(repository) }));
  }
}

function featuresDiffer(delta: Delta<StorageNode> & { readonly type: 'updated' }): boolean {
  return !sameValue(delta.old.status?.features, delta.object.status?.features);
}

/** What the binding reads of a repository: what people say, whether it is Ready, that its agent speaks for it. */
function repositoryKeys(delta: Delta<BackupRepository>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const matters =
    ordersDiffer(old, object) ||
    wasTakenOver(old, object, FINALIZERS.repository) ||
    conditionsDiffer(old, object, ['Ready', 'DeletionBlocked']);
  return matters ? [{ key: delta.key }] : [];
}

/** A backup that came, ended, moved or goes concerns its repository; many come and go together. */
function backupKeys(delta: Delta<Backup>): Wanted[] {
  const keys = new Set<string>();
  if (delta.type !== 'added') repositoryOfBackup(delta.old).forEach((key) => keys.add(key));
  if (delta.type !== 'deleted') repositoryOfBackup(delta.object).forEach((key) => keys.add(key));
  if (delta.type === 'updated') {
    const { old, object } = delta;
    const matters =
      ordersDiffer(old, object) ||
      conditionsDiffer(old, object, ['Ready']) ||
      old.status?.completionTime !== object.status?.completionTime ||
      old.status?.repositoryRef?.name !== object.status?.repositoryRef?.name;
    if (!matters) return [];
  }
  return [...keys].map((key) => ({ key, options: GATHERED }));
}

const GATHERED = { priority: -50, afterMs: 200 } as const;
