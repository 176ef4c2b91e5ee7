/** The agent's part of a Snapshot's status, derived from the facts after acting. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import { formatBytes } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { Snapshot, SnapshotConditionType, SnapshotStatus } from '../../api/snapshot.ts';
import type { Progress, SnapshotFacts, SnapshotObservation } from '../../drivers/driver.ts';
import type { Failure } from '../support/failure.ts';
import { progressText } from '../support/progress-text.ts';

/** How the reconcile ended. */
export type SnapshotOutcome =
  | { readonly kind: 'ready' }
  | { readonly kind: 'taking'; readonly progress: Progress | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'paused' }
  | { readonly kind: 'blocked'; readonly reason: Reason; readonly message: string };

export interface SnapshotStatusFacts {
  readonly snapshot: Snapshot;
  /** undefined when the driver was not asked, or did not answer. */
  readonly observation: SnapshotObservation | undefined;
  /** The Volume is gone. */
  readonly isAlone: boolean;
  readonly outcome: SnapshotOutcome;
  readonly now: Date;
}

type Input = ConditionInput<SnapshotConditionType>;
type Taken = Pick<SnapshotStatus, 'readyToUse' | 'creationTime' | 'restoreSize' | 'method' | 'usedBytes'>;

/** The types whose conditions the agent writes; what others wrote under the same type is replaced. */
export function deriveSnapshotStatus(facts: SnapshotStatusFacts): SnapshotStatus {
  const { snapshot, outcome, now } = facts;
  const generation = snapshot.metadata.generation ?? 0;
  const previous = snapshot.status;
  const inputs = [...summary(facts), ...consistent(facts), ...blocked(outcome)];
  return {
    observedGeneration: generation,
    conditions: deriveConditions(previous?.conditions, inputs, generation, now),
    ...taken(facts),
    ...progressOf(outcome),
  };
}

/** Ready, and Reconciling or Stalled where they hold. */
function summary({ snapshot, outcome, isAlone }: SnapshotStatusFacts): readonly Input[] {
  switch (outcome.kind) {
    case 'ready': {
      const { name } = snapshot.spec.volumeRef;
      const message = isAlone ? `Volume "${name}" is gone; the snapshot stays usable.` : '';
      return [{ type: 'Ready', status: 'True', reason: 'ReadyToUse', message }];
    }
    case 'paused': {
      const message = 'Nothing is done because the snapshot is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'taking': {
      const message = `The snapshot is being taken${progressText(outcome.progress)}.`;
      return notReady('Reconciling', 'Snapshotting', message);
    }
    case 'failed': {
      const { reason, message, stalled } = outcome.failure;
      return notReady(stalled ? 'Stalled' : 'Reconciling', reason, message);
    }
    case 'blocked':
      return [
        { type: 'Ready', status: 'False', reason: 'Deleting', message: outcome.message },
        { type: 'Reconciling', status: 'True', reason: outcome.reason, message: outcome.message },
      ];
    default:
      return [];
  }
}

function notReady(type: 'Reconciling' | 'Stalled', reason: Reason, message: string): readonly Input[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}

function consistent({ snapshot, observation }: SnapshotStatusFacts): readonly Input[] {
  const facts = observation?.facts;
  if (facts !== undefined) {
    const { consistent: holds, reason, message } = facts.consistent;
    const word: Reason = isReason(reason) ? reason : holds ? 'FilesystemConsistent' : 'CrashConsistent';
    return [{ type: 'ContentConsistent', status: holds ? 'True' : 'False', reason: word, message }];
  }
  // Not looked at, or lost: what was said last still stands.
  const old = snapshot.status?.conditions?.find(({ type }) => type === 'ContentConsistent');
  if (old === undefined || !isReason(old.reason)) return [];
  return [{ type: 'ContentConsistent', status: old.status, reason: old.reason, message: old.message }];
}

function blocked(outcome: SnapshotOutcome): readonly Input[] {
  if (outcome.kind !== 'blocked') return [];
  return [{ type: 'DeletionBlocked', status: 'True', reason: outcome.reason, message: outcome.message }];
}

/** What is known of the moment. It is not forgotten when the data cannot be looked at, or is gone. */
function taken({ snapshot, observation }: SnapshotStatusFacts): Taken {
  const { readyToUse, creationTime, restoreSize, method, usedBytes } = snapshot.status ?? {};
  const facts = observation?.facts;
  if (facts === undefined) {
    return {
      // Only what was looked for and not found is not ready to use any more.
      readyToUse: observation === undefined ? (readyToUse ?? false) : false,
      ...(creationTime === undefined ? {} : { creationTime }),
      ...(restoreSize === undefined ? {} : { restoreSize }),
      ...(method === undefined ? {} : { method }),
      ...(usedBytes === undefined || observation !== undefined ? {} : { usedBytes }),
    };
  }
  const used = nextUsedBytes(usedBytes, observation?.usedBytes, facts);
  return {
    readyToUse: true,
    creationTime: formatTime(facts.takenAt),
    restoreSize: formatBytes(facts.restoreBytes),
    method: facts.method,
    ...(used === undefined ? {} : { usedBytes: used }),
  };
}

/** Keeps the old figure until the new one differs by 5 % of the size, so that an idle system writes nothing. */
function nextUsedBytes(
  previous: number | undefined,
  seen: bigint | undefined,
  { restoreBytes }: SnapshotFacts,
): number | undefined {
  if (seen === undefined) return previous;
  const step = Math.max(1, Number(restoreBytes) * 0.05);
  return previous !== undefined && Math.abs(previous - Number(seen)) < step ? previous : Number(seen);
}

function progressOf(outcome: SnapshotOutcome): Pick<SnapshotStatus, 'progress'> {
  if (outcome.kind !== 'taking' || outcome.progress === undefined) return {};
  const { bytesDone, bytesTotal } = outcome.progress;
  return { progress: { bytesDone: Number(bytesDone), bytesTotal: Number(bytesTotal) } };
}
