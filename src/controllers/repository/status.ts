/** The agent's part of a BackupRepository's status. Pure. */
import type {
  BackupRepository,
  BackupRepositoryConditionType,
  BackupRepositoryStatus,
} from '../../api/backup-repository.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition, formatTime } from '../../api/conditions.ts';
import type { Condition } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { CheckResult, LockRecord } from '../../backup/engine.ts';
import { isDamaged } from './care.ts';
import type { RepositoryState } from './state.ts';

export type RepositoryOutcome =
  | { readonly kind: 'refused'; readonly reason: Reason; readonly message: string; readonly stalled: boolean }
  | { readonly kind: 'paused' | 'deleting' | 'known' };

export interface RepositoryFacts {
  readonly repository: BackupRepository;
  readonly outcome: RepositoryOutcome;
  /** Undefined where there is nothing to get at yet. */
  readonly url: string | undefined;
  readonly key: ConditionInput<'KeyExported'> | undefined;
  readonly state: RepositoryState;
  readonly now: Date;
}

type Type = BackupRepositoryConditionType;
type Input = ConditionInput<Type>;

/** A time that only says that nothing changed is written at most so often, in milliseconds. */
const STEP_MS = 3_600_000;

export function repositoryStatus(facts: RepositoryFacts): BackupRepositoryStatus {
  const { repository, now, state, url } = facts;
  const generation = repository.metadata.generation ?? 0;
  const previous = repository.status;
  const { found } = state;
  const inputs = [
    ...summary(facts),
    ...kept(facts),
    ...(facts.key === undefined ? carried(previous, 'KeyExported') : [facts.key]),
  ];
  const conditions = deriveConditions<Type>(previous?.conditions, inputs, generation, now);
  const said = {
    observedGeneration: generation,
    conditions,
    ...value('url', url ?? previous?.url),
    ...value('repositoryID', previous?.repositoryID ?? found?.id),
    ...value('backupCount', found?.catalogue.backups.size ?? previous?.backupCount),
    ...value('sizeBytes', found?.sizeBytes === undefined ? previous?.sizeBytes : Number(found.sizeBytes)),
    ...value('lastCheckTime', timeOf(state.check) ?? previous?.lastCheckTime),
    ...value('lastPruneTime', timeOf(state.prune) ?? previous?.lastPruneTime),
  };
  return { ...said, ...value('lastSyncTime', syncTime(said, facts)) };
}

function value<K extends keyof BackupRepositoryStatus>(
  name: K,
  value: BackupRepositoryStatus[K],
): Partial<Pick<BackupRepositoryStatus, K>> {
  return value === undefined ? {} : ({ [name]: value } as unknown as Pick<BackupRepositoryStatus, K>);
}

/** When it was done; what could not be done does not count. */
function timeOf(care: { readonly at: number; readonly result: unknown } | undefined): string | undefined {
  return care?.result === undefined ? undefined : formatTime(new Date(care.at));
}

/** Moves with what it found; alone it would be a write for nothing. */
function syncTime(next: BackupRepositoryStatus, { repository, state }: RepositoryFacts): string | undefined {
  const { status } = repository;
  if (state.looked?.ok !== true) return status?.lastSyncTime;
  const { at } = state.looked;
  const last = status?.lastSyncTime;
  const isNews = next.backupCount !== status?.backupCount || next.sizeBytes !== status?.sizeBytes;
  if (last !== undefined && !isNews && Math.abs(at - Date.parse(last)) < STEP_MS) return last;
  return formatTime(new Date(at));
}

function summary(facts: RepositoryFacts): readonly Input[] {
  const { repository, outcome, state } = facts;
  switch (outcome.kind) {
    case 'paused': {
      const message = 'Nothing is done because the repository is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'deleting':
      return notReady('Reconciling', 'Deleting', 'The repository is being deleted; what is stored in it stays.');
    case 'refused':
      return notReady(outcome.stalled ? 'Stalled' : 'Reconciling', outcome.reason, outcome.message);
    default:
      break;
  }
  const { looked } = state;
  if (looked === undefined) return unseen(repository);
  if (!looked.ok) {
    const { reason, message, stalled } = looked.failure;
    return notReady(stalled ? 'Stalled' : 'Reconciling', reason, message);
  }
  if (isDamaged(state, repository.status)) {
    const message = `${damageOf(facts)} Until it is repaired nothing new is put on it; what is whole can be restored.`;
    return notReady('Stalled', 'RepositoryDamaged', message);
  }
  return [{ type: 'Ready', status: 'True', reason: 'Ready', message: '' }];
}

/** Before the first look: what was said last still stands, if it was said of this spec. */
function unseen({ metadata, status }: BackupRepository): readonly Input[] {
  const said = (['Ready', 'Reconciling', 'Stalled'] as const).flatMap((type) => carried(status, type));
  const isOurs = said.some(({ type, reason }) => type === 'Ready' && !PASSING.includes(reason));
  if (isOurs && status?.observedGeneration === metadata.generation) return said;
  return notReady('Reconciling', 'Opening', 'The repository is being opened.');
}

/** Said by others, or of a state that is over. */
const PASSING: readonly string[] = ['NodeLost', 'Paused', 'Deleting', 'Pending'];

/** What is known of it although it may not be Ready. */
function kept({ repository, state, outcome }: RepositoryFacts): readonly Input[] {
  const { looked } = state;
  const { status } = repository;
  if (looked === undefined || outcome.kind !== 'known') {
    return [...carried(status, 'Reachable'), ...carried(status, 'Unlocked'), ...carried(status, 'Verified')];
  }
  if (!looked.ok) {
    const { reason, message } = looked.failure;
    const reachable: Input = { type: 'Reachable', status: 'False', reason, message };
    return [reachable, ...carried(status, 'Unlocked'), ...verified(state, status)];
  }
  return [
    { type: 'Reachable', status: 'True', reason: 'Opened', message: '' },
    unlocked(looked.result.stale),
    ...verified(state, status),
  ];
}

function unlocked(stale: readonly LockRecord[]): Input {
  if (stale.length === 0) return { type: 'Unlocked', status: 'True', reason: 'Unlocked', message: '' };
  const named = stale.slice(0, 5).map(({ id, holder, username, pid, time }) => {
    const who = `${username === '' ? '' : `${username}@`}${holder}`;
    return `${id.slice(0, 10)} of ${who} (pid ${pid}), last renewed at ${time.slice(0, 19)}Z`;
  });
  const more = stale.length > named.length ? ` and ${stale.length - named.length} more` : '';
  const message = `Locks that may have been left behind: ${named.join('; ')}${more}. If their holders are gone, "restic unlock" removes them; until then no space is given back.`;
  return { type: 'Unlocked', status: 'False', reason: 'StaleLock', message };
}

function verified(state: RepositoryState, status: BackupRepositoryStatus | undefined): readonly Input[] {
  const { check } = state;
  if (check?.result !== undefined) {
    if (check.result.ok) return [{ type: 'Verified', status: 'True', reason: 'Verified', message: '' }];
    return [{ type: 'Verified', status: 'False', reason: 'CheckFailed', message: checkMessage(check.result) }];
  }
  const before = carried(status, 'Verified');
  if (check?.failure === undefined) return before;
  // It says nothing of what is stored: what was found before is not forgotten.
  if (before.some(({ reason }) => reason === 'CheckFailed' || reason === 'Verified')) return before;
  return [{ type: 'Verified', status: 'Unknown', reason: 'CheckNotRun', message: check.failure.message }];
}

export function checkMessage({ errors, damagedPacks, damagedSnapshots }: CheckResult): string {
  const packs = damagedPacks.map((id) => id.slice(0, 10));
  const parts = [
    packs.length === 0 ? '' : `Damaged or missing files of data: ${listed(packs, damagedPacks.length)}.`,
    damagedSnapshots.length === 0
      ? ''
      : `Snapshots that cannot be restored wholly: ${listed(
          damagedSnapshots.map((id) => id.slice(0, 8)),
          damagedSnapshots.length,
        )}.`,
    packs.length > 0 || damagedSnapshots.length > 0 ? '' : errors.examples.slice(0, 3).join(' '),
    'Repair it with "restic repair" and annotate the repository with reconcile-at; the next check says whether that helped.',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function listed(names: readonly string[], count: number): string {
  const most = names.slice(0, 10);
  return `${most.join(', ')}${count > most.length ? ` and ${count - most.length} more` : ''}`;
}

function damageOf({ repository, state }: RepositoryFacts): string {
  if (state.check?.result !== undefined) return checkMessage(state.check.result);
  return findCondition(repository.status?.conditions, 'Verified')?.message ?? 'A check found damage.';
}

function notReady(type: 'Reconciling' | 'Stalled', reason: Reason, message: string): readonly Input[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}

function carried(status: BackupRepositoryStatus | undefined, type: Type): readonly Input[] {
  const old: Condition<Type> | undefined = findCondition(status?.conditions, type);
  if (old === undefined || !isReason(old.reason)) return [];
  return [{ type, status: old.status, reason: old.reason, message: old.message }];
}
