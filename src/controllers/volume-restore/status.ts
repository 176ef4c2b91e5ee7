/** The agent's part of a VolumeRestore's status, derived from what was done. Pure. */
import type { SkippedFile, BackupProgress as StatusProgress } from '../../api/backup.ts';
import { MAX_SKIPPED } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import type {
  RestoreCounts,
  VolumeRestore,
  VolumeRestoreConditionType,
  VolumeRestoreStatus,
} from '../../api/volume-restore.ts';
import { DATA_DIRECTORY } from '../../backup/catalogue.ts';
import type { ItemErrors, RestoreSummary } from '../../backup/engine.ts';
import type { Failure } from '../support/failure.ts';
import { progressOf } from '../support/pace.ts';
import { progressText } from '../support/progress-text.ts';
import { RestoreIncomplete } from './act.ts';

/** How the reconcile ended. */
export type VolumeRestoreOutcome =
  | { readonly kind: 'done'; readonly summary: RestoreSummary }
  | { readonly kind: 'restoring' }
  /** `failure.stalled`: it is not tried again. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'paused' };

/** What is remembered of work that goes on; the rest is in the object. */
export interface Underway {
  /** When something was first written. RFC 3339. */
  readonly startTime: string | undefined;
  readonly progress: StatusProgress | undefined;
}

export function deriveVolumeRestoreStatus(
  restore: VolumeRestore,
  outcome: VolumeRestoreOutcome,
  underway: Underway,
  now: Date,
): VolumeRestoreStatus {
  const generation = restore.metadata.generation ?? 0;
  const isEnd =
    outcome.kind === 'done' || outcome.kind === 'cancelled' || (outcome.kind === 'failed' && outcome.failure.stalled);
  const startTime = restore.status?.startTime ?? underway.startTime;
  const progress = outcome.kind === 'done' ? finalProgress(outcome.summary, underway) : underway.progress;
  return {
    observedGeneration: generation,
    conditions: deriveConditions(restore.status?.conditions, conditionsOf(restore, outcome, underway), generation, now),
    ...(startTime === undefined ? {} : { startTime }),
    ...(progress === undefined ? {} : { progress }),
    ...(outcome.kind === 'done' ? { files: countsOf(outcome.summary) } : {}),
    ...(outcome.kind === 'done' ? { bytes: Number(outcome.summary.bytesRestored ?? outcome.summary.bytesTotal) } : {}),
    ...skippedOf(restore, outcome),
    ...(isEnd ? { completionTime: formatTime(now) } : {}),
  };
}

function finalProgress({ bytesTotal, filesTotal }: RestoreSummary, { progress }: Underway): StatusProgress {
  const total = { bytesDone: bytesTotal, bytesTotal, filesDone: filesTotal, filesTotal };
  return progressOf(total, progress?.bytesPerSecond ?? 0);
}

function countsOf({ filesTotal, filesRestored, filesSkipped, filesDeleted }: RestoreSummary): RestoreCounts {
  return {
    total: filesTotal,
    ...(filesRestored === undefined ? {} : { restored: filesRestored }),
    ...(filesSkipped === undefined ? {} : { skipped: filesSkipped }),
    ...(filesDeleted === undefined ? {} : { deleted: filesDeleted }),
  };
}

function skippedOf(
  { spec }: VolumeRestore,
  outcome: VolumeRestoreOutcome,
): Pick<VolumeRestoreStatus, 'skipped' | 'skippedCount'> {
  const errors = errorsOf(outcome);
  if (errors === undefined || errors.count === 0) return {};
  const volumeName = spec.volumeRef.name;
  const skipped: SkippedFile[] = errors.examples
    .slice(0, MAX_SKIPPED)
    .map(({ item, message }) => ({ volumeName, path: pathOf(item), message }));
  return { skipped, skippedCount: errors.count };
}

/** In the volume: the engine says where it is in the snapshot. */
function pathOf(item: string): string {
  const path = item.replace(/^\/+/, '');
  if (path === DATA_DIRECTORY) return '.';
  return path.startsWith(`${DATA_DIRECTORY}/`) ? path.slice(DATA_DIRECTORY.length + 1) : path;
}

function errorsOf(outcome: VolumeRestoreOutcome): ItemErrors | undefined {
  const cause = outcome.kind === 'failed' ? outcome.failure.cause : undefined;
  return cause instanceof RestoreIncomplete ? cause.errors : undefined;
}

function conditionsOf(
  { spec }: VolumeRestore,
  outcome: VolumeRestoreOutcome,
  { progress }: Underway,
): readonly ConditionInput<VolumeRestoreConditionType>[] {
  const { name } = spec.volumeRef;
  switch (outcome.kind) {
    case 'done': {
      if (spec.dryRun === true) {
        const message = `Nothing was changed; status.files says what a restore of backup "${spec.backupID}" would do in volume "${name}".`;
        return [{ type: 'Ready', status: 'True', reason: 'RestorePlanned', message }];
      }
      const message = `Volume "${name}" has what was asked for of backup "${spec.backupID}"; it was read back and compared.`;
      return [{ type: 'Ready', status: 'True', reason: 'Restored', message }];
    }
    case 'paused': {
      const message = 'Nothing is done because the restore is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'restoring': {
      const done = progress && { bytesDone: BigInt(progress.bytesDone), bytesTotal: BigInt(progress.bytesTotal) };
      const message = `Backup "${spec.backupID}" is being restored into volume "${name}"${progressText(done)}.`;
      return [
        { type: 'Ready', status: 'False', reason: 'Restoring', message },
        { type: 'Reconciling', status: 'True', reason: 'Restoring', message },
      ];
    }
    case 'cancelled': {
      const message = `It was cancelled; volume "${name}" may have a part of the backup.`;
      return [
        { type: 'Ready', status: 'False', reason: 'RestoreCancelled', message },
        { type: 'Stalled', status: 'True', reason: 'RestoreCancelled', message },
      ];
    }
    case 'failed': {
      const { reason, message, stalled } = outcome.failure;
      return [
        { type: 'Ready', status: 'False', reason, message },
        { type: stalled ? 'Stalled' : 'Reconciling', status: 'True', reason, message },
      ];
    }
  }
}
