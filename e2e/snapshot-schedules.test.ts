/** Schedules of snapshots. A run is made due by a status that says that the last one was long ago. */
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { formatTime } from '../src/api/conditions.ts';
import { ANNOTATIONS, API_VERSION, LABELS, RUN_ANNOTATIONS } from '../src/api/group.ts';
import { SNAPSHOT_SCHEDULES, SNAPSHOTS, VOLUMES } from '../src/api/meta.ts';
import type { ScheduleSpec, SnapshotSchedule } from '../src/api/schedule.ts';
import type { Snapshot, SnapshotSpec, SnapshotStatus } from '../src/api/snapshot.ts';
import type { Volume } from '../src/api/volume.ts';
import { delayOf } from '../src/controllers/schedule/runs.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { snapshotSchedule, volume } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const HOUR_MS = 3_600_000;

describe(`schedules of snapshots, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  /** Once an hour, but not in the minutes that the test may run in: nothing comes due by itself. */
  let hourly: string;

  before(async () => {
    hourly = `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('schedules');
  });

  after(async () => {
    await machine?.end();
  });

  afterEach(() => machine.restartWhatEnded());

  const key = (name: string): string => `${ns}/${name}`;
  const get = (name: string) => machine.get<SnapshotSchedule>(SNAPSHOT_SCHEDULES, key(name));

  async function schedule(name: string, spec: Partial<ScheduleSpec<SnapshotSpec>> = {}): Promise<SnapshotSchedule> {
    await machine.create(snapshotSchedule(ns, name, `no-volume-${name}`, { schedule: hourly, ...spec }));
    return machine.waitReady<SnapshotSchedule>(SNAPSHOT_SCHEDULES, key(name));
  }

  /** What a controller finds that was stopped for so long. */
  async function lastRan(name: string, hoursAgo: number): Promise<void> {
    const lastScheduleTime = new Date(Date.now() - hoursAgo * 3_600_000).toISOString();
    const status = { lastScheduleTime };
    await machine.patch(SNAPSHOT_SCHEDULES, key(name), { status }, { subresource: 'status' });
  }

  async function made(name: string): Promise<readonly Snapshot[]> {
    const labelSelector = `${LABELS.schedule}=${name}`;
    const { items } = await machine.client.list<Snapshot>(SNAPSHOTS, { namespace: ns, labelSelector });
    return items;
  }

  const one = (name: string): Promise<Snapshot> =>
    waitFor(async () => (await made(name))[0], { message: `a snapshot of ${name}` });

  /** A run of a schedule as one that was made so many hours ago. */
  async function snapshot(
    of: string,
    name: string,
    scheduleUID = '',
    hoursAgo = 0,
    data = `no-volume-${of}`,
  ): Promise<void> {
    const scheduledAt = formatTime(new Date(Date.now() - hoursAgo * 3_600_000));
    const labels = { [LABELS.schedule]: of };
    const annotations = { [RUN_ANNOTATIONS.scheduleUID]: scheduleUID, [RUN_ANNOTATIONS.scheduledAt]: scheduledAt };
    const metadata = { namespace: ns, name, labels, annotations };
    const spec = { volumeRef: { name: data } };
    await machine.create<Snapshot>({ apiVersion: API_VERSION, kind: 'Snapshot', metadata, spec });
  }

  /** What the agent of the volume's node would write. */
  async function report(name: string, status: SnapshotStatus): Promise<void> {
    const options = { type: 'merge', subresource: 'status' } as const;
    await machine.client.patch(SNAPSHOTS, { namespace: ns, name }, { status }, options);
  }

  /** A suspended schedule with jitter, and how late its runs are, in milliseconds. */
  async function aside(word: string): Promise<readonly [name: string, delay: number]> {
    for (let turn = 1; ; turn++) {
      const name = `${word}-${turn}`;
      const delay = delayOf(await schedule(name, { jitter: '5h', suspend: true }));
      const minutes = new Date(Date.now() - delay).getUTCMinutes();
      const past = (minutes - Number(hourly.split(' ')[0]) + 60) % 60;
      if (past < 45 && past > 0) return [name, delay];
    }
  }

  it('says when it will run next, and makes nothing before', async () => {
    const { status } = await schedule('next');
    const next = Date.parse(status?.nextScheduleTime ?? '');
    expect(next - Date.now())
      .to.be.greaterThan(0)
      .and.lessThan(3_600_000);
    expect(new Date(next).getUTCMinutes()).to.equal(Number(hourly.split(' ')[0]));
    expect(await made('next')).to.deep.equal([]);
  });

  it('makes up for the latest run that was missed, once, and says that others were', async () => {
    await schedule('late', { template: { metadata: { labels: { team: 'ml' } }, spec: { volumeRef: { name: 'x' } } } });
    await lastRan('late', 5);
    const { metadata, spec } = await one('late');
    const { metadata: parent } = await get('late');
    const scheduledAt = metadata.annotations?.[RUN_ANNOTATIONS.scheduledAt] ?? '';
    expect(Date.now() - Date.parse(scheduledAt))
      .to.be.greaterThan(0)
      .and.lessThan(3_600_000);
    expect(metadata.name).to.equal(`late-${scheduledAt.replace(/\D/g, '').slice(0, 12)}`);
    expect(metadata.annotations?.[RUN_ANNOTATIONS.scheduleUID]).to.equal(parent.uid);
    expect(metadata.labels).to.include({ team: 'ml' });
    expect(metadata.ownerReferences).to.equal(undefined);
    expect(spec).to.deep.equal({ volumeRef: { name: 'x' } });
    await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('late'),
      ({ status }) => status?.lastScheduleTime === scheduledAt && status.active?.[0]?.name === metadata.name,
      'to tell of the run',
    );
    const events = async (): Promise<string> => machine.kubectl.run(['-n', ns, 'describe', 'css', 'late']);
    const tells = (text: string): boolean => /[345] runs were missed/.test(text) && text.includes('RunStarted');
    await waitFor(async () => tells(await events()), {
      message: 'the events of the runs that were missed and of the one that was started',
      instead: events,
    });
    expect(await made('late')).to.have.length(1);
  });

  it('makes no second one when the controller is killed and started again', async () => {
    await machine.controller.killGroup();
    await lastRan('late', 5);
    await machine.restartWhatEnded();
    await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('late'),
      ({ status }) => Date.now() - Date.parse(status?.lastScheduleTime ?? '') < 3_600_000,
      'to know of its run again',
    );
    expect(await made('late')).to.have.length(1);
  });

  it('Forbid: waits for the snapshot before it, names it, and follows when that is done', async () => {
    const { metadata } = await schedule('forbid');
    await snapshot('forbid', 'forbid-before', metadata.uid, 2);
    const waiting = await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('forbid'),
      ({ status }) => status?.conditions?.[0]?.message.includes('waits for forbid-before') === true,
      'to wait',
    );
    expect(waiting.status?.active?.map(({ name }) => name)).to.deep.equal(['forbid-before']);
    expect(await made('forbid')).to.have.length(1);
    const creationTime = formatTime(new Date());
    await report('forbid-before', { readyToUse: true, creationTime });
    await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('forbid'),
      ({ status }) => status?.lastSuccessfulTime === creationTime && status.active?.[0]?.name !== 'forbid-before',
      'to go on',
    );
    await waitFor(async () => (await made('forbid')).length === 2, { message: 'the next snapshot' });
  });

  it('Allow: starts the next run beside the one that is not done', async () => {
    const { metadata } = await schedule('allow', { concurrencyPolicy: 'Allow', suspend: true });
    await snapshot('allow', 'allow-before', metadata.uid, 2);
    await machine.patch(SNAPSHOT_SCHEDULES, key('allow'), { spec: { suspend: false } });
    await waitFor(async () => (await made('allow')).length === 2, { message: 'the next snapshot' });
    const both = await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('allow'),
      ({ status }) => status?.active?.length === 2,
      'to tell of both',
    );
    expect(both.status?.active?.map(({ name }) => name)).to.include('allow-before');
  });

  it('Replace: deletes the one that is not done, and starts the next', async () => {
    const { metadata } = await schedule('replace', { concurrencyPolicy: 'Replace', suspend: true });
    await snapshot('replace', 'replace-before', metadata.uid, 2);
    await machine.patch(SNAPSHOT_SCHEDULES, key('replace'), { spec: { suspend: false } });
    await machine.waitGone(SNAPSHOTS, key('replace-before'));
    await waitFor(async () => (await made('replace')).length === 1, { message: 'the next snapshot' });
  });

  it('jitter: starts each run later by the same part of it, under the name of its time', async () => {
    // One whose run does not become due while we look.
    const [name, delay] = await aside('jitter');
    const due = (): number => {
      const last = new Date();
      last.setUTCMinutes(Number(hourly.split(' ')[0]), 0, 0);
      let time = last.getTime();
      while (time + delay > Date.now()) time -= HOUR_MS;
      return time;
    };
    await lastRan(name, 9);
    await machine.patch(SNAPSHOT_SCHEDULES, key(name), { spec: { suspend: false } });
    const { metadata } = await one(name);
    expect(metadata.annotations?.[RUN_ANNOTATIONS.scheduledAt]).to.equal(formatTime(new Date(due())));
    expect(await made(name)).to.have.length(1);
  });

  it('makes nothing while it is paused, and makes up for it afterwards', async () => {
    const annotation = (paused: string | null) => ({ metadata: { annotations: { [ANNOTATIONS.paused]: paused } } });
    await schedule('paused');
    await machine.patch(SNAPSHOT_SCHEDULES, key('paused'), annotation('true'));
    await machine.waitCondition(SNAPSHOT_SCHEDULES, key('paused'), 'Ready', 'Unknown', 'Paused');
    await lastRan('paused', 5);
    // Another one that is due was looked at after it.
    await schedule('beside');
    await lastRan('beside', 5);
    await one('beside');
    expect(await made('paused')).to.deep.equal([]);
    await machine.patch(SNAPSHOT_SCHEDULES, key('paused'), annotation(null));
    await one('paused');
  });

  it('keeps what its retention says, and nothing that is not its own is touched', async () => {
    const { metadata } = await schedule('keep', { retention: { last: 1 }, suspend: true });
    const names = ['keep-foreign', 'keep-old', 'keep-new'];
    for (const [index, name] of names.entries()) {
      await snapshot('keep', name, name === 'keep-foreign' ? 'another' : metadata.uid, 9 - index);
      await report(name, {
        readyToUse: true,
        creationTime: formatTime(new Date(Date.now() - (9 - index) * 3_600_000)),
      });
    }
    await machine.waitGone(SNAPSHOTS, key('keep-old'));
    const left = (await made('keep')).map((item) => item.metadata.name);
    expect(left).to.have.members(['keep-foreign', 'keep-new']);
  });

  it('takes the snapshots of a volume, and lets the older go when the newer is ready', async () => {
    await machine.create(volume(ns, 'data', { emptyDir: {}, capacity: '64Mi' }));
    await machine.waitReady<Volume>(VOLUMES, key('data'));
    const template = { spec: { volumeRef: { name: 'data' } } };
    const { metadata } = await schedule('real', { template, retention: { last: 1 }, suspend: true });
    await snapshot('real', 'real-before', metadata.uid, 2, 'data');
    const before = await machine.waitReady<Snapshot>(SNAPSHOTS, key('real-before'));
    await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('real'),
      ({ status }) => status?.lastSuccessfulTime === before.status?.creationTime,
      'to tell of its success',
    );
    await machine.patch(SNAPSHOT_SCHEDULES, key('real'), { spec: { suspend: false } });
    await machine.waitGone(SNAPSHOTS, key('real-before'));
    const left = await made('real');
    expect(left.map(({ status }) => status?.readyToUse)).to.deep.equal([true]);
    // Both may be of one second, so that the time of the last success does not tell them apart.
    await machine.waitFor<SnapshotSchedule>(
      SNAPSHOT_SCHEDULES,
      key('real'),
      ({ status }) => status?.lastSuccessfulTime === left[0]?.status?.creationTime && status?.active === undefined,
      'to tell that the newer is done',
    );
  });

  it('leaves its snapshots when it is deleted', async () => {
    await machine.delete(SNAPSHOT_SCHEDULES, key('late'));
    await machine.waitGone(SNAPSHOT_SCHEDULES, key('late'));
    expect(await made('late')).to.have.length(1);
  });

  it('is stalled by a time zone that does not exist, and names the field', async () => {
    await machine.create(snapshotSchedule(ns, 'zone', 'x', { timeZone: 'Mars/Olympus' }));
    const stalled = await machine.waitCondition(SNAPSHOT_SCHEDULES, key('zone'), 'Stalled', 'True', 'InvalidSpec');
    expect(stalled.message).to.include('spec.timeZone').and.include('Mars/Olympus');
    await machine.patch(SNAPSHOT_SCHEDULES, key('zone'), { spec: { timeZone: 'Europe/Berlin' } });
    await machine.waitReady(SNAPSHOT_SCHEDULES, key('zone'));
  });

  it('is understood as the example has it', async () => {
    const file = join(import.meta.dirname, '../manifests/examples/nightly-snapshots.yaml');
    await machine.kubectl.run(['-n', ns, 'apply', '-f', file]);
    const { status } = await machine.waitReady<SnapshotSchedule>(SNAPSHOT_SCHEDULES, key('nightly'));
    const next = new Date(status?.nextScheduleTime ?? '');
    expect(next.toLocaleTimeString('en-GB', { timeZone: 'Europe/Berlin' })).to.equal('02:00:00');
  });

  it('shows with kubectl what, when and how', async () => {
    const rows = (await machine.kubectl.run(['-n', ns, 'get', 'css', 'forbid'])).split('\n');
    expect(rows[0]).to.match(
      /^NAME\s+VOLUME\s+SCHEDULE\s+TIME ZONE\s+SUSPEND\s+READY\s+LAST SCHEDULE\s+LAST SUCCESS\s+AGE/,
    );
    expect(rows[1]).to.include(hourly).and.include('no-volume-forbid');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
