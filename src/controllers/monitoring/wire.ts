import type { Backup } from '../../api/backup.ts';
import { BACKUP_SCHEDULES, BACKUPS, SNAPSHOT_SCHEDULES, SNAPSHOTS, STORAGE_NODES } from '../../api/meta.ts';
import type { Schedule } from '../../api/schedule.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Clock } from '../../telemetry/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { BACKUP_RUNS } from '../schedule/backup-runs.ts';
import { SNAPSHOT_RUNS } from '../schedule/snapshot-runs.ts';
import { addObjectGauges, gaugesOf } from './object-gauges.ts';

/** Gauges from the caches that the controllers have anyway; the schedules' controllers have made the indexes. */
export function addMonitoring(manager: Manager, metrics: Metrics, clock: Clock): void {
  const backups = manager.cache<Backup>(BACKUPS).store;
  const snapshots = manager.cache<Snapshot>(SNAPSHOTS).store;
  const ofBackups = manager.cache<Schedule<unknown>>(BACKUP_SCHEDULES).store;
  const ofSnapshots = manager.cache<Schedule<unknown>>(SNAPSHOT_SCHEDULES).store;
  const schedules = [
    gaugesOf({ kind: BACKUP_RUNS, schedules: ofBackups, runs: backups }),
    gaugesOf({ kind: SNAPSHOT_RUNS, schedules: ofSnapshots, runs: snapshots }),
  ];
  const nodes = manager.cache<StorageNode>(STORAGE_NODES).store;
  addObjectGauges(metrics, { schedules, backups, nodes }, clock);
}
