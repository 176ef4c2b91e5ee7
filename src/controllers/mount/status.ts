/** A VolumeMount's status, derived from the facts after acting. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition, formatTime, isTrue } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type {
  VolumeMount,
  VolumeMountConditionType,
  VolumeMountPhase,
  VolumeMountStatus,
} from '../../api/volume-mount.ts';
import type { MountObservation } from '../../drivers/driver.ts';
import type { Failure } from '../support/failure.ts';
import type { Obstacle } from '../support/holders.ts';

/** How the reconcile ended. */
export type MountOutcome =
  /** `made`: by this reconcile. `drift`: what had become of the one before. */
  | { readonly kind: 'mounted'; readonly made: boolean; readonly drift: Reason | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly obstacle?: Obstacle | undefined }
  | { readonly kind: 'paused' }
  | { readonly kind: 'blocked'; readonly obstacle: Obstacle };

export interface MountStatusFacts {
  readonly mount: VolumeMount;
  readonly hostPath: string | undefined;
  /** undefined when the target was not looked at. */
  readonly observation: MountObservation | undefined;
  readonly outcome: MountOutcome;
  readonly now: Date;
}

type Input = ConditionInput<VolumeMountConditionType>;

/** Derives all that the agent owns of a VolumeMount's status. */
export function deriveMountStatus(facts: MountStatusFacts): VolumeMountStatus {
  const { mount, observation, outcome, now } = facts;
  const generation = mount.metadata.generation ?? 0;
  const previous = mount.status;
  const inputs = [...summary(outcome), ...mounted(facts), ...healthy(facts), ...blocked(outcome)];
  const visible = observation === undefined ? isTrue(previous?.conditions, 'Mounted') : isOurs(observation);
  const hostPath = visible ? (facts.hostPath ?? previous?.hostPath) : undefined;
  const source = visible ? (observation?.source ?? previous?.source) : undefined;
  const mountedAt = nextMountedAt(facts);
  const restarts = (previous?.restarts ?? 0) + (outcome.kind === 'mounted' && outcome.made && outcome.drift ? 1 : 0);
  const holders = holdersOf(outcome);
  return {
    observedGeneration: generation,
    conditions: deriveConditions(previous?.conditions, inputs, generation, now),
    phase: phaseOf(facts, visible),
    ...(hostPath === undefined ? {} : { hostPath }),
    ...(source === undefined ? {} : { source }),
    ...(mountedAt === undefined ? {} : { mountedAt }),
    ...(previous?.restarts === undefined && mountedAt === undefined ? {} : { restarts }),
    ...(holders.length === 0 ? {} : { busyBy: holders }),
  };
}

/** Our source is at the target, whatever else is wrong. */
function isOurs(observation: MountObservation): boolean {
  return observation.state !== 'absent' && observation.state !== 'foreign';
}

function summary(outcome: MountOutcome): readonly Input[] {
  switch (outcome.kind) {
    case 'mounted':
      return [{ type: 'Ready', status: 'True', reason: 'Mounted', message: '' }];
    case 'paused': {
      const message = 'Nothing is done because the mount is paused; remove the annotation to go on.';
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
      const { reason, message } = outcome.obstacle;
      return [
        { type: 'Ready', status: 'False', reason: 'Unmounting', message },
        { type: 'Reconciling', status: 'True', reason, message },
      ];
    }
    default:
      return [];
  }
}

function mounted(facts: MountStatusFacts): readonly Input[] {
  const { observation, outcome } = facts;
  if (outcome.kind === 'mounted') return [{ type: 'Mounted', status: 'True', reason: 'Mounted', message: '' }];
  if (observation === undefined) return kept(facts, 'Mounted');
  if (isOurs(observation)) return [{ type: 'Mounted', status: 'True', reason: 'Mounted', message: '' }];
  const { reason, message } = wrong(outcome, observation);
  return [{ type: 'Mounted', status: 'False', reason, message }];
}

/** Said only of a mount that is there. */
function healthy(facts: MountStatusFacts): readonly Input[] {
  const { observation, outcome } = facts;
  if (outcome.kind === 'mounted' && observation?.reason === 'StaleInWorkload') {
    return [{ type: 'Healthy', status: 'False', reason: 'StaleInWorkload', message: observation.message }];
  }
  if (outcome.kind === 'mounted') return [{ type: 'Healthy', status: 'True', reason: 'Healthy', message: '' }];
  if (observation === undefined) return kept(facts, 'Healthy');
  if (!isOurs(observation)) return [];
  if (observation.state === 'mounted') return [{ type: 'Healthy', status: 'True', reason: 'Healthy', message: '' }];
  const { reason, message } = wrong(outcome, observation);
  return [{ type: 'Healthy', status: 'False', reason, message }];
}

/** Not looked at: what was said last still stands. */
function kept({ mount }: MountStatusFacts, type: 'Mounted' | 'Healthy'): readonly Input[] {
  const old = findCondition(mount.status?.conditions, type);
  if (old === undefined || !isReason(old.reason)) return [];
  return [{ type, status: old.status, reason: old.reason, message: old.message }];
}

function wrong(outcome: MountOutcome, observation: MountObservation): { reason: Reason; message: string } {
  if (outcome.kind === 'failed') return outcome.failure;
  if (outcome.kind === 'blocked') return outcome.obstacle;
  return { reason: 'MountGone', message: observation.message || 'Nothing of ours is mounted at the target.' };
}

function blocked(outcome: MountOutcome): readonly Input[] {
  if (outcome.kind !== 'blocked') return [];
  const { reason, message } = outcome.obstacle;
  return [{ type: 'DeletionBlocked', status: 'True', reason, message }];
}

function phaseOf({ outcome }: MountStatusFacts, visible: boolean): VolumeMountPhase {
  switch (outcome.kind) {
    case 'mounted':
      return 'Mounted';
    case 'blocked':
      return 'Unmounting';
    case 'failed':
      return outcome.failure.stalled ? 'Failed' : visible ? 'Mounted' : 'Mounting';
    case 'paused':
      return visible ? 'Mounted' : 'Pending';
    default:
      return 'Pending';
  }
}

function nextMountedAt({ mount, outcome, now }: MountStatusFacts): string | undefined {
  const previous = mount.status?.mountedAt;
  if (outcome.kind !== 'mounted') return previous;
  return outcome.made || previous === undefined ? formatTime(now) : previous;
}

function holdersOf(outcome: MountOutcome) {
  if (outcome.kind === 'blocked') return outcome.obstacle.holders;
  return outcome.kind === 'failed' ? (outcome.obstacle?.holders ?? []) : [];
}
