/** The agent's part of a Restore's status, derived from what was done. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import type { Restore, RestoreConditionType, RestoreStatus } from '../../api/restore.ts';
import type { Progress } from '../../drivers/driver.ts';
import type { Failure } from '../support/failure.ts';
import { progressText } from '../support/progress-text.ts';

/** How the reconcile ended. */
export type RestoreOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'reverting'; readonly progress: Progress | undefined }
  /** `failure.stalled`: it is not tried again. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'paused' };

export function deriveRestoreStatus(restore: Restore, outcome: RestoreOutcome, now: Date): RestoreStatus {
  const generation = restore.metadata.generation ?? 0;
  const isEnd = outcome.kind === 'done' || (outcome.kind === 'failed' && outcome.failure.stalled);
  return {
    observedGeneration: generation,
    conditions: deriveConditions(restore.status?.conditions, conditionsOf(restore, outcome), generation, now),
    ...(isEnd ? { completionTime: formatTime(now) } : {}),
  };
}

function conditionsOf(restore: Restore, outcome: RestoreOutcome): readonly ConditionInput<RestoreConditionType>[] {
  const { snapshotName, volumeName } = restore.status?.source ?? {};
  switch (outcome.kind) {
    case 'done': {
      const message = `Volume "${volumeName}" has the content of snapshot "${snapshotName}".`;
      return [{ type: 'Ready', status: 'True', reason: 'Reverted', message }];
    }
    case 'paused': {
      const message = 'Nothing is done because the restore is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'reverting': {
      const message = `Volume "${volumeName}" is being taken back to snapshot "${snapshotName}"${progressText(outcome.progress)}.`;
      return [
        { type: 'Ready', status: 'False', reason: 'Reverting', message },
        { type: 'Reconciling', status: 'True', reason: 'Reverting', message },
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
