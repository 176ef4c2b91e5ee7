/** The controller of Backups on the node that tends their repository, and what queues their keys. */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { BACKUPS, isDeleting, keyOf } from '../../api/meta.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta } from '../../runtime/store.ts';
import type { BackupAgentWiring } from '../support/agent-wiring.ts';
import { Jobs } from '../support/jobs.ts';
import { conditionsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { backupReconciler } from './reconciler.ts';

/** Documents that are written at once: each is a short run of the engine. */
const RECORDS_AT_ONCE = 4;
/** Deletions at once: they wait for one run of the engine together. */
const REMOVALS_AT_ONCE = 1_000;
const RECONCILES_AT_ONCE = 16;

export function addBackups(manager: Manager, wiring: BackupAgentWiring): void {
  const { dependencies, tools, caches, named, own, client, clock } = wiring;
  const { repositories } = caches;
  const backups = manager.cache<Backup>(BACKUPS, own);
  const jobs = new Jobs({ ...wiring.jobs, name: 'backup', concurrency: atOnce });
  const waiting = (): string[] =>
    backups.store
      .list()
      .filter(({ status }) => status?.nodeName === dependencies.nodeName)
      .filter((backup) => isDeleting(backup) || !hasEnded(backup))
      .map(keyOf);
  manager.addController({
    name: 'backup',
    concurrency: RECONCILES_AT_ONCE,
    reconcile: backupReconciler({
      ...dependencies,
      backupStore: backups.store,
      repositories: repositories.store,
      tools,
      client,
      jobs,
    }),
    sources: [
      deltaSource(backups, backupKeys),
      deltaSource(repositories, (delta) => (concerns(delta) ? waiting().map((key) => ({ key })) : [])),
      jobs.source,
      named.source('named-data-of-backups', waiting),
      resyncSource('backup-resync', clock, RESYNC_MS, waiting),
    ],
  });
  manager.addRunnable(jobs.closer('backups'));
}

function atOnce(queue: string): number {
  return queue === 'remove' ? REMOVALS_AT_ONCE : RECORDS_AT_ONCE;
}

function backupKeys(delta: Delta<Backup>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const matters =
    ordersDiffer(old, object) ||
    hasEnded(old) !== hasEnded(object) ||
    !sameValue(old.status?.manifestSecretRefs, object.status?.manifestSecretRefs);
  return matters ? [{ key: delta.key }] : [];
}

/** One that came, changed, or can be used again. */
function concerns(delta: Delta<BackupRepository>): boolean {
  if (delta.type !== 'updated') return delta.type === 'deleted' || !delta.initial;
  return ordersDiffer(delta.old, delta.object) || conditionsDiffer(delta.old, delta.object, ['Ready']);
}
