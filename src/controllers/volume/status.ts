/** The agent's part of a Volume's status, derived from the facts after acting. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import { formatBytes } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume, VolumeConditionType, VolumeStatus, VolumeUsage } from '../../api/volume.ts';
import type { Usage, VolumeObservation } from '../../drivers/driver.ts';
import { type ResolvedVolume, wasProvisioned } from '../policy/resolve-volume.ts';
import { sourceOf } from '../policy/sources/index.ts';
import type { Failure } from '../support/failure.ts';

/** How the reconcile ended. */
export type VolumeOutcome =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'paused' }
  | { readonly kind: 'blocked'; readonly reason: Reason; readonly message: string };

export interface VolumeStatusFacts {
  readonly volume: Volume;
  /** undefined when the policy refused the volume, or when it is only being taken down. */
  readonly resolved: ResolvedVolume | undefined;
  readonly observation: VolumeObservation | undefined;
  readonly usage: Usage | undefined;
  /** What it lacks of the content of a backup that it starts with. */
  readonly lacking: Failure | undefined;
  /** Those of the volume that are complete. */
  readonly snapshots: readonly Snapshot[];
  readonly outcome: VolumeOutcome;
  readonly now: Date;
}

type Input = ConditionInput<VolumeConditionType>;

/** The types whose conditions the agent writes; what others wrote under the same type is replaced. */
export function deriveVolumeStatus(facts: VolumeStatusFacts): VolumeStatus {
  const { volume, resolved, observation, outcome, now } = facts;
  const generation = volume.metadata.generation ?? 0;
  const previous = volume.status;
  const inputs = [...summary(outcome), ...provisioned(facts), ...capacityEnforced(facts), ...blocked(outcome)];
  const capacity = resolved === undefined ? previous?.capacity : capacityInForce(resolved, observation);
  const reclaimPolicy = resolved?.reclaimPolicy ?? previous?.reclaimPolicy;
  const provisioning = resolved === undefined ? previous?.provisioning : resolved.provisioning;
  const usage = nextUsage(previous?.usage, facts.usage, now);
  const lastSnapshotTime = newest(facts.snapshots);
  return {
    observedGeneration: generation,
    conditions: deriveConditions(previous?.conditions, inputs, generation, now),
    ...(capacity === undefined ? {} : { capacity }),
    ...(reclaimPolicy === undefined ? {} : { reclaimPolicy }),
    ...(provisioning === undefined ? {} : { provisioning }),
    ...(usage === undefined ? {} : { usage }),
    ...(lastSnapshotTime === undefined ? {} : { lastSnapshotTime }),
  };
}

/** Ready, and Reconciling or Stalled where they hold. */
function summary(outcome: VolumeOutcome): readonly Input[] {
  switch (outcome.kind) {
    case 'ready':
      return [{ type: 'Ready', status: 'True', reason: 'Provisioned', message: '' }];
    case 'paused': {
      const message = 'Nothing is done because the volume is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'failed': {
      const { reason, message, stalled } = outcome.failure;
      return [
        { type: 'Ready', status: 'False', reason, message },
        { type: stalled ? 'Stalled' : 'Reconciling', status: 'True', reason, message },
      ];
    }
    case 'blocked': {
      const { reason, message } = outcome;
      return [
        { type: 'Ready', status: 'False', reason: 'Deleting', message },
        { type: 'Reconciling', status: 'True', reason, message },
      ];
    }
    default:
      return [];
  }
}

function provisioned({ volume, observation, outcome, lacking }: VolumeStatusFacts): readonly Input[] {
  if (observation?.provisioned === true && lacking !== undefined) {
    return [{ type: 'Provisioned', status: 'False', reason: lacking.reason, message: lacking.message }];
  }
  if (observation?.provisioned === true) {
    const { emptiedAt } = observation;
    // Said for as long as the volume lives: who comes back after a week asks where the files are.
    if (emptiedAt !== undefined) {
      const message = `The volume is in memory, which was given back (the node was restarted, or it was unmounted): it was made again, empty, at ${formatTime(emptiedAt)}.`;
      return [{ type: 'Provisioned', status: 'True', reason: 'Emptied', message }];
    }
    return [{ type: 'Provisioned', status: 'True', reason: 'Provisioned', message: observation.note ?? '' }];
  }
  // Not looked at: what was said last still stands.
  const old = volume.status?.conditions?.find(({ type }) => type === 'Provisioned');
  if (observation === undefined && old !== undefined && isReason(old.reason)) {
    return [{ type: 'Provisioned', status: old.status, reason: old.reason, message: old.message }];
  }
  if (outcome.kind !== 'failed') return [];
  const { reason, message } = outcome.failure;
  // That it was there once is not forgotten while something else is in the way of it.
  const wasThere = observation !== undefined && wasProvisioned(volume.status);
  const word = wasThere ? (sourceOf(volume.spec)?.isPassing === true ? 'Emptied' : 'DataMissing') : reason;
  return [{ type: 'Provisioned', status: 'False', reason: word, message }];
}

function capacityEnforced({ resolved, observation, outcome }: VolumeStatusFacts): readonly Input[] {
  if (resolved?.capacity === undefined || observation === undefined || !observation.provisioned) return [];
  const { enforced, reason, message } = observation.capacity;
  if (enforced) return [{ type: 'CapacityEnforced', status: 'True', reason: 'CapacityEnforced', message: '' }];
  if (outcome.kind === 'paused') return [];
  const word: Reason = isReason(reason) ? reason : 'CapacityAdvisory';
  const text = message === '' ? 'Nothing limits what is written; the capacity is only a statement.' : message;
  return [{ type: 'CapacityEnforced', status: 'False', reason: word, message: text }];
}

function blocked(outcome: VolumeOutcome): readonly Input[] {
  if (outcome.kind !== 'blocked') return [];
  const { reason, message } = outcome;
  return [{ type: 'DeletionBlocked', status: 'True', reason, message }];
}

/** What holds now: the size wanted, or the smaller one that the storage still has. */
function capacityInForce(
  { capacity, capacityBytes }: ResolvedVolume,
  observation: VolumeObservation | undefined,
): string | undefined {
  const enforced = observation?.enforcedBytes;
  if (enforced === undefined || capacityBytes === undefined || enforced >= capacityBytes) return capacity;
  return formatBytes(enforced);
}

/** RFC 3339 in UTC sorts by time. */
function newest(snapshots: readonly Snapshot[]): string | undefined {
  return snapshots
    .flatMap(({ status }) => status?.creationTime ?? [])
    .toSorted()
    .at(-1);
}

/** Keeps the old figure until the new one differs by 5 % of the size, so that an idle system writes nothing. */
export function nextUsage(
  previous: VolumeUsage | undefined,
  seen: Usage | undefined,
  now: Date,
): VolumeUsage | undefined {
  if (seen === undefined) return previous;
  const usedBytes = Number(seen.usedBytes);
  const step = Math.max(1, Number(seen.totalBytes) * 0.05);
  if (previous !== undefined && Math.abs(previous.usedBytes - usedBytes) < step) return previous;
  return { usedBytes, observedAt: formatTime(now) };
}
