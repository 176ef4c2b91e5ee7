/**
 * May the storage be used as it was found? Asked for the Volume, and again before each new mount: the two are reconciled
 * side by side, so a mount must not rely on the Volume having been refused first.
 */
import { isReason } from '../../api/reasons.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeObservation } from '../../drivers/driver.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { Failure } from '../support/failure.ts';
import type { ResolvedVolume } from './resolve-volume.ts';

/** In this order; the first objection is the one reported. */
const CHECKS: Checks<[Volume, ResolvedVolume, VolumeObservation], Failure> = [noTrouble, capacityIsEnforceable];

/** Why storage that the driver sees may not be used; undefined when nothing speaks against it. */
export function storageObjection(
  volume: Volume,
  resolved: ResolvedVolume,
  seen: VolumeObservation,
): Failure | undefined {
  return firstToSpeak(CHECKS, volume, resolved, seen);
}

function noTrouble(_volume: Volume, _resolved: ResolvedVolume, { problem }: VolumeObservation): Failure | undefined {
  if (problem === undefined) return undefined;
  const { reason, message, terminal } = problem;
  return { reason: isReason(reason) ? reason : 'InternalError', message, stalled: terminal };
}

function capacityIsEnforceable(
  { spec }: Volume,
  { capacityBytes }: ResolvedVolume,
  { capacity, provisioned }: VolumeObservation,
): Failure | undefined {
  if (spec.capacityPolicy !== 'Enforce' || capacityBytes === undefined || capacity.enforced) return undefined;
  // What is not made yet has no limit yet, unless it never can.
  if (capacity.reason !== 'CapacityNotEnforceable' && !provisioned) return undefined;
  return { reason: 'CapacityNotEnforceable', message: capacity.message, stalled: capacity.pending !== true };
}
