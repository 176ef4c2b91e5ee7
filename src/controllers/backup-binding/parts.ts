/** The VolumeBackups of a Backup: made, started, stopped and, where no agent will, ended by the controller. */
import type { Backup, VolumeBackup, VolumeBackupStatus } from '../../api/backup.ts';
import type { RepositoryLocation } from '../../api/backup-repository.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { BACKUPS, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { VolumeDocument } from '../../backup/catalogue.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Live } from '../support/live.ts';
import type { Writer } from '../support/writes.ts';
import { partName } from './identity.ts';

export interface PartDependencies {
  readonly client: Pick<KubeClient, 'create' | 'patch'>;
  readonly writer: Writer;
}

/** Whether a VolumeBackup is of this Backup, and not of an earlier one of its name. */
export function isPartOf(part: VolumeBackup, { metadata }: Pick<Backup, 'metadata'>): boolean {
  return (part.metadata.ownerReferences ?? []).some(({ uid }) => uid === metadata.uid);
}

/** The parts as the server has them: one that is not in the cache yet would be missed. */
export async function liveParts(backup: Backup, live: Live, signal: AbortSignal): Promise<readonly VolumeBackup[]> {
  const { namespace, name } = backup.metadata;
  const labelSelector = `${LABELS.backup}=${name}`;
  const parts = await live.list<VolumeBackup>(VOLUME_BACKUPS, { namespace, labelSelector }, signal);
  return parts.filter((part) => isPartOf(part, backup)).sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** The part of one volume as it is to be made. Pure. */
export function newPart(
  backup: Backup,
  volume: VolumeDocument,
  repository: RepositoryLocation,
  deadline: number,
): VolumeBackup {
  const { metadata, spec, status } = backup;
  const { namespace, name, uid = '' } = metadata;
  return {
    apiVersion: API_VERSION,
    kind: VOLUME_BACKUPS.kind,
    metadata: {
      name: partName(backup, volume.name),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.backup]: name, [LABELS.volume]: volume.name },
      ownerReferences: [{ apiVersion: API_VERSION, kind: BACKUPS.kind, name, uid, controller: true }],
    },
    spec: {
      backupRef: { name },
      backupID: status?.backupID ?? '',
      clusterID: status?.clusterID ?? '',
      scope: spec.scope,
      repository,
      volumeRef: { name: volume.name },
      volumeUID: volume.uid,
      onPartial: spec.onPartial ?? 'Fail',
      priority: spec.priority ?? 0,
      ...(spec.limits?.bandwidth === undefined ? {} : { bandwidth: spec.limits.bandwidth }),
      deadline: formatTime(new Date(deadline)),
    },
  };
}

/** Makes it; there already = nothing is done. */
export async function makePart(part: VolumeBackup, { client }: PartDependencies, signal: AbortSignal): Promise<void> {
  try {
    await client.create(VOLUME_BACKUPS, part, { fieldManager: FIELD_MANAGERS.controller, signal });
  } catch (thrown) {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
  }
}

/** Gives it to the node of its volume. */
export async function startPart(
  part: VolumeBackup,
  nodeName: string,
  { writer }: PartDependencies,
  signal: AbortSignal,
): Promise<void> {
  await writer.status(VOLUME_BACKUPS, part, { nodeName }, { requireUnchanged: true, signal });
}

/** Asks its agent to stop. */
export async function cancelPart(part: VolumeBackup, { client }: PartDependencies, signal: AbortSignal): Promise<void> {
  if (part.spec.cancel === true) return;
  const { namespace, name } = part.metadata;
  const options = { type: 'merge', fieldManager: FIELD_MANAGERS.controller, signal } as const;
  await client.patch(VOLUME_BACKUPS, { namespace, name }, { spec: { cancel: true } }, options);
}

/** Ends one that no agent has, or whose agent is gone. */
export async function failPart(
  part: VolumeBackup,
  reason: Reason,
  message: string,
  { writer }: PartDependencies,
  { now, signal }: { readonly now: Date; readonly signal: AbortSignal },
): Promise<void> {
  const { metadata, status: previous } = part;
  const generation = metadata.generation ?? 0;
  const inputs = [
    { type: 'Ready', status: 'False', reason, message },
    { type: 'Stalled', status: 'True', reason, message },
    { type: 'DataComplete', status: 'False', reason, message },
  ] as const;
  const status: VolumeBackupStatus = {
    ...(previous?.nodeName === undefined ? {} : { nodeName: previous.nodeName }),
    observedGeneration: generation,
    completionTime: formatTime(now),
    conditions: deriveConditions(previous?.conditions, inputs, generation, now),
  };
  await writer.status(VOLUME_BACKUPS, part, status, { requireUnchanged: true, signal });
}
