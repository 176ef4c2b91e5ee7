/**
 * One look at a repository: opened, made where there is none yet and one may be made, its locks and its backups listed. What
 * it found is remembered until the next one; everything else is derived from that.
 */
import { BackupError } from '../../backup/backup-error.ts';
import type { BackupEngine, LockRecord, RepositoryAccess } from '../../backup/engine.ts';
import type { UserPath } from '../../node/layer.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf } from '../support/failure.ts';
import { judgeLock } from '../support/lock-holder.ts';
import type { Catalogue } from './catalogue.ts';
import { catalogueOf } from './catalogue.ts';

export interface LookRequest {
  readonly access: RepositoryAccess;
  /** The directory that a `hostPath` repository wants to be there. */
  readonly directory: UserPath | undefined;
  /** What it was when it was there last; then none is ever made. */
  readonly repositoryID: string | undefined;
  readonly mayMake: boolean;
  /** What the last look found, to know what changed. */
  readonly last: LookResult | undefined;
  /**
   * Its backups are listed, and nothing else, as long as all are there that were: to open a repository costs half a second
   * of a core each time.
   */
  readonly isLight: boolean;
}

export interface LookDependencies {
  readonly engine: BackupEngine;
  readonly holder: string;
  readonly now: () => number;
  /** When this machine was started, by the same clock. */
  readonly bootedAt: () => number;
  readonly isEngine: (pid: number) => boolean;
  readonly makeDirectory: (path: UserPath, signal: AbortSignal) => Promise<void>;
}

export interface LookResult {
  readonly id: string;
  readonly catalogue: Catalogue;
  /** Locks of others that were not renewed for long. */
  readonly stale: readonly LockRecord[];
  /** Locks of this agent's that were proven gone and removed. */
  readonly removedLocks: readonly LockRecord[];
  readonly sizeBytes: bigint | undefined;
}

/** How long each step may take, in milliseconds; what goes on moving may take longer where it is long by nature. */
const OPEN_MS = 45_000;
const MAKE_MS = 120_000;
const LIST_MS = 600_000;

/** @throws BackupError */
export async function look(request: LookRequest, deps: LookDependencies, signal: AbortSignal): Promise<LookResult> {
  const { access, last, isLight } = request;
  const { engine } = deps;
  if (isLight && last !== undefined) {
    const found = await listed(request, engine, signal);
    // Before anything is said of what is lacking: it may be another repository.
    if (hasAll(found.catalogue, last.catalogue)) return { ...last, removedLocks: [], ...found };
  }
  const info = await openOrMake(request, deps, signal);
  if (request.repositoryID !== undefined && info.id !== request.repositoryID) {
    throw new RepositoryError(
      'RepositoryReplaced',
      `there is repository ${info.id.slice(0, 10)}, and it was ${request.repositoryID.slice(0, 10)} before; bring the former back, or make another BackupRepository for this one`,
    );
  }
  const locks = await within(LIST_MS, signal, (limit) => engine.locks(access, limit));
  const { stale, removed } = await settleLocks(locks, request, deps, signal);
  return { id: info.id, stale, removedLocks: removed, ...(await listed(request, engine, signal)) };
}

/** What is in it, and how large it is where that may have changed. */
async function listed(
  { access, last }: LookRequest,
  engine: BackupEngine,
  signal: AbortSignal,
): Promise<Pick<LookResult, 'catalogue' | 'sizeBytes'>> {
  const snapshots = await within(LIST_MS, signal, (limit) => engine.snapshots(access, {}, limit));
  const catalogue = catalogueOf(snapshots);
  const isSame = last?.sizeBytes !== undefined && sameContent(last.catalogue, catalogue);
  if (isSame) return { catalogue, sizeBytes: last.sizeBytes };
  return { catalogue, sizeBytes: await within(LIST_MS, signal, (limit) => engine.size(access, limit)) };
}

async function openOrMake(
  { access, directory, repositoryID, mayMake }: LookRequest,
  { engine, makeDirectory }: LookDependencies,
  signal: AbortSignal,
) {
  try {
    return await within(OPEN_MS, signal, (limit) => engine.open(access, limit));
  } catch (thrown) {
    if (!isAbsent(thrown, directory)) throw thrown;
    if (repositoryID !== undefined) {
      const message = `there is no repository any more, where ${repositoryID.slice(0, 10)} was; none is made in its place`;
      throw new RepositoryError('RepositoryGone', message, { cause: thrown });
    }
    const names = await namesBelow(access, engine, signal);
    if (names.length > 0) {
      const listed = `${names.slice(0, MOST_NAMES).join(', ')}${names.length > MOST_NAMES ? ' …' : ''}`;
      const message = `there is no repository here, but below it: ${listed}; name one of them`;
      throw new RepositoryError('RepositoryNotFound', message, { cause: thrown });
    }
    if (!mayMake) {
      const message = 'there is no repository, and none is made because accessMode is ReadOnly; check the URL';
      throw new RepositoryError('RepositoryNotFound', message, { cause: thrown });
    }
  }
  if (directory !== undefined) await within(OPEN_MS, signal, (limit) => makeDirectory(directory, limit));
  return within(MAKE_MS, signal, (limit) => engine.initialize(access, limit));
}

/** Names that a message has at most. */
const MOST_NAMES = 20;

/** The place is empty, or, of a directory, not there yet. */
function isAbsent(thrown: unknown, directory: UserPath | undefined): boolean {
  if (!(thrown instanceof BackupError)) return false;
  return thrown.code === 'NoRepository' || (directory !== undefined && thrown.code === 'DirectoryUnusable');
}

async function namesBelow(
  access: RepositoryAccess,
  engine: BackupEngine,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return await within(OPEN_MS, signal, (limit) => engine.repositoriesBelow(access, limit));
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // It only helps to say more.
    return [];
  }
}

async function settleLocks(
  locks: readonly LockRecord[],
  { access }: LookRequest,
  { engine, holder, now, bootedAt, isEngine }: LookDependencies,
  signal: AbortSignal,
) {
  const judge = { self: holder, now: now(), bootedAt: bootedAt(), isEngine };
  const judged = locks.map((lock) => ({ lock, verdict: judgeLock(lock, judge) }));
  const gone = judged.flatMap(({ lock, verdict }) => (verdict === 'gone' ? [lock] : []));
  const stale = judged.flatMap(({ lock, verdict }) => (verdict === 'stale' ? [lock] : []));
  if (gone.length === 0 || access.readOnly === true) return { stale: [...stale, ...gone], removed: [] };
  const ids = gone.map(({ id }) => id);
  await within(MAKE_MS, signal, (limit) => engine.removeLocks(access, ids, limit));
  return { stale, removed: gone };
}

function sameContent(a: Catalogue, b: Catalogue): boolean {
  return a.snapshotIDs.size === b.snapshotIDs.size && hasAll(a, b);
}

/** Whether everything is there that was. */
function hasAll({ snapshotIDs }: Catalogue, before: Catalogue): boolean {
  return [...before.snapshotIDs].every((id) => snapshotIDs.has(id));
}

/** What the engine has no code for. */
export class RepositoryError extends BackupError {
  readonly reason: 'RepositoryGone' | 'RepositoryReplaced' | 'RepositoryNotFound';

  constructor(reason: RepositoryError['reason'], message: string, { cause }: { readonly cause?: unknown } = {}) {
    super('NoRepository', message, { cause });
    this.reason = reason;
  }
}

/** In the words of a condition. @throws What did not come from the repository. */
export function lookFailure(thrown: unknown, signal: AbortSignal): Failure {
  const failure = failureOf(thrown, 'EngineFailed', signal);
  const message = `${failure.message.charAt(0).toUpperCase()}${failure.message.slice(1)}`.replace(/[^.!?…]$/, '$&.');
  return { ...failure, message, ...(thrown instanceof RepositoryError ? { reason: thrown.reason } : {}) };
}

/** Ends what takes longer; a call that was ended so says that, and not that somebody wanted it to end. */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(ms);
  try {
    return await work(AbortSignal.any([signal, deadline]));
  } catch (thrown) {
    if (!deadline.aborted || signal.aborted) throw thrown;
    const message = `the repository did not answer within ${Math.round(ms / 1000)} s`;
    throw new BackupError('DeadlineExceeded', message, { cause: thrown });
  }
}
