/** The BackupRepository kind: where backups are kept, and their key. Schema: `crds/storage.clawbernetes.io_backuprepositories.yaml`. */
import { createHash } from 'node:crypto';
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';
import type { Retention } from './schedule.ts';
import type { NfsSource, S3Source } from './volume.ts';

/** A directory of one node's host. */
export interface HostPathRepository {
  /** Absolute, without `..`, inside what the VolumeClass allows. Made if missing. */
  readonly path: string;
}

/** Where a repository lies: exactly one. */
export interface RepositorySource {
  readonly s3?: S3Source;
  readonly hostPath?: HostPathRepository;
  readonly nfs?: NfsSource;
}

/** All that an agent needs to reach and open a repository, besides the content of the Secrets. */
export interface RepositoryLocation extends RepositorySource {
  /** The node of a `hostPath` repository; of others, the only node that may tend it. */
  readonly nodeName?: string;
  /** Mount options of an nfs repository. */
  readonly mountOptions?: readonly string[];
  readonly encryption: {
    /** A Secret with the key `password`. */
    readonly secretRef: LocalReference;
  };
  /** Who allows it; absent: the class named default. */
  readonly volumeClassName?: string;
}

/** `ReadOnly`: nothing is ever written, not even a lock; nothing is initialised. */
export type RepositoryAccessMode = 'ReadWrite' | 'ReadOnly';

export interface RepositoryCheck {
  /** Five fields of cron, or `@weekly` and the like; UTC. */
  readonly schedule: string;
  /** Share of the stored data that each check reads back, 0 to 100. Absent: {@link DEFAULT_READ_DATA_PERCENT}. */
  readonly readDataPercent?: number;
}

export const DEFAULT_READ_DATA_PERCENT = 5;

export interface BackupRepositorySpec extends RepositoryLocation {
  /** Absent: `ReadWrite`. */
  readonly accessMode?: RepositoryAccessMode;
  /** Which of the backups of one schedule (or made by hand, of the same volumes) stay. Absent: all. */
  readonly retention?: Retention;
  /** Absent: no checks. */
  readonly check?: RepositoryCheck;
}

export type BackupRepositoryConditionType =
  | 'Ready'
  | 'Reconciling'
  | 'Stalled'
  | 'Reachable'
  | 'Unlocked'
  | 'KeyExported'
  | 'Verified'
  | 'DeletionBlocked';

export interface BackupRepositoryStatus extends ConditionedStatus<BackupRepositoryConditionType> {
  /** The node whose agent tends it. Written by the controller. */
  readonly nodeName?: string;
  /** The full URL, without credentials: with the key it is all that a recovery needs. */
  readonly url?: string;
  /** What the engine calls the repository. Once there, it is never initialised again. */
  readonly repositoryID?: string;
  /** Complete backups in it, of whomever. */
  readonly backupCount?: number;
  /** Bytes stored. */
  readonly sizeBytes?: number;
  readonly lastSyncTime?: string;
  readonly lastCheckTime?: string;
  readonly lastPruneTime?: string;
}

export type BackupRepository = KubeObject<BackupRepositorySpec, BackupRepositoryStatus>;

/** Key of the Secret that `encryption.secretRef` names. */
export const PASSWORD_KEY = 'password';

/** What an export leaves on the Secret: it is about this key and no other, and does not tell it. */
export function keyMark(password: string): string {
  return createHash('sha256').update(`clawstore key ${password}`).digest('hex').slice(0, 32);
}
