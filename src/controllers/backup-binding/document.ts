/** The document that makes a backup whole, from the parts that have ended well. Pure. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { API_VERSION } from '../../api/group.ts';
import type { Volume } from '../../api/volume.ts';
import type { BackupDocument, VolumeDocument, VolumeEntry } from '../../backup/catalogue.ts';

/** What is needed to make a volume anew. */
export function volumeDocument({ metadata, spec, status }: Volume): VolumeDocument {
  const { name, namespace = '', uid = '', labels } = metadata;
  return {
    apiVersion: API_VERSION,
    name,
    namespace,
    uid,
    ...(labels === undefined ? {} : { labels }),
    spec,
    ...(status?.capacity === undefined ? {} : { capacity: status.capacity }),
  };
}

export interface DocumentFacts {
  readonly backup: Backup;
  readonly parts: readonly VolumeBackup[];
  /** The volumes as they were when the backup began. */
  readonly volumes: ReadonlyMap<string, VolumeDocument>;
  /** Paths of the manifests. */
  readonly manifests: readonly string[];
  readonly completionTime: string;
}

export function backupDocument({ backup, parts, volumes, manifests, completionTime }: DocumentFacts): BackupDocument {
  const { metadata, spec, status } = backup;
  return {
    apiVersion: API_VERSION,
    backupID: status?.backupID ?? '',
    backupName: metadata.name,
    clusterID: status?.clusterID ?? '',
    namespace: metadata.namespace ?? '',
    scope: spec.scope,
    startTime: status?.startTime ?? completionTime,
    completionTime,
    volumes: parts.flatMap((part): readonly VolumeEntry[] => {
      const document = volumes.get(part.spec.volumeRef.name);
      const { conditions, snapshotID, files = 0, bytes = 0 } = part.status ?? {};
      if (document === undefined || snapshotID === undefined || !isTrue(conditions, 'Ready')) return [];
      return [
        {
          name: part.spec.volumeRef.name,
          uid: part.spec.volumeUID,
          snapshotID,
          files,
          bytes,
          isComplete: isTrue(conditions, 'DataComplete'),
          isConsistent: isTrue(conditions, 'ContentConsistent'),
          document,
        },
      ];
    }),
    manifests,
  };
}
