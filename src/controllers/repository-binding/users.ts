/** Who uses a repository, so that it stays while they do. Pure. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import { repositoryURL } from '../../api/repository-url.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasFinalizer } from '../support/annotations.ts';

export interface Work {
  readonly backups: readonly Backup[];
  readonly volumeBackups: readonly VolumeBackup[];
  readonly restores: readonly Restore[];
  readonly volumeRestores: readonly VolumeRestore[];
}

/** Whether a Backup lies, or is to lie, in a repository. */
export function isIn({ metadata, spec, status }: Backup, repository: BackupRepository): boolean {
  const name = status?.repositoryRef?.name ?? spec.repositoryRef?.name;
  return metadata.namespace === repository.metadata.namespace && name === repository.metadata.name;
}

/**
 * Work of its namespace that has not ended, for people. Backups that are being deleted are among it: their data is in
 * the repository.
 */
export function usersOf(repository: BackupRepository, work: Work): readonly string[] {
  const { namespace, name } = repository.metadata;
  const url = repositoryURL(repository.spec);
  const isAt = ({ metadata, spec }: VolumeBackup | VolumeRestore): boolean =>
    metadata.namespace === namespace && repositoryURL(spec.repository) === url;
  const backups = work.backups.filter(
    (backup) =>
      isIn(backup, repository) &&
      ((!hasEnded(backup) && backup.status?.startTime !== undefined) ||
        (isDeleting(backup) && hasFinalizer(backup, FINALIZERS.backup))),
  );
  const restores = work.restores.filter(
    (restore) =>
      restore.metadata.namespace === namespace &&
      restoredFrom(restore, work.backups) === name &&
      restore.status?.startTime !== undefined &&
      !isFinished(restore),
  );
  return [
    ...backups.map(({ metadata }) => `Backup "${metadata.name}"`),
    ...work.volumeBackups
      .filter((part) => isAt(part) && !hasEnded(part) && part.status?.nodeName !== undefined)
      .map(({ metadata }) => `VolumeBackup "${metadata.name}"`),
    ...restores.map(({ metadata }) => `Restore "${metadata.name}"`),
    ...work.volumeRestores
      .filter((part) => isAt(part) && part.status?.completionTime === undefined && part.status?.nodeName !== undefined)
      .map(({ metadata }) => `VolumeRestore "${metadata.name}"`),
  ];
}

/** The repository that a Restore reads, as far as its source says. */
function restoredFrom({ metadata, spec }: Restore, backups: readonly Backup[]): string | undefined {
  const { repositoryRef, backupRef } = spec.source;
  if (repositoryRef !== undefined) return repositoryRef.name;
  const backup = backups.find(
    (candidate) => candidate.metadata.namespace === metadata.namespace && candidate.metadata.name === backupRef?.name,
  );
  return backup?.status?.repositoryRef?.name ?? backup?.spec.repositoryRef?.name;
}
