/**
 * The Restore kind: a Volume goes back to a moment of it, or volumes and objects are taken from a backup. Schema:
 * `crds/storage.clawbernetes.io_restores.yaml`.
 */
import type { BackupProgress, ItemCounts, SkippedFile } from './backup.ts';
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';

/** `New`: into a volume that is made for it. `InPlace`: into one that is there, and used by nobody. */
export type RestoreMode = 'New' | 'InPlace';

/** What happens to files that are there: kept, replaced, or replaced and everything that is not in the backup removed. */
export type ExistingFiles = 'Skip' | 'Overwrite' | 'Mirror';

/** What happens to the mounts of a volume that goes back: nothing, so that it is refused; or they are made again afterwards. */
export type WhenAttached = 'Refuse' | 'Remount';

/** What happens to objects that are there. */
export type ConflictPolicy = 'Skip' | 'Update' | 'Fail';

/** One volume of the backup, and where it goes. */
export interface RestoredVolume {
  /** Its name when it was backed up. */
  readonly from: string;
  /** Absent: the same name. */
  readonly to?: string;
  /** Absent: `New`. */
  readonly mode?: RestoreMode;
}

export interface RestoreSpec {
  /** Exactly one of `snapshotRef`, `backupRef` and `backupID`; `repositoryRef` goes with `backupID`. */
  readonly source: {
    readonly snapshotRef?: LocalReference;
    readonly backupRef?: LocalReference;
    readonly backupID?: string;
    readonly repositoryRef?: LocalReference;
  };
  /**
   * Absent or empty: all of the backup, each under its own name, into the one that has it or, where none has, a new one;
   * and all of its objects.
   */
  readonly volumes?: readonly RestoredVolume[];
  /** Relative to each volume. Absent: everything. */
  readonly paths?: readonly string[];
  /** Absent: `Overwrite`. */
  readonly existingFiles?: ExistingFiles;
  /** Absent, and `volumes` or `paths` named: no objects. */
  readonly objects?: {
    /** Absent: `Skip`. */
    readonly conflictPolicy?: ConflictPolicy;
  };
  /** Nothing is changed; the status says what would be. */
  readonly dryRun?: boolean;
  readonly cancel?: boolean;
  /** Keep the present content as a Snapshot first. Absent: true. */
  readonly safetySnapshot?: boolean;
  /** With `snapshotRef`. Absent: `Refuse`. */
  readonly whenAttached?: WhenAttached;
}

/** Longest name of a Restore: with {@link SAFETY_SUFFIX} it is the name of a Snapshot and a label value. */
export const MAX_RESTORE_NAME = 56;

/** Ends the name of the Snapshot of what a Restore replaces. */
export const SAFETY_SUFFIX = '-safety';

export type RestoreConditionType = 'Ready' | 'Reconciling' | 'Stalled';

/** Which Snapshot, of which Volume, as it was when the Restore was given to a node. */
export interface RestoreOrigin {
  readonly snapshotName: string;
  readonly snapshotUID: string;
  readonly volumeName: string;
  readonly volumeUID: string;
}

/** One volume of a backup: what is to become of it, decided once, before anything is changed. */
export interface PlannedVolume {
  /** Its name when it was backed up, and its name now. */
  readonly from: string;
  readonly to: string;
  readonly mode: RestoreMode;
  /** What the engine calls its part of the backup. */
  readonly snapshotID: string;
  readonly files: number;
  readonly bytes: number;
  /** Of the volume that is there: `InPlace`. */
  readonly volumeUID?: string;
}

/** What the agent has read of a backup. */
export interface RestoreRecord {
  /** Of which BackupRepository. */
  readonly repositoryName: string;
  /** What the engine calls the document; absent: it could not be read. */
  readonly snapshotID?: string;
  /** Manifests in the Secret. */
  readonly objects?: number;
  /** Why it could not be read; `isFinal`: trying again does not help. */
  readonly failure?: { readonly reason: string; readonly message: string; readonly isFinal: boolean };
}

export interface RestoreStatus extends ConditionedStatus<RestoreConditionType> {
  /** The node of the volume. Written by the controller, with `source` and `startTime`. */
  readonly nodeName?: string;
  readonly source?: RestoreOrigin;
  /** The Snapshot of what was there before. */
  readonly safetySnapshotRef?: LocalReference;
  readonly startTime?: string;
  /** When it ended, well or not. Nothing is done after it. */
  readonly completionTime?: string;
  /** Of a restore from a backup. */
  readonly backupID?: string;
  readonly progress?: BackupProgress;
  /** Where it lies. */
  readonly repositoryRef?: LocalReference;
  /** Written by the agent of `nodeName`; everything else of a restore from a backup is the controller's. */
  readonly record?: RestoreRecord;
  readonly volumes?: readonly PlannedVolume[];
  /** Volumes and objects of a backup. */
  readonly items?: ItemCounts;
  /** What was not restored, at most `MAX_SKIPPED`: files of volumes, and objects, whose `path` is `KIND/NAME`. */
  readonly skipped?: readonly SkippedFile[];
  readonly skippedCount?: number;
  /**
   * Secret with the document and the manifests of the backup, on their way out of the repository; made by the controller,
   * filled by the agent.
   */
  readonly manifestSecretRef?: LocalReference;
}

export type Restore = KubeObject<RestoreSpec, RestoreStatus>;

/** Whether it has ended, so that nothing is ever done for it again. */
export function isFinished({ status }: Restore): boolean {
  return status?.completionTime !== undefined;
}
