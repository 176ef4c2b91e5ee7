/** Snapshots as runs of a SnapshotSchedule. */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { SNAPSHOT_SCHEDULES, SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { RunKind } from './runs.ts';

export const SNAPSHOT_RUNS: RunKind<Snapshot> = {
  schedules: SNAPSHOT_SCHEDULES,
  runs: SNAPSHOTS,
  outcome({ metadata, status }) {
    if (status?.readyToUse === true) {
      const at = Date.parse(status.creationTime ?? metadata.creationTimestamp ?? '');
      return { state: 'succeeded', at, doneAt: at };
    }
    if (status?.creationTime !== undefined) return { state: 'lost' };
    const conditions = status?.conditions;
    if (!isTrue(conditions, 'Stalled')) return { state: 'unfinished' };
    return { state: 'failed', message: findCondition(conditions, 'Stalled')?.message ?? '' };
  },
};
