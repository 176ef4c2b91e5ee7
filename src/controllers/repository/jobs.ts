/** What is done with a repository outside of the queue. A job never fails: how it went is remembered, and told by a reconcile. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { BACKUPS } from '../../api/meta.ts';
import { BackupError } from '../../backup/backup-error.ts';
import type { RepositoryAccess } from '../../backup/engine.ts';
import type { LongCall } from '../../drivers/driver.ts';
import { KubeError } from '../../kube/errors.ts';
import type { UserPath } from '../../node/layer.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { backupIDOf, backupNameOf } from '../backup-binding/identity.ts';
import { retryOf } from '../support/failure.ts';
import type { JobSpec } from '../support/jobs.ts';
import type { Live } from '../support/live.ts';
import { isEngineProcess } from '../support/lock-holder.ts';
import { idOf } from './backup-status.ts';
import { readDataPercentOf } from './care.ts';
import type { LooseParts } from './catalogue.ts';
import { abandoned } from './catalogue.ts';
import type { RepositoryDependencies } from './dependencies.ts';
import { backupsOf } from './dependencies.ts';
import { look, lookFailure } from './look.ts';
import type { RepositoryState } from './state.ts';
import { checkMessage } from './status.ts';
import { syncBackups } from './sync.ts';

export interface JobRequest {
  readonly key: string;
  readonly repository: BackupRepository;
  readonly state: RepositoryState;
  readonly access: RepositoryAccess;
  readonly directory: UserPath | undefined;
  readonly clusterID: string;
}

/** Looks that go on at once, of repositories that did not fail last time, and of the others: they keep nobody else waiting. */
export function looksAtOnce(queue: string): number {
  return queue === ANSWERS ? 4 : 2;
}

/** Checks and giving back of space at once: each reads or writes much. */
export function careAtOnce(): number {
  return 1;
}

const ANSWERS = 'answers';
const IS_SILENT = 'is-silent';

/** How often a repository is opened and its locks are looked at, in milliseconds; between, it is listed alone. */
const OPEN_AGAIN_MS = 1_800_000;

/** Data that is packed anew in one go, in bytes: the rest is done another day. */
const MOST_REPACKED = 8n * 1024n ** 3n;

export function lookJob(request: JobRequest, deps: RepositoryDependencies, clock: Clock): JobSpec {
  const { repository, state } = request;
  const { name } = repository.metadata;
  return {
    uid: repository.metadata.uid ?? '',
    queue: state.looked?.ok === false ? IS_SILENT : ANSWERS,
    reads: [],
    what: `repository "${name}" is being listed`,
    work: (call) => lookAround(request, deps, clock, call),
  };
}

async function lookAround(
  request: JobRequest,
  deps: RepositoryDependencies,
  clock: Clock,
  { signal }: LongCall,
): Promise<void> {
  const { key, repository, state, access, directory, clusterID } = request;
  const { engine, holder, bootedAt } = deps.tools;
  const at = clock.now();
  state.isPoked = false;
  // What is written down after this is not missed by a list that was begun now.
  const before = backupsOf(key, deps);
  try {
    const looking = {
      access,
      directory,
      repositoryID: deps.repositories.get(key)?.status?.repositoryID ?? state.found?.id,
      mayMake: repository.spec.accessMode !== 'ReadOnly',
      last: state.found,
      isLight: state.looked?.ok === true && Math.abs(at - state.openedAt) < OPEN_AGAIN_MS,
    };
    const result = await look(
      looking,
      {
        engine,
        holder,
        now: () => clock.now(),
        bootedAt,
        isEngine: isEngineProcess,
        makeDirectory: deps.makeDirectory,
      },
      signal,
    );
    if (hasLost(state, result.catalogue.snapshotIDs)) state.mayPrune = true;
    tellOfLocks(request, result.removedLocks.length, deps);
    const backups = backupsOf(key, deps);
    const facts = { repository, before, backups, catalogue: result.catalogue, clusterID };
    const sync = { ...deps, writer: deps.backupWriter };
    await syncBackups({ ...facts, damaged: state.damaged, now: clock.now() }, sync, signal);
    if (access.readOnly !== true)
      await forgetAbandoned(request, deps, result.catalogue, clock, signal).catch(unlessLocked);
    if (!looking.isLight) state.openedAt = at;
    state.found = result;
    state.before = before;
    state.looked = { ok: true, at, result };
  } catch (thrown) {
    const failures = state.looked?.ok === false ? state.looked.failures + 1 : 1;
    state.looked = { ok: false, at, failure: lookFailure(thrown, signal), failures };
  }
}

/** Somebody works on it: there is another day. */
function unlessLocked(thrown: unknown): void {
  if (!(thrown instanceof BackupError) || thrown.code !== 'Locked') throw thrown;
}

/** Whether something that was there is not there any more. */
function hasLost({ found }: RepositoryState, ids: ReadonlySet<string>): boolean {
  return found !== undefined && [...found.catalogue.snapshotIDs].some((id) => !ids.has(id));
}

function tellOfLocks({ repository }: JobRequest, count: number, { events }: RepositoryDependencies): void {
  if (count === 0) return;
  const what = count === 1 ? 'A lock' : `${count} locks`;
  events.record(repository, 'Normal', 'LockRemoved', `${what} of this node whose process has ended was removed.`);
}

/** Parts of this cluster's that no Backup stands for any more. */
async function forgetAbandoned(
  { key, repository, state, access, clusterID }: JobRequest,
  deps: RepositoryDependencies,
  catalogue: Parameters<typeof abandoned>[0],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const known = new Set(backupsOf(key, deps).map(idOf));
  const likely = abandoned(catalogue, clusterID, (id) => known.has(id) || deps.isAtWork(id), clock.now());
  const parts: LooseParts[] = [];
  for (const one of likely) if (!(await hasBackup(one, deps.live, signal))) parts.push(one);
  if (parts.length === 0) return;
  await deps.tools.engine.forget(
    access,
    parts.flatMap(({ snapshotIDs }) => snapshotIDs),
    signal,
  );
  state.mayPrune = true;
  const message = `Parts of ${parts.length} backups that never ended were removed.`;
  deps.events.record(repository, 'Normal', 'Forgotten', message);
}

/**
 * Whether the Backup of parts is there after all: the cache of this node has those that the node was given, and lacks one that
 * another node has, or that lies in the same place by another BackupRepository.
 */
async function hasBackup({ namespace, backupID }: LooseParts, live: Live, signal: AbortSignal): Promise<boolean> {
  try {
    const backup = await live.get<Backup>(BACKUPS, { namespace, name: backupNameOf(backupID) }, signal);
    return backup !== undefined && (idOf(backup) ?? backupIDOf(backup)) === backupID;
  } catch (thrown) {
    // Whoever may not read it is told of what is not there all the same.
    if (KubeError.from(thrown).isForbidden) return true;
    throw thrown;
  }
}

export function pruneJob(request: JobRequest, deps: RepositoryDependencies, clock: Clock): JobSpec {
  const { repository, state, access } = request;
  return careJob(request, 'is being given space back', async ({ signal }) => {
    const at = clock.now();
    try {
      const result = await deps.tools.engine.prune(access, { maxRepackBytes: MOST_REPACKED }, () => undefined, signal);
      state.prune = { at, result, failure: undefined };
      state.mayPrune = false;
      const freed = result.bytesBefore - result.bytesAfter;
      if (freed > 0n) {
        deps.events.record(
          repository,
          'Normal',
          'SpaceReclaimed',
          `${freed} bytes that no backup has any more were removed.`,
        );
        state.isPoked = true;
      }
    } catch (thrown) {
      const failure = lookFailure(thrown, signal);
      state.prune = { at, result: undefined, failure };
      // Which backups that costs, a check says.
      if (failure.reason === 'RepositoryDamaged') state.isSuspect = true;
      if (failure.reason === 'RepositoryLocked') return;
      deps.events.record(repository, 'Warning', failure.reason, `No space could be given back. ${failure.message}`);
    }
  });
}

export function checkJob(request: JobRequest, deps: RepositoryDependencies, clock: Clock): JobSpec {
  const { repository, state, access } = request;
  return careJob(request, 'is being checked', async ({ signal }) => {
    const at = clock.now();
    const readDataPercent = readDataPercentOf(repository);
    try {
      const result = await deps.tools.engine.check(access, { readDataPercent }, () => undefined, signal);
      state.check = { at, result, failure: undefined };
      state.isSuspect = false;
      // The backups that it found damaged are told of.
      state.isPoked = true;
      const [type, reason, message] = result.ok
        ? (['Normal', 'Verified', `Checked; ${readDataPercent} % of the data was read back.`] as const)
        : (['Warning', 'CheckFailed', checkMessage(result)] as const);
      deps.events.record(repository, type, reason, message);
    } catch (thrown) {
      const failure = lookFailure(thrown, signal);
      state.check = { at, result: state.check?.result, failure };
      deps.events.record(repository, 'Warning', 'CheckNotRun', retryOf(failure).message);
    }
  });
}

function careJob({ repository }: JobRequest, doing: string, work: JobSpec['work']): JobSpec {
  const { uid = '', name } = repository.metadata;
  return { uid, queue: 'care', reads: [], what: `repository "${name}" ${doing}`, work };
}
