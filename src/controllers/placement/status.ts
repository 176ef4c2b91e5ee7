/**
 * The controller's part of a status, derived in one place: for a Volume `nodeName`, `attachments`, `mounts`, `phase`;
 * for a VolumeMount `nodeName`. While an object has no node, or its node is lost, also the conditions that its agent
 * would write; they are left out again, and thereby given up, once the agent is there. Pure.
 */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition, isTrue } from '../../api/conditions.ts';
import type { Condition, ConditionedStatus, KubeObjectBase } from '../../api/meta.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Volume, VolumeAttachment, VolumePhase, VolumeStatus } from '../../api/volume.ts';
import type { VolumeMount, VolumeMountStatus } from '../../api/volume-mount.ts';

/** Conditions that the controller may write. */
type StandInType = 'Ready' | 'Reconciling' | 'Stalled' | 'DeletionBlocked';

/** Why the controller speaks for an object instead of its agent. */
export type StandIn =
  | { readonly kind: 'waiting' | 'stalled'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'paused' }
  | { readonly kind: 'lost'; readonly nodeName: string };

export interface VolumeStatusFacts {
  readonly volume: Volume;
  readonly nodeName: string | undefined;
  readonly attachments: readonly VolumeAttachment[];
  readonly mounts: readonly VolumeMount[];
  readonly standIn: StandIn | undefined;
  readonly now: Date;
}

/** Derives what the controller owns of a Volume's status. */
export function deriveVolumeStatus(facts: VolumeStatusFacts): VolumeStatus {
  const { volume, nodeName, attachments, mounts, standIn, now } = facts;
  const alive = mounts.filter((mount) => !isDeleting(mount));
  const ready = alive.filter((mount) => isTrue(mount.status?.conditions, 'Ready')).length;
  return {
    ...(nodeName === undefined ? {} : { nodeName }),
    // An empty list would not survive server-side apply, and so differ for ever.
    ...(attachments.length === 0 ? {} : { attachments }),
    mounts: { desired: alive.length, ready },
    phase: phaseOf(facts),
    ...standInStatus<StandInType>(volume, standIn, now),
  };
}

/** Derives what the controller owns of a VolumeMount's status. */
export function deriveMountStatus(
  mount: VolumeMount,
  nodeName: string | undefined,
  standIn: StandIn | undefined,
  now: Date,
): VolumeMountStatus {
  return { ...(nodeName === undefined ? {} : { nodeName }), ...standInStatus<StandInType>(mount, standIn, now) };
}

function phaseOf({ volume, mounts, standIn }: VolumeStatusFacts): VolumePhase {
  if (isDeleting(volume)) return 'Deleting';
  const conditions = volume.status?.conditions;
  if (standIn !== undefined && standIn.kind !== 'lost') return standIn.kind === 'stalled' ? 'Failed' : 'Pending';
  if (!isTrue(conditions, 'Provisioned')) return isTrue(conditions, 'Stalled') ? 'Failed' : 'Pending';
  if (mounts.some((mount) => isTrue(mount.status?.conditions, 'Mounted'))) return 'Attached';
  return mounts.some((mount) => !isDeleting(mount)) ? 'Bound' : 'Available';
}

function standInStatus<Type extends string>(
  object: KubeObjectBase & { readonly status?: ConditionedStatus },
  standIn: StandIn | undefined,
  now: Date,
): ConditionedStatus<Type> {
  if (standIn === undefined) return {};
  const generation = object.metadata.generation ?? 0;
  const previous = object.status?.conditions;
  const inputs = standInConditions(object, standIn, previous);
  const conditions = deriveConditions(previous, inputs, generation, now) as readonly Condition<Type>[];
  return { observedGeneration: generation, conditions };
}

function standInConditions(
  object: KubeObjectBase,
  standIn: StandIn,
  previous: readonly Condition[] | undefined,
): readonly ConditionInput<StandInType>[] {
  switch (standIn.kind) {
    case 'paused': {
      const message = 'Nothing is done because the object is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'waiting':
    case 'stalled': {
      const { reason, message } = standIn;
      const type = standIn.kind === 'stalled' ? 'Stalled' : 'Reconciling';
      return [
        { type: 'Ready', status: 'False', reason, message },
        { type, status: 'True', reason, message },
      ];
    }
    case 'lost': {
      const message = `Node "${standIn.nodeName}" has not renewed its Lease; its state is not known until its agent is back.`;
      // The agent's Stalled cannot be taken away from here, and Stalled says Ready=False.
      const stalled = findCondition(previous, 'Stalled')?.status === 'True';
      const ready: ConditionInput<StandInType> = {
        type: 'Ready',
        status: stalled ? 'False' : 'Unknown',
        reason: 'NodeLost',
        message,
      };
      if (!isDeleting(object)) return [ready];
      const blocked = `${message} To release the object without its node, annotate it with force-delete and its UID; the data stays.`;
      return [ready, { type: 'DeletionBlocked', status: 'True', reason: 'NodeLost', message: blocked }];
    }
    default:
      return [];
  }
}
