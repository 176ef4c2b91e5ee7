/** May the content of a backup be written into the volume now? An ordered list of named, pure checks. */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { FINALIZERS, RESTORE_UID_ANNOTATION } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import type { RepositoryAccess } from '../../backup/engine.ts';
import type { Driver, DriverVolume, WritingCalls } from '../../drivers/driver.ts';
import { storageObjection } from '../policy/judge-storage.ts';
import { hasFinalizer } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import { type Failure, refused, waiting } from '../support/failure.ts';
import type { VolumeRestoreFacts } from './observe.ts';

/** Everything that the work needs. */
export interface Prepared {
  readonly driver: Driver;
  readonly writing: WritingCalls;
  readonly words: DriverVolume;
  readonly access: RepositoryAccess;
  /** The storage was made by us, for this volume. */
  readonly isOurs: boolean;
}

/** The next step for a VolumeRestore that has not ended. */
export type VolumeRestoreStep =
  | ({ readonly step: 'restore' } & Prepared)
  /** `failure.stalled`: it ends without having done anything. */
  | { readonly step: 'refuse'; readonly failure: Failure };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[VolumeRestoreFacts], Failure> = [
  volumeIsThere,
  policyAllows,
  driverWrites,
  storageIsThere,
  volumeIsFree,
  nobodyReads,
  repositoryIsAllowed,
  presentIsKept,
];

/** Names in a message at most. */
const MOST_NAMES = 5;

/** Decides the next step. */
export function nextVolumeRestoreStep(facts: VolumeRestoreFacts): VolumeRestoreStep {
  const failure = firstToSpeak(CHECKS, facts);
  if (failure !== undefined) return { step: 'refuse', failure };
  const { driver, words, access, seen } = facts;
  if (driver?.writing === undefined || words === undefined || !access.ok) {
    return { step: 'refuse', failure: waiting('InternalError', 'The checks passed, but not all facts are there.') };
  }
  const isOurs = seen?.ownedByUs === true;
  return { step: 'restore', driver, writing: driver.writing, words, access: access.access, isOurs };
}

function volumeIsThere({ restore, volume }: VolumeRestoreFacts): Failure | undefined {
  const { name } = restore.spec.volumeRef;
  // The volume reaches this node's cache after the VolumeRestore, or has gone: the controller knows which.
  if (volume === undefined) return waiting('VolumeNotFound', `Volume "${name}" is not known on this node.`);
  return isDeleting(volume) ? refused('VolumeDeleting', `Volume "${name}" is being deleted.`) : undefined;
}

function policyAllows({ resolution }: VolumeRestoreFacts): Failure | undefined {
  return resolution === undefined || resolution.ok ? undefined : resolution.refusal;
}

function driverWrites({ driver, resolution }: VolumeRestoreFacts): Failure | undefined {
  if (driver?.writing !== undefined) return undefined;
  const type = driver?.type ?? (resolution?.ok === true ? resolution.resolved.type : 'such');
  return refused('TypeNotSupported', `This node cannot write into ${type} volumes.`);
}

/** A new volume has its storage, and waits for its content; another one is as it was. */
function storageIsThere({ restore, volume, resolution, seen }: VolumeRestoreFacts): Failure | undefined {
  if (volume === undefined || seen === undefined || resolution?.ok !== true) return undefined;
  const objection = storageObjection(volume, resolution.resolved, seen);
  if (objection !== undefined) return objection;
  const { name } = volume.metadata;
  const said = findCondition(volume.status?.conditions, 'Provisioned');
  const isReady = restore.spec.mode === 'InPlace' ? said?.status === 'True' : said?.reason === 'Restoring';
  if (isReady && seen.provisioned) return undefined;
  if (restore.spec.mode === 'New') {
    if (said?.status === 'True') {
      return refused('VolumeExists', `Volume "${name}" has its content already; use InPlace to restore into it.`);
    }
    return waiting('VolumeNotReady', `The storage of volume "${name}" is being made.`);
  }
  return refused('VolumeNotReady', `The storage of volume "${name}" is not there.`);
}

/** A mount that was begun before is kept; one that comes later waits for the end. */
function volumeIsFree({ restore, volume, mounts }: VolumeRestoreFacts): Failure | undefined {
  // Until it has its content a new volume is mounted by nobody.
  if (restore.spec.mode === 'New') return undefined;
  const held = mounts.filter((mount) => hasFinalizer(mount, FINALIZERS.mount));
  const grants = volume?.status?.attachments ?? [];
  if (held.length === 0 && grants.length === 0) return undefined;
  const names = held.map(({ metadata }) => metadata.name);
  if (
    held.every(isDeleting) &&
    grants.every(({ mountUID }) => held.some(({ metadata }) => metadata.uid === mountUID))
  ) {
    return waiting(
      'WaitingForUnmount',
      `VolumeMount ${names.slice(0, MOST_NAMES).join(', ')} is being taken down first.`,
    );
  }
  const workloads = grants.map(({ workloadId, nodeName }) => `workload "${workloadId}" on node "${nodeName}"`);
  const users = names.length > 0 ? names.map((name) => `VolumeMount ${name}`) : workloads;
  const message = `Volume "${restore.spec.volumeRef.name}" is in use by ${users.slice(0, MOST_NAMES).join(', ')}. Unmount it, then make a new Restore.`;
  return refused('VolumeInUse', message);
}

/** What is read as a whole must not change under the reader. */
function nobodyReads({ restore, readers }: VolumeRestoreFacts): Failure | undefined {
  if (readers.length === 0 || restore.spec.dryRun === true) return undefined;
  const { name } = restore.spec.volumeRef;
  return waiting('VolumeInUse', `Volume "${name}" is being read for ${readers.slice(0, MOST_NAMES).join(', ')} first.`);
}

function repositoryIsAllowed({ access }: VolumeRestoreFacts): Failure | undefined {
  return access.ok ? undefined : access.refusal;
}

function presentIsKept({ restore, safety: named }: VolumeRestoreFacts): Failure | undefined {
  const { safetySnapshotRef, dryRun } = restore.spec;
  // One of that name which a former Restore had made, and which the cache still shows, is of another moment.
  const maker = named?.metadata.annotations?.[RESTORE_UID_ANNOTATION];
  const isOurs = (restore.metadata.ownerReferences ?? []).some(({ uid }) => uid === maker);
  const safety = isOurs ? named : undefined;
  if (safetySnapshotRef === undefined || dryRun === true || safety?.status?.readyToUse === true) return undefined;
  const { name } = safetySnapshotRef;
  const stalled = findCondition(safety?.status?.conditions, 'Stalled');
  if (stalled !== undefined && isTrue(safety?.status?.conditions, 'Stalled')) {
    const message = `Snapshot "${name}" of what the volume has now could not be taken: ${stalled.message} Nothing was replaced; without it, set safetySnapshot to false.`;
    return refused('SafetySnapshotFailed', message);
  }
  return waiting('Snapshotting', `The present content of the volume is being kept as Snapshot "${name}" first.`);
}
