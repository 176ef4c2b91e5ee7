/**
 * May a Restore be given to a node? An ordered list of named, pure checks. What a person would have to decide anew (a volume
 * that is in use, or gone) is refused for good: a volume that went back hours later, when nobody thinks of it any more,
 * would be worse than a refusal.
 */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Restore, RestoreOrigin } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { remounts } from '../restore/attached.ts';
import { isPaused } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { BindingVerdict, StandIn } from '../support/stand-in.ts';

export interface RestoreBindingFacts {
  readonly restore: Restore;
  /** The Snapshot that it names; undefined when there is none. */
  readonly snapshot: Snapshot | undefined;
  /** What has the name of the Snapshot's volume now. */
  readonly volume: Volume | undefined;
  /** VolumeMounts that name that volume. */
  readonly mounts: readonly VolumeMount[];
  /** Name of another Restore of the volume that has not ended. */
  readonly rival: string | undefined;
}

export interface RestoreBinding {
  readonly nodeName: string;
  readonly source: RestoreOrigin;
}

/** In this order; the first objection is the one reported. */
const CHECKS: Checks<[RestoreBindingFacts], StandIn> = [
  isNotPaused,
  snapshotExists,
  snapshotIsReady,
  volumeIsTheOne,
  volumeStays,
  volumeIsFree,
  volumeIsThere,
  isAlone,
];

/** Names in a message at most. */
const MOST_NAMES = 5;

/** Decides about a restore that has no node yet. */
export function restoreBindingOf(facts: RestoreBindingFacts): BindingVerdict<RestoreBinding> {
  const standIn = firstToSpeak(CHECKS, facts);
  if (standIn !== undefined) return { bound: false, standIn };
  // The checks have passed.
  const { snapshot, volume } = facts;
  const source: RestoreOrigin = {
    snapshotName: snapshot?.metadata.name ?? '',
    snapshotUID: snapshot?.metadata.uid ?? '',
    volumeName: volume?.metadata.name ?? '',
    volumeUID: volume?.metadata.uid ?? '',
  };
  return { bound: true, binding: { nodeName: snapshot?.status?.nodeName ?? '', source } };
}

function isNotPaused({ restore }: RestoreBindingFacts): StandIn | undefined {
  return isPaused(restore) ? { kind: 'paused' } : undefined;
}

function snapshotExists({ restore, snapshot }: RestoreBindingFacts): StandIn | undefined {
  const name = restore.spec.source.snapshotRef?.name ?? '';
  if (snapshot === undefined) return refuse('SnapshotNotFound', `Snapshot "${name}" does not exist.`);
  return isDeleting(snapshot) ? refuse('SnapshotNotFound', `Snapshot "${name}" is being deleted.`) : undefined;
}

function snapshotIsReady({ snapshot }: RestoreBindingFacts): StandIn | undefined {
  const { readyToUse, source, nodeName } = snapshot?.status ?? {};
  if (readyToUse === true && source !== undefined && nodeName !== undefined) return undefined;
  return refuse('SnapshotNotReady', `Snapshot "${snapshot?.metadata.name}" is not ready to use.`);
}

/** One that has the name by now is another one, whatever it has in it. */
function volumeIsTheOne({ snapshot, volume }: RestoreBindingFacts): StandIn | undefined {
  const { volumeName, volumeUID } = snapshot?.status?.source ?? {};
  if (volume !== undefined && volume.metadata.uid === volumeUID) return undefined;
  const message = `Volume "${volumeName}" with UID ${volumeUID}, which the snapshot is of, does not exist any more; make a new Volume from the snapshot (spec.dataSource).`;
  return refuse('VolumeNotFound', message);
}

function volumeStays({ volume }: RestoreBindingFacts): StandIn | undefined {
  if (volume === undefined || !isDeleting(volume)) return undefined;
  return refuse('VolumeDeleting', `Volume "${volume.metadata.name}" is being deleted.`);
}

function volumeIsFree({ restore, snapshot, volume, mounts }: RestoreBindingFacts): StandIn | undefined {
  const held = volume?.status?.attachments ?? [];
  if (remounts(restore)) return usedElsewhere(snapshot?.status?.nodeName, volume, mounts);
  const names = mounts.map(({ metadata }) => `"${metadata.name}"`);
  // A grant outlives its mount while that may still be there.
  const workloads = held
    .filter(({ mountUID }) => !mounts.some(({ metadata }) => metadata.uid === mountUID))
    .map(({ workloadId, nodeName }) => `workload "${workloadId}" on node "${nodeName}"`);
  const users = [...(names.length === 0 ? [] : [`VolumeMount ${names.slice(0, MOST_NAMES).join(', ')}`]), ...workloads];
  if (users.length === 0) return undefined;
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  const message = `Volume "${volume?.metadata.name}" is in use by ${users.join(', ')}${more}. Unmount it, then make a new Restore; or make one with whenAttached: Remount (--remount).`;
  return refuse('VolumeInUse', message);
}

/** Only the agent of the volume's node takes mounts down for it: what others would go on writing must not be there. */
function usedElsewhere(
  nodeName: string | undefined,
  volume: Volume | undefined,
  mounts: readonly VolumeMount[],
): StandIn | undefined {
  const nodes = [
    ...mounts.map(({ spec, status }) => status?.nodeName ?? spec.nodeName),
    ...(volume?.status?.attachments ?? []).map((attachment) => attachment.nodeName),
  ].filter((name) => name !== undefined && name !== nodeName);
  if (nodes.length === 0) return undefined;
  const where = [...new Set(nodes)].slice(0, MOST_NAMES).map((name) => `"${name}"`);
  const message = `Volume "${volume?.metadata.name}" is in use on node ${where.join(', ')}, and mounts are taken down on its own node "${nodeName}" only. Unmount it there, then make a new Restore.`;
  return refuse('VolumeInUse', message);
}

function volumeIsThere({ snapshot, volume }: RestoreBindingFacts): StandIn | undefined {
  const isHere = volume?.status?.nodeName === snapshot?.status?.nodeName;
  if (isHere && isTrue(volume?.status?.conditions, 'Provisioned')) return undefined;
  const message = `The storage of volume "${volume?.metadata.name}" is not on node "${snapshot?.status?.nodeName}".`;
  return refuse('VolumeNotReady', message);
}

function isAlone({ volume, rival }: RestoreBindingFacts): StandIn | undefined {
  if (rival === undefined) return undefined;
  const message = `Volume "${volume?.metadata.name}" is in use by Restore "${rival}", which changes it at the moment. Make a new Restore afterwards.`;
  return refuse('VolumeInUse', message);
}

function refuse(reason: Reason, message: string): StandIn {
  return { kind: 'stalled', reason, message };
}
