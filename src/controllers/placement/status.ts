/**
 * The controller's part of a status, derived in one place: for a Volume `nodeName`, `attachments`, `mounts`, `phase`;
 * for a VolumeMount `nodeName`. While an object has no node, or its node is lost, also the conditions that its agent
 * would write; they are left out again, and thereby given up, once the agent is there. Pure.
 */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Volume, VolumeAttachment, VolumePhase, VolumeStatus } from '../../api/volume.ts';
import type { VolumeMount, VolumeMountStatus } from '../../api/volume-mount.ts';
import type { StandIn, StandInType } from '../support/stand-in.ts';
import { standInStatus } from '../support/stand-in.ts';

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
  if (standIn?.kind === 'stalled') return 'Failed';
  // What the last owner said of the storage still stands while nobody can be asked.
  if (standIn !== undefined && standIn.kind !== 'lost' && standIn.kind !== 'handed-over') return 'Pending';
  if (!isTrue(conditions, 'Provisioned')) return isTrue(conditions, 'Stalled') ? 'Failed' : 'Pending';
  if (mounts.some((mount) => isTrue(mount.status?.conditions, 'Mounted'))) return 'Attached';
  return mounts.some((mount) => !isDeleting(mount)) ? 'Bound' : 'Available';
}
