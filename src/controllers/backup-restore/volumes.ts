/**
 * Makes sure of what each planned volume needs, step by step: the Volume itself, its VolumeRestore, and once that holds off
 * mounts, a Snapshot of what is replaced. Every step finds what it made before, by the UID of the Restore.
 */

import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS, RESTORE_UID_ANNOTATION } from '../../api/group.ts';
import type { KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import { SNAPSHOTS, VOLUME_RESTORES, VOLUMES } from '../../api/meta.ts';
import { shortHash } from '../../api/names.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { PlannedVolume, Restore } from '../../api/restore.ts';
import { SAFETY_SUFFIX } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { BackupDocument } from '../../backup/catalogue.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { locationOf } from '../policy/backup-source.ts';
import { specOfNew } from './plan.ts';

export interface VolumeWork {
  readonly restore: Restore;
  readonly backupID: string;
  readonly repository: BackupRepository;
  readonly document: BackupDocument;
  /** All that are planned. */
  readonly planned: readonly PlannedVolume[];
  readonly volumes: ReadStore<Volume>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly isKnownNode: (name: string) => boolean;
  readonly onlyNode: string | undefined;
  readonly client: Pick<KubeClient, 'create' | 'get' | 'patch'>;
}

/** How far one volume is. */
export type VolumeState =
  | { readonly state: 'waiting'; readonly part: VolumeRestore | undefined }
  | { readonly state: 'done'; readonly part: VolumeRestore | undefined }
  | {
      readonly state: 'failed';
      readonly part: VolumeRestore | undefined;
      readonly reason: Reason;
      readonly message: string;
    };

/** Does the next step for one volume. `isCancelled`: nothing is begun any more. */
export async function advanceVolume(
  planned: PlannedVolume,
  work: VolumeWork,
  isCancelled: boolean,
  signal: AbortSignal,
): Promise<VolumeState> {
  const { restore, volumeRestores } = work;
  const namespace = restore.metadata.namespace ?? '';
  const isDryRun = restore.spec.dryRun === true;
  // Of a volume that is not there yet the plan says all that can be known.
  if (isDryRun && planned.mode === 'New') return { state: 'done', part: undefined };
  const name = partName(restore, planned);
  const part = ownPart(volumeRestores.get(`${namespace}/${name}`), restore);
  if (part === undefined && isCancelled)
    return failed(undefined, 'RestoreCancelled', 'It was cancelled before it was begun.');
  if (part !== undefined) return await follow(part, planned, work, isCancelled, signal);
  const target = planned.mode === 'New' ? await makeVolume(planned, work, signal) : targetOf(planned, work);
  if ('state' in target) return target;
  const created = await createPart(name, planned, target.volumeUID, work, signal);
  return { state: 'waiting', part: created };
}

/** Name of the Snapshot of what is replaced; undefined when there is to be none. */
export function safetyNameOf(
  restore: Restore,
  planned: PlannedVolume,
  all: readonly PlannedVolume[],
): string | undefined {
  const { safetySnapshot, dryRun } = restore.spec;
  if (safetySnapshot === false || dryRun === true || planned.mode !== 'InPlace') return undefined;
  const isOnly = all.filter(({ mode }) => mode === 'InPlace').length === 1;
  return isOnly ? `${restore.metadata.name}${SAFETY_SUFFIX}` : `${restore.metadata.name}-${planned.to}${SAFETY_SUFFIX}`;
}

async function follow(
  part: VolumeRestore,
  planned: PlannedVolume,
  work: VolumeWork,
  isCancelled: boolean,
  signal: AbortSignal,
): Promise<VolumeState> {
  const ready = findCondition(part.status?.conditions, 'Ready');
  if (hasRestoreEnded(part)) {
    if (isTrue(part.status?.conditions, 'Ready')) {
      // The content is there; that the volume says so itself is the last that is waited for.
      const volume = work.volumes.get(`${part.metadata.namespace}/${planned.to}`);
      const isSaid = isTrue(volume?.status?.conditions, 'Provisioned') || work.restore.spec.dryRun === true;
      return isSaid || volume === undefined ? { state: 'done', part } : { state: 'waiting', part };
    }
    if (part.spec.cancel === true && !isCancelled) return failed(part, 'SafetySnapshotFailed', takenText(part));
    const reason = ready !== undefined && isReason(ready.reason) ? ready.reason : 'RestoreFailed';
    return failed(part, reason, ready?.message ?? 'It failed without a word.');
  }
  // It is on its way to its end.
  if (part.spec.cancel === true) return { state: 'waiting', part };
  if (isCancelled) {
    const { namespace, name } = part.metadata;
    const options = { type: 'merge', fieldManager: FIELD_MANAGERS.controller, signal } as const;
    await work.client.patch(VOLUME_RESTORES, { namespace, name }, { spec: { cancel: true } }, options);
    return { state: 'waiting', part };
  }
  const safety = part.spec.safetySnapshotRef?.name;
  // Its node holds off mounts from now on, so what is kept is what is replaced.
  if (safety !== undefined && part.status?.nodeName !== undefined) {
    const taken = await keepPresent(safety, planned, work, signal);
    if (taken) {
      await work.client.patch(
        VOLUME_RESTORES,
        { namespace: part.metadata.namespace, name: part.metadata.name },
        { spec: { cancel: true } },
        { type: 'merge', fieldManager: FIELD_MANAGERS.controller, signal },
      );
    }
  }
  return { state: 'waiting', part };
}

function takenText({ spec }: VolumeRestore): string {
  return `Snapshot "${spec.safetySnapshotRef?.name}" exists and is not of this Restore, so what volume "${spec.volumeRef.name}" has now could not be kept. Nothing was replaced.`;
}

/** The Volume that a new one is to be, made if it is missing; it has no content before its VolumeRestore has ended. */
async function makeVolume(
  planned: PlannedVolume,
  { restore, document, isKnownNode, onlyNode, client }: VolumeWork,
  signal: AbortSignal,
): Promise<VolumeState | { readonly volumeUID: string }> {
  const entry = document.volumes.find(({ name }) => name === planned.from);
  if (entry === undefined) return failed(undefined, 'NothingToRestore', `The backup has no volume "${planned.from}".`);
  const volume: Volume = {
    apiVersion: API_VERSION,
    kind: VOLUMES.kind,
    metadata: {
      ...namedIn(restore, planned.to),
      // Under another name it is another object, which nobody's labels may claim.
      labels: {
        ...(planned.to === planned.from ? entry.document.labels : {}),
        [LABELS.restore]: restore.metadata.name,
      },
      annotations: { [RESTORE_UID_ANNOTATION]: restore.metadata.uid ?? '' },
    },
    spec: specOfNew(entry, isKnownNode, onlyNode),
  };
  try {
    const { object, isOurs } = await createOrFind(VOLUMES, volume, restore, client, signal);
    if (isOurs) return { volumeUID: object.metadata.uid ?? '' };
    return failed(undefined, 'VolumeExists', `Volume "${planned.to}" was made by somebody else meanwhile.`);
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (error.status !== 422 && error.status !== 400 && error.status !== 403) throw error;
    return failed(undefined, 'RestoreFailed', `Volume "${planned.to}" cannot be made: ${error.message}`);
  }
}

/** The volume that is written into: the one that was planned, and no other of that name. */
function targetOf(
  { to, volumeUID }: PlannedVolume,
  { restore, volumes }: VolumeWork,
): VolumeState | { readonly volumeUID: string } {
  const volume = volumes.get(`${restore.metadata.namespace}/${to}`);
  if (volumeUID !== undefined && volume?.metadata.uid === volumeUID) return { volumeUID };
  return failed(undefined, 'VolumeNotFound', `Volume "${to}" is not the one any more that was there.`);
}

async function createPart(
  name: string,
  planned: PlannedVolume,
  volumeUID: string,
  work: VolumeWork,
  signal: AbortSignal,
): Promise<VolumeRestore | undefined> {
  const { restore, repository, backupID } = work;
  const { paths, existingFiles = 'Overwrite', dryRun } = restore.spec;
  const safety = safetyNameOf(restore, planned, work.planned);
  const part: VolumeRestore = {
    apiVersion: API_VERSION,
    kind: VOLUME_RESTORES.kind,
    metadata: {
      ...namedIn(restore, name),
      labels: { [LABELS.restore]: restore.metadata.name, [LABELS.volume]: planned.to },
      ownerReferences: [ownedBy(restore)],
    },
    spec: {
      restoreRef: { name: restore.metadata.name },
      repository: locationOf(repository),
      ...(repository.spec.accessMode === 'ReadOnly' ? { accessMode: 'ReadOnly' as const } : {}),
      backupID,
      snapshotID: planned.snapshotID,
      from: { name: planned.from },
      volumeRef: { name: planned.to },
      volumeUID,
      mode: planned.mode,
      existingFiles,
      ...(paths === undefined ? {} : { paths }),
      ...(dryRun === undefined ? {} : { dryRun }),
      ...(safety === undefined ? {} : { safetySnapshotRef: { name: safety } }),
    },
  };
  const { object } = await createOrFind(VOLUME_RESTORES, part, restore, work.client, signal);
  return ownPart(object, restore);
}

/** Makes sure of the Snapshot of what is there now. @returns whether its name is another one's. */
async function keepPresent(
  name: string,
  { to }: PlannedVolume,
  { restore, client }: VolumeWork,
  signal: AbortSignal,
): Promise<boolean> {
  const snapshot: Snapshot = {
    apiVersion: API_VERSION,
    kind: SNAPSHOTS.kind,
    metadata: {
      ...namedIn(restore, name),
      labels: { [LABELS.restore]: restore.metadata.name, [LABELS.volume]: to },
      annotations: { [RESTORE_UID_ANNOTATION]: restore.metadata.uid ?? '' },
    },
    spec: { volumeRef: { name: to } },
  };
  const { isOurs } = await createOrFind(SNAPSHOTS, snapshot, restore, client, signal);
  return !isOurs;
}

export function ownedBy({ apiVersion, kind, metadata }: KubeObjectBase) {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true, blockOwnerDeletion: true };
}

function namedIn({ metadata: { namespace } }: Restore, name: string) {
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

/** Of this Restore, not of one that had its name before. */
function ownPart(part: VolumeRestore | undefined, { metadata }: Restore): VolumeRestore | undefined {
  return part?.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true ? part : undefined;
}

function partName({ metadata }: Restore, { from }: PlannedVolume): string {
  return `${metadata.name}-${shortHash(`${metadata.uid}/${from}`)}`;
}

async function createOrFind<T extends KubeObjectBase>(
  resource: ResourceDescriptor,
  object: T,
  restore: Restore,
  client: VolumeWork['client'],
  signal: AbortSignal,
): Promise<{ readonly object: T; readonly isOurs: boolean }> {
  const { namespace, name } = object.metadata;
  try {
    return {
      object: await client.create(resource, object, { fieldManager: FIELD_MANAGERS.controller, signal }),
      isOurs: true,
    };
  } catch (thrown) {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
  }
  const there = await client.get<T>(resource, { namespace, name }, { signal });
  return { object: there, isOurs: there.metadata.annotations?.[RESTORE_UID_ANNOTATION] === restore.metadata.uid };
}

function failed(part: VolumeRestore | undefined, reason: Reason, message: string): VolumeState {
  return { state: 'failed', part, reason, message };
}
