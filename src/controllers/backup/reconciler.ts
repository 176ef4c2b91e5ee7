/**
 * What the agent of a repository's node does for a Backup: it writes it down as a whole when the controller has handed over what
 * it is made of, and does in the repository what its deletion means. Both are jobs outside of the queue; both look first at
 * what is there already.
 */
import type { Backup, BackupConditionType, BackupStatus } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition } from '../../api/conditions.ts';
import { ANNOTATIONS, FINALIZERS, hasUidBoundAnnotation } from '../../api/group.ts';
import { BACKUPS, isDeleting, keyOf } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { RepositoryAccess } from '../../backup/engine.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { clusterIDOf } from '../backup-binding/identity.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { hasFinalizer, isPaused } from '../support/annotations.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import type { BackupTools } from '../support/repository-access.ts';
import { repositoryAccess } from '../support/repository-access.ts';
import { transitName } from '../support/transit.ts';
import { tolerateChange } from '../support/writes.ts';
import { Forgetter, type Forgotten } from './forget.ts';
import { readersOf } from './readers.ts';
import type { WrittenRecord } from './record.ts';
import { writeRecord } from './record.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 5_000;
/** A Secret that is not there may be on its way back, in milliseconds since the deletion was asked for. */
const PATIENCE_MS = 60_000;

export interface BackupDependencies extends AgentDependencies {
  readonly backupStore: ReadStore<Backup>;
  readonly repositories: ReadStore<BackupRepository>;
  readonly tools: BackupTools;
  readonly client: Pick<KubeClient, 'get'>;
  readonly jobs: Jobs;
}

interface Dependencies extends BackupDependencies {
  /** What jobs have done, by UID; looked up in the repository again after a restart. */
  readonly records: Map<string, WrittenRecord>;
  readonly forgotten: Map<string, Forgotten>;
  readonly forgetter: Forgetter;
}

export function backupReconciler(dependencies: BackupDependencies): Reconciler {
  const deps = {
    ...dependencies,
    records: new Map<string, WrittenRecord>(),
    forgotten: new Map<string, Forgotten>(),
    forgetter: new Forgetter(dependencies.tools.engine),
  };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const backup = deps.backupStore.get(key);
  const work = backup === undefined || backup.status?.nodeName !== deps.nodeName ? undefined : workOf(backup);
  // Work for an object that is gone or ended, or other work than is wanted now.
  const wanted = backup === undefined || work === undefined ? undefined : jobUid(backup, work);
  if (!(await deps.jobs.end(key, context.signal, wanted))) return { requeueAfterMs: LOOK_AGAIN_MS };
  if (backup === undefined || work === undefined || isPaused(backup)) return DONE;
  return work === 'record' ? await record(key, backup, deps, context) : await remove(key, backup, deps, context);
}

/** What is to be done, if anything. */
function workOf(backup: Backup): 'record' | 'remove' | undefined {
  const { status } = backup;
  if (isDeleting(backup)) {
    const isOver = backup.spec.imported !== undefined || status?.backupID === undefined || hasEnded(backup);
    return hasFinalizer(backup, FINALIZERS.backup) && isOver ? 'remove' : undefined;
  }
  if (hasEnded(backup) || status?.record !== undefined || backup.spec.cancel === true) return undefined;
  const document = transitName(backup, 'document', 0);
  return status?.manifestSecretRefs?.some(({ name }) => name === document) === true ? 'record' : undefined;
}

function jobUid({ metadata }: Backup, work: 'record' | 'remove'): string {
  return `${metadata.uid} ${work}`;
}

async function record(key: string, backup: Backup, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { signal } = context;
  const uid = backup.metadata.uid ?? '';
  const { engine } = deps.tools;
  const { nodeName, client } = deps;
  const outcome = await run(key, backup, 'record', deps, context, async (access, limit) => {
    deps.records.set(uid, await writeRecord({ backup, nodeName, engine, access, client }, limit));
  });
  const written = deps.records.get(uid);
  if (outcome.kind === 'done' && written !== undefined) {
    await tell(
      backup,
      { record: written },
      [{ type: 'Recorded', status: 'True', reason: 'Recorded', message: '' }],
      deps,
      context,
    );
    deps.records.delete(uid);
    return DONE;
  }
  if (outcome.kind === 'running') return DONE;
  if (outcome.kind === 'done') return { requeueAfterMs: 0 };
  const { reason, message } = outcome.failure;
  await tell(backup, {}, [{ type: 'Recorded', status: 'False', reason, message }], deps, context);
  return again(outcome.failure, signal);
}

async function remove(key: string, backup: Backup, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { signal, clock } = context;
  const uid = backup.metadata.uid ?? '';
  if (hasUidBoundAnnotation(backup, ANNOTATIONS.forceDelete)) {
    return await release(
      backup,
      'Released without its repository because of the force-delete annotation',
      deps,
      signal,
    );
  }
  if (isReadOnly(repositoryOf(backup, deps)) && !isDataDeleted(backup)) {
    const why =
      'Its repository is ReadOnly, so that nothing is noted there, and it is listed again while the BackupRepository stays';
    return await release(backup, why, deps, signal);
  }
  const clusterID = backup.status?.clusterID ?? clusterIDOf((name) => deps.stores.namespaces.get(name));
  const own = backup.spec.imported === undefined ? clusterID : clusterIDOf((name) => deps.stores.namespaces.get(name));
  if (own === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  const readers = isDataDeleted(backup) && !deps.jobs.has(key) ? readersOf(backup, deps.stores) : [];
  const outcome =
    readers.length > 0
      ? ({ kind: 'failed', failure: inUse(readers) } as const)
      : await run(key, backup, 'remove', deps, context, async (access, limit) => {
          deps.forgotten.set(uid, await deps.forgetter.forget({ backup, clusterID: own, access }, limit));
        });
  if (outcome.kind === 'running') return DONE;
  const forgotten = deps.forgotten.get(uid);
  if (outcome.kind === 'done' && forgotten === undefined) return { requeueAfterMs: 0 };
  if (outcome.kind === 'done') {
    deps.forgotten.delete(uid);
    const isDeleted = forgotten === 'deleted';
    const message = isDeleted
      ? 'What this cluster had of the backup is removed from the repository.'
      : 'The Backup is released; what is in the repository is kept.';
    deps.events.record(backup, 'Normal', isDeleted ? 'Deleted' : 'Retained', message);
    await deps.writer.removeFinalizer(BACKUPS, backup, FINALIZERS.backup, signal);
    return DONE;
  }
  const { failure } = outcome;
  const waitedMs = clock.now() - Date.parse(backup.metadata.deletionTimestamp ?? '');
  if (isWithoutKey(backup, deps) && waitedMs > PATIENCE_MS) {
    return await release(backup, `The repository cannot be opened any more (${failure.message})`, deps, signal);
  }
  const message = `${failure.message} The deletion goes on by itself; to release the Backup without it, annotate it with force-delete and its UID: the data stays.`;
  const blocked = [{ type: 'DeletionBlocked', status: 'True', reason: failure.reason, message }] as const;
  await tell(backup, keptRecord(backup), blocked, deps, context);
  return again(failure, signal);
}

/** What was begun with it could not be ended without it: a volume would keep the half that it has. */
function inUse(readers: readonly string[]): Failure {
  const named = readers.slice(0, MOST_NAMES).join(', ');
  const more = readers.length > MOST_NAMES ? ` and ${readers.length - MOST_NAMES} more` : '';
  return { reason: 'BackupInUse', message: `It is being restored by ${named}${more}.`, stalled: false };
}

const MOST_NAMES = 5;

type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'running' }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** Runs a job once at a time, and may wait a moment for its end. */
async function run(
  key: string,
  backup: Backup,
  what: 'record' | 'remove',
  deps: Dependencies,
  { signal }: ReconcileContext,
  work: (access: RepositoryAccess, signal: AbortSignal) => Promise<void>,
): Promise<Outcome> {
  try {
    if (!deps.jobs.has(key)) {
      const access = accessOf(backup, deps);
      if ('failure' in access) return { kind: 'failed', failure: access.failure };
      deps.jobs.start(key, {
        uid: jobUid(backup, what),
        queue: what,
        reads: [],
        what: `backup "${backup.metadata.name}"`,
        work: (call) => work(access, call.signal),
      });
    }
    // Deletions come many at a time, and are done together only when none is waited for.
    const state = await deps.jobs.settle(key, what === 'remove' ? 0 : SHORT_WAIT_MS, signal);
    if (state?.state === 'failed') throw state.error;
    return { kind: state?.state === 'running' ? 'running' : 'done' };
  } catch (thrown) {
    const fallback = what === 'record' ? 'BackupFailed' : 'DeleteFailed';
    return { kind: 'failed', failure: failureOf(thrown, fallback, signal) };
  }
}

function accessOf(backup: Backup, deps: Dependencies): RepositoryAccess | { readonly failure: Failure } {
  const repository = repositoryOf(backup, deps);
  if (repository === undefined) {
    const message = 'The BackupRepository of the backup is not known on this node.';
    return { failure: { reason: 'RepositoryNotReady', message, stalled: false } };
  }
  if (isReadOnly(repository)) {
    const message = `BackupRepository "${repository.metadata.name}" is ReadOnly; nothing is written to it, and nothing is removed from it.`;
    return { failure: { reason: 'InvalidSpec', message, stalled: false } };
  }
  const reachable = findCondition(repository.status?.conditions, 'Reachable');
  if (reachable?.reason === ('RepositoryReplaced' satisfies Reason)) {
    return { failure: { reason: 'RepositoryReplaced', message: reachable.message, stalled: false } };
  }
  const namespace = backup.metadata.namespace ?? '';
  const resolution = repositoryAccess(deps, deps.tools, { namespace, location: repository.spec });
  return resolution.ok ? resolution.access : { failure: resolution.refusal };
}

function isReadOnly(repository: BackupRepository | undefined): boolean {
  return repository?.spec.accessMode === 'ReadOnly';
}

/** Its data is to go, and not its object alone. */
function isDataDeleted({ spec }: Backup): boolean {
  return spec.imported === undefined && spec.deletionPolicy === 'Delete';
}

/** The Secret with the password is known not to exist. */
function isWithoutKey(backup: Backup, deps: Dependencies): boolean {
  const repository = repositoryOf(backup, deps);
  if (repository === undefined) return false;
  const { name } = repository.spec.encryption.secretRef;
  return deps.named?.secret(backup.metadata.namespace ?? '', name).state === 'absent';
}

function repositoryOf(backup: Backup, { repositories }: Dependencies): BackupRepository | undefined {
  const name = backup.status?.repositoryRef?.name ?? backup.spec.repositoryRef?.name ?? '';
  return repositories.get(keyOf({ metadata: { namespace: backup.metadata.namespace ?? '', name } }));
}

async function release(backup: Backup, why: string, deps: Dependencies, signal: AbortSignal): Promise<Result> {
  deps.events.record(backup, 'Warning', 'DataRetained', `${why}; what is in the repository is kept.`);
  await deps.writer.removeFinalizer(BACKUPS, backup, FINALIZERS.backup, signal);
  return DONE;
}

function keptRecord({ status }: Backup): Pick<BackupStatus, 'record'> {
  return status?.record === undefined ? {} : { record: status.record };
}

/** The whole of what this agent says of the Backup. */
async function tell(
  backup: Backup,
  part: Pick<BackupStatus, 'record'>,
  inputs: readonly ConditionInput<BackupConditionType>[],
  { writer, events }: Dependencies,
  { signal, clock }: ReconcileContext,
): Promise<void> {
  const { metadata, status } = backup;
  const now = new Date(clock.now());
  const conditions = deriveConditions(status?.conditions, inputs, metadata.generation ?? 0, now);
  const written = await writer.status(BACKUPS, backup, { ...part, conditions }, { signal });
  const [news] = inputs.filter(({ status: said, type }) => said === 'False' || type === 'DeletionBlocked');
  if (written && news !== undefined) events.record(backup, 'Warning', news.reason satisfies Reason, news.message);
}

function again(failure: Failure, signal: AbortSignal): Result {
  signal.throwIfAborted();
  if (failure.stalled || failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(failure);
}
