/**
 * What schedules of every kind share, the SnapshotSchedule and the BackupSchedule. Schemas:
 * `crds/storage.clawbernetes.io_snapshotschedules.yaml`, `crds/storage.clawbernetes.io_backupschedules.yaml`.
 */
import type { BackupSpec } from './backup.ts';
import type { ConditionedStatus, KubeObject } from './meta.ts';
import type { SnapshotSpec } from './snapshot.ts';

/** What to do when a run is due and an earlier one has not finished. */
export type ConcurrencyPolicy = 'Forbid' | 'Allow' | 'Replace';

/**
 * What is kept, as with restic's `forget`: what one rule keeps stays. Each number counts hours, days … in which there is
 * something; of each the newest is kept. At least one is there.
 */
export interface Retention {
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
}

/** What a run makes. */
export interface RunTemplate<Spec> {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
}

export interface ScheduleSpec<Template> {
  /** Five fields of cron, or `@daily` and the like. */
  readonly schedule: string;
  /** Name of the IANA database. Absent: UTC. */
  readonly timeZone?: string;
  /** Each run is late by a fixed part of this, which differs between schedules, e.g. `10m`. */
  readonly jitter?: string;
  readonly suspend?: boolean;
  /** Absent: {@link DEFAULT_CONCURRENCY_POLICY}. */
  readonly concurrencyPolicy?: ConcurrencyPolicy;
  /** A run that could not be started for so long is missed. Absent: the latest is made however late. */
  readonly startingDeadlineSeconds?: number;
  readonly template: RunTemplate<Template>;
  /** Absent: everything stays. */
  readonly retention?: Retention;
  /** Failed runs that are kept to be looked at. Absent: {@link DEFAULT_FAILED_HISTORY_LIMIT}. */
  readonly failedHistoryLimit?: number;
}

export const DEFAULT_CONCURRENCY_POLICY: ConcurrencyPolicy = 'Forbid';
export const DEFAULT_FAILED_HISTORY_LIMIT = 1;

/** Longest name of a schedule: with the time of a run behind it, it is the name of an object and a label value. */
export const MAX_SCHEDULE_NAME = 50;
/** Longest name of a BackupSchedule: with the time of a run behind it, it is the name of a Backup. */
export const MAX_BACKUP_SCHEDULE_NAME = 41;

/** Runs that the status lists at most; the oldest come first. */
export const MAX_ACTIVE = 20;

export type ScheduleConditionType = 'Ready' | 'Reconciling' | 'Stalled';

export interface ActiveRun {
  readonly name: string;
  readonly uid: string;
}

export interface ScheduleStatus extends ConditionedStatus<ScheduleConditionType> {
  /** The scheduled time of the latest run that was started, without jitter. RFC 3339. */
  readonly lastScheduleTime?: string;
  /** When the latest run that succeeded was done. */
  readonly lastSuccessfulTime?: string;
  /** The latest scheduled time that passed without a run. */
  readonly lastMissedTime?: string;
  /** The next scheduled time, without jitter; absent while suspended. */
  readonly nextScheduleTime?: string;
  /** Runs that have not finished. */
  readonly active?: readonly ActiveRun[];
}

export type Schedule<Template> = KubeObject<ScheduleSpec<Template>, ScheduleStatus>;

export type SnapshotSchedule = Schedule<SnapshotSpec>;

/**
 * What a run of a BackupSchedule makes; what is there for one backup alone is left out. Without `deletionPolicy` the data
 * of a run goes when the retention of the schedule no longer keeps it, and only then.
 */
export type BackupTemplate = Omit<BackupSpec, 'cancel' | 'imported'>;

export type BackupSchedule = Schedule<BackupTemplate>;
