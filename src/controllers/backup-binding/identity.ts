/** Names and IDs that a Backup has from its first moment, the same after every restart. Pure. */
import { createHash } from 'node:crypto';
import type { Backup } from '../../api/backup.ts';
import type { Namespace } from '../../api/core.ts';
import { shortHash } from '../../api/names.ts';

const HASH_LENGTH = 8;
/** Namespaces that every cluster has, one of them at least, and never deletes. */
const LASTING_NAMESPACES = ['kube-system', 'default'] as const;

/** `NAME-HASH`, the hash being of the UID: another Backup of that name has another ID. */
export function backupIDOf({ metadata }: Pick<Backup, 'metadata'>): string {
  const hash = createHash('sha256')
    .update(metadata.uid ?? '')
    .digest('hex');
  return `${metadata.name}-${hash.slice(0, HASH_LENGTH)}`;
}

/** Name of the Backup that has an ID of {@link backupIDOf}. */
export function backupNameOf(backupID: string): string {
  return backupID.slice(0, -(HASH_LENGTH + 1));
}

/** Tells this cluster from others that use the same repository; undefined while its namespaces are not known. */
export function clusterIDOf(namespaceNamed: (name: string) => Namespace | undefined): string | undefined {
  for (const name of LASTING_NAMESPACES) {
    const uid = namespaceNamed(name)?.metadata.uid;
    if (uid !== undefined) return uid;
  }
  return undefined;
}

/** Name of the VolumeBackup of one volume. */
export function partName({ metadata }: Pick<Backup, 'metadata'>, volumeName: string): string {
  return `${metadata.name}-${shortHash(`${metadata.uid}/${volumeName}`)}`;
}

/** Name of the repository that is made for a URL; its key is in the Secret {@link keyName}. */
export function repositoryName(url: string): string {
  return `backups-${shortHash(url)}`;
}

export function keyName(repository: string): string {
  return `${repository}-key`;
}
