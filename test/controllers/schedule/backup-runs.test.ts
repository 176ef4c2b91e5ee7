import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Backup, BackupStatus } from '../../../src/api/backup.ts';
import { API_VERSION, LABELS, RUN_ANNOTATIONS } from '../../../src/api/group.ts';
import type { BackupTemplate, ScheduleSpec } from '../../../src/api/schedule.ts';
import { BACKUP_RUNS } from '../../../src/controllers/schedule/backup-runs.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { condition } from '../support/objects.ts';
import { ScheduleWorld } from './schedule-world.ts';

const TEMPLATE = { spec: { scope: 'Full', destination: 's3://backups/daily' } } as const;

class BackupWorld extends ScheduleWorld<BackupTemplate, Backup> {
  constructor(spec: Partial<ScheduleSpec<BackupTemplate>> = {}) {
    super(BACKUP_RUNS, { template: TEMPLATE, ...spec });
  }

  get deletions(): readonly string[] {
    return this.writes.filter((write) => !write.startsWith('create') && !write.startsWith('status'));
  }

  now(): string {
    return new Date(this.clock.now()).toISOString();
  }

  /** Begun at its time, done now. */
  succeed(name: string, startTime = this.now()): Promise<void> {
    return this.report(name, whole(startTime, this.now()));
  }

  fail(name: string, message = 'two files could not be read'): Promise<void> {
    const conditions = [
      condition('Ready', 'False', 'DeadlineExceeded', message),
      condition('Stalled', 'True', 'DeadlineExceeded', message),
    ];
    return this.report(name, { startTime: this.now(), completionTime: this.now(), conditions });
  }
}

function whole(
  startTime: string,
  completionTime: string,
  ...conditions: BackupStatus['conditions'] & {}
): BackupStatus {
  const ready = conditions.length === 0 ? [condition('Ready', 'True', 'Ready')] : conditions;
  return { startTime, completionTime, record: { snapshotID: 'abc', objects: 0 }, conditions: ready };
}

describe('the schedule of backups', () => {
  it('makes a Backup with the spec of the template and the label by which it is found', async () => {
    const on = new BackupWorld({ retention: { last: 3 } });
    await on.to('01T01:00:00');
    const made = on.live.get('nightly-202601010100');
    expect([made?.kind, made?.spec]).to.deep.equal(['Backup', TEMPLATE.spec]);
    expect(made?.metadata.labels).to.deep.equal({ [LABELS.schedule]: 'nightly' });
    expect(made?.metadata.ownerReferences).to.equal(undefined);
  });

  it('has succeeded when all of it is in the repository, at the time when that was done', async () => {
    const on = new BackupWorld();
    await on.to('01T01:00:00');
    await on.report('nightly-202601010100', {
      startTime: on.now(),
      conditions: [condition('Ready', 'False', 'Reconciling'), condition('Reconciling', 'True', 'Reconciling')],
    });
    await on.to('01T01:20:00');
    expect(on.schedule.status?.lastSuccessfulTime).to.equal(undefined);
    expect(on.schedule.status?.active).to.have.length(1);
    await on.succeed('nightly-202601010100', '2026-01-01T01:00:00Z');
    await on.settle();
    expect(on.schedule.status?.lastSuccessfulTime).to.equal('2026-01-01T01:20:00Z');
    expect(on.schedule.status?.active).to.equal(undefined);
  });

  it('has failed, and says how, when anything is lacking', async () => {
    const on = new BackupWorld();
    await on.to('01T01:00:00');
    await on.fail('nightly-202601010100');
    await on.settle();
    expect(on.schedule.status?.lastSuccessfulTime).to.equal(undefined);
    expect(on.ready).to.equal('True Ready The last run, nightly-202601010100, failed: two files could not be read');
    expect(on.events).to.include('Warning RunFailed BackupSchedule/nightly');
  });

  it('keeps by the moment of the data, not by the one when it was done', async () => {
    const on = new BackupWorld({ schedule: '0 */12 * * *', retention: { daily: 1 }, concurrencyPolicy: 'Allow' });
    await on.to('01T12:00:00');
    await on.to('02T00:00:00');
    // That of noon is done last.
    await on.succeed('nightly-202601020000');
    await on.to('02T06:00:00');
    await on.succeed('nightly-202601011200', '2026-01-01T12:00:00Z');
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601020000']);
  });

  it('makes the data go with what the retention deletes, and with nothing else', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.settle();
    expect(on.live.get('nightly-202601010100')?.spec.deletionPolicy).to.equal(undefined);
    await on.to('01T02:00:00');
    expect(on.deletions).to.deep.equal([]);
    await on.succeed('nightly-202601010200');
    await on.settle();
    expect(on.deletions).to.deep.equal([
      'patch nightly-202601010100 {"deletionPolicy":"Delete"}',
      'delete nightly-202601010100',
    ]);
    expect(on.events).to.include('Normal Pruned BackupSchedule/nightly');
  });

  it('keeps one in the place of one that is gone and that the cache still shows, and goes by the retention of now', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    const before = on.schedule;
    on.ahead = { ...before, spec: { ...before.spec, retention: { last: 2 } } };
    await on.succeed('nightly-202601010200');
    await on.settle();
    expect(on.deletions, 'the retention of before').to.deep.equal([]);
    on.ahead = undefined;
    on.live.delete('nightly-202601010200');
    await on.settle();
    expect(on.deletions, 'the newest, which is gone').to.deep.equal([]);
  });

  it('leaves the data where the template or somebody since wants it retained', async () => {
    const on = new BackupWorld({
      retention: { last: 1 },
      template: { spec: { ...TEMPLATE.spec, deletionPolicy: 'Retain' } },
    });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.succeed('nightly-202601010200');
    await on.settle();
    expect(on.deletions).to.deep.equal(['delete nightly-202601010100']);
  });

  it('deletes nothing that changed after it was judged: somebody may have wanted to keep it', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.succeed('nightly-202601010200');
    on.lags = true;
    const old = on.live.get('nightly-202601010100');
    if (old === undefined) throw new Error('it is gone');
    on.put({ ...old, spec: { ...old.spec, deletionPolicy: 'Retain' } });
    expect(await on.run()).to.equal(10);
    expect(on.deletions).to.deep.equal([]);
    on.catchUp();
    on.lags = false;
    await on.settle();
    expect(on.deletions).to.deep.equal(['delete nightly-202601010100']);
  });

  it('goes on where it was killed between the two writes of a deletion', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.succeed('nightly-202601010200');
    on.deleteFailure = new KubeError({ reason: 'InternalError', status: 500, message: 'killed' });
    expect(await on.run().catch((error: unknown) => error)).to.be.instanceOf(KubeError);
    expect(on.deletions).to.deep.equal(['patch nightly-202601010100 {"deletionPolicy":"Delete"}']);
    await on.settle();
    expect(on.deletions.slice(1)).to.deep.equal(['delete nightly-202601010100']);
  });

  it('asks nothing of the repository of failed backups that are too many', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    for (const hour of ['01', '02']) {
      await on.to(`01T${hour}:00:00`);
      await on.fail(`nightly-20260101${hour}00`);
      await on.settle();
    }
    expect(on.deletions).to.deep.equal(['delete nightly-202601010100']);
  });

  it('does not count or delete a backup that was whole and is damaged, or cannot be asked', async () => {
    const on = new BackupWorld({ retention: { last: 1 }, failedHistoryLimit: 0 });
    await on.to('01T01:00:00');
    const time = on.now();
    const damaged = [condition('Ready', 'False', 'DataMissing'), condition('Stalled', 'True', 'DataMissing')] as const;
    await on.report('nightly-202601010100', whole(time, time, ...damaged));
    await on.to('01T02:00:00');
    await on.report('nightly-202601010200', whole(on.now(), on.now(), condition('Ready', 'Unknown', 'Paused')));
    await on.to('01T03:00:00');
    await on.succeed('nightly-202601010300');
    await on.settle();
    expect(on.names).to.have.length(3);
    expect(on.deletions).to.deep.equal([]);
  });

  it('keeps what is made after the clock was put back, and what was made before', async () => {
    const on = new BackupWorld({ retention: { last: 1 } });
    await on.to('21T05:00:00');
    await on.succeed('nightly-202601210500');
    await on.settle();
    await on.to('01T04:00:00');
    for (const hour of ['04', '05']) {
      await on.to(`01T${hour}:00:00`);
      await on.succeed(`nightly-20260101${hour}00`);
      await on.settle();
    }
    expect(on.names).to.deep.equal(['nightly-202601010500', 'nightly-202601210500']);
  });

  it('deletes thousands in steps, each with its data, and the newest never', async () => {
    const on = new BackupWorld({ retention: { last: 1 }, suspend: true });
    for (let hour = 1; hour <= 1200; hour++) {
      const time = new Date(Date.UTC(2025, 0, 1, hour)).toISOString();
      on.put({
        apiVersion: API_VERSION,
        kind: 'Backup',
        metadata: {
          namespace: 'team',
          name: `nightly-${hour}`,
          uid: `uid-${hour}`,
          labels: { [LABELS.schedule]: 'nightly' },
          annotations: { [RUN_ANNOTATIONS.scheduleUID]: 'uid-nightly', [RUN_ANNOTATIONS.scheduledAt]: time },
        },
        spec: TEMPLATE.spec,
        status: whole(time, time),
      });
    }
    expect(await on.run()).to.equal(10);
    expect(on.names).to.have.length(700);
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-1200']);
    expect(on.deletions.filter((write) => write.startsWith('patch'))).to.have.length(1199);
  });

  it('Replace: deletes the Backup that runs, without a word about its data', async () => {
    const on = new BackupWorld({ concurrencyPolicy: 'Replace', retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010200']);
    expect(on.deletions).to.deep.equal(['delete nightly-202601010100']);
  });
});
