import type { Remedies } from './remedy.ts';

/** The places where backups are kept. */
export const REPOSITORIES = {
  KeyNotFound: {
    affected: 'Nothing can be backed up to the repository or restored from it.',
    action: 'Make the Secret of `encryption.secretRef` with the key `password`, from where the key is kept.',
  },
  KeyNotExported: {
    affected: 'Nothing yet: if this installation is lost, so are all backups in the repository.',
    action: '`clawstore repository export-key NAME --file FILE`, and keep the file somewhere else.',
  },
  WrongPassword: {
    affected: 'Nothing can be backed up to the repository or restored from it. None is made in its place.',
    action: 'Put the password that the repository was made with into the Secret.',
  },
  RepositoryNotFound: {
    affected: 'Nothing can be restored from it.',
    action:
      'Correct the URL: of one above several repositories, the message names those below. One that may be written is made by itself.',
  },
  RepositoryGone: {
    affected: 'Its backups cannot be reached. No new one is made in its place.',
    action: 'Mount the disk or bucket that it was on, or bring the directory back.',
  },
  RepositoryReplaced: {
    affected: 'Nothing goes there: it is not the repository that this object knows.',
    action: 'Bring the former one back, or make another BackupRepository for this one.',
  },
  RepositoryNotEmpty: {
    affected: 'No repository is made there.',
    action: 'Choose another prefix or directory: what is there is not a repository.',
  },
  RepositoryNotReady: {
    affected: 'The backup or restore waits.',
    action: 'The conditions of the BackupRepository say why. It goes on by itself.',
  },
  RepositoryInUse: {
    affected: 'The deletion of the BackupRepository waits.',
    action: 'Nothing: it goes on when the work that uses it has ended. `clawstore backup cancel` ends a backup.',
  },
  RepositoryLocked: {
    affected: 'What must be alone with the repository waits, e.g. giving space back.',
    action: 'Nothing, as long as somebody works there: it is tried again. Else see `StaleLock`.',
  },
  StaleLock: {
    affected: 'Backups may wait, and space is not given back.',
    action:
      'If the process that the message names is gone for good, run `restic unlock`. Locks of others are never removed by themselves.',
  },
  CheckFailed: {
    affected: 'Some backups may not be restorable wholly.',
    action: 'The message names the damage. See `RepositoryDamaged`.',
  },
  CheckNotRun: {
    affected: 'Whether the repository is whole is not known any more.',
    action: 'The message has the error. It is tried again.',
  },
  RepositoryDamaged: {
    affected: 'No backup goes there; what is whole can be restored.',
    action:
      'Look at the disk first. `restic repair packs` and `restic repair snapshots --forget` drop what is lost; then annotate the BackupRepository `storage.clawbernetes.io/reconcile-at` with the time, and it is checked again.',
  },
  DirectoryUnusable: {
    affected: 'Nothing can be backed up to the repository or restored from it.',
    action: 'The message says what is wrong with the directory: make it, mount its disk, or have it allowed.',
  },
  EngineFailed: {
    affected: 'The run of the engine is not done; the repository is as it was.',
    action: 'The message has the last words of restic. It is tried again where that may help.',
  },
} as const satisfies Remedies;
