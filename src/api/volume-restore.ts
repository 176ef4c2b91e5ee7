/** The VolumeRestore kind: one volume of a Restore. Schema: `crds/storage.clawbernetes.io_volumerestores.yaml`. */
import type { BackupProgress, SkippedFile } from './backup.ts';
import type { RepositoryAccessMode, RepositoryLocation } from './backup-repository.ts';
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';
import type { ExistingFiles, RestoreMode } from './restore.ts';

/** Made by the controller, done by the agent of the volume's node. */
export interface VolumeRestoreSpec {
  /** Absent: the content of a Volume with `dataSource.backupRef`. */
  readonly restoreRef?: LocalReference;
  readonly repository: RepositoryLocation;
  /** `ReadOnly`: not even a lock is written there. Absent: `ReadWrite`. */
  readonly accessMode?: RepositoryAccessMode;
  readonly backupID: string;
  /** What the engine calls the volume's part of the backup. Absent: what the document of the backup says. */
  readonly snapshotID?: string;
  /** The volume as it was named when it was backed up. */
  readonly from: { readonly name: string };
  readonly volumeRef: LocalReference;
  readonly volumeUID: string;
  readonly mode: RestoreMode;
  readonly existingFiles: ExistingFiles;
  /** Relative to the volume. Absent: everything. */
  readonly paths?: readonly string[];
  readonly dryRun?: boolean;
  /** Nothing is written before this Snapshot of what is there is ready to use. */
  readonly safetySnapshotRef?: LocalReference;
  readonly cancel?: boolean;
}

export type VolumeRestoreConditionType = 'Ready' | 'Reconciling' | 'Stalled';

/** Files and directories. What the engine's version does not count is absent. */
export interface RestoreCounts {
  /** What the backup has of what was asked for. */
  readonly total: number;
  readonly restored?: number;
  /** There already, and left as they are. */
  readonly skipped?: number;
  readonly deleted?: number;
}

export interface VolumeRestoreStatus extends ConditionedStatus<VolumeRestoreConditionType> {
  /** Written by the controller. */
  readonly nodeName?: string;
  readonly startTime?: string;
  readonly completionTime?: string;
  readonly progress?: BackupProgress;
  /** Of a dry run: what would be. */
  readonly files?: RestoreCounts;
  readonly bytes?: number;
  readonly skipped?: readonly SkippedFile[];
  readonly skippedCount?: number;
}

export type VolumeRestore = KubeObject<VolumeRestoreSpec, VolumeRestoreStatus>;

/** Whether it has ended, well or not, so that nothing is ever done for it again. */
export function hasRestoreEnded({ status }: VolumeRestore): boolean {
  return status?.completionTime !== undefined;
}
