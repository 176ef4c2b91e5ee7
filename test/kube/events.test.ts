import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { KubeClient, KubeObjectBase, PatchOptions } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import type { EventRecorderOptions } from '../../src/kube/events.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

interface Event extends KubeObjectBase {
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly series?: { readonly count: number };
  readonly involvedObject: Record<string, unknown>;
}

const VOLUME: KubeObjectBase = {
  apiVersion: 'v1',
  kind: 'Volume',
  metadata: { name: 'data', namespace: 'ns', uid: 'u1', resourceVersion: '7' },
};

describe('EventRecorder', () => {
  let clock: FakeClock;
  let metrics: Metrics;
  let events: Map<string, Event>;
  let failures: KubeError[];
  let requests: number;

  beforeEach(() => {
    clock = new FakeClock();
    metrics = createMetrics();
    events = new Map();
    failures = [];
    requests = 0;
  });

  const client = {
    create: async (_resource: unknown, event: Event) => {
      requests += 1;
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      events.set(event.metadata.name, event);
      return event;
    },
    patch: async (_resource: unknown, ref: { name: string }, body: Partial<Event>, options: PatchOptions) => {
      requests += 1;
      expect(options.type).to.equal('merge');
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      const present = events.get(ref.name);
      if (present === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'expired' });
      events.set(ref.name, { ...present, ...body });
      return present;
    },
  } as unknown as KubeClient;

  function recorder(options: Partial<EventRecorderOptions> = {}): EventRecorder {
    return new EventRecorder({ client, component: 'test', host: 'h', log: silentLogger, metrics, clock, ...options });
  }

  const all = (): Event[] => [...events.values()];

  it('writes an event that kubectl describe finds', async () => {
    const sink = recorder();
    sink.record(VOLUME, 'Warning', 'MountBusy', 'pid 5 holds it');
    await sink.flush();
    const [event] = all();
    expect(event).to.deep.include({
      type: 'Warning',
      reason: 'MountBusy',
      message: 'pid 5 holds it',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      source: { component: 'test', host: 'h' },
    });
    expect(event?.involvedObject).to.deep.equal({
      apiVersion: 'v1',
      kind: 'Volume',
      name: 'data',
      namespace: 'ns',
      uid: 'u1',
      resourceVersion: '7',
    });
    expect(event?.metadata.namespace).to.equal('ns');
    expect(event?.metadata.name).to.match(/^data\.[0-9a-f]+$/);
  });

  it('counts repetitions in one event', async () => {
    const sink = recorder();
    for (let count = 0; count < 4; count++) {
      sink.record(
        { ...VOLUME, metadata: { ...VOLUME.metadata, resourceVersion: String(count) } },
        'Normal',
        'Same',
        'same',
      );
      await clock.advance(1000);
    }
    await sink.flush();
    expect(all()).to.have.length(1);
    expect(all()[0]).to.include({
      count: 4,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:03Z',
    });
    expect(all()[0]?.series?.count).to.equal(4);
  });

  it('combines similar events after ten different messages', async () => {
    const sink = recorder();
    for (let count = 0; count < 15; count++) sink.record(VOLUME, 'Normal', 'Progress', `step ${count}`);
    await sink.flush();
    expect(all()).to.have.length(11);
    expect(all()[10]).to.include({ count: 5, message: '(combined from similar events): step 14' });
  });

  it('lets an object have 25 events at once and one more per five minutes', async () => {
    const sink = recorder();
    for (let count = 0; count < 40; count++) sink.record(VOLUME, 'Normal', 'Flood', 'same');
    await sink.flush();
    expect(all()[0]?.count).to.equal(25);
    await clock.advance(300_000);
    sink.record(VOLUME, 'Normal', 'Flood', 'same');
    sink.record(VOLUME, 'Normal', 'Flood', 'same');
    await sink.flush();
    expect(all()[0]?.count).to.equal(26);
    sink.record({ ...VOLUME, metadata: { name: 'other', namespace: 'ns' } }, 'Normal', 'Flood', 'same');
    await sink.flush();
    expect(all()).to.have.length(2);
  });

  it('begins a new object when the old one has expired', async () => {
    const sink = recorder();
    sink.record(VOLUME, 'Normal', 'Same', 'same');
    await sink.flush();
    events.clear();
    sink.record(VOLUME, 'Normal', 'Same', 'same');
    await sink.flush();
    expect(all()[0]?.count).to.equal(2);
    sink.record(VOLUME, 'Normal', 'Same', 'same');
    await sink.flush();
    expect(all()).to.have.length(1);
    expect(all()[0]?.count).to.equal(3);
  });

  it('tries again while the server is away, and gives up in the end', async () => {
    const away = new KubeError({ reason: 'ConnectionRefused', message: 'away' });
    const sink = recorder({ attempts: 3, retryMs: 100 });
    failures.push(away, away);
    sink.record(VOLUME, 'Normal', 'Once', 'first');
    await clock.advance(1000);
    expect(all()).to.have.length(1);
    failures.push(away, away, away);
    sink.record(VOLUME, 'Normal', 'Once', 'second');
    await clock.advance(1000);
    expect(all()).to.have.length(1);
    expect(await metrics.registry.getSingleMetricAsString('clawstore_events_total')).to.contain('{outcome="failed"} 1');
  });

  it('does not repeat what the server refuses', async () => {
    failures.push(new KubeError({ status: 403, reason: 'Forbidden', message: 'no' }));
    const sink = recorder();
    sink.record(VOLUME, 'Normal', 'Once', 'first');
    await sink.flush();
    expect(requests).to.equal(1);
  });

  it('does not let recording wait, and drops what is too much', async () => {
    const sink = recorder({ capacity: 3 });
    for (let count = 0; count < 10; count++) sink.record(VOLUME, 'Normal', 'Many', `m${count}`);
    expect(requests).to.equal(0);
    await sink.flush();
    expect(all()).to.have.length(3);
    expect(await metrics.registry.getSingleMetricAsString('clawstore_events_total')).to.contain(
      '{outcome="dropped"} 7',
    );
  });

  it('writes what waits when it closes, but not for longer than its deadline', async () => {
    const sink = recorder();
    sink.record(VOLUME, 'Normal', 'Last', 'words');
    await sink.close();
    expect(all()).to.have.length(1);
    sink.record(VOLUME, 'Normal', 'Too', 'late');
    await settle();
    expect(all()).to.have.length(1);

    const stuck = recorder({ retryMs: 1_000_000 });
    failures.push(new KubeError({ reason: 'ConnectionRefused', message: 'away' }));
    stuck.record(VOLUME, 'Normal', 'Never', 'written');
    await settle();
    let closed = false;
    const closing = stuck.close(500).then(() => {
      closed = true;
    });
    await clock.advance(499);
    expect(closed).to.equal(false);
    await clock.advance(1);
    await closing;
    expect(closed).to.equal(true);
  });

  it('cleans and cuts messages, and puts events of cluster-wide objects into "default"', async () => {
    const sink = recorder();
    const cluster = { apiVersion: 'v1', kind: 'StorageNode', metadata: { name: 'n'.repeat(253) } };
    sink.record(cluster, 'Normal', 'Long', `https://u:p@h/x?sig=1 ${'ü'.repeat(2000)}`);
    await sink.flush();
    const [event] = all();
    expect(event?.message).to.match(/^https:\/\/h ü+…$/);
    expect(Buffer.byteLength(event?.message ?? '')).to.be.at.most(1024);
    expect(event?.metadata.namespace).to.equal('default');
    expect(event?.metadata.name.length).to.be.at.most(253);
  });
});
