/**
 * Which Event a change of conditions is worth: one per change of Ready's status or reason, one when a deletion is blocked,
 * and one when a volume has lost its content, which leaves it Ready. Pure.
 */
import { findCondition } from '../../api/conditions.ts';
import type { Condition, KubeObjectBase } from '../../api/meta.ts';
import type { EventSink } from '../../kube/events.ts';

/** Reasons that report ordinary progress although Ready is not True. */
const CALM: readonly string[] = [
  'Pending',
  'Reconciling',
  'Provisioning',
  'Mounting',
  'Unmounting',
  'Resizing',
  'Snapshotting',
  'Cloning',
  'Deleting',
  'Paused',
  'VolumeNotReady',
  'Reverting',
  'RestoreInProgress',
  'SnapshotNotReady',
  'WaitingForGrant',
  'WaitingForUnmount',
  'BackingUp',
  'Recording',
  'RepositoryNotReady',
  'Cancelled',
  'Opening',
  'Initializing',
  'ReadingBackup',
  'Restoring',
  'HandedOver',
];

/** What an Event says of a condition that needs no words where its status stands beside it. */
const GOOD: Readonly<Record<string, string>> = {
  Provisioned: 'The volume is there and can be mounted.',
  Mounted: 'The volume is mounted.',
  ReadyToUse: 'The snapshot is complete and on disk.',
  AgentReady: 'The agent is running.',
  Ready: 'All is as it is wanted.',
  Suspended: 'No runs are started.',
  BackedUp: 'All of it is in the repository.',
};

export interface ConditionEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Returns the events for the step from one condition list to the next. */
export function conditionEvents(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): readonly ConditionEvent[] {
  const events: ConditionEvent[] = [];
  const ready = changed(before, after, 'Ready');
  if (ready !== undefined) {
    const { status, reason, message } = ready;
    const type = status === 'True' || CALM.includes(reason) ? 'Normal' : 'Warning';
    events.push({ type, reason, message: message || (GOOD[reason] ?? '') });
  }
  const blocked = changed(before, after, 'DeletionBlocked');
  if (blocked !== undefined && blocked.reason !== ready?.reason) {
    events.push({ type: 'Warning', reason: blocked.reason, message: blocked.message });
  }
  const provisioned = findCondition(after, 'Provisioned');
  // The message has the time: each loss is news, also the second one.
  if (
    provisioned?.status === 'True' &&
    provisioned.reason === 'Emptied' &&
    findCondition(before, 'Provisioned')?.message !== provisioned.message
  ) {
    events.push({ type: 'Warning', reason: provisioned.reason, message: provisioned.message });
  }
  return events;
}

/** Records them on an object. */
export function recordConditionEvents(
  sink: EventSink,
  object: KubeObjectBase,
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): void {
  for (const { type, reason, message } of conditionEvents(before, after)) sink.record(object, type, reason, message);
}

/** The condition of a type in `after`, if its status or reason is new. Ordinary waiting at the very start is not news. */
function changed(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  const next = findCondition(after, type);
  if (next === undefined) return undefined;
  const old = findCondition(before, type);
  if (old === undefined && next.status !== 'True' && CALM.includes(next.reason)) return undefined;
  return old?.status === next.status && old.reason === next.reason ? undefined : next;
}
