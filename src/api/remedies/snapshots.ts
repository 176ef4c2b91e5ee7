import type { Remedies } from './remedy.ts';

/** Snapshots, copies, going back, and schedules. */
export const SNAPSHOTS = {
  SnapshotNotFound: {
    affected: 'The copy or restore waits, or is refused.',
    action: 'Make the Snapshot, or correct the name.',
  },
  SnapshotNotReady: {
    affected: 'The copy or restore waits, or is refused.',
    action: 'The condition `Ready` of the Snapshot says what it waits for, or why it failed.',
  },
  RestoreInProgress: {
    affected: 'The mount waits; nobody sees a volume that is half restored.',
    action: 'Nothing: it is mounted when the Restore has ended. `kubectl get restores` shows how far it is.',
  },
  ExpiryHeld: {
    affected: 'The Snapshot or Backup stays longer than its ttl: for an hour, or until the clocks agree.',
    action:
      'Nothing, where a machine was off or its clock was just put right. Else synchronise the clocks of the controller and the API server. By hand it can be deleted at once.',
  },
  SnapshotInUse: {
    affected: 'The deletion of the Snapshot waits.',
    action: 'Nothing: it goes on when the volume that is made from it is ready, or is deleted.',
  },
  SnapshotFailed: {
    affected: 'There is no snapshot of that moment.',
    action: 'The message has the error. It is tried again.',
  },
  CloneFailed: {
    affected: 'The volume is not made; nobody can mount it.',
    action: 'The message has the error. It is tried again from the start.',
  },
  RevertIncomplete: {
    affected: 'A part of the volume may be of before. It takes no new mount, and is not backed up or copied.',
    action:
      'Wait for the Restore that is named. Where it was deleted, make a new Restore: it ends what was begun, and takes the volume to its own snapshot. Where the volume has gone to another node meanwhile, take a Snapshot there for it first.',
  },
  RevertFailed: {
    affected:
      'The volume is as it was, or as the Snapshot has it; where it has a part of each, it says `RevertIncomplete`.',
    action: 'The message has the error. It is tried again.',
  },
  SafetySnapshotFailed: {
    affected: 'The restore is refused; nothing was replaced.',
    action:
      'Make room for the safety snapshot, or make a Restore with `safetySnapshot: false` if what the volume has now may be lost.',
  },
  ChangedDuringCopy: {
    affected: 'The snapshot is complete, but its files are not all of one moment; the message names some that changed.',
    action: 'Let the writers rest and take another, or use an emptyDir on a pool that can clone.',
  },
  CrashConsistent: {
    affected: 'The snapshot is as after a power cut: databases recover from it, half-written files stay so.',
    action: 'Nothing, if `consistency: Crash` was meant; else ask for `Filesystem`.',
  },
  FreezeTimeout: {
    affected: 'The snapshot is not taken; writers go on.',
    action: 'Raise `freezeTimeout`, take it when less is written, or be content with `consistency: Crash`.',
  },
  Suspended: {
    affected: 'The schedule starts no runs.',
    action: 'Set `suspend: false` (`clawstore schedule resume`). The latest run that was missed may be made up for.',
  },
  RunsMissed: {
    affected: 'There is no snapshot or backup of those times.',
    action:
      'Look whether the controller was stopped, or whether a run takes longer than the interval. Only the latest time is made up for.',
  },
  RunFailed: {
    affected: 'There is no snapshot or backup of that time.',
    action: 'The object of the run, or the message, says why. The next time is tried as usual.',
  },
} as const satisfies Remedies;
