/** Backups as runs of a BackupSchedule. */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { BACKUP_SCHEDULES, BACKUPS } from '../../api/meta.ts';
import type { RunKind } from './runs.ts';

export const BACKUP_RUNS: RunKind<Backup> = {
  schedules: BACKUP_SCHEDULES,
  runs: BACKUPS,
  outcome(backup) {
    const { metadata, status } = backup;
    const conditions = status?.conditions;
    if (hasEnded(backup) && isTrue(conditions, 'Ready')) {
      const { startTime, completionTime = '' } = status ?? {};
      const at = Date.parse(startTime ?? metadata.creationTimestamp ?? completionTime);
      return { state: 'succeeded', at, doneAt: Date.parse(completionTime) };
    }
    // Written down as a whole, and yet not Ready: damaged, or paused, or its repository cannot be asked.
    if (status?.record !== undefined && hasEnded(backup)) return { state: 'lost' };
    if (!hasEnded(backup) && !isTrue(conditions, 'Stalled')) return { state: 'unfinished' };
    const why = findCondition(conditions, 'Stalled') ?? findCondition(conditions, 'Ready');
    return { state: 'failed', message: why?.message ?? '' };
  },
  // A Backup that does not say so keeps its data when it is deleted, by a person or with its namespace. What the retention
  // no longer keeps is to be gone, unless its template, or somebody since, wants to retain it.
  expiry({ spec }) {
    return spec.deletionPolicy === undefined ? { deletionPolicy: 'Delete' } : undefined;
  },
};
