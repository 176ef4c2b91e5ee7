/**
 * Who may use a volume: one decision over all its VolumeMounts. Pure.
 *
 * A grant that was given stays until its mount is gone (or its lost node was fenced); new ones are given in the order in
 * which the mounts were made, as far as the access mode lets them.
 */

import { isDeleting } from '../../api/meta.ts';
import { compareText } from '../../api/order.ts';
import type { Reason } from '../../api/reasons.ts';
import type { AccessMode, Volume, VolumeAttachment } from '../../api/volume.ts';
import { accessModeOf } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { wantsReadOnly } from '../../api/volume-mount.ts';

export interface GrantFacts {
  readonly volume: Volume;
  /** Node the volume has, or is about to get. */
  readonly nodeName: string | undefined;
  /** Where a mount goes that names none; the same, unless that node takes nothing new. */
  readonly mountNode: string | undefined;
  /** Why it has none. */
  readonly unplaced: { readonly reason: Reason; readonly message: string } | undefined;
  /** The storage lies on one node only, so mounts must be there. */
  readonly nodeLocal: boolean;
  /** Whether a node of that name is known at all. Only asked where a mount may choose its node. */
  readonly isKnownNode: (nodeName: string) => boolean;
  /** Name of the Restore that writes into it. */
  readonly restore: string | undefined;
  /** All VolumeMounts that name the volume. */
  readonly mounts: readonly VolumeMount[];
  /** Grants that may be released although their mount is still there: its node is lost and known to be off. */
  readonly isFenced: (mount: VolumeMount, nodeName: string) => boolean;
}

/** What the controller says to one mount. */
export type MountDecision =
  | { readonly granted: true; readonly nodeName: string }
  | { readonly granted: false; readonly reason: Reason; readonly message: string; readonly stalled: boolean };

export interface Grants {
  readonly attachments: readonly VolumeAttachment[];
  /** By mount UID. Mounts that are being deleted and never had a grant are not in it. */
  readonly decisions: ReadonlyMap<string, MountDecision>;
}

/** Decides all grants of one volume. */
export function decideGrants(facts: GrantFacts): Grants {
  const decisions = new Map<string, MountDecision>();
  const attachments: VolumeAttachment[] = [];
  const mode = accessModeOf(facts.volume.spec);
  const byUid = new Map(facts.mounts.map((mount) => [uidOf(mount), mount]));
  const names = new Map<string, string>();

  for (const held of facts.volume.status?.attachments ?? []) {
    const mount = byUid.get(held.mountUID);
    if (mount === undefined || facts.isFenced(mount, held.nodeName)) continue;
    attachments.push(grantOf(mount, held.nodeName, mode));
    names.set(held.mountUID, mount.metadata.name);
    decisions.set(held.mountUID, { granted: true, nodeName: held.nodeName });
  }
  for (const mount of [...facts.mounts].sort(byAge)) {
    const uid = uidOf(mount);
    if (decisions.has(uid) || isDeleting(mount)) continue;
    const decision = decide(mount, mode, attachments, names, facts);
    decisions.set(uid, decision);
    if (!decision.granted) continue;
    attachments.push(grantOf(mount, decision.nodeName, mode));
    names.set(uid, mount.metadata.name);
  }
  return { attachments, decisions };
}

function decide(
  mount: VolumeMount,
  mode: AccessMode,
  held: readonly VolumeAttachment[],
  names: ReadonlyMap<string, string>,
  facts: GrantFacts,
): MountDecision {
  const volume = facts.volume.metadata.name;
  if (isDeleting(facts.volume)) {
    return wait('VolumeDeleting', `Volume "${volume}" is being deleted and takes no new mounts.`);
  }
  if (mode === 'ReadOnlyMany' && mount.spec.readOnly === false) {
    return refuse('ReadOnlyVolume', `Volume "${volume}" is ReadOnlyMany; set readOnly to true or leave it out.`);
  }
  if (facts.restore !== undefined) {
    return wait(
      'RestoreInProgress',
      `Restore "${facts.restore}" writes into volume "${volume}"; the mount goes on by itself when that has ended.`,
    );
  }
  const nodeName = facts.nodeName;
  if (nodeName === undefined) {
    const why = facts.unplaced === undefined ? '' : ` (${facts.unplaced.reason}): ${facts.unplaced.message}`;
    return wait('VolumeNotReady', `Volume "${volume}" has no node yet${why}`);
  }
  const wanted = mount.spec.nodeName ?? preferredNode(mode, held, facts) ?? facts.mountNode ?? nodeName;
  if (facts.nodeLocal && wanted !== nodeName) {
    return refuse(
      'NodeMismatch',
      `The mount asks for node "${wanted}", but the data of volume "${volume}" lies on node "${nodeName}" and cannot be reached from elsewhere.`,
    );
  }
  if (!facts.nodeLocal && wanted !== nodeName && !facts.isKnownNode(wanted)) {
    return wait('NodeNotFound', `spec.nodeName "${wanted}" has no StorageNode; start its agent or correct the name.`);
  }
  if (facts.isFenced(mount, wanted)) {
    return wait('NodeLost', `Node "${wanted}" is lost and fenced; it gets no grants until it is back.`);
  }
  const holder = conflict(mode, mount, wanted, held);
  if (holder !== undefined) {
    const who = names.get(holder.mountUID) ?? holder.mountUID;
    return wait(
      'AccessModeConflict',
      `Volume "${volume}" is ${mode} and held by VolumeMount "${who}" (workload "${holder.workloadId}" on node "${holder.nodeName}"); delete that one first.`,
    );
  }
  return { granted: true, nodeName: wanted };
}

/** A mount that names no node goes where the only node is that may have it. */
function preferredNode(
  mode: AccessMode,
  held: readonly VolumeAttachment[],
  { nodeLocal }: GrantFacts,
): string | undefined {
  const isOnOneNode = mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod';
  return isOnOneNode && !nodeLocal ? held[0]?.nodeName : undefined;
}

/** The grant that stands in the way. */
function conflict(
  mode: AccessMode,
  mount: VolumeMount,
  nodeName: string,
  held: readonly VolumeAttachment[],
): VolumeAttachment | undefined {
  switch (mode) {
    case 'ReadWriteOnce':
      return held.find((grant) => grant.nodeName !== nodeName);
    case 'ReadWriteOncePod':
      return held.find((grant) => grant.workloadId !== mount.spec.workloadId || grant.nodeName !== nodeName);
    case 'ReadOnlyMany':
    case 'ReadWriteMany':
      return undefined;
    default:
      return held[0];
  }
}

function grantOf(mount: VolumeMount, nodeName: string, mode: AccessMode): VolumeAttachment {
  return {
    mountUID: uidOf(mount),
    workloadId: mount.spec.workloadId,
    nodeName,
    readOnly: wantsReadOnly(mount.spec, mode),
  };
}

/** Oldest first; made in the same second: by name. */
function byAge(a: VolumeMount, b: VolumeMount): number {
  const [left, right] = [a.metadata, b.metadata];
  const time = compareText(left.creationTimestamp ?? '', right.creationTimestamp ?? '');
  return time !== 0 ? time : compareText(left.name, right.name);
}

function uidOf(mount: VolumeMount): string {
  return mount.metadata.uid ?? '';
}

function refuse(reason: Reason, message: string): MountDecision {
  return { granted: false, reason, message, stalled: true };
}

function wait(reason: Reason, message: string): MountDecision {
  return { granted: false, reason, message, stalled: false };
}
