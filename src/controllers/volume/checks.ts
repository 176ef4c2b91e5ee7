/** Is the volume as wanted, and if not, what is the next step? An ordered list of named, pure checks. */
import { storageObjection } from '../policy/judge-storage.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';
import { sourceOf } from '../policy/sources/index.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { Failure } from '../support/failure.ts';
import type { VolumeFacts } from './observe.ts';

/** The next step for a volume. */
export type VolumeStep =
  /** Everything is as wanted. */
  | { readonly step: 'none' }
  /** Make the storage, or grow it. */
  | { readonly step: 'provision' }
  /** Make the storage with what its dataSource names. */
  | { readonly step: 'fill' }
  /** Nobody wants it mounted: give the loop device or the server connection back. */
  | { readonly step: 'unstage' }
  | { readonly step: 'refuse'; readonly failure: Failure };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[VolumeFacts], VolumeStep> = [
  policyAllows,
  driverIsThere,
  limitIsSet,
  failedIsGivenBack,
  storageIsUsable,
  dataIsWhereItWas,
  isProvisioned,
  hasItsCapacity,
  hasItsContent,
  isStagedOnlyWhenWanted,
];

/** Decides the next step. */
export function nextVolumeStep(facts: VolumeFacts): VolumeStep {
  return firstToSpeak(CHECKS, facts) ?? { step: 'none' };
}

/** What speaks against storage that could not be given back; undefined when it may be used as it is. */
export function storageRefusal(facts: VolumeFacts): Failure | undefined {
  const step = storageIsUsable(facts);
  return step?.step === 'refuse' ? step.failure : undefined;
}

function policyAllows({ resolution }: VolumeFacts): VolumeStep | undefined {
  return resolution.ok ? undefined : refuse(resolution.refusal);
}

function driverIsThere({ resolution, driver }: VolumeFacts): VolumeStep | undefined {
  if (driver !== undefined || !resolution.ok) return undefined;
  const message = `This node has no driver for ${resolution.resolved.type} volumes.`;
  return refuse({ reason: 'TypeNotSupported', message, stalled: true });
}

/** Before it is judged: with `capacityPolicy: Enforce` storage is of use only once its limit is there. */
function limitIsSet({ observation }: VolumeFacts): VolumeStep | undefined {
  if (observation === undefined || observation.problem !== undefined || !observation.provisioned) return undefined;
  return observation.capacity.pending === true ? { step: 'provision' } : undefined;
}

/** A filesystem that has failed works again only when it is mounted anew: given back as soon as no mount keeps it. */
function failedIsGivenBack({ observation, shownByMount }: VolumeFacts): VolumeStep | undefined {
  if (observation?.problem?.reason !== 'FilesystemFailed' || observation.stageMount === undefined) return undefined;
  // Looking for who else keeps it takes long, and what has failed is to be reported at once.
  if (shownByMount) return undefined;
  return { step: 'unstage' };
}

function storageIsUsable({ volume, observation, resolution }: VolumeFacts): VolumeStep | undefined {
  if (observation === undefined || !resolution.ok) return undefined;
  const failure = storageObjection(volume, resolution.resolved, observation);
  return failure === undefined ? undefined : refuse(failure);
}

/**
 * What was provisioned once and is not there now is not made again: an empty directory in the place of data would look
 * like a success. Memory is lost with a restart by its nature.
 */
function dataIsWhereItWas({ volume, observation }: VolumeFacts): VolumeStep | undefined {
  if (observation === undefined || observation.provisioned) return undefined;
  const source = sourceOf(volume.spec);
  // What lies on a server is looked for there by its driver, which makes nothing anew either.
  if (source === undefined || !source.nodeLocal || source.isPassing || !wasProvisioned(volume.status)) return undefined;
  const message = `${source.description} was there and is not any more; nothing new is made in its place. Bring it back (is a disk not mounted?) or delete the volume.`;
  return refuse({ reason: 'DataMissing', message, stalled: true });
}

function isProvisioned({ observation, wanted, driver, resolution }: VolumeFacts): VolumeStep | undefined {
  if (observation?.provisioned !== false) return undefined;
  if (wanted?.content === undefined) return { step: 'provision' };
  if (driver?.fill !== undefined) return { step: 'fill' };
  const type = resolution.ok ? resolution.resolved.type : 'such';
  const message = `On this node ${type} volumes cannot be made from a dataSource.`;
  return refuse({ reason: 'SnapshotNotSupported', message, stalled: true });
}

function hasItsCapacity({ observation, resolution, readers }: VolumeFacts): VolumeStep | undefined {
  if (!resolution.ok || observation === undefined || !observation.capacity.enforced) return undefined;
  const { capacityBytes } = resolution.resolved;
  const { enforcedBytes } = observation;
  if (capacityBytes === undefined || enforcedBytes === undefined || enforcedBytes >= capacityBytes) return undefined;
  if (readers.length === 0) return { step: 'provision' };
  const message = `It is grown when ${readers.slice(0, 5).join(', ')} ${readers.length === 1 ? 'has' : 'have'} been made from it.`;
  return refuse({ reason: 'Resizing', message, stalled: false });
}

/** The storage is there; a VolumeRestore writes into it. */
function hasItsContent({ lacking }: VolumeFacts): VolumeStep | undefined {
  return lacking === undefined ? undefined : refuse(lacking);
}

function isStagedOnlyWhenWanted({ observation, wantedByMount, readers }: VolumeFacts): VolumeStep | undefined {
  // What is being copied is left as it is; the end of that brings us back here.
  if (readers.length > 0) return undefined;
  return observation?.stageMount !== undefined && !wantedByMount ? { step: 'unstage' } : undefined;
}

function refuse(failure: Failure): VolumeStep {
  return { step: 'refuse', failure };
}
