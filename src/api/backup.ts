/**
 * The Backup kind, and the VolumeBackup: one volume of it. Schemas: `crds/storage.clawbernetes.io_backups.yaml`,
 * `crds/storage.clawbernetes.io_volumebackups.yaml`.
 */
import type { RepositoryLocation } from './backup-repository.ts';
import type { ConditionedStatus, KubeObject, LabelSelector, LocalReference } from './meta.ts';

/** `Configs`: the manifests of the namespace's objects and of what they name; `Volumes`: data; `Full`: both. */
export type BackupScope = 'Full' | 'Volumes' | 'Configs';

/** `Fail`: a backup that lacks something has failed. `Allow`: it is kept as a success that says what it lacks. */
export type OnPartial = 'Fail' | 'Allow';

export interface BackupLimits {
  /** Bytes a second that are uploaded at most, a quantity. */
  readonly bandwidth?: string;
  /** Volumes of this backup that are read at once, over all nodes. */
  readonly parallelism?: number;
}

export interface BackupSpec {
  readonly scope: BackupScope;
  /** `s3://BUCKET/PREFIX`, `file:///PATH`, an absolute path, `nfs://SERVER/PATH`. This or `repositoryRef`. */
  readonly destination?: string;
  readonly repositoryRef?: LocalReference;
  /** Neither this nor `volumeSelector`: all volumes of the namespace. */
  readonly volumeRefs?: readonly LocalReference[];
  readonly volumeSelector?: LabelSelector;
  /** The Backup is deleted when its completion is longer ago. Absent: never. */
  readonly ttl?: string;
  /** What happens to the data when the Backup is deleted. Absent: `Retain`. */
  readonly deletionPolicy?: 'Delete' | 'Retain';
  /** Stops it; what has been read is kept for the next one. */
  readonly cancel?: boolean;
  /** It has failed when it takes longer. Absent: {@link DEFAULT_ACTIVE_DEADLINE_SECONDS}. */
  readonly activeDeadlineSeconds?: number;
  /** Which goes first where they wait for each other: the larger. Absent: 0. */
  readonly priority?: number;
  readonly limits?: BackupLimits;
  /** Absent: `Fail`. */
  readonly onPartial?: OnPartial;
  /** Set on what was found in a repository: it stands for that backup, and nothing is backed up. */
  readonly imported?: { readonly backupID: string };
}

export const DEFAULT_ACTIVE_DEADLINE_SECONDS = 86_400;

/** Longest name of a Backup: with a hash behind it, it is its ID and a label value. */
export const MAX_BACKUP_NAME = 54;

export interface BackupProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesPerSecond: number;
}

/** A file that is not in the backup, or not as it was at one moment. */
export interface SkippedFile {
  /** Name of the Volume. */
  readonly volumeName: string;
  /** Relative to the volume; what is not text in it is escaped. */
  readonly path: string;
  /** What is wrong with it, in words. */
  readonly message: string;
}

/** Files that a status names at most. */
export const MAX_SKIPPED = 20;

export interface ItemCounts {
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
}

export type BackupConditionType =
  | 'Ready'
  | 'Reconciling'
  | 'Stalled'
  | 'DataComplete'
  | 'ContentConsistent'
  /** That it is written down as a whole; of the agent of `nodeName`. */
  | 'Recorded'
  | 'Verified'
  | 'DeletionBlocked';

/** Reasons of conditions that the agent of the repository writes, about what it finds there, whoever wrote them before. */
export const SAID_OF_REPOSITORY: readonly string[] = [
  'BackupFound',
  'BackupFoundPartly',
  'BackupMissing',
  'BackupDamaged',
];

export interface BackupStatus extends ConditionedStatus<BackupConditionType> {
  /** The node that tends the repository, and writes down the whole. Written by the controller, with all but the record. */
  readonly nodeName?: string;
  readonly backupID?: string;
  readonly clusterID?: string;
  readonly repositoryRef?: LocalReference;
  readonly startTime?: string;
  readonly completionTime?: string;
  readonly expirationTime?: string;
  readonly progress?: BackupProgress;
  /** Volumes and manifests. */
  readonly items?: ItemCounts;
  readonly uploadedBytes?: number;
  /** At most {@link MAX_SKIPPED}. */
  readonly skipped?: readonly SkippedFile[];
  readonly skippedCount?: number;
  /** What a person should know although it succeeded. */
  readonly warnings?: readonly string[];
  /** Secrets with the manifests, on their way into the repository. */
  readonly manifestSecretRefs?: readonly LocalReference[];
  /** The document that makes it whole. Written by the agent of `nodeName`. */
  readonly record?: { readonly snapshotID: string; readonly objects: number };
}

export type Backup = KubeObject<BackupSpec, BackupStatus>;

/** Made by the controller, done by the agent of the volume's node. */
export interface VolumeBackupSpec {
  readonly backupRef: LocalReference;
  readonly backupID: string;
  readonly clusterID: string;
  readonly scope: BackupScope;
  readonly repository: RepositoryLocation;
  readonly volumeRef: LocalReference;
  readonly volumeUID: string;
  readonly onPartial: OnPartial;
  readonly priority: number;
  /** Bytes a second. */
  readonly bandwidth?: string;
  /** When it has failed. RFC 3339. */
  readonly deadline: string;
  readonly cancel?: boolean;
}

export type VolumeBackupConditionType = 'Ready' | 'Reconciling' | 'Stalled' | 'DataComplete' | 'ContentConsistent';

/** How the volume was read. */
export type BackupMethod =
  /** From a snapshot of the moment that costs nothing. */
  | 'Snapshot'
  /** As it was, while it was in use. */
  | 'InPlace'
  /** From the bucket. */
  | 'Bucket';

export interface VolumeBackupStatus extends ConditionedStatus<VolumeBackupConditionType> {
  /** Written by the controller. */
  readonly nodeName?: string;
  readonly startTime?: string;
  readonly completionTime?: string;
  readonly method?: BackupMethod;
  /** What the engine calls it. */
  readonly snapshotID?: string;
  readonly progress?: BackupProgress;
  readonly bytes?: number;
  readonly files?: number;
  readonly uploadedBytes?: number;
  readonly skipped?: readonly SkippedFile[];
  readonly skippedCount?: number;
}

export type VolumeBackup = KubeObject<VolumeBackupSpec, VolumeBackupStatus>;

/** Whether it has ended, well or not, so that nothing is ever done for it again. */
export function hasEnded({ status }: Backup | VolumeBackup): boolean {
  return status?.completionTime !== undefined;
}
