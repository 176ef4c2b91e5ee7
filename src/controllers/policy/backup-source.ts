/** Where a backup that somebody names can be read: found, judged. Pure. */

import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository, RepositoryLocation } from '../../api/backup-repository.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Refusal } from './facts.ts';

/** A backup that can be read, and how. */
export type BackupPlace =
  | {
      readonly ok: true;
      readonly backupID: string;
      readonly repository: BackupRepository;
      /** The agent that tends the repository. */
      readonly nodeName: string;
      /** The only node that can read it; undefined: any can. */
      readonly onlyNode: string | undefined;
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** The place of a Backup of this name; undefined: there is none. */
export function placeOfBackup(
  name: string,
  backup: Backup | undefined,
  repositoryNamed: (name: string) => BackupRepository | undefined,
): BackupPlace {
  if (backup === undefined) return waiting('BackupNotFound', `Backup "${name}" does not exist.`);
  if (isDeleting(backup)) return waiting('BackupNotFound', `Backup "${name}" is being deleted.`);
  const { status, spec } = backup;
  if (!isTrue(status?.conditions, 'Ready')) {
    const why = findCondition(status?.conditions, 'Ready')?.message ?? '';
    const ended = hasEnded(backup) ? 'has not ended well' : 'has not ended yet';
    const message = `Backup "${name}" ${ended}${why === '' ? '.' : `: ${why}`}`;
    return { ok: false, refusal: { reason: 'BackupNotReady', message, stalled: hasEnded(backup) } };
  }
  const backupID = status?.backupID ?? spec.imported?.backupID;
  const repositoryName = status?.repositoryRef?.name ?? spec.repositoryRef?.name;
  if (backupID === undefined || repositoryName === undefined) {
    return waiting('BackupNotReady', `Backup "${name}" does not say where it is yet.`);
  }
  return placeIn(repositoryName, repositoryNamed(repositoryName), backupID);
}

/** The place of a backup that is said to be in a repository. */
export function placeIn(name: string, repository: BackupRepository | undefined, backupID: string): BackupPlace {
  if (repository === undefined || isDeleting(repository)) {
    const what = repository === undefined ? 'does not exist' : 'is being deleted';
    return waiting('BackupNotFound', `BackupRepository "${name}", where the backup lies, ${what}.`);
  }
  const { nodeName } = repository.status ?? {};
  if (nodeName === undefined) {
    const why = findCondition(repository.status?.conditions, 'Ready')?.message ?? '';
    return waiting('RepositoryNotReady', `BackupRepository "${name}" has no node yet${why === '' ? '.' : `: ${why}`}`);
  }
  const onlyNode = repository.spec.hostPath === undefined ? undefined : nodeName;
  return { ok: true, backupID, repository, nodeName, onlyNode };
}

/** The location alone, as work on it carries it. */
export function locationOf({ spec, status }: BackupRepository): RepositoryLocation {
  const { s3, hostPath, nfs, mountOptions, encryption, volumeClassName } = spec;
  const nodeName = hostPath === undefined ? spec.nodeName : (status?.nodeName ?? spec.nodeName);
  return {
    ...(s3 === undefined ? {} : { s3 }),
    ...(hostPath === undefined ? {} : { hostPath }),
    ...(nfs === undefined ? {} : { nfs }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(mountOptions === undefined ? {} : { mountOptions }),
    encryption,
    ...(volumeClassName === undefined ? {} : { volumeClassName }),
  };
}

function waiting(reason: Reason, message: string): BackupPlace {
  return { ok: false, refusal: { reason, message, stalled: false } };
}
