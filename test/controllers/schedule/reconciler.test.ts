import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition, lintStatus } from '../../../src/api/conditions.ts';
import { API_VERSION, LABELS, RUN_ANNOTATIONS } from '../../../src/api/group.ts';
import type { KubeObjectBase, ObjectMeta } from '../../../src/api/meta.ts';
import type { ScheduleSpec, SnapshotSchedule } from '../../../src/api/schedule.ts';
import type { Snapshot, SnapshotSpec, SnapshotStatus } from '../../../src/api/snapshot.ts';
import { scheduleReconciler } from '../../../src/controllers/schedule/reconciler.ts';
import { BY_SCHEDULE, delayOf, scheduleOf } from '../../../src/controllers/schedule/runs.ts';
import { SNAPSHOT_RUNS } from '../../../src/controllers/schedule/snapshot-runs.ts';
import type { Writer } from '../../../src/controllers/support/writes.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { Store } from '../../../src/runtime/store.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { condition } from '../support/objects.ts';

const START = Date.parse('2026-01-01T00:30:00Z');
const HOUR = 3_600_000;

/** A server with one schedule, hourly unless said otherwise, and the controller's caches of it. */
class ScheduleWorld {
  readonly clock = new FakeClock(START);
  readonly schedules = new Store<SnapshotSchedule>();
  /** What the controller's cache shows; `live` is what the server has. */
  readonly cached = new Store<Snapshot>();
  readonly live = new Map<string, Snapshot>();
  readonly writes: string[] = [];
  readonly events: string[] = [];
  readonly messages: string[] = [];
  /** The controller's watch of Snapshots stands still. */
  lags = false;
  /** The next create fails like this. */
  failure: KubeError | undefined;
  #version = 0;
  readonly #reconcile;

  constructor(spec: Partial<ScheduleSpec<SnapshotSpec>> = {}, metadata: Partial<ObjectMeta> = {}) {
    this.cached.addIndex(BY_SCHEDULE, scheduleOf);
    this.edit({ schedule: '0 * * * *', template: { spec: { volumeRef: { name: 'data' } } }, ...spec }, metadata);
    this.#reconcile = scheduleReconciler({
      kind: SNAPSHOT_RUNS,
      schedules: this.schedules,
      runs: this.cached,
      client: this.#client(),
      writer: { status: this.#status } as Writer,
      events: {
        record: (object, type, reason, message) => {
          this.events.push(`${type} ${reason} ${object.kind}/${object.metadata.name}`);
          this.messages.push(message);
        },
      },
    });
  }

  get schedule(): SnapshotSchedule {
    const schedule = this.schedules.get('team/nightly');
    if (schedule === undefined) throw new Error('the schedule is gone');
    return schedule;
  }

  get names(): readonly string[] {
    return [...this.live.keys()].sort();
  }

  get ready(): string {
    const { status, reason, message } = findCondition(this.schedule.status?.conditions, 'Ready') ?? {};
    return `${status} ${reason} ${message}`.trim();
  }

  edit(spec: Partial<ScheduleSpec<SnapshotSpec>>, metadata: Partial<ObjectMeta> = {}): void {
    const before = this.schedules.get('team/nightly');
    const generation = (before?.metadata.generation ?? 0) + 1;
    this.schedules.set({
      apiVersion: API_VERSION,
      kind: 'SnapshotSchedule',
      metadata: {
        namespace: 'team',
        name: 'nightly',
        uid: 'uid-nightly',
        creationTimestamp: '2026-01-01T00:30:00Z',
        ...before?.metadata,
        ...metadata,
        generation,
        resourceVersion: String(++this.#version),
      },
      spec: { ...before?.spec, ...spec } as ScheduleSpec<SnapshotSpec>,
      status: before?.status ?? { observedGeneration: -1 },
    });
  }

  /** Puts a snapshot on the server, and into the cache unless that lags. */
  put(snapshot: Snapshot): void {
    const metadata = { ...snapshot.metadata, resourceVersion: String(++this.#version) };
    this.live.set(metadata.name, { ...snapshot, metadata });
    if (!this.lags) this.catchUp();
  }

  catchUp(): void {
    for (const snapshot of this.live.values()) this.cached.set(snapshot);
    for (const { metadata } of this.cached.list()) {
      if (!this.live.has(metadata.name)) this.cached.delete(`team/${metadata.name}`);
    }
  }

  /** What an agent would write. */
  async report(name: string, status: SnapshotStatus): Promise<void> {
    const snapshot = this.live.get(name);
    if (snapshot === undefined) throw new Error(`${name} is not there`);
    this.put({ ...snapshot, status });
  }

  succeed(name: string): Promise<void> {
    return this.report(name, { readyToUse: true, creationTime: new Date(this.clock.now()).toISOString() });
  }

  fail(name: string, message = 'no room'): Promise<void> {
    return this.report(name, { conditions: [condition('Stalled', 'True', 'SnapshotFailed', message)] });
  }

  async run(): Promise<number | undefined> {
    const { clock } = this;
    const context = { signal: new AbortController().signal, log: silentLogger, reconcileId: 'test', retries: 0, clock };
    return (await this.#reconcile('team/nightly', context)).requeueAfterMs;
  }

  /** Runs until nothing is written, as the loop would. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      const before = this.writes.length;
      await this.run();
      if (this.writes.length === before) return;
    }
    throw new Error(`does not come to rest: ${this.writes.slice(-4).join(', ')}`);
  }

  async to(time: string): Promise<void> {
    await this.clock.advance(Date.parse(`2026-01-${time}Z`) - this.clock.now());
    await this.settle();
  }

  readonly #status: Writer['status'] = async (_resource, object, status) => {
    const live = this.schedule;
    if (JSON.stringify(status) === JSON.stringify(live.status)) return false;
    const problems = lintStatus({ ...live, status });
    if (problems.length > 0) throw new Error(problems.join('; '));
    this.writes.push(`status ${object.metadata.name}`);
    const metadata = { ...live.metadata, resourceVersion: String(++this.#version) };
    this.schedules.set({ ...live, metadata, status });
    return true;
  };

  #client(): Pick<KubeClient, 'create' | 'delete' | 'get'> {
    const answer = <T>(object: unknown): Promise<T> => Promise.resolve(object as T);
    return {
      create: async <T extends KubeObjectBase>(_resource: unknown, object: T) => {
        const { name } = object.metadata;
        if (this.failure !== undefined) {
          const { failure } = this;
          this.failure = undefined;
          throw failure;
        }
        if (this.live.has(name))
          throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'already exists' });
        this.writes.push(`create ${name}`);
        const uid = `uid-${name}`;
        const creationTimestamp = new Date(this.clock.now()).toISOString();
        this.put({ ...object, metadata: { ...object.metadata, uid, creationTimestamp } } as unknown as Snapshot);
        return answer<T>(this.live.get(name));
      },
      get: <T extends KubeObjectBase>(_resource: unknown, ref: { readonly name: string }) => {
        const found = this.live.get(ref.name);
        if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
        return answer<T>(found);
      },
      delete: async (_resource, { name }, options) => {
        const found = this.live.get(name);
        if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
        const { uid, resourceVersion } = options?.preconditions ?? {};
        if (uid !== found.metadata.uid || resourceVersion !== found.metadata.resourceVersion) {
          throw new KubeError({ reason: 'Conflict', status: 409, message: 'preconditions' });
        }
        this.writes.push(`delete ${name}`);
        this.live.delete(name);
        if (!this.lags) this.catchUp();
      },
    };
  }
}

describe('the schedule of snapshots', () => {
  it('makes a snapshot when its time comes, and writes nothing until then', async () => {
    const on = new ScheduleWorld();
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
    const on = new ScheduleWorld({ schedule: '0 0 1 1 *' });
    await on.settle();
    expect(await on.run()).to.equal(300_000);
    expect(on.writes).to.have.length(1);
  });

  it('gives the snapshot the template, its own label and annotations, and no owner', async () => {
    const labels = { team: 'ml' };
    const annotations = { why: 'nightly' };
    const spec = { volumeRef: { name: 'data' }, consistency: 'Crash' } as const;
    const on = new ScheduleWorld(
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
    const on = new ScheduleWorld();
    await on.to('01T01:00:00');
    await on.clock.advance(5000);
    await on.succeed('nightly-202601010100');
    await on.settle();
    expect(on.schedule.status).to.deep.include({ lastSuccessfulTime: '2026-01-01T01:00:05Z' });
    expect(on.schedule.status?.active).to.equal(undefined);
  });

  it('makes one snapshot of a time, also when it was killed before it could say so', async () => {
    const on = new ScheduleWorld();
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
    const on = new ScheduleWorld();
    await on.to('01T02:00:00');
    await on.succeed('nightly-202601010200');
    on.schedules.set({ ...on.schedule, status: { observedGeneration: -1 } });
    await on.to('01T02:30:00');
    expect(on.names).to.deep.equal(['nightly-202601010200']);
    expect(on.schedule.status?.lastScheduleTime).to.equal('2026-01-01T02:00:00Z');
  });

  it('does not forget a run that its cache does not show yet', async () => {
    const on = new ScheduleWorld();
    on.lags = true;
    await on.to('01T01:00:00');
    expect(on.writes).to.deep.equal(['create nightly-202601010100', 'status nightly']);
    expect(on.schedule.status?.active).to.have.length(1);
  });

  it('leaves a snapshot of that name alone that is not its own, says so, and goes on', async () => {
    const on = new ScheduleWorld();
    const metadata = { namespace: 'team', name: 'nightly-202601010100', uid: 'uid-other' };
    on.put({ apiVersion: API_VERSION, kind: 'Snapshot', metadata, spec: { volumeRef: { name: 'x' } } });
    await on.to('01T01:00:00');
    expect(on.messages.some((message) => message.includes('another one of that name'))).to.equal(true);
    expect(on.events.filter((event) => event.includes('RunFailed'))).to.have.length(1);
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200']);
  });

  it('tries again when the server refuses, and says why', async () => {
    const on = new ScheduleWorld();
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
    const on = new ScheduleWorld();
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
    const on = new ScheduleWorld();
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
    const on = new ScheduleWorld({ concurrencyPolicy: 'Allow' });
    await on.to('01T01:00:00');
    await on.to('01T02:00:00');
    expect(on.schedule.status?.active).to.have.length(2);
  });

  it('Replace: deletes the one that runs, and only that', async () => {
    const on = new ScheduleWorld({ concurrencyPolicy: 'Replace' });
    await on.to('01T01:00:00');
    await on.succeed('nightly-202601010100');
    await on.to('01T02:00:00');
    await on.to('01T03:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010300']);
    expect(on.writes).to.include('delete nightly-202601010200');
  });

  it('makes up for the latest of many missed runs, and says how many', async () => {
    const on = new ScheduleWorld({ schedule: '*/5 * * * *' });
    await on.settle();
    await on.to('01T12:02:00');
    expect(on.names).to.deep.equal(['nightly-202601011200']);
    expect(on.messages.at(-1)).to.include('More than 100 runs were missed').and.include('11:55');
    on.writes.length = 0;
    await on.to('01T12:03:00');
    expect(on.writes).to.deep.equal([]);
  });

  it('starts nothing that is too late', async () => {
    const on = new ScheduleWorld({ startingDeadlineSeconds: 60 });
    await on.settle();
    await on.to('01T01:30:00');
    expect(on.names).to.deep.equal([]);
    expect(on.schedule.status?.lastMissedTime).to.equal('2026-01-01T01:00:00Z');
    expect(on.events.filter((event) => event.includes('RunsMissed'))).to.have.length(1);
    await on.to('01T02:00:30');
    expect(on.names).to.deep.equal(['nightly-202601010200']);
  });

  it('does nothing while it is suspended', async () => {
    const on = new ScheduleWorld({ suspend: true });
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
    const on = new ScheduleWorld({ retention: { last: 1 } });
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
    const on = new ScheduleWorld({ schedule: '61 * * * *' });
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
    const on = new ScheduleWorld({ jitter: '10m' });
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
    const on = new ScheduleWorld({ retention: { last: 2, daily: 2 } });
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
    const on = new ScheduleWorld({ retention: { last: 1 }, concurrencyPolicy: 'Allow' });
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
    const on = new ScheduleWorld({ retention: { last: 1 } });
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
    const on = new ScheduleWorld({ retention: { last: 1 }, failedHistoryLimit: 0 });
    await on.to('01T01:00:00');
    const conditions = [condition('Ready', 'False', 'DataMissing'), condition('Stalled', 'True', 'DataMissing')];
    await on.report('nightly-202601010100', { readyToUse: false, creationTime: '2026-01-01T01:00:00Z', conditions });
    await on.to('01T02:00:00');
    expect(on.names).to.deep.equal(['nightly-202601010100', 'nightly-202601010200']);
  });

  it('leaves its snapshots when it goes', async () => {
    const on = new ScheduleWorld();
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
