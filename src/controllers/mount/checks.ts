/** May the volume be mounted, and is it mounted as wanted? Two ordered lists of named, pure checks. */
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { Volume } from '../../api/volume.ts';
import type { Driver, MountObservation } from '../../drivers/driver.ts';
import type { MountTarget } from '../policy/resolve-target.ts';
import type { ResolvedVolume } from '../policy/resolve-volume.ts';
import { hasFinalizer } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import { type Failure, refused, waiting } from '../support/failure.ts';
import type { MountFacts } from './observe.ts';

/** A mount that nothing speaks against, with everything that was needed to know that. */
export interface Permission {
  readonly allowed: true;
  readonly volume: Volume;
  readonly resolved: ResolvedVolume;
  readonly target: MountTarget;
  readonly driver: Driver;
}

export type Verdict = Permission | { readonly allowed: false; readonly failure: Failure };

/** In this order; the first objection is the one reported. */
const CHECKS: Checks<[MountFacts], Failure> = [
  volumeExists,
  volumeStays,
  isGranted,
  goesNotBack,
  policyAllows,
  targetAllowed,
  targetIsFree,
  driverIsThere,
];

/** Says whether the mount may be made and kept. */
export function mayMount(facts: MountFacts): Verdict {
  const failure = firstToSpeak(CHECKS, facts);
  if (failure !== undefined) return { allowed: false, failure };
  const { volume, resolution, target, driver } = facts;
  if (volume === undefined || resolution?.ok !== true || target?.ok !== true || driver === undefined) {
    return { allowed: false, failure: waiting('InternalError', 'The checks passed, but not all facts are there.') };
  }
  return { allowed: true, volume, resolved: resolution.resolved, target: target.target, driver };
}

function volumeExists({ mount, volume }: MountFacts): Failure | undefined {
  if (volume !== undefined) return undefined;
  return waiting(
    'VolumeNotFound',
    `Volume "${mount.spec.volumeRef.name}" is not known on this node; the mount waits for it.`,
  );
}

/** A mount that was made is kept while the volume waits for it; a new one is not begun. */
function volumeStays({ mount, volume }: MountFacts): Failure | undefined {
  if (volume === undefined || !isDeleting(volume) || hasFinalizer(mount, FINALIZERS.mount)) return undefined;
  return waiting('VolumeDeleting', `Volume "${volume.metadata.name}" is being deleted and takes no new mounts.`);
}

function isGranted({ grant, volume }: MountFacts): Failure | undefined {
  if (grant !== undefined) return undefined;
  return waiting('WaitingForGrant', `The controller has not granted the use of volume "${volume?.metadata.name}".`);
}

/** A mount that was made is kept: the Restore is refused then, unless it asks for mounts to be taken down. */
function goesNotBack({ mount, volume, restore, isTakenDown }: MountFacts): Failure | undefined {
  if (restore === undefined || (hasFinalizer(mount, FINALIZERS.mount) && !isTakenDown)) return undefined;
  return waiting(
    'RestoreInProgress',
    `Restore "${restore}" takes volume "${volume?.metadata.name}" back; the mount goes on by itself when that has ended.`,
  );
}

function policyAllows({ resolution }: MountFacts): Failure | undefined {
  return resolution === undefined || resolution.ok ? undefined : resolution.refusal;
}

function targetAllowed({ target }: MountFacts): Failure | undefined {
  return target === undefined || target.ok ? undefined : target.refusal;
}

function targetIsFree({ rival }: MountFacts): Failure | undefined {
  if (rival === undefined) return undefined;
  const message = `VolumeMount "${rival}" is older and uses the same host target; choose another one.`;
  return refused('MountTargetConflict', message);
}

function driverIsThere({ driver, resolution }: MountFacts): Failure | undefined {
  if (driver !== undefined || resolution?.ok !== true) return undefined;
  const message = `This node has no driver for ${resolution.resolved.type} volumes.`;
  return refused('TypeNotSupported', message);
}

/** The next step for what was seen at the target. */
export type MountStep =
  | { readonly step: 'none' }
  /** `drift`: what had become of a mount that was there before. */
  | { readonly step: 'publish'; readonly drift: Reason | undefined }
  /** Ours, but not right: take it down and make it anew. */
  | { readonly step: 'republish'; readonly drift: Reason }
  | { readonly step: 'refuse'; readonly failure: Failure };

/**
 * Decides what to do about the target. Nothing that is not ours is ever taken down or covered: a foreign mount is
 * reported and left to whoever made it.
 *
 * @param wasMounted The mount had been made before, as the status says.
 */
export function nextMountStep(observation: MountObservation, wasMounted: boolean, hostPath: string): MountStep {
  switch (observation.state) {
    case 'mounted':
      return { step: 'none' };
    case 'absent':
      return { step: 'publish', drift: wasMounted ? 'MountGone' : undefined };
    case 'wrong-options':
      return { step: 'republish', drift: 'MountDrifted' };
    case 'stale':
      return { step: 'republish', drift: 'MountUnresponsive' };
    case 'unresponsive':
      return refuse(
        observation.reason !== undefined && isReason(observation.reason) ? observation.reason : 'MountUnresponsive',
        `The mount at ${hostPath} does not answer: ${observation.message}. It works again by itself when that ends.`,
      );
    case 'foreign':
      return refuse(
        'MountDrifted',
        `Something else is mounted at ${hostPath}: ${observation.message}. Unmount it to go on.`,
      );
    case 'overmounted':
      return refuse(
        'MountCovered',
        `Something is mounted over ${hostPath}: ${observation.message}. Unmount it to go on.`,
      );
    default:
      return refuse('InternalError', `The driver reported an unknown state of ${hostPath}.`);
  }
}

function refuse(reason: Reason, message: string): MountStep {
  return { step: 'refuse', failure: waiting(reason, message) };
}
