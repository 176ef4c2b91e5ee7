/** May the volume be read now? An ordered list of named, pure checks. */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { RepositoryAccess } from '../../backup/engine.ts';
import type { Driver, DriverVolume } from '../../drivers/driver.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import { type Failure, refused, waiting } from '../support/failure.ts';
import type { VolumeBackupFacts } from './observe.ts';

/** The next step for a VolumeBackup that has not ended. */
export type VolumeBackupStep =
  | { readonly step: 'read'; readonly driver: Driver; readonly words: DriverVolume; readonly access: RepositoryAccess }
  /** `failure.stalled`: it ends without having done anything. */
  | { readonly step: 'refuse'; readonly failure: Failure };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[VolumeBackupFacts], Failure> = [
  volumeIsThere,
  policyAllows,
  driverReads,
  volumeIsReady,
  nothingIsBrought,
  repositoryIsHere,
  repositoryIsElsewhere,
  repositoryIsAllowed,
];

/** Decides the next step. */
export function nextVolumeBackupStep(facts: VolumeBackupFacts): VolumeBackupStep {
  const failure = firstToSpeak(CHECKS, facts);
  if (failure !== undefined) return { step: 'refuse', failure };
  const { driver, words, access } = facts;
  if (driver === undefined || words === undefined || !access.ok) {
    return { step: 'refuse', failure: waiting('InternalError', 'The checks passed, but not all facts are there.') };
  }
  return { step: 'read', driver, words, access: access.access };
}

function volumeIsThere({ part, volume }: VolumeBackupFacts): Failure | undefined {
  const { name } = part.spec.volumeRef;
  // The volume may reach this node's cache later; the controller ends what is of a volume that is gone.
  if (volume === undefined) return waiting('VolumeNotFound', `Volume "${name}" is not known on this node.`);
  return isDeleting(volume) ? refused('VolumeDeleting', `Volume "${name}" is being deleted.`) : undefined;
}

function policyAllows({ resolution }: VolumeBackupFacts): Failure | undefined {
  return resolution === undefined || resolution.ok ? undefined : resolution.refusal;
}

function driverReads({ driver }: VolumeBackupFacts): Failure | undefined {
  if (driver?.reading !== undefined) return undefined;
  return refused('TypeNotSupported', 'This node cannot read volumes of this type.');
}

function volumeIsReady({ part, volume }: VolumeBackupFacts): Failure | undefined {
  if (isTrue(volume?.status?.conditions, 'Provisioned')) return undefined;
  const message = `The storage of volume "${part.spec.volumeRef.name}" is not there.`;
  // The controller has seen it there, and this node's cache has not: it was never there, as far as that knows.
  return wasProvisioned(volume?.status) ? refused('VolumeNotReady', message) : waiting('VolumeNotReady', message);
}

function nothingIsBrought({ part, isRestored }: VolumeBackupFacts): Failure | undefined {
  if (!isRestored) return undefined;
  const { name } = part.spec.volumeRef;
  return waiting('RestoreInProgress', `Volume "${name}" is being restored; it is read when that has ended.`);
}

function repositoryIsHere({ part, nodeName }: VolumeBackupFacts): Failure | undefined {
  const { hostPath, nodeName: at } = part.spec.repository;
  if (hostPath === undefined || at === nodeName) return undefined;
  return refused('NodeMismatch', `The repository is a directory of node "${at}", which this node cannot reach.`);
}

function repositoryIsElsewhere({ part, isInVolume }: VolumeBackupFacts): Failure | undefined {
  if (!isInVolume) return undefined;
  const { name } = part.spec.volumeRef;
  return refused('DestinationInVolume', `The repository lies in volume "${name}", whose backup would contain itself.`);
}

function repositoryIsAllowed({ access }: VolumeBackupFacts): Failure | undefined {
  return access.ok ? undefined : access.refusal;
}
