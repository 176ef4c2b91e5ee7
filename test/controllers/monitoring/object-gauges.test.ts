import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Backup, BackupStatus } from '../../../src/api/backup.ts';
import { API_VERSION, LABELS, RUN_ANNOTATIONS } from '../../../src/api/group.ts';
import type { BackupSchedule, ScheduleSpec, ScheduleStatus } from '../../../src/api/schedule.ts';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import { addObjectGauges, gaugesOf } from '../../../src/controllers/monitoring/object-gauges.ts';
import { BACKUP_RUNS } from '../../../src/controllers/schedule/backup-runs.ts';
import { BY_SCHEDULE, scheduleOf } from '../../../src/controllers/schedule/runs.ts';
import { Store } from '../../../src/runtime/store.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { condition, lostNode, storageNode } from '../support/objects.ts';

const NOW = Date.parse('2026-01-10T00:00:00Z');
const seconds = (time: string): number => Date.parse(time) / 1000;
const ready = condition('Ready', 'True', 'Ready');
const stalled = [condition('Ready', 'False', 'DataMissing'), condition('Stalled', 'True', 'DataMissing')] as const;

let version = 0;
/** A store takes an object of another version alone. */
const versioned = () => ({ resourceVersion: String(++version) });

/** What a scrape says, from stores that tests fill. */
function world() {
  const metrics = createMetrics();
  const [schedules, backups, nodes] = [new Store<BackupSchedule>(), new Store<Backup>(), new Store<StorageNode>()];
  backups.addIndex(BY_SCHEDULE, scheduleOf);
  const source = gaugesOf({ kind: BACKUP_RUNS, schedules, runs: backups });
  addObjectGauges(metrics, { schedules: [source], backups, nodes }, new FakeClock(NOW));
  return {
    schedules,
    backups,
    nodes,
    /** Lines of these gauges, without comments. */
    async scrape(...names: readonly string[]): Promise<readonly string[]> {
      const text = await metrics.registry.metrics();
      return text.split('\n').filter((line) => names.some((name) => line.startsWith(`clawstore_${name}{`)));
    },
  };
}

function schedule(spec: Partial<ScheduleSpec<never>> = {}, status: ScheduleStatus = {}): BackupSchedule {
  return {
    apiVersion: API_VERSION,
    kind: 'BackupSchedule',
    metadata: {
      namespace: 'team',
      name: 'daily',
      uid: 'uid-daily',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...versioned(),
    },
    spec: { schedule: '0 2 * * *', template: { spec: { scope: 'Full', destination: '/backups' } }, ...spec },
    status: { conditions: [ready], ...status },
  };
}

function backup(name: string, status: BackupStatus, scheduledAt?: string): Backup {
  return {
    apiVersion: API_VERSION,
    kind: 'Backup',
    metadata: {
      namespace: 'team',
      name,
      uid: `uid-${name}`,
      ...versioned(),
      ...(scheduledAt === undefined
        ? {}
        : {
            labels: { [LABELS.schedule]: 'daily' },
            annotations: { [RUN_ANNOTATIONS.scheduleUID]: 'uid-daily', [RUN_ANNOTATIONS.scheduledAt]: scheduledAt },
          }),
    },
    spec: { scope: 'Full', destination: '/backups' },
    status,
  };
}

const DAILY = 'kind="BackupSchedule",namespace="team",schedule="daily"';

describe('gauges of objects', () => {
  it('say how a schedule is doing, and nothing of what is not known', async () => {
    const on = world();
    on.schedules.set(schedule());
    expect(await on.scrape('schedule', 'backup')).to.deep.equal([]);
    const names = ['ready', 'suspended', 'created_timestamp_seconds', 'interval_seconds', 'active_runs'];
    const more = ['last_success_timestamp_seconds', 'last_missed_timestamp_seconds', 'last_run_failed'];
    const all = [...names, ...more].map((name) => `schedule_${name}`);
    expect(await on.scrape(...all, 'backup_last_success_timestamp_seconds')).to.have.members([
      `clawstore_schedule_ready{${DAILY}} 1`,
      `clawstore_schedule_suspended{${DAILY}} 0`,
      `clawstore_schedule_created_timestamp_seconds{${DAILY}} ${seconds('2026-01-01T00:00:00Z')}`,
      `clawstore_schedule_interval_seconds{${DAILY}} 86400`,
      `clawstore_schedule_active_runs{${DAILY}} 0`,
      `clawstore_schedule_last_run_failed{${DAILY}} 0`,
    ]);
  });

  it('say when a schedule succeeded and what it missed, from its status, whether the backup is still there or not', async () => {
    const on = world();
    const [lastSuccessfulTime, lastMissedTime] = ['2026-01-08T02:10:00Z', '2026-01-09T02:00:00Z'];
    on.schedules.set(schedule({ suspend: true }, { lastSuccessfulTime, lastMissedTime }));
    expect(
      await on.scrape(
        'schedule_suspended',
        'schedule_last_success_timestamp_seconds',
        'schedule_last_missed_timestamp_seconds',
        'backup_last_success_timestamp_seconds',
      ),
    ).to.have.members([
      `clawstore_schedule_suspended{${DAILY}} 1`,
      `clawstore_schedule_last_success_timestamp_seconds{${DAILY}} ${seconds(lastSuccessfulTime)}`,
      `clawstore_schedule_last_missed_timestamp_seconds{${DAILY}} ${seconds(lastMissedTime)}`,
      `clawstore_backup_last_success_timestamp_seconds{namespace="team",schedule="daily"} ${seconds(lastSuccessfulTime)}`,
    ]);
  });

  it('say whether the latest run that ended failed, whatever runs now', async () => {
    const on = world();
    const failed = async (): Promise<unknown> => on.scrape('schedule_last_run_failed', 'schedule_active_runs');
    on.schedules.set(schedule());
    const completionTime = '2026-01-07T02:10:00Z';
    on.backups.set(backup('one', { completionTime, conditions: [ready] }, '2026-01-07T02:00:00Z'));
    on.backups.set(backup('two', { completionTime, conditions: stalled }, '2026-01-08T02:00:00Z'));
    on.backups.set(backup('three', {}, '2026-01-09T02:00:00Z'));
    expect(await failed()).to.have.members([
      `clawstore_schedule_last_run_failed{${DAILY}} 1`,
      `clawstore_schedule_active_runs{${DAILY}} 1`,
    ]);
    on.backups.set(backup('three', { completionTime, conditions: [ready] }, '2026-01-09T02:00:00Z'));
    expect(await failed()).to.have.members([
      `clawstore_schedule_last_run_failed{${DAILY}} 0`,
      `clawstore_schedule_active_runs{${DAILY}} 0`,
    ]);
  });

  it('know the longest time between runs, and none for a schedule that means nothing', async () => {
    const on = world();
    const intervals: readonly (readonly [string, number | undefined])[] = [
      ['*/15 * * * *', 900],
      ['0 2 * * MON-FRI', 3 * 86_400],
      ['@monthly', 31 * 86_400],
      ['61 * * * *', undefined],
    ];
    for (const [text, interval] of intervals) {
      on.schedules.set(schedule({ schedule: text }));
      const lines = await on.scrape('schedule_interval_seconds');
      expect(lines, text).to.deep.equal(
        interval === undefined ? [] : [`clawstore_schedule_interval_seconds{${DAILY}} ${interval}`],
      );
    }
  });

  it('say when the newest backup by hand ended well; not of what was found, failed, or was made by a schedule', async () => {
    const on = world();
    const done = (completionTime: string): BackupStatus => ({ completionTime, conditions: [ready] });
    on.backups.set(backup('old', done('2026-01-02T00:00:00Z')));
    on.backups.set(backup('new', done('2026-01-03T00:00:00Z')));
    on.backups.set(backup('failed', { completionTime: '2026-01-04T00:00:00Z', conditions: stalled }));
    on.backups.set(backup('of-a-schedule', done('2026-01-05T00:00:00Z'), '2026-01-05T00:00:00Z'));
    const found = backup('found', done('2026-01-06T00:00:00Z'));
    on.backups.set({ ...found, spec: { ...found.spec, imported: { backupID: 'x' } } });
    expect(await on.scrape('backup_last_success_timestamp_seconds')).to.deep.equal([
      `clawstore_backup_last_success_timestamp_seconds{namespace="team",schedule=""} ${seconds('2026-01-03T00:00:00Z')}`,
    ]);
  });

  it('say which nodes are lost, and go with their objects', async () => {
    const on = world();
    on.nodes.set(storageNode('a', { conditions: [ready] }));
    on.nodes.set(lostNode('b'));
    on.schedules.set(schedule());
    expect(await on.scrape('node_ready')).to.deep.equal([
      'clawstore_node_ready{node="a"} 1',
      'clawstore_node_ready{node="b"} 0',
    ]);
    on.nodes.delete('b');
    on.schedules.delete('team/daily');
    expect(await on.scrape('node_ready', 'schedule_ready')).to.deep.equal(['clawstore_node_ready{node="a"} 1']);
  });
});
