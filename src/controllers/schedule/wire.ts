/** The controllers of schedules, one per kind of run. */
import type { Backup } from '../../api/backup.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import type { BackupTemplate, Schedule } from '../../api/schedule.ts';
import type { Snapshot, SnapshotSpec } from '../../api/snapshot.ts';
import type { Manager } from '../../runtime/manager.ts';
import { cacheSource } from '../../runtime/source.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { liveFrom } from '../support/live.ts';
import { RESYNC_MS, resyncSource } from '../support/sources.ts';
import { BACKUP_RUNS } from './backup-runs.ts';
import { scheduleReconciler } from './reconciler.ts';
import type { RunKind } from './runs.ts';
import { BY_SCHEDULE, scheduleOf } from './runs.ts';
import { SNAPSHOT_RUNS } from './snapshot-runs.ts';

export type ScheduleWiring = Pick<ControllerWiring, 'client' | 'writer' | 'events' | 'clock' | 'leaderOnly'>;

export function addScheduleControllers(manager: Manager, wiring: ScheduleWiring): void {
  add<SnapshotSpec, Snapshot>(manager, 'snapshot-schedule', SNAPSHOT_RUNS, wiring);
  add<BackupTemplate, Backup>(manager, 'backup-schedule', BACKUP_RUNS, wiring);
}

function add<Template, Child extends KubeObjectBase>(
  manager: Manager,
  name: string,
  kind: RunKind<Child>,
  { client, writer, events, clock, leaderOnly }: ScheduleWiring,
): void {
  const schedules = manager.cache<Schedule<Template>>(kind.schedules);
  const runs = manager.cache<Child>(kind.runs);
  runs.store.addIndex(BY_SCHEDULE, scheduleOf);
  manager.addController({
    name,
    reconcile: scheduleReconciler({
      kind,
      schedules: schedules.store,
      runs: runs.store,
      client,
      live: liveFrom(client),
      writer,
      events,
    }),
    leaderOnly,
    sources: [
      cacheSource(schedules),
      cacheSource(runs, { mapTo: scheduleOf }),
      resyncSource(`${name}-resync`, clock, RESYNC_MS, () => schedules.store.keys()),
    ],
  });
}
