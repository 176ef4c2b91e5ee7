/**
 * A repository and the agent that tends it.
 *
 *   judged     the policy of this node allows the location, and its Secrets are there
 *   looked at  every five minutes and when something happened: opened (or made), its locks and backups listed; objects and
 *              what is stored brought together; parts that nobody will finish forgotten
 *   cared for  space given back after something was removed; checked at the times that the spec names
 *
 * All that asks the repository is a job outside of the queue, so that a dead server holds up nothing else.
 */
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { ANNOTATIONS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, isDeleting } from '../../api/meta.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { clusterIDOf } from '../backup-binding/identity.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { JobState } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { repositoryAccess } from '../support/repository-access.ts';
import { tolerateChange } from '../support/writes.ts';
import { nextCheck, nextLook, nextPrune } from './care.ts';
import type { RepositoryDependencies } from './dependencies.ts';
import { backupsOf } from './dependencies.ts';
import { checkJob, lookJob, pruneJob } from './jobs.ts';
import { keyCondition } from './key.ts';
import { forgetMetrics, setMetrics } from './metrics.ts';
import { fingerprintOf, RepositoryState } from './state.ts';
import type { RepositoryOutcome } from './status.ts';
import { repositoryStatus } from './status.ts';
import { tellOfFound } from './sync.ts';

/** How soon a job that could not be ended is waited for again, in milliseconds. */
const END_RETRY_MS = 2000;
/** How soon is looked at again what the next reconcile will find, in milliseconds. */
const SOON_MS = 100;

export function repositoryReconciler(dependencies: RepositoryDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: RepositoryDependencies, context: ReconcileContext): Promise<Result> {
  const { looks, care, states } = deps;
  const object = deps.repositories.get(key);
  const repository = object?.status?.nodeName === deps.nodeName ? object : undefined;
  const isAtWork = repository !== undefined && !isDeleting(repository) && !isPaused(repository);
  const uid = isAtWork ? repository.metadata.uid : undefined;
  const ends = [looks, care].map((jobs) => jobs.end(key, context.signal, uid));
  if ((await Promise.all(ends)).includes(false)) return { requeueAfterMs: END_RETRY_MS };
  if (repository === undefined) {
    states.delete(key);
    forgetMetrics(key, deps.metrics);
    return DONE;
  }
  const state = stateOf(key, repository, states);
  if (!isAtWork) {
    const kind = isDeleting(repository) ? 'deleting' : 'paused';
    await report(key, repository, state, { kind }, undefined, deps, context);
    return DONE;
  }
  return tend(key, repository, state, deps, context);
}

function stateOf(key: string, { metadata }: BackupRepository, states: Map<string, RepositoryState>): RepositoryState {
  const present = states.get(key);
  if (present?.uid === metadata.uid) return present as RepositoryState;
  const state = new RepositoryState(metadata.uid ?? '');
  states.set(key, state);
  return state;
}

async function tend(
  key: string,
  repository: BackupRepository,
  state: RepositoryState,
  deps: RepositoryDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { looks, care } = deps;
  const { clock, signal } = context;
  const namespace = repository.metadata.namespace ?? '';
  const isReadOnly = repository.spec.accessMode === 'ReadOnly';
  const resolution = repositoryAccess(deps, deps.tools, { namespace, location: repository.spec, readOnly: isReadOnly });
  const clusterID = clusterIDOf((name) => deps.namespaces.get(name));
  if (!resolution.ok || clusterID === undefined) {
    if (!(await looks.end(key, signal)) || !(await care.end(key, signal))) return { requeueAfterMs: END_RETRY_MS };
    const { reason, message, stalled } = resolution.ok
      ? ({
          reason: 'Pending',
          message: 'The namespaces of the cluster have not been read yet.',
          stalled: false,
        } as const)
      : resolution.refusal;
    // What is on its way is there in a moment, and said only where nothing was said before.
    const isPassing = reason === 'Pending' && (repository.status?.conditions?.length ?? 0) > 0;
    const outcome: RepositoryOutcome = isPassing ? { kind: 'known' } : { kind: 'refused', reason, message, stalled };
    await report(key, repository, state, outcome, undefined, deps, context);
    return DONE;
  }
  const { access, directory, url } = resolution;
  const request = { key, repository, state, access, directory, clusterID };
  const fingerprint = fingerprintOf(repository, access);
  assertEnded(await looks.settle(key, 0, signal));
  assertEnded(await care.settle(key, 0, signal));
  if (!looks.has(key) && nextLook(state, fingerprint, clock.now()) <= clock.now()) {
    if (state.fingerprint !== fingerprint) state.openedAt = 0;
    state.fingerprint = fingerprint;
    looks.start(key, lookJob(request, deps, clock));
    assertEnded(await looks.settle(key, SHORT_WAIT_MS, signal));
  }
  let hasMore = false;
  if (state.looked?.ok === true && !looks.has(key)) {
    const backups = backupsOf(key, deps);
    const facts = { repository, before: [], backups, catalogue: state.looked.result.catalogue, clusterID };
    const sync = { ...deps, writer: deps.backupWriter };
    hasMore = await tellOfFound({ ...facts, damaged: state.damaged, now: clock.now() }, sync, signal);
    if (!care.has(key) && !isBusy(key, deps)) startCare(key, repository, state, request, deps, context);
  }
  await report(key, repository, state, { kind: 'known' }, url, deps, context);
  if (hasMore) return { requeueAfterMs: SOON_MS };
  const dues = [
    looks.has(key) ? undefined : nextLook(state, fingerprint, clock.now()),
    ...(care.has(key) || state.looked?.ok !== true ? [] : nextCare(key, repository, state, deps, clock.now())),
  ].filter((due) => due !== undefined);
  if (dues.length === 0) return DONE;
  return { requeueAfterMs: Math.min(LONGEST_WAIT_MS, Math.max(SOON_MS, Math.min(...dues) - clock.now())) };
}

/** The clock on the wall may be set, and no timer follows it: no wait is longer. Milliseconds. */
const LONGEST_WAIT_MS = 300_000;
const BUSY_RETRY_MS = 30_000;

/** What did not come from the repository, such as a request to the API server that failed, is tried again with back-off. */
function assertEnded(state: JobState | undefined): void {
  if (state?.state === 'failed') throw state.error;
}

/** When it is cared for next. What would exclude backups that go on waits for them. */
function nextCare(
  key: string,
  repository: BackupRepository,
  state: RepositoryState,
  deps: RepositoryDependencies,
  now: number,
): readonly number[] {
  const dues = [nextPrune(repository, state, now), nextCheck(repository, state, now)].filter(
    (due) => due !== undefined,
  );
  return isBusy(key, deps) ? dues.map((due) => Math.max(due, now + BUSY_RETRY_MS)) : dues;
}

/** Whether backups into it go on. */
function isBusy(key: string, deps: RepositoryDependencies): boolean {
  return backupsOf(key, deps).some(
    (backup) => backup.spec.imported === undefined && backup.status?.startTime !== undefined && !hasEnded(backup),
  );
}

function startCare(
  key: string,
  repository: BackupRepository,
  state: RepositoryState,
  request: Parameters<typeof lookJob>[0],
  deps: RepositoryDependencies,
  { clock }: ReconcileContext,
): void {
  const now = clock.now();
  const checkDue = nextCheck(repository, state, now);
  if (checkDue !== undefined && checkDue <= now) {
    state.checkedFor = repository.metadata.annotations?.[ANNOTATIONS.reconcileAt];
    deps.care.start(key, checkJob(request, deps, clock));
    return;
  }
  const pruneDue = nextPrune(repository, state, now);
  if (pruneDue !== undefined && pruneDue <= now) deps.care.start(key, pruneJob(request, deps, clock));
}

/** Derives the status and writes what differs. */
async function report(
  key: string,
  repository: BackupRepository,
  state: RepositoryState,
  outcome: RepositoryOutcome,
  url: string | undefined,
  deps: RepositoryDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const { name } = repository.spec.encryption.secretRef;
  const secret = deps.named?.secret(repository.metadata.namespace ?? '', name) ?? ({ state: 'unknown' } as const);
  const keyFacts = keyCondition(name, secret);
  const now = new Date(clock.now());
  const status = repositoryStatus({ repository, outcome, url, key: keyFacts, state, now });
  setMetrics(key, status, deps.metrics);
  if (await deps.writer.status(BACKUP_REPOSITORIES, repository, status, { signal })) {
    recordConditionEvents(deps.events, repository, repository.status?.conditions, status.conditions);
  }
}
