/** When a repository is looked at, given space back, and checked. Pure. */
import type { BackupRepository } from '../../api/backup-repository.ts';
import { DEFAULT_READ_DATA_PERCENT } from '../../api/backup-repository.ts';
import { ANNOTATIONS } from '../../api/group.ts';
import { isBelievable, timeOf } from '../schedule/status.ts';
import { timetableOf } from '../schedule/timetable.ts';
import type { CareResult, RepositoryState } from './state.ts';

/** How often a repository is listed, in milliseconds. */
export const SYNC_MS = 300_000;
/** How soon after a look the next one may come, in milliseconds, however much happens. */
const GATHER_MS = 5_000;
/** How soon one that failed is tried again, in milliseconds; twice as long each time, up to {@link SYNC_MS}. */
const RETRY_MS = 5_000;
/** Space is given back at most so often, in milliseconds. */
const PRUNE_MS = 86_400_000;
/** What could not be done is tried again after so long, in milliseconds. */
const CARE_RETRY_MS = 1_800_000;

/** When the next look is due. Milliseconds since the epoch; now or earlier: at once. */
export function nextLook(state: RepositoryState, fingerprint: string, now: number): number {
  const { looked } = state;
  // Later than now: the clock was put back since, and nobody knows how long ago it was.
  if (looked === undefined || state.fingerprint !== fingerprint || looked.at > now) return 0;
  if (state.isPoked) return looked.at + GATHER_MS;
  if (looked.ok) return looked.at + SYNC_MS;
  return looked.at + Math.min(SYNC_MS, RETRY_MS * 2 ** Math.min(looked.failures - 1, 10));
}

/**
 * When space is given back next; undefined: not before something was removed. Nobody else can work meanwhile, so that it is
 * not done to one that was just made or found.
 */
export function nextPrune(
  { metadata, spec, status }: BackupRepository,
  state: RepositoryState,
  now: number,
): number | undefined {
  if (spec.accessMode === 'ReadOnly' || !state.mayPrune || isDamaged(state, status)) return undefined;
  const last = lastOf(status?.lastPruneTime ?? metadata.creationTimestamp, now);
  return Math.max(retryAfter(state.prune, now), last === undefined ? 0 : last + PRUNE_MS);
}

/** When it was done last; undefined where that says nothing, because the clock was wrong then. */
function lastOf(time: string | undefined, now: number): number | undefined {
  const at = timeOf(time);
  return at === undefined || isBelievable(at, now) ? at : undefined;
}

/** When what could not be done may be tried again. */
function retryAfter(done: CareResult<unknown> | undefined, now: number): number {
  return done?.failure === undefined || done.at > now ? 0 : done.at + CARE_RETRY_MS;
}

/** When the next check is due; undefined: never. */
export function nextCheck(
  { metadata, spec, status }: BackupRepository,
  state: RepositoryState,
  now: number,
): number | undefined {
  // Somebody has repaired it, and asks.
  const asked = metadata.annotations?.[ANNOTATIONS.reconcileAt];
  if (asked !== undefined && asked !== state.checkedFor && isDamaged(state, status)) return now;
  if (state.isSuspect && spec.accessMode !== 'ReadOnly') return retryAfter(state.check, now);
  if (spec.check === undefined) return undefined;
  let timetable: ReturnType<typeof timetableOf>;
  try {
    timetable = timetableOf(spec.check.schedule, 'UTC', now);
  } catch {
    return undefined;
  }
  const last = lastOf(status?.lastCheckTime ?? metadata.creationTimestamp, now) ?? Number.NEGATIVE_INFINITY;
  const latest = timetable.latest(now);
  const due = latest !== undefined && latest > last ? latest : timetable.next(now);
  return due === undefined ? undefined : Math.max(due, retryAfter(state.check, now));
}

export function readDataPercentOf({ spec }: BackupRepository): number {
  return spec.check?.readDataPercent ?? DEFAULT_READ_DATA_PERCENT;
}

/** Whether a check found damage, and none has found it gone since. */
export function isDamaged(state: RepositoryState, status: BackupRepository['status']): boolean {
  const result = state.check?.result;
  if (result !== undefined) return !result.ok;
  return status?.conditions?.some(({ type, reason }) => type === 'Verified' && reason === 'CheckFailed') === true;
}
