/** The agent's part of a VolumeBackup's status, derived from what was done. Pure. */
import type { BackupProgress, VolumeBackup, VolumeBackupConditionType, VolumeBackupStatus } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Failure } from '../support/failure.ts';
import { progressText } from '../support/progress-text.ts';
import { judge } from './judge.ts';
import type { ReadResult } from './records.ts';

/** How the reconcile ended. */
export type VolumeBackupOutcome =
  | { readonly kind: 'read'; readonly result: ReadResult }
  | { readonly kind: 'reading' }
  /** `failure.stalled`: it is not tried again. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'ended'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'paused' };

/** What is remembered of work that goes on; the rest is in the object. */
export interface Underway {
  /** RFC 3339. */
  readonly startTime: string | undefined;
  readonly progress: BackupProgress | undefined;
}

type Input = ConditionInput<VolumeBackupConditionType>;

export function deriveVolumeBackupStatus(
  part: VolumeBackup,
  outcome: VolumeBackupOutcome,
  underway: Underway,
  now: Date,
): VolumeBackupStatus {
  const generation = part.metadata.generation ?? 0;
  const isEnd =
    outcome.kind === 'read' || outcome.kind === 'ended' || (outcome.kind === 'failed' && outcome.failure.stalled);
  const startTime = part.status?.startTime ?? underway.startTime;
  const read = outcome.kind === 'read' ? readOf(part, outcome.result, underway) : progressOf(underway);
  return {
    observedGeneration: generation,
    ...(startTime === undefined ? {} : { startTime }),
    ...read,
    conditions: deriveConditions(part.status?.conditions, conditionsOf(part, outcome, underway), generation, now),
    ...(isEnd ? { completionTime: formatTime(now) } : {}),
  };
}

function progressOf({ progress }: Underway): VolumeBackupStatus {
  return progress === undefined ? {} : { progress };
}

function readOf({ spec }: VolumeBackup, result: ReadResult, { progress }: Underway): VolumeBackupStatus {
  const { snapshotID, method, files, bytes, uploadedBytes } = result;
  const { skipped, skippedCount } = judge(spec.volumeRef.name, result, spec.onPartial);
  return {
    snapshotID,
    method,
    files,
    bytes,
    uploadedBytes,
    progress: {
      bytesDone: bytes,
      bytesTotal: bytes,
      filesDone: files,
      filesTotal: files,
      bytesPerSecond: progress?.bytesPerSecond ?? 0,
    },
    ...(skipped.length === 0 ? {} : { skipped }),
    ...(skippedCount === 0 ? {} : { skippedCount }),
  };
}

function conditionsOf(part: VolumeBackup, outcome: VolumeBackupOutcome, { progress }: Underway): readonly Input[] {
  const { volumeRef, onPartial } = part.spec;
  switch (outcome.kind) {
    case 'read':
      return judge(volumeRef.name, outcome.result, onPartial).conditions;
    case 'reading': {
      const done = progress && { bytesDone: BigInt(progress.bytesDone), bytesTotal: BigInt(progress.bytesTotal) };
      const message = `Volume "${volumeRef.name}" is being read${progressText(done)}.`;
      return notReady('Reconciling', 'BackingUp', message);
    }
    case 'paused': {
      const message = 'Nothing is done because the object is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'ended':
      return failed(outcome);
    case 'failed': {
      const { reason, message, stalled } = outcome.failure;
      return stalled ? failed({ reason, message }) : notReady('Reconciling', reason, message);
    }
  }
}

function failed(why: { readonly reason: Reason; readonly message: string }): readonly Input[] {
  const { reason, message } = why;
  return [...notReady('Stalled', reason, message), { type: 'DataComplete', status: 'False', reason, message }];
}

function notReady(type: 'Reconciling' | 'Stalled', reason: Reason, message: string): readonly Input[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}
