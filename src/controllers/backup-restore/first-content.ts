/**
 * Volumes with `dataSource.backupRef`: each gets a VolumeRestore of its own, which is removed with it. It is made once the
 * volume has a node; which part of the backup it is, the agent finds in the document of the backup.
 */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { isDeleting, keyOf, VOLUME_RESTORES } from '../../api/meta.ts';
import { shortHash } from '../../api/names.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { BackupPlace } from '../policy/backup-source.ts';
import { locationOf, placeOfBackup } from '../policy/backup-source.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';
import { BY_VOLUME_UID } from '../support/indexes.ts';
import { tolerateChange } from '../support/writes.ts';
import { ownedBy } from './volumes.ts';

export interface BackupStores {
  readonly backups: Pick<ReadStore<Backup>, 'get'>;
  readonly repositories: Pick<ReadStore<BackupRepository>, 'get'>;
}

export interface FirstContentDependencies extends BackupStores {
  readonly volumes: ReadStore<Volume>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly client: Pick<KubeClient, 'create'>;
}

/** How soon a volume is looked at again whose backup cannot be read yet, in milliseconds. */
const LOOK_AGAIN_MS = 10_000;

/** Where the backup lies that a volume starts from; undefined when it starts from none. */
export function backupPlaceOf(
  { spec, metadata }: Volume,
  { backups, repositories }: BackupStores,
): BackupPlace | undefined {
  const { backupRef } = spec.dataSource ?? {};
  if (backupRef === undefined) return undefined;
  const keyed = (name: string): string => keyOf({ metadata: { namespace: metadata.namespace ?? '', name } });
  return placeOfBackup(backupRef.name, backups.get(keyed(backupRef.name)), (name) => repositories.get(keyed(name)));
}

export function firstContentReconciler(dependencies: FirstContentDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: FirstContentDependencies, { signal }: ReconcileContext): Promise<Result> {
  const volume = deps.volumes.get(key);
  if (volume === undefined || isDeleting(volume) || wasProvisioned(volume.status)) return DONE;
  const uid = volume.metadata.uid ?? '';
  const place = backupPlaceOf(volume, deps);
  if (place === undefined || volume.status?.nodeName === undefined) return DONE;
  if (deps.volumeRestores.byIndex(BY_VOLUME_UID, uid).length > 0) return DONE;
  // Placement says why.
  if (!place.ok) return { requeueAfterMs: LOOK_AGAIN_MS };
  const part = partOf(volume, place);
  await deps.client
    .create(VOLUME_RESTORES, part, { fieldManager: FIELD_MANAGERS.controller, signal })
    .catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
    });
  return DONE;
}

function partOf(volume: Volume, { backupID, repository }: BackupPlace & { readonly ok: true }): VolumeRestore {
  const { name, namespace, uid = '' } = volume.metadata;
  return {
    apiVersion: API_VERSION,
    kind: VOLUME_RESTORES.kind,
    metadata: {
      name: `${name}-${shortHash(uid)}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.volume]: name },
      ownerReferences: [ownedBy(volume)],
    },
    spec: {
      repository: locationOf(repository),
      ...(repository.spec.accessMode === 'ReadOnly' ? { accessMode: 'ReadOnly' as const } : {}),
      backupID,
      from: { name: volume.spec.dataSource?.backupRef?.volumeName ?? name },
      volumeRef: { name },
      volumeUID: uid,
      mode: 'New',
      existingFiles: 'Overwrite',
    },
  };
}
