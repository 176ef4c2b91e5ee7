import { expect } from 'chai';
import { describe, it } from 'mocha';
import { API_VERSION, LABELS, RUN_ANNOTATIONS } from '../../../src/api/group.ts';
import type { ObjectMeta } from '../../../src/api/meta.ts';
import type { ScheduleSpec } from '../../../src/api/schedule.ts';
import type { Snapshot, SnapshotSpec } from '../../../src/api/snapshot.ts';
import { delayOf } from '../../../src/controllers/schedule/runs.ts';
import { SNAPSHOT_RUNS } from '../../../src/controllers/schedule/snapshot-runs.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { condition } from '../support/objects.ts';
import { ScheduleWorld } from './schedule-world.ts';

const HOUR = 3_600_000;

class SnapshotWorld extends ScheduleWorld<SnapshotSpec, Snapshot> {
  constructor(spec: Partial<ScheduleSpec<SnapshotSpec>> = {}, metadata: Partial<ObjectMeta> = {}) {
    super(SNAPSHOT_RUNS, { template: { spec: { volumeRef: { name: 'data' } } }, ...spec }, metadata);
  }

  succeed(name: string): Promise<void> {
    return this.report(name, { readyToUse: true, creationTime: new Date(this.clock.now()).toISOString() });
  }

  fail(name: string, message = 'no room'): Promise<void> {
    return this.report(name, { conditions: [condition('Stalled', 'True', 'SnapshotFailed', message)] });
  }
}

describe('the schedule of snapshots', () => {
  it('makes a snapshot when its time comes, and writes nothing until then', async () => {
    const on = new SnapshotWorld();
    await on.settle();
    expect(on.ready).to.equal('True Ready');
    expect(on.schedule.status?.nextScheduleTime).to.equal('2026-01-01T01:00:00Z');
    on.writes.length = 0;
    await on.to('01T00:59:59');
    expect(on.writes).to.deep.equal([]);
    expect(await on.run()).to.equal(1000);
    await on.to('01T01:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100']);
    expect(on.writes).to.deep.equal(['create nightly-202601010100', 'status nightly']);
    const { status } = on.schedule;
    expect(status).to.deep.include({
      lastScheduleTime: '2026-01-01T01:00:00Z',
      nextScheduleTime: '2026-01-01T02:00:00Z',
      active: [{ name: 'nightly-202601010100', uid: 'uid-nightly-202601010100' }],
    });
    expect(on.events).to.deep.equal([
      'Normal Ready SnapshotSchedule/nightly',
      'Normal RunStarted SnapshotSchedule/nightly',
    ]);
  });

  it('waits for hours in steps, because the clock on the wall may be set', async () => {
    const on = new SnapshotWorld({ schedule: '0 0 1 1 *' });
    await on.settle();
    expect(await on.run()).to.equal(300_000);
    expect(on.writes).to.have.length(1);
  });

  it('goes on when the clock is set right that was far ahead, also where the schedule was made then', async () => {
    for (const isMadeThen of [false, true]) {
      const on = new SnapshotWorld({}, isMadeThen ? { creationTimestamp: '2026-01-20T00:00:00Z' } : {});
      await on.to('20T01:00:00');
      await on.succeed('nightly-202601200100');
      await on.settle();
      expect(on.schedule.status?.lastSuccessfulTime).to.equal('2026-01-20T01:00:00Z');
      await on.to('01T01:30:00');
      expect(on.schedule.status).to.deep.include({
        lastScheduleTime: '2026-01-01T01:00:00Z',
        nextScheduleTime: '2026-01-01T02:00:00Z',
      });
      expect(on.schedule.status, 'nothing has succeeded by then').to.not.have.property('lastSuccessfulTime');
      await on.succeed('nightly-202601010100');
      await on.to('01T02:00:00');
      expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200', 'nightly-202601200100']);
      expect(on.events.filter((event) => event.includes('RunsMissed')).length).to.equal(isMadeThen ? 0 : 1);
    }
  });

  it('gives the snapshot the template, its own label and annotations, and no owner', async () => {
    const labels = { team: 'ml' };
    const annotations = { why: 'nightly' };
    const spec = { volumeRef: { name: 'data' }, consistency: 'Crash' } as const;
    const on = new SnapshotWorld(
      { template: { metadata: { labels, annotations }, spec } },
      { labels: { app: 'mine' } },
    );
    await on.to('01T01:00:00');
    const made = on.live.get('nightly-202601010100');
    expect(made?.spec).to.deep.equal(spec);
    expect(made?.metadata.labels).to.deep.equal({ ...labels, [LABELS.schedule]: 'nightly' });
    expect(made?.metadata.annotations).to.deep.equal({
      ...annotations,
      [RUN_ANNOTATIONS.scheduleUID]: 'uid-nightly',
      [RUN_ANNOTATIONS.scheduledAt]: '2026-01-01T01:00:00Z',
    });
    expect(made?.metadata.ownerReferences).to.equal(undefined);
    expect(made?.metadata.finalizers).to.equal(undefined);
  });

  it('says when a run has succeeded', async () => {
    const on = new SnapshotWorld();
    await on.to('01T01:00:00');
    await on.clock.advance(5000);
    await on.succeed('nightly-202601010100');
    await on.settle();
    expect(on.schedule.status).to.deep.include({ lastSuccessfulTime: '2026-01-01T01:00:05Z' });
    expect(on.schedule.status?.active).to.equal(undefined);
  });

  it('makes one snapshot of a time, also when it was killed before it could say so', async () => {
    const on = new SnapshotWorld();
    await on.settle();
    const before = on.schedule;
    await on.to('01T01:00:00');
    // As if the status had not been written, and the next controller's watch of Snapshots were behind.
    on.schedules.set(before);
    on.cached.delete('team/nightly-202601010100');
    on.lags = true;
    on.writes.length = 0;
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010100']);
    expect(on.writes).to.deep.equal(['status nightly']);
    expect(on.schedule.status?.lastScheduleTime).to.equal('2026-01-01T01:00:00Z');
  });

  it('knows from the snapshots what it made, when its status is lost', async () => {
    const on = new SnapshotWorld();
    await on.to('01T02:00:00');
    await on.succeed('nightly-202601010200');
    on.schedules.set({ ...on.schedule, status: { observedGeneration: -1 } });
    await on.to('01T02:30:00');
    expect(on.names).to.deep.equal(['nightly-202601010200']);
    expect(on.schedule.status?.lastScheduleTime).to.equal('2026-01-01T02:00:00Z');
  });

  it('does not forget a run that its cache does not show yet', async () => {
    const on = new SnapshotWorld();
    on.lags = true;
    await on.to('01T01:00:00');
    expect(on.writes).to.deep.equal(['create nightly-202601010100', 'status nightly']);
    expect(on.schedule.status?.active).to.have.length(1);
  });

  it('leaves a snapshot of that name alone that is not its own, says so, and goes on', async () => {
    const on = new SnapshotWorld();
    const metadata = { namespace: 'team', name: 'nightly-202601010100', uid: 'uid-other' };
    on.put({ apiVersion: API_VERSION, kind: 'Snapshot', metadata, spec: { volumeRef: { name: 'x' } } });
    await on.to('01T01:00:00');
    expect(on.messages.some((message) => message.includes('another one of that name'))).to.equal(true);
    expect(on.events.filter((event) => event.includes('RunFailed'))).to.have.length(1);
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200']);
  });

  it('tries again when the server refuses, and says why', async () => {
    const on = new SnapshotWorld();
    await on.clock.advance(HOUR);
    on.failure = new KubeError({ reason: 'Forbidden', status: 403, message: 'quota' });
    const thrown = await on.run().catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(KubeError);
    expect(on.events).to.deep.equal(['Warning RunFailed SnapshotSchedule/nightly']);
    expect(on.messages[0]).to.include('quota');
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010100']);
  });

  it('Forbid: waits for the run before it, names it, and follows at once', async () => {
    const on = new SnapshotWorld();
    await on.to('01T01:00:00');
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100']);
    expect(on.ready).to.equal('True Ready The run of 2026-01-01T02:00:00Z waits for nightly-202601010100.');
    await on.to('01T02:10:00');
    await on.succeed('nightly-202601010100');
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200']);
    expect(on.ready).to.equal('True Ready');
  });

  it('Forbid: says once that a run was missed whose place the next one took', async () => {
    const on = new SnapshotWorld();
    await on.to('01T01:00:00');
    await on.to('01T02:00:00');
    await on.to('01T03:00:00');
    await on.to('01T03:10:00');
    expect(on.events.filter((event) => event.includes('RunsMissed'))).to.deep.equal([
      'Warning RunsMissed SnapshotSchedule/nightly',
    ]);
    expect(on.messages.at(-1)).to.equal('The run of 2026-01-01T02:00:00Z was missed.');
    expect(on.schedule.status?.lastMissedTime).to.equal('2026-01-01T02:00:00Z');
  });

  it('Allow: starts beside the one that runs', async () => {
    const on = new SnapshotWorld({ concurrencyPolicy: 'Allow' });
    await on.to('01T01:00:00');
    await on.to('01T02:00:00');
    expect(on.schedule.status?.active).to.have.length(2);
  });

  it('Replace: deletes the one that runs, and only that', async () => {
    const on = new SnapshotWorld({ concurrencyPolicy: 'Replace' });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.to('01T03:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010300']);
    expect(on.writes).to.include('delete nightly-202601010200');
  });

  it('makes up for the latest of many missed runs, and says how many', async () => {
    const on = new SnapshotWorld({ schedule: '*/5 * * * *' });
    await on.settle();
    await on.to('01T12:02:00');
    expect(on.names).to.deep.equal(['nightly-202601011200']);
    expect(on.messages.at(-1)).to.include('More than 100 runs were missed').and.include('11:55');
    on.writes.length = 0;
    await on.to('01T12:03:00');
    expect(on.writes).to.deep.equal([]);
  });

  it('starts nothing that is too late', async () => {
    const on = new SnapshotWorld({ startingDeadlineSeconds: 60 });
    await on.settle();
    await on.to('01T01:30:00');
    expect(on.names).to.deep.equal([]);
    expect(on.schedule.status?.lastMissedTime).to.equal('2026-01-01T01:00:00Z');
    expect(on.events.filter((event) => event.includes('RunsMissed'))).to.have.length(1);
    await on.to('01T02:00:30');
    expect(on.names).to.deep.equal(['nightly-202601010200']);
  });

  it('does nothing while it is suspended', async () => {
    const on = new SnapshotWorld({ suspend: true });
    await on.to('01T03:00:00');
    expect(on.names).to.deep.equal([]);
    expect(on.ready).to.equal('True Suspended');
    expect(on.schedule.status?.nextScheduleTime).to.equal(undefined);
    expect(await on.run()).to.equal(undefined);
    on.edit({ suspend: false });
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010300']);
  });

  it('does nothing while it is paused, not even delete', async () => {
    const on = new SnapshotWorld({ retention: { last: 1 } });
    for (const hour of ['01', '02']) {
      await on.to(`01T${hour}:00:00`);
      if (hour === '02') on.edit({}, { annotations: { 'storage.clawbernetes.io/paused': 'true' } });
      await on.succeed(`nightly-20260101${hour}00`);
    }
    await on.to('01T03:00:00');
    expect(on.names).to.have.length(2);
    expect(on.ready).to.match(/^Unknown Paused/);
    on.edit({}, { annotations: {} });
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010200', 'nightly-202601010300']);
  });

  it('is stalled by a schedule that means nothing, names the field, and recovers', async () => {
    const on = new SnapshotWorld({ schedule: '61 * * * *' });
    await on.settle();
    expect(on.ready).to.match(/^False InvalidSpec spec\.schedule: "61/);
    expect(await on.run()).to.equal(undefined);
    on.edit({ schedule: '0 * * * *', timeZone: 'Mars/Olympus' });
    await on.settle();
    expect(on.ready).to.match(/^False InvalidSpec spec\.timeZone: "Mars/);
    on.edit({ timeZone: 'UTC' });
    await on.settle();
    expect(on.ready).to.equal('True Ready');
  });

  it('is late by its jitter, always by the same part of it', async () => {
    const on = new SnapshotWorld({ jitter: '10m' });
    const delay = delayOf(on.schedule);
    expect(delay).to.be.greaterThan(0).and.lessThan(600_000);
    await on.clock.advance(HOUR / 2 + delay - 1);
    await on.settle();
    expect(on.names).to.deep.equal([]);
    await on.clock.advance(1);
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010100']);
    const other = { ...on.schedule, metadata: { ...on.schedule.metadata, uid: 'uid-other' } };
    expect(delayOf(other)).not.to.equal(delay);
  });

  it('keeps what its retention says, and tells what it deletes', async () => {
    const on = new SnapshotWorld({ retention: { last: 2, daily: 2 } });
    for (const time of ['01T22', '01T23', '02T00', '02T01', '02T02']) {
      await on.to(`${time}:00:00`);
      await on.succeed(`nightly-202601${time.replace('T', '')}00`);
      await on.settle();
    }
    expect(on.names).to.deep.equal(['nightly-202601012300', 'nightly-202601020100', 'nightly-202601020200']);
    const pruned = on.messages.filter((message) => message.includes('no longer kept'));
    expect(pruned).to.have.length(2);
    expect(pruned[0]).to.include('nightly-202601012200');
  });

  it('never deletes what is not its own, not ready, or the newest that is ready', async () => {
    const on = new SnapshotWorld({ retention: { last: 1 }, concurrencyPolicy: 'Allow' });
    const status = { readyToUse: true, creationTime: '2025-01-01T00:00:00Z' };
    const foreign = (name: string, labels: object, annotations: object): void => {
      const metadata = { namespace: 'team', name, uid: `uid-${name}`, labels, annotations } as ObjectMeta;
      on.put({ apiVersion: API_VERSION, kind: 'Snapshot', metadata, spec: { volumeRef: { name: 'data' } }, status });
    };
    const label = { [LABELS.schedule]: 'nightly' };
    const time = { [RUN_ANNOTATIONS.scheduledAt]: '2025-01-01T00:00:00Z' };
    foreign('of-a-person', {}, {});
    foreign('only-the-label', label, {});
    foreign('of-the-schedule-before', label, { ...time, [RUN_ANNOTATIONS.scheduleUID]: 'uid-before' });
    foreign('without-the-label', {}, { ...time, [RUN_ANNOTATIONS.scheduleUID]: 'uid-nightly' });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.to('01T03:00:00');
    expect(on.writes.filter((write) => write.startsWith('delete'))).to.deep.equal([]);
    await on.succeed('nightly-202601010300');
    await on.settle();
    expect(on.writes.filter((write) => write.startsWith('delete'))).to.deep.equal(['delete nightly-202601010100']);
  });

  it('keeps the newest failed run, says how it failed, and goes on', async () => {
    const on = new SnapshotWorld({ retention: { last: 1 } });
    await on.to('01T01:00:00');
    await on.fail('nightly-202601010100');
    await on.settle();
    expect(on.ready).to.equal('True Ready The last run, nightly-202601010100, failed: no room');
    expect(on.events.filter((event) => event.includes('RunFailed'))).to.have.length(1);
    await on.to('01T02:00:00');
    await on.fail('nightly-202601010200');
    await on.settle();
    expect(on.names).to.deep.equal(['nightly-202601010200']);
    await on.to('01T03:00:00');
    await on.succeed('nightly-202601010300');
    await on.settle();
    expect(on.ready).to.equal('True Ready');
    expect(on.events.filter((event) => event.includes('RunFailed'))).to.have.length(2);
  });

  it('does not delete a snapshot whose data is not to be found, and goes on', async () => {
    const on = new SnapshotWorld({ retention: { last: 1 }, failedHistoryLimit: 0 });
    await on.to('01T01:00:00');
    const conditions = [condition('Ready', 'False', 'DataMissing'), condition('Stalled', 'True', 'DataMissing')];
    await on.report('nightly-202601010100', { readyToUse: false, creationTime: '2026-01-01T01:00:00Z', conditions });
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200']);
  });

  it('leaves its snapshots when it goes', async () => {
    const on = new SnapshotWorld();
    await on.to('01T01:00:00');
    on.writes.length = 0;
    on.edit({}, { deletionTimestamp: '2026-01-01T01:10:00Z' });
    expect(await on.run()).to.equal(undefined);
    on.schedules.delete('team/nightly');
    await on.run();
    expect(on.writes).to.deep.equal([]);
    expect(on.names).to.deep.equal(['nightly-202601010100']);
  });
});
