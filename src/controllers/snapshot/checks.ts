/** Is the snapshot there, and if not, may it be taken? An ordered list of named, pure checks. */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { Failure } from '../support/failure.ts';
import type { SnapshotFacts } from './observe.ts';

/** The next step for a snapshot. */
export type SnapshotStep =
  /** It is complete. */
  { readonly step: 'none' } | { readonly step: 'take' } | { readonly step: 'refuse'; readonly failure: Failure };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[SnapshotFacts], SnapshotStep> = [
  driverIsThere,
  driverTakesSnapshots,
  isThere,
  wasNeverThere,
  volumeIsTheOne,
  volumeStays,
  policyAllows,
  volumeIsThere,
];

/** Decides the next step. */
export function nextSnapshotStep(facts: SnapshotFacts): SnapshotStep {
  return firstToSpeak(CHECKS, facts) ?? { step: 'take' };
}

/** Whether it was complete once, as the status says. */
export function wasTaken({ status }: Snapshot): boolean {
  return status?.creationTime !== undefined;
}

/**
 * Whether the deletion of its volume waits for it: it was asked for before, and nothing has gone wrong with it. What has
 * failed may fail for ever, and must not keep the space of a volume that is to go.
 */
export function isAwaited(snapshot: Snapshot): boolean {
  if (isDeleting(snapshot) || wasTaken(snapshot)) return false;
  const ready = findCondition(snapshot.status?.conditions, 'Ready');
  return ready === undefined || ready.reason === 'Snapshotting';
}

function driverIsThere({ driver, wanted }: SnapshotFacts): SnapshotStep | undefined {
  if (driver !== undefined && wanted !== undefined) return undefined;
  return refuse('TypeNotSupported', 'This node has no driver for the type of the volume.', true);
}

function driverTakesSnapshots({ driver }: SnapshotFacts): SnapshotStep | undefined {
  if (driver?.snapshots !== undefined) return undefined;
  return refuse('SnapshotNotSupported', `${driver?.type} volumes cannot be snapshotted on this node.`, true);
}

function isThere({ observation }: SnapshotFacts): SnapshotStep | undefined {
  return observation?.facts === undefined ? undefined : { step: 'none' };
}

/** What was taken once is never taken anew: it would be another moment under the same name. */
function wasNeverThere({ snapshot }: SnapshotFacts): SnapshotStep | undefined {
  if (!wasTaken(snapshot)) return undefined;
  const message = 'The snapshot was there and is not any more. Bring it back (is a disk not mounted?) or delete it.';
  return refuse('DataMissing', message, true);
}

function volumeIsTheOne({ source, volume }: SnapshotFacts): SnapshotStep | undefined {
  if (volume !== undefined) return undefined;
  const message = `Volume "${source.volumeName}" with UID ${source.volumeUID} was deleted before its snapshot was taken; delete the Snapshot.`;
  return refuse('VolumeNotFound', message, true);
}

/** Data that is perhaps being deleted is no moment of anything. */
function volumeStays({ snapshot, source, volume }: SnapshotFacts): SnapshotStep | undefined {
  if (volume === undefined || !isDeleting(volume) || isAwaited(snapshot)) return undefined;
  const message = `Volume "${source.volumeName}" is being deleted; no snapshot of it is taken any more.`;
  return refuse('VolumeDeleting', message, true);
}

function policyAllows({ resolution }: SnapshotFacts): SnapshotStep | undefined {
  if (resolution === undefined || resolution.ok) return undefined;
  return { step: 'refuse', failure: resolution.refusal };
}

function volumeIsThere({ source, volume }: SnapshotFacts): SnapshotStep | undefined {
  if (isTrue(volume?.status?.conditions, 'Provisioned')) return undefined;
  return refuse('VolumeNotReady', `The storage of volume "${source.volumeName}" is not there.`, false);
}

function refuse(reason: Failure['reason'], message: string, stalled: boolean): SnapshotStep {
  return { step: 'refuse', failure: { reason, message, stalled } };
}
