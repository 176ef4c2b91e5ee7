import type { Remedies } from './remedy.ts';

/** Backups, and restores from them. */
export const BACKUPS = {
  BackupFailed: {
    affected: 'There is no such backup; parts of it that were stored are removed later.',
    action: 'Mend what the message says, and make a new Backup: one that has ended is never tried again.',
  },
  Cancelled: {
    affected: 'There is no such backup.',
    action: 'Nothing, if that was meant; else make a new Backup.',
  },
  NothingToBackUp: {
    affected: 'There is no backup.',
    action: 'Correct `volumeRefs`, `volumeSelector` or `scope`.',
  },
  BackedUpPartly: {
    affected: 'The backup can be restored, without what the message names.',
    action: 'Nothing, if that may lack: `onPartial: Allow` was asked for. Else mend it and make another.',
  },
  VolumesLacking: {
    affected: 'The backup has failed; volumes that were read are stored until parts are removed.',
    action: 'Look at the VolumeBackups of the volumes that the message names, mend them, and make a new Backup.',
  },
  FilesSkipped: {
    affected: 'The backup lacks the files that the status names (20 at most).',
    action: 'Mend them, or let them be left out with `onPartial: Allow`, and make a new Backup.',
  },
  SourceEmpty: {
    affected: 'The backup has failed, so that an empty one does not take the place of a good one.',
    action:
      'See whether the disk or export is mounted. If the volume is to be empty, back it up once with `onPartial: Allow`.',
  },
  SourceShrank: {
    affected: 'The backup has failed, so that it does not take the place of a good one.',
    action: 'See what became of the files. If that is right, back it up once with `onPartial: Allow`.',
  },
  ChangedDuringRead: {
    affected: 'Files that were written meanwhile may be half of one content and half of another.',
    action:
      'Let the writers rest, use an emptyDir on a pool that can clone (a moment of it is read), or say `onPartial: Allow`.',
  },
  DestinationInVolume: {
    affected: 'The volume is not backed up, because the backup would contain itself, and nothing is restored into it.',
    action: 'Choose a destination outside of the volume, by whatever mount.',
  },
  BackupFoundPartly: {
    affected: 'The backup can be restored, without what it was allowed to lack.',
    action: 'Nothing.',
  },
  BackupDamaged: {
    affected: 'The backup cannot be restored wholly.',
    action: 'Use another backup, and see `RepositoryDamaged`.',
  },
  BackupMissing: {
    affected: 'The backup cannot be restored.',
    action:
      'See whether somebody removed it from the repository, or the repository was put back to an older state. If it stays gone, delete the object.',
  },
  BackupInUse: {
    affected: 'The deletion of the Backup waits, so that what is being restored from it is not left half done.',
    action:
      'Nothing: it goes on when that has ended. `kubectl get restores` shows how far it is; cancel it, or delete it, to go on at once.',
  },
  BackupNotFound: {
    affected: 'The restore is refused, or waits.',
    action: '`clawstore backup list` shows what there is. Add the repository first if it is of another installation.',
  },
  BackupNotReady: {
    affected: 'The restore waits, or is refused.',
    action: 'Wait for the end of the backup. One that has failed cannot be restored.',
  },
  NothingToRestore: {
    affected: 'Nothing was changed.',
    action: 'Correct `volumes` or `paths`: a dry run (`dryRun: true`) says what a backup has.',
  },
  RestoreFailed: {
    affected: 'What was asked for is not restored. A volume in place may have a part of the backup.',
    action: 'The message has the error. If the Restore has ended, make a new one, or go back to the safety snapshot.',
  },
  RestoreIncomplete: {
    affected: 'What the message names is not restored.',
    action: 'Mend it and make a new Restore of that part.',
  },
  RestoreCancelled: {
    affected: 'A volume that was restored in place may have a part of the backup.',
    action: 'Make a Restore of the safety snapshot to have what was there before.',
  },
  VolumeExists: {
    affected: 'That volume is not restored, and not changed.',
    action: 'Restore under another name (`to`), with `mode: InPlace`, or delete the volume first.',
  },
  TargetNotEmpty: {
    affected: 'The volume is not restored; the files that are there are not touched.',
    action: 'Use an empty directory, export or prefix.',
  },
  ObjectsExist: {
    affected: 'No object was changed.',
    action: 'Choose `conflictPolicy: Skip` or `Update`, or delete what is to be replaced.',
  },
} as const satisfies Remedies;
