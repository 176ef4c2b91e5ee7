/**
 * The controller's part of a BackupRepository: which node tends it, and what is said while none does; which of its backups
 * its retention no longer keeps; and its end, which leaves what is stored as it is.
 */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import type { BackupRepository, BackupRepositoryStatus } from '../../api/backup-repository.ts';
import { deriveConditions } from '../../api/conditions.ts';
import type { Namespace } from '../../api/core.ts';
import { FIELD_MANAGERS, FINALIZERS } from '../../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUPS,
  isDeleting,
  keyOf,
  RESTORES,
  VOLUME_BACKUPS,
  VOLUME_RESTORES,
} from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { clusterIDOf } from '../backup-binding/identity.ts';
import { resolveRepository } from '../policy/repository.ts';
import { BACKUP_RUNS } from '../schedule/backup-runs.ts';
import { hasFinalizer } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { BY_NODE, BY_REPOSITORY } from '../support/indexes.ts';
import type { Live } from '../support/live.ts';
import { CacheBehind } from '../support/live.ts';
import type { StandIn } from '../support/stand-in.ts';
import { standInStatus } from '../support/stand-in.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import { bindingOf } from './checks.ts';
import { expiredBackups } from './retention.ts';
import type { Work } from './users.ts';
import { usersOf } from './users.ts';

export interface RepositoryBindingDependencies {
  /** Indexed by {@link BY_NODE}. */
  readonly repositories: ReadStore<BackupRepository>;
  /** Indexed by {@link BY_REPOSITORY}. */
  readonly backups: ReadStore<Backup>;
  readonly work: () => Omit<Work, 'backups'>;
  readonly nodes: ReadStore<StorageNode>;
  readonly classes: ReadStore<VolumeClass>;
  readonly namespaces: ReadStore<Namespace>;
  readonly isLost: (nodeName: string) => boolean;
  readonly client: Pick<KubeClient, 'delete' | 'patch'>;
  /** Right before what cannot be undone. */
  readonly live: Live;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** How soon a deletion that waits is looked at again, in milliseconds. */
const BLOCKED_RETRY_MS = 2000;

export function repositoryBindingReconciler(dependencies: RepositoryBindingDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: RepositoryBindingDependencies, context: ReconcileContext): Promise<Result> {
  const repository = deps.repositories.get(key);
  if (repository === undefined) return DONE;
  const now = context.clock.now();
  const { nodeName, standIn } = bindingOf({
    repository,
    resolution: resolveRepository({
      namespace: repository.metadata.namespace ?? '',
      location: repository.spec,
      classNamed: (name) => deps.classes.get(name),
      namespaceLabels: deps.namespaces.get(repository.metadata.namespace ?? '')?.metadata.labels,
      node: { hostPathAllow: undefined },
    }),
    nodes: deps.nodes.list(),
    isLost: deps.isLost,
    load: (name) => deps.repositories.byIndex(BY_NODE, name).length,
    now,
  });
  if (isDeleting(repository)) return remove(repository, nodeName, standIn, deps, context);
  if (standIn?.kind === 'waiting' && isFresh(repository, now)) {
    return { requeueAfterMs: untilNotFresh(repository, now) };
  }
  const current =
    nodeName === undefined
      ? repository
      : await deps.writer.addFinalizer(BACKUP_REPOSITORIES, repository, FINALIZERS.repository, context.signal);
  await write(current, nodeName, standIn, [], deps, context);
  if (nodeName === undefined) return DONE;
  const backups = deps.backups.byIndex(BY_REPOSITORY, key);
  await expire(current, backups, deps, context);
  return DONE;
}

async function write(
  repository: BackupRepository,
  nodeName: string | undefined,
  standIn: StandIn | undefined,
  users: readonly string[],
  { writer, events }: RepositoryBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const now = new Date(clock.now());
  const { observedGeneration, conditions = [] } = standInStatus<
    NonNullable<BackupRepositoryStatus['conditions']>[number]['type']
  >(repository, standIn, now);
  const blocked = users.length === 0 ? [] : deletionBlocked(repository, users, now);
  const all = [...conditions.filter(({ type }) => type !== 'DeletionBlocked' || blocked.length === 0), ...blocked];
  const status: BackupRepositoryStatus = {
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    ...(all.length === 0 ? {} : { conditions: all }),
  };
  // What was decided from the repository as it was read must not meet another one.
  const written = await writer.status(BACKUP_REPOSITORIES, repository, status, { requireUnchanged: true, signal });
  if (written && (standIn !== undefined || blocked.length > 0)) {
    recordConditionEvents(events, repository, repository.status?.conditions, all);
  }
}

function deletionBlocked(repository: BackupRepository, users: readonly string[], now: Date) {
  const named = users.slice(0, 5).join(', ');
  const more = users.length > 5 ? ` and ${users.length - 5} more` : '';
  const message = `${named}${more} ${users.length === 1 ? 'uses' : 'use'} it; the deletion goes on by itself afterwards.`;
  return deriveConditions(
    repository.status?.conditions,
    [{ type: 'DeletionBlocked', status: 'True', reason: 'RepositoryInUse', message }],
    repository.metadata.generation ?? 0,
    now,
  );
}

/** Waits for what uses it, and lets it go. What is stored stays: it may be needed after this cluster is gone. */
async function remove(
  repository: BackupRepository,
  nodeName: string | undefined,
  standIn: StandIn | undefined,
  deps: RepositoryBindingDependencies,
  context: ReconcileContext,
): Promise<Result> {
  if (!hasFinalizer(repository, FINALIZERS.repository)) return DONE;
  const users = usersOf(repository, {
    ...deps.work(),
    backups: deps.backups.byIndex(BY_REPOSITORY, keyOf(repository)),
  });
  if (users.length > 0) {
    await write(repository, nodeName, standIn, users, deps, context);
    return { requeueAfterMs: BLOCKED_RETRY_MS };
  }
  await assureUnused(repository, deps.live, context.signal);
  deps.events.record(repository, 'Normal', 'Retained', 'The repository is released; what is stored in it is kept.');
  await deps.writer.removeFinalizer(BACKUP_REPOSITORIES, repository, FINALIZERS.repository, context.signal);
  return DONE;
}

/** @throws CacheBehind when something uses it that the caches do not show yet, and that could not go on without it. */
async function assureUnused(repository: BackupRepository, live: Live, signal: AbortSignal): Promise<void> {
  const { namespace, name } = repository.metadata;
  const [backups, volumeBackups, restores, volumeRestores] = await Promise.all([
    live.list<Backup>(BACKUPS, { namespace }, signal),
    live.list<VolumeBackup>(VOLUME_BACKUPS, { namespace }, signal),
    live.list<Restore>(RESTORES, { namespace }, signal),
    live.list<VolumeRestore>(VOLUME_RESTORES, { namespace }, signal),
  ]);
  const [user] = usersOf(repository, { backups, volumeBackups, restores, volumeRestores });
  if (user !== undefined) throw new CacheBehind(`${user} uses BackupRepository "${name}"`);
}

/** Deletes, with their data, those that the retention does not keep. One that is to be retained keeps its data. */
async function expire(
  repository: BackupRepository,
  backups: readonly Backup[],
  { client, live, namespaces, events }: RepositoryBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const clusterID = clusterIDOf((name) => namespaces.get(name));
  const likely = expiredBackups(repository, backups, clusterID, clock.now());
  if (likely.length === 0) return;
  // One that the cache still shows, and that is gone or not whole any more, would be counted in the place of one that is to be kept.
  const { namespace, name } = repository.metadata;
  const now = await live.get<BackupRepository>(BACKUP_REPOSITORIES, { namespace, name }, signal);
  if (now === undefined || now.metadata.uid !== repository.metadata.uid) return;
  const there = await live.list<Backup>(BACKUPS, { namespace }, signal);
  const gone = new Set(expiredBackups(now, there, clusterID, clock.now()).map(({ metadata }) => metadata.uid));
  for (const backup of likely) {
    if (!gone.has(backup.metadata.uid)) continue;
    const { namespace, name, uid } = backup.metadata;
    const spec = BACKUP_RUNS.expiry?.(backup);
    let { resourceVersion } = backup.metadata;
    await unlessGone(async () => {
      if (spec !== undefined) {
        const options = { type: 'merge', fieldManager: FIELD_MANAGERS.controller, signal } as const;
        const body = { metadata: { uid, resourceVersion }, spec };
        ({ resourceVersion } = (await client.patch<Backup>(BACKUPS, { namespace, name }, body, options)).metadata);
      }
      await client.delete(BACKUPS, { namespace, name }, { preconditions: { uid, resourceVersion }, signal });
      events.record(repository, 'Normal', 'Pruned', `Backup "${name}" is no longer kept.`);
    });
  }
}

async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!KubeError.from(thrown).isNotFound) throw thrown;
  }
}
