/** The controllers of an agent that restore from backups, and what queues their keys. */
import type { BackupRepository } from '../../api/backup-repository.ts';
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import { awaitsReading, restoreReadingReconciler } from '../restore-reading/reconciler.ts';
import type { BackupAgentWiring } from '../support/agent-wiring.ts';
import { Jobs } from '../support/jobs.ts';
import { workMentions } from '../support/named-data.ts';
import { ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { accessResolver } from './access.ts';
import {
  keysNamingSecrets,
  mountToVolumeRestoreKeys,
  snapshotToVolumeRestoreKeys,
  volumeRestoreKeys,
  volumeToVolumeRestoreKeys,
} from './keys.ts';
import { volumeRestoreReconciler } from './reconciler.ts';

/** Restores at once on a node: each reads and writes as fast as it can. */
const RESTORES_AT_ONCE = 2;
const CONCURRENCY = 16;

export function addBackupRestores(manager: Manager, wiring: BackupAgentWiring): void {
  const { dependencies, tools, caches, named, client, clock } = wiring;
  const { stores, nodeName } = dependencies;
  const { volumes, mounts, snapshots, restores, volumeRestores, repositories } = caches;
  const accessOf = accessResolver(dependencies, tools);
  const { engine } = tools;
  named.follow(volumeRestores, workMentions);
  const writes = new Jobs({ ...wiring.jobs, name: 'volume-restore', concurrency: () => RESTORES_AT_ONCE });
  const reads = new Jobs({ ...wiring.jobs, name: 'restore-reading', concurrency: () => RESTORES_AT_ONCE });
  manager.addController({
    name: 'volume-restore',
    concurrency: CONCURRENCY,
    reconcile: volumeRestoreReconciler({ ...dependencies, engine, accessOf, jobs: writes }),
    sources: [
      deltaSource(volumeRestores, volumeRestoreKeys),
      deltaSource(volumes, (delta) => volumeToVolumeRestoreKeys(delta, stores.volumeRestores)),
      deltaSource(snapshots, (delta) => snapshotToVolumeRestoreKeys(delta, stores.volumeRestores)),
      deltaSource(mounts, (delta) => mountToVolumeRestoreKeys(delta, stores)),
      writes.source,
      named.source('named-data-of-volume-restores', () => keysNamingSecrets(stores.volumeRestores)),
      resyncSource('volume-restore-resync', clock, RESYNC_MS, () => stores.volumeRestores.keys()),
    ],
  });
  const waiting = (): string[] =>
    stores.restores
      .list()
      .filter((one) => awaitsReading(one, nodeName))
      .map(keyOf);
  manager.addController({
    name: 'restore-reading',
    concurrency: CONCURRENCY,
    reconcile: restoreReadingReconciler({
      ...dependencies,
      repositories: repositories.store,
      engine,
      accessOf,
      client,
      jobs: reads,
    }),
    sources: [
      deltaSource(restores, (delta) => readingKeys(delta, nodeName)),
      deltaSource(repositories, (delta) => repositoryKeys(delta, stores.restores, nodeName)),
      reads.source,
      named.source('named-data-of-restores', waiting),
      resyncSource('restore-reading-resync', clock, RESYNC_MS, waiting),
    ],
  });
  manager.addRunnable(writes.closer('volume-restores'));
  manager.addRunnable(reads.closer('restore-readings'));
}

function readingKeys(delta: Delta<Restore>, nodeName: string): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const began = old.status?.manifestSecretRef?.name !== object.status?.manifestSecretRef?.name;
  return began || (ordersDiffer(old, object) && awaitsReading(old, nodeName)) ? [{ key: delta.key }] : [];
}

/** Restores that wait for a repository to be known here, or to be as it should. */
function repositoryKeys(delta: Delta<BackupRepository>, restores: ReadStore<Restore>, nodeName: string): Wanted[] {
  if (delta.type === 'deleted' || (delta.type === 'updated' && !ordersDiffer(delta.old, delta.object))) return [];
  const { name, namespace } = delta.object.metadata;
  return restores
    .list()
    .filter(({ metadata, status }) => metadata.namespace === namespace && status?.repositoryRef?.name === name)
    .filter((restore) => awaitsReading(restore, nodeName))
    .map((restore) => ({ key: keyOf(restore) }));
}
