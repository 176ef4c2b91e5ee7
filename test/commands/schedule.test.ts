import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { FIELD_MANAGERS } from '../../src/api/group.ts';
import { BACKUP_SCHEDULES, SNAPSHOT_SCHEDULES } from '../../src/api/meta.ts';
import type { BackupSchedule, SnapshotSchedule } from '../../src/api/schedule.ts';
import { runCommand } from '../../src/commands/registry.ts';
import { scheduleDelete, scheduleResume, scheduleSuspend } from '../../src/commands/schedule/change.ts';
import { scheduleCreate } from '../../src/commands/schedule/create.ts';
import { scheduleList } from '../../src/commands/schedule/list.ts';
import { addScheduleControllers } from '../../src/controllers/schedule/wire.ts';
import { createWriter } from '../../src/controllers/support/writes.ts';
import { Manager } from '../../src/runtime/manager.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { CommandServer, failing, type Place } from './command-server.ts';

describe('the commands of schedules, with their controller', function () {
  this.timeout(120_000);
  const stop = new AbortController();
  let server: CommandServer;
  let controller: Promise<void>;
  let place: Place;

  before(async () => {
    server = await CommandServer.start();
    const { client } = server;
    const manager = new Manager({ client, log: silentLogger, metrics: createMetrics() });
    addScheduleControllers(manager, {
      client,
      writer: createWriter(client, FIELD_MANAGERS.controller),
      events: { record: () => undefined },
      clock: systemClock,
      leaderOnly: false,
    });
    controller = manager.run(stop.signal);
  });
  beforeEach(async () => {
    place = await server.place();
  });
  afterEach(async () => {
    await place.end();
  });
  after(async () => {
    stop.abort();
    await controller;
    await server.end();
  });

  const yearly = { name: 'yearly', schedule: '0 2 1 1 *' };
  const backups = { ...yearly, destination: 's3://backups/daily' };

  it('makes a schedule of backups, and tells when it begins', async () => {
    const params = {
      ...backups,
      scope: 'volumes',
      volumes: ['data'],
      keep: ['daily=7', 'yearly=2'],
      timeZone: 'Asia/Tokyo',
    };
    const result = await runCommand(scheduleCreate, params, place.context());
    expect(result).to.include({ name: 'yearly', kind: 'backup', success: true });
    expect((result as { readonly next: string }).next).to.match(/^\d{4}-12-31T17:00:00Z$/);
    const [made] = await place.list<BackupSchedule>(BACKUP_SCHEDULES);
    expect(made?.spec).to.deep.include({
      schedule: '0 2 1 1 *',
      timeZone: 'Asia/Tokyo',
      retention: { daily: 7, yearly: 2 },
      template: { spec: { scope: 'Volumes', destination: 's3://backups/daily', volumeRefs: [{ name: 'data' }] } },
    });
  });

  it('makes a schedule of snapshots of a volume', async () => {
    await runCommand(scheduleCreate, { ...yearly, volume: 'data' }, place.context());
    const [made] = await place.list<SnapshotSchedule>(SNAPSHOT_SCHEDULES);
    expect(made?.spec.template.spec).to.deep.equal({ volumeRef: { name: 'data' } });
  });

  it('lists both kinds, suspends, resumes, and deletes', async () => {
    const context = place.context();
    await runCommand(scheduleCreate, backups, context);
    await runCommand(scheduleCreate, { ...yearly, name: 'nightly', volume: 'data' }, context);
    const list = async (): Promise<readonly Record<string, unknown>[]> => {
      const result = (await runCommand(scheduleList, {}, context)) as {
        readonly schedules: readonly Record<string, unknown>[];
      };
      return result.schedules;
    };
    const both = await list();
    expect(both.map(({ kind, name, of }) => `${kind} ${name} ${of}`)).to.deep.equal([
      'backup yearly s3://backups/daily',
      'snapshot nightly data',
    ]);
    expect(both[0]).to.include({ timeZone: 'UTC', suspended: false, active: 0 }).and.to.have.property('next');
    const suspended = await runCommand(scheduleSuspend, { name: 'yearly' }, context);
    expect(suspended).to.deep.equal({ name: 'yearly', kind: 'backup', suspended: true });
    expect((await list())[0])
      .to.include({ suspended: true })
      .and.not.to.have.property('next');
    const resumed = await runCommand(scheduleResume, { name: 'yearly' }, context);
    expect(resumed).to.include({ suspended: false }).and.to.have.property('next');
    for (const name of ['yearly', 'nightly']) await runCommand(scheduleDelete, { name }, context);
    expect(await list()).to.deep.equal([]);
  });

  it('asks for the kind where a name stands for two, and takes no other', async () => {
    const context = place.context();
    await runCommand(scheduleCreate, backups, context);
    await runCommand(scheduleCreate, { ...yearly, volume: 'data' }, context);
    for (const command of [scheduleSuspend, scheduleResume, scheduleDelete]) {
      const error = await failing(runCommand(command, { name: 'yearly' }, context));
      expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'kind']);
    }
    await runCommand(scheduleDelete, { name: 'yearly', kind: 'snapshot' }, context);
    expect(await place.list(BACKUP_SCHEDULES)).to.have.length(1);
    const error = await failing(runCommand(scheduleDelete, { name: 'yearly', kind: 'snapshot' }, context));
    expect([error.code, error.field]).to.deep.equal(['NotFound', 'name']);
  });

  it('names what is wrong', async () => {
    const wrong: readonly (readonly [object, string | undefined, string])[] = [
      [yearly, 'destination', 'InvalidParameter'],
      [{ ...backups, repository: 'main' }, 'destination', 'InvalidParameter'],
      [{ ...backups, destination: 'nowhere' }, 'destination', 'InvalidParameter'],
      [{ ...backups, volume: 'data' }, 'destination', 'InvalidParameter'],
      [{ ...yearly, volume: 'data', scope: 'full' }, 'scope', 'InvalidParameter'],
      [{ ...backups, keep: ['daily'] }, 'keep', 'InvalidParameter'],
      [{ ...backups, keep: ['minutely=3'] }, 'keep', 'InvalidParameter'],
      [{ ...backups, schedule: 'at night' }, 'schedule', 'InvalidParameter'],
      [{ ...backups, name: 'no-such-time', schedule: '0 0 31 2 *' }, undefined, 'Stalled'],
    ];
    for (const [params, field, code] of wrong) {
      const error = await failing(runCommand(scheduleCreate, params, place.context()));
      expect([error.code, error.field], JSON.stringify(params)).to.deep.equal([code, field]);
    }
  });
});
