/** Which backup a Restore means, and where it lies. Pure. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Restore } from '../../api/restore.ts';
import type { BackupPlace } from '../policy/backup-source.ts';
import { placeIn, placeOfBackup } from '../policy/backup-source.ts';

/** What there is in the namespace of the Restore. */
export interface SourceFacts {
  readonly backups: readonly Backup[];
  readonly repositories: readonly BackupRepository[];
}

/** Finds it. A refusal is for good: who named a backup that is not there must look again. */
export function findSource({ spec }: Restore, { backups, repositories }: SourceFacts): BackupPlace {
  const repositoryNamed = (name: string): BackupRepository | undefined =>
    repositories.find(({ metadata }) => metadata.name === name);
  const { backupRef, backupID, repositoryRef } = spec.source;
  if (backupRef !== undefined) {
    const backup = backups.find(({ metadata }) => metadata.name === backupRef.name);
    return placeOfBackup(backupRef.name, backup, repositoryNamed);
  }
  if (backupID === undefined) return refused('InvalidSpec', 'The Restore names neither a Backup nor the ID of one.');
  if (repositoryRef !== undefined) return placeIn(repositoryRef.name, repositoryNamed(repositoryRef.name), backupID);
  const known = backups.find(
    (backup) => !isDeleting(backup) && (backup.status?.backupID ?? backup.spec.imported?.backupID) === backupID,
  );
  if (known !== undefined) return placeOfBackup(known.metadata.name, known, repositoryNamed);
  // All that is in a repository is listed as objects, unless somebody has deleted its object and kept the data.
  const [only, ...others] = repositories.filter((repository) => !isDeleting(repository));
  if (only === undefined) {
    const message = `No Backup has the ID "${backupID}", and the namespace has no BackupRepository; make one for the place where it lies.`;
    return refused('BackupNotFound', message);
  }
  if (others.length === 0) return placeIn(only.metadata.name, only, backupID);
  const names = [only, ...others].map(({ metadata }) => metadata.name).toSorted();
  const message = `No Backup has the ID "${backupID}". Name the repository that it lies in (source.repositoryRef): ${names.slice(0, 10).join(', ')}${names.length > 10 ? ' …' : ''}.`;
  return refused('BackupNotFound', message);
}

function refused(reason: Reason, message: string): BackupPlace {
  return { ok: false, refusal: { reason, message, stalled: true } };
}
