/** The controller's part of a Backup's status: everything but the record and what its agent says of it. Pure. */
import type { Backup, BackupConditionType, BackupStatus } from '../../api/backup.ts';
import { DEFAULT_ACTIVE_DEADLINE_SECONDS, SAID_OF_REPOSITORY } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import { durationMs } from '../../api/duration.ts';
import type { Reason } from '../../api/reasons.ts';
import { expiryOf } from '../support/expiry.ts';

/** How the Backup is doing. */
export type Outcome =
  | { readonly kind: 'waiting' | 'failed'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'done'; readonly isComplete: boolean; readonly message: string }
  | { readonly kind: 'paused' };

export type Input = ConditionInput<BackupConditionType>;

/** Conditions that its agent, or who checks the repository, writes. */
const OF_OTHERS: readonly BackupConditionType[] = ['Recorded', 'Verified', 'DeletionBlocked'];

/** What the status says of one Backup and is carried from write to write. */
export type Carried = Omit<BackupStatus, 'observedGeneration' | 'conditions' | 'record'>;

export function carriedOf({ status = {} }: Backup): Carried {
  const { observedGeneration: _generation, conditions: _conditions, record: _record, ...carried } = status;
  return carried;
}

/** @param data Conditions that are about the data; none before anything is known of it. */
export function deriveStatus(
  backup: Backup,
  carried: Carried,
  outcome: Outcome,
  data: readonly Input[],
  now: Date,
): BackupStatus {
  const generation = backup.metadata.generation ?? 0;
  const conditions = deriveConditions(backup.status?.conditions, [...summary(outcome), ...data], generation, now);
  return { ...carried, observedGeneration: generation, conditions };
}

/** The same again for one that has ended: only its expiry and its node may change. */
export function endedStatus(
  backup: Backup,
  nodeName: string | undefined,
  blocked: readonly Input[],
  now: Date,
): BackupStatus {
  const { metadata, status } = backup;
  const { expirationTime: _, ...carried } = carriedOf(backup);
  const own = (status?.conditions ?? []).filter(
    ({ type, reason }) => !OF_OTHERS.includes(type) && !SAID_OF_REPOSITORY.includes(reason),
  );
  const generation = metadata.generation ?? 0;
  return {
    ...carried,
    ...expirationOf(backup, carried.completionTime),
    ...(nodeName === undefined ? {} : { nodeName }),
    observedGeneration: generation,
    conditions: [...own, ...deriveConditions(status?.conditions, blocked, generation, now)],
  };
}

/** When it is deleted by itself, if ever. */
export function expirationOf(
  { spec, metadata }: Pick<Backup, 'spec' | 'metadata'>,
  completionTime: string | undefined,
): Pick<BackupStatus, 'expirationTime'> {
  if (spec.ttl === undefined || completionTime === undefined) return {};
  const expiresAt = expiryOf(completionTime, metadata.creationTimestamp, durationMs(spec.ttl));
  return { expirationTime: formatTime(new Date(expiresAt)) };
}

/** When it has failed, in milliseconds since the epoch; never before it has begun. */
export function deadlineOf({ spec, status }: Pick<Backup, 'spec' | 'status'>): number {
  if (status?.startTime === undefined) return Number.POSITIVE_INFINITY;
  return Date.parse(status.startTime) + (spec.activeDeadlineSeconds ?? DEFAULT_ACTIVE_DEADLINE_SECONDS) * 1000;
}

function summary(outcome: Outcome): readonly Input[] {
  if (outcome.kind === 'done') {
    const { isComplete, message } = outcome;
    return [{ type: 'Ready', status: 'True', reason: isComplete ? 'BackedUp' : 'BackedUpPartly', message }];
  }
  if (outcome.kind === 'paused') {
    const message =
      'Nothing is begun or written down because the backup is paused, and its deadline goes on; volumes that are being read are read to their end. Remove the annotation to go on.';
    return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
  }
  const { kind, reason, message } = outcome;
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type: kind === 'failed' ? 'Stalled' : 'Reconciling', status: 'True', reason, message },
  ];
}
