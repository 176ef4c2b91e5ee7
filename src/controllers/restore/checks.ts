/** What is to be done for a Restore now? An ordered list of named, pure checks. */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { FINALIZERS, RESTORE_UID_ANNOTATION } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { hasFinalizer } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { Failure } from '../support/failure.ts';
import { remounts, stillAttached, TAKE_DOWN_MS } from './attached.ts';
import type { RestoreFacts } from './observe.ts';

/** The next step for a restore that has not ended. */
export type RestoreStep =
  | { readonly step: 'revert' }
  /** `failure.stalled`: it ends without having done anything. */
  | { readonly step: 'refuse'; readonly failure: Failure };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[RestoreFacts], RestoreStep> = [
  volumeIsThere,
  policyAllows,
  driverReverts,
  snapshotIsThere,
  volumeIsFree,
  isNotUsedElsewhere,
  presentIsKept,
];

/** Decides the next step. */
export function nextRestoreStep(facts: RestoreFacts): RestoreStep {
  return firstToSpeak(CHECKS, facts) ?? { step: 'revert' };
}

function volumeIsThere({ source, volume }: RestoreFacts): RestoreStep | undefined {
  if (volume === undefined) return refuse('VolumeNotFound', `Volume "${source.volumeName}" does not exist any more.`);
  if (isDeleting(volume)) return refuse('VolumeDeleting', `Volume "${source.volumeName}" is being deleted.`);
  if (isTrue(volume.status?.conditions, 'Provisioned')) return undefined;
  return refuse('VolumeNotReady', `The storage of volume "${source.volumeName}" is not there.`);
}

function policyAllows({ resolution }: RestoreFacts): RestoreStep | undefined {
  if (resolution === undefined || resolution.ok) return undefined;
  return { step: 'refuse', failure: resolution.refusal };
}

function driverReverts({ driver, source }: RestoreFacts): RestoreStep | undefined {
  if (driver?.revert !== undefined) return undefined;
  const message = `${driver?.type ?? 'Such'} volumes cannot go back to a snapshot; make a new Volume from "${source.snapshotName}" (spec.dataSource).`;
  return refuse('RevertNotSupported', message);
}

function snapshotIsThere({ source, snapshot, words }: RestoreFacts): RestoreStep | undefined {
  if (snapshot === undefined || isDeleting(snapshot) || words === undefined) {
    return refuse('SnapshotNotFound', `Snapshot "${source.snapshotName}" does not exist any more.`);
  }
  if (snapshot.status?.readyToUse === true) return undefined;
  return refuse('SnapshotNotReady', `Snapshot "${source.snapshotName}" is not ready to use any more.`);
}

/** A mount that was begun before the Restore came is kept, unless it is to be taken down; one that comes later waits for the end. */
function volumeIsFree({ source, restore, mounts, now }: RestoreFacts): RestoreStep | undefined {
  const isAsked = remounts(restore);
  const begun = mounts.filter((mount) => hasFinalizer(mount, FINALIZERS.mount));
  const held = isAsked ? begun.filter((mount) => stillAttached(mount, restore.metadata.name)) : begun;
  if (held.length === 0) return undefined;
  const names = held.map(({ metadata }) => metadata.name);
  const sinceMs = now - Date.parse(restore.status?.startTime ?? '');
  if (held.every(isDeleting) || (isAsked && !(sinceMs > TAKE_DOWN_MS))) {
    const message = `VolumeMount ${names.slice(0, 5).join(', ')} is being taken down first.`;
    return { step: 'refuse', failure: { reason: 'WaitingForUnmount', message, stalled: false } };
  }
  const message = `Volume "${source.volumeName}" is in use by VolumeMount ${names.slice(0, 5).join(', ')}. Unmount it, then make a new Restore.`;
  if (!isAsked) return refuse('VolumeInUse', message);
  const why = findCondition(held[0]?.status?.conditions, 'Ready')?.message ?? '';
  return refuse('VolumeInUse', `${message} It could not be taken down in time: ${why} Nothing was replaced.`);
}

/** Who was granted the volume on another node before the Restore was known may be writing there: this node cannot hold it off. */
function isNotUsedElsewhere({ source, restore, volume }: RestoreFacts): RestoreStep | undefined {
  const others = (volume?.status?.attachments ?? []).filter(({ nodeName }) => nodeName !== restore.status?.nodeName);
  if (others.length === 0) return undefined;
  const who = others.slice(0, 5).map(({ workloadId, nodeName }) => `workload "${workloadId}" on node "${nodeName}"`);
  const message = `Volume "${source.volumeName}" is in use by ${who.join(', ')}. Unmount it, then make a new Restore.`;
  return refuse('VolumeInUse', message);
}

function presentIsKept({ restore, safety: named }: RestoreFacts): RestoreStep | undefined {
  // One of that name which a former Restore had made, and which the cache still shows, is of another moment.
  const isOurs = named?.metadata.annotations?.[RESTORE_UID_ANNOTATION] === restore.metadata.uid;
  const safety = isOurs ? named : undefined;
  if (restore.spec.safetySnapshot === false || safety?.status?.readyToUse === true) return undefined;
  const name = restore.status?.safetySnapshotRef?.name;
  const stalled = findCondition(safety?.status?.conditions, 'Stalled');
  if (stalled !== undefined) {
    const message = `Snapshot "${name}" of what the volume has now could not be taken: ${stalled.message} Nothing was replaced.`;
    return refuse('SafetySnapshotFailed', message);
  }
  const message = `The present content of the volume is being kept${name === undefined ? '' : ` as Snapshot "${name}"`} first.`;
  return { step: 'refuse', failure: { reason: 'Snapshotting', message, stalled: false } };
}

function refuse(reason: Reason, message: string): RestoreStep {
  return { step: 'refuse', failure: { reason, message, stalled: true } };
}
