/** The controllers of schedules, one per kind of run. */
import type { Backup } from '../../api/backup.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import type { BackupTemplate, Schedule } from '../../api/schedule.ts';
import type { Snapshot, SnapshotSpec } from '../../api/snapshot.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventSink } from '../../kube/events.ts';
import type { Manager } from '../../runtime/manager.ts';
import { cacheSource } from '../../runtime/source.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { liveFrom } from '../support/live.ts';
import { RESYNC_MS, resyncSource } from '../support/sources.ts';
import type { Writer } from '../support/writes.ts';
import { BACKUP_RUNS } from './backup-runs.ts';
import { scheduleReconciler } from './reconciler.ts';
import type { RunKind } from './runs.ts';
import { BY_SCHEDULE, scheduleOf } from './runs.ts';
import { SNAPSHOT_RUNS } from './snapshot-runs.ts';

export interface ScheduleOptions {
  readonly client: KubeClient;
  readonly writer: Writer;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly leaderOnly: boolean;
}

export function addScheduleControllers(manager: Manager, options: ScheduleOptions): void {
  add<SnapshotSpec, Snapshot>(manager, 'snapshot-schedule', SNAPSHOT_RUNS, options);
  add<BackupTemplate, Backup>(manager, 'backup-schedule', BACKUP_RUNS, options);
}

function add<Template, Child extends KubeObjectBase>(
  manager: Manager,
  name: string,
  kind: RunKind<Child>,
  { client, writer, events, clock, leaderOnly }: ScheduleOptions,
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
