/** The status of a Restore from a backup: the controller's alone, but for what the agent has read. Pure. */
import type { BackupProgress, ItemCounts, SkippedFile } from '../../api/backup.ts';
import { MAX_SKIPPED } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import type { PlannedVolume, Restore, RestoreConditionType, RestoreStatus } from '../../api/restore.ts';
import { progressText } from '../support/progress-text.ts';
import type { ObjectResult } from './objects.ts';
import type { VolumeState } from './volumes.ts';

/** What is said of it. */
export type RestoreSaid =
  | { readonly kind: 'working'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'succeeded'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'failed'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string }
  | { readonly kind: 'paused' };

export function failedBy(reason: Reason, message: string): RestoreSaid {
  return { kind: 'failed', reason, message };
}

/** What the controller decides once and keeps; each is written as it was. */
export type RestoreDecisions = Pick<
  RestoreStatus,
  'nodeName' | 'backupID' | 'repositoryRef' | 'startTime' | 'manifestSecretRef' | 'volumes' | 'safetySnapshotRef'
>;

/** What was done so far. */
export type RestoreResults = Pick<RestoreStatus, 'progress' | 'items' | 'skipped' | 'skippedCount'>;

export function deriveRestoreStatus(
  restore: Restore,
  decisions: RestoreDecisions,
  results: RestoreResults,
  said: RestoreSaid,
  now: Date,
): RestoreStatus {
  const generation = restore.metadata.generation ?? 0;
  const isEnd = said.kind === 'succeeded' || said.kind === 'failed';
  return {
    observedGeneration: generation,
    conditions: deriveConditions(restore.status?.conditions, conditionsOf(said), generation, now),
    ...decisions,
    ...results,
    ...(isEnd ? { completionTime: formatTime(now) } : {}),
  };
}

/** What a Restore has decided before. */
export function decisionsOf({ status }: Restore): RestoreDecisions {
  const { nodeName, backupID, repositoryRef, startTime, manifestSecretRef, volumes, safetySnapshotRef } = status ?? {};
  return {
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(backupID === undefined ? {} : { backupID }),
    ...(repositoryRef === undefined ? {} : { repositoryRef }),
    ...(startTime === undefined ? {} : { startTime }),
    ...(manifestSecretRef === undefined ? {} : { manifestSecretRef }),
    ...(volumes === undefined ? {} : { volumes }),
    ...(safetySnapshotRef === undefined ? {} : { safetySnapshotRef }),
  };
}

/** Counts volumes and objects together. */
export function resultsOf(
  planned: readonly PlannedVolume[],
  states: readonly VolumeState[],
  objects: readonly ObjectResult[],
): RestoreResults {
  const [failed, skippedObjects] = [objects.flatMap((one) => one.failed), objects.flatMap((one) => one.skipped)];
  const items: ItemCounts = {
    succeeded: states.filter(({ state }) => state === 'done').length + sum(objects.map((one) => one.succeeded)),
    failed: states.filter(({ state }) => state === 'failed').length + failed.length,
    skipped: skippedObjects.length,
  };
  const ofObjects: SkippedFile[] = [...failed, ...skippedObjects].map(({ title, message }) => ({
    volumeName: '',
    path: title,
    message,
  }));
  const files = states.flatMap(({ part }) => part?.status?.skipped ?? []);
  const skipped = [...files, ...ofObjects].slice(0, MAX_SKIPPED);
  const skippedCount = sum(states.map(({ part }) => part?.status?.skippedCount ?? 0)) + ofObjects.length;
  const progress = progressOf(planned, states);
  return {
    items,
    ...(progress === undefined ? {} : { progress }),
    ...(skipped.length === 0 ? {} : { skipped, skippedCount }),
  };
}

/** What is going on, to end a sentence with. */
export function progressSaid({ progress }: RestoreResults): string {
  if (progress === undefined) return '';
  return progressText({ bytesDone: BigInt(progress.bytesDone), bytesTotal: BigInt(progress.bytesTotal) });
}

/** Of all volumes; what has not begun counts with what the backup says of it. */
function progressOf(planned: readonly PlannedVolume[], states: readonly VolumeState[]): BackupProgress | undefined {
  if (planned.length === 0) return undefined;
  const each = planned.map(({ files, bytes }, index): BackupProgress => {
    const seen = states[index]?.part?.status?.progress;
    return seen ?? { bytesDone: 0, bytesTotal: bytes, filesDone: 0, filesTotal: files, bytesPerSecond: 0 };
  });
  const running = states.map(({ state }) => state === 'waiting');
  return {
    bytesDone: sum(each.map((one) => one.bytesDone)),
    bytesTotal: sum(each.map((one) => one.bytesTotal)),
    filesDone: sum(each.map((one) => one.filesDone)),
    filesTotal: sum(each.map((one) => one.filesTotal)),
    bytesPerSecond: sum(each.map((one, index) => (running[index] === true ? one.bytesPerSecond : 0))),
  };
}

function conditionsOf(said: RestoreSaid): readonly ConditionInput<RestoreConditionType>[] {
  switch (said.kind) {
    case 'paused': {
      const message = 'Nothing is done because the restore is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'lost':
      return [{ type: 'Ready', status: 'Unknown', reason: 'NodeLost', message: said.message }];
    case 'succeeded':
      return [{ type: 'Ready', status: 'True', reason: said.reason, message: said.message }];
    case 'working':
    case 'failed': {
      const { reason, message } = said;
      return [
        { type: 'Ready', status: 'False', reason, message },
        { type: said.kind === 'failed' ? 'Stalled' : 'Reconciling', status: 'True', reason, message },
      ];
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
