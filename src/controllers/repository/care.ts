/** When a repository is looked at, given space back, and checked. Pure. */
import type { BackupRepository } from '../../api/backup-repository.ts';
import { DEFAULT_READ_DATA_PERCENT } from '../../api/backup-repository.ts';
import { ANNOTATIONS } from '../../api/group.ts';
import { timetableOf } from '../schedule/timetable.ts';
import type { RepositoryState } from './state.ts';

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
export function nextLook(state: RepositoryState, fingerprint: string): number {
  const { looked } = state;
  if (looked === undefined || state.fingerprint !== fingerprint) return 0;
  if (state.isPoked) return looked.at + GATHER_MS;
  if (looked.ok) return looked.at + SYNC_MS;
  return looked.at + Math.min(SYNC_MS, RETRY_MS * 2 ** Math.min(looked.failures - 1, 10));
}

/**
 * When space is given back next; undefined: not before something was removed. Nobody else can work meanwhile, so that it is
 * not done to one that was just made or found.
 */
export function nextPrune({ metadata, spec, status }: BackupRepository, state: RepositoryState): number | undefined {
  if (spec.accessMode === 'ReadOnly' || !state.mayPrune || isDamaged(state, status)) return undefined;
  const failed = state.prune?.failure === undefined ? 0 : state.prune.at + CARE_RETRY_MS;
  const last = Date.parse(status?.lastPruneTime ?? metadata.creationTimestamp ?? '');
  return Math.max(failed, Number.isNaN(last) ? 0 : last + PRUNE_MS);
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
  if (spec.check === undefined) return undefined;
  let timetable: ReturnType<typeof timetableOf>;
  try {
    timetable = timetableOf(spec.check.schedule, 'UTC', now);
  } catch {
    return undefined;
  }
  const last = Date.parse(status?.lastCheckTime ?? metadata.creationTimestamp ?? '');
  const latest = timetable.latest(now);
  const due = latest !== undefined && latest > last ? latest : timetable.next(now);
  if (due === undefined) return undefined;
  return state.check?.failure === undefined ? due : Math.max(due, state.check.at + CARE_RETRY_MS);
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
