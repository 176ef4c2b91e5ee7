import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { KubeClient, KubeObjectBase } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { LeaderElector, LeadershipLostError } from '../../src/kube/leader-election.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

interface Lease extends KubeObjectBase {
  readonly spec: { readonly holderIdentity: string; readonly leaseTransitions: number; readonly renewTime: string };
}

/** One lease with optimistic concurrency, as an API server keeps it; candidates can be cut off from it. */
class LeaseServer {
  lease: Lease | undefined;
  writes = 0;
  readonly cutOff = new Set<string>();
  #version = 0;

  client(identity: string): KubeClient {
    const reach = (): void => {
      if (this.cutOff.has(identity)) throw new KubeError({ reason: 'ConnectionRefused', message: 'cut off' });
    };
    const store = (object: KubeObjectBase): KubeObjectBase => {
      this.writes += 1;
      const metadata = { uid: 'uid', ...object.metadata, resourceVersion: String(++this.#version) };
      this.lease = { ...object, metadata } as Lease;
      return this.lease;
    };
    const client = {
      get: async () => {
        reach();
        if (this.lease === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'no lease' });
        return this.lease;
      },
      create: async (_resource: unknown, object: KubeObjectBase) => {
        reach();
        if (this.lease !== undefined)
          throw new KubeError({ status: 409, reason: 'AlreadyExists', message: 'there is one' });
        return store(object);
      },
      replace: async (_resource: unknown, object: KubeObjectBase) => {
        reach();
        if (this.lease === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'no lease' });
        if (object.metadata.resourceVersion !== this.lease.metadata.resourceVersion) {
          throw new KubeError({ status: 409, reason: 'Conflict', message: 'stale' });
        }
        return store(object);
      },
    };
    return client as unknown as KubeClient;
  }
}

describe('LeaderElector', () => {
  let server: LeaseServer;
  let clock: FakeClock;
  let leading: Set<string>;
  let most: number;

  beforeEach(() => {
    server = new LeaseServer();
    clock = new FakeClock();
    leading = new Set();
    most = 0;
  });

  /** A candidate with a clock of its own that runs along, but with wall time far off. */
  function candidate(identity: string, skewMs = 0, releaseOnStop = true) {
    const stop = new AbortController();
    const own = {
      now: () => clock.now() + skewMs,
      monotonic: () => clock.monotonic() + skewMs,
      setTimer: (delayMs: number, callback: () => void) => clock.setTimer(delayMs, callback),
    };
    const elector = new LeaderElector({
      client: server.client(identity),
      namespace: 'ns',
      name: 'lease',
      identity,
      log: silentLogger,
      clock: own,
      random: () => 0,
      releaseOnStop,
    });
    const running = elector.run(
      stop.signal,
      (signal) =>
        new Promise<void>((resolve) => {
          leading.add(identity);
          most = Math.max(most, leading.size);
          signal.addEventListener('abort', () => {
            leading.delete(identity);
            resolve();
          });
        }),
    );
    running.catch(() => undefined);
    return { elector, stop, running };
  }

  it('lets one lead, renews, and counts no second transition', async () => {
    const a = candidate('a');
    const b = candidate('b');
    await clock.advance(60_000);
    expect([...leading]).to.have.length(1);
    const [leader] = leading;
    expect(server.lease?.spec).to.include({ holderIdentity: leader, leaseTransitions: 0 });
    expect([a.elector.isLeader, b.elector.isLeader].filter(Boolean)).to.have.length(1);
    expect(a.elector.leader).to.equal(leader);
    expect(b.elector.leader).to.equal(leader);
    expect(server.writes).to.be.within(25, 32);
  });

  it('hands over at once when the leader stops and releases', async () => {
    const a = candidate('a');
    await clock.advance(1);
    const b = candidate('b');
    await clock.advance(10_000);
    expect([...leading]).to.deep.equal(['a']);
    a.stop.abort();
    await clock.advance(2000);
    await a.running;
    await clock.advance(3000);
    expect([...leading]).to.deep.equal(['b']);
    expect(b.elector.isLeader).to.equal(true);
    expect(server.lease?.spec.leaseTransitions).to.equal(1);
    expect(most).to.equal(1);
  });

  it('waits for the whole lease, by its own clock, when the leader dies without a word', async () => {
    const a = candidate('a', 0, false);
    await clock.advance(1);
    const b = candidate('b', 86_400_000);
    await clock.advance(9_000);
    server.cutOff.add('a');
    await clock.advance(9_900);
    expect([...leading]).to.not.include('b');
    await clock.advance(10_000);
    expect([...leading]).to.deep.equal(['b']);
    expect(most).to.equal(1);
    const error = await a.running.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(LeadershipLostError);
    expect(b.elector.isLeader).to.equal(true);
  });

  it('stops leading before anyone else can start, however the clocks are set', async () => {
    for (const skew of [-3_600_000, 0, 3_600_000]) {
      server = new LeaseServer();
      leading = new Set();
      candidate('a', 0, false);
      await clock.advance(1);
      candidate('b', skew);
      await clock.advance(5000);
      server.cutOff.add('a');
      for (let step = 0; step < 300; step++) {
        await clock.advance(100);
        expect(leading.size).to.be.at.most(1);
      }
      expect([...leading]).to.deep.equal(['b']);
    }
    expect(most).to.equal(1);
  });

  it('keeps leading through an outage shorter than the renew deadline', async () => {
    const a = candidate('a');
    await clock.advance(5000);
    server.cutOff.add('a');
    await clock.advance(6000);
    server.cutOff.clear();
    await clock.advance(20_000);
    expect([...leading]).to.deep.equal(['a']);
    expect(a.elector.isLeader).to.equal(true);
  });

  it('stops at once when somebody else has taken the lease', async () => {
    const a = candidate('a');
    await clock.advance(5000);
    const lease = server.lease!;
    await server
      .client('thief')
      .replace({} as never, { ...lease, spec: { ...lease.spec, holderIdentity: 'thief' } } as never);
    await clock.advance(2500);
    expect([...leading]).to.deep.equal([]);
    const error = await a.running.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(LeadershipLostError);
    expect(server.lease?.spec.holderIdentity).to.equal('thief');
  });

  it('makes the lease again when it was deleted under its leader', async () => {
    candidate('a');
    await clock.advance(5000);
    server.lease = undefined;
    await clock.advance(5000);
    expect([...leading]).to.deep.equal(['a']);
    expect(server.lease).to.not.equal(undefined);
  });

  it('rethrows what the work threw, and releases', async () => {
    const elector = new LeaderElector({
      client: server.client('a'),
      namespace: 'ns',
      name: 'lease',
      identity: 'a',
      log: silentLogger,
      clock,
    });
    const running = elector.run(new AbortController().signal, () => Promise.reject(new Error('work broke')));
    running.catch(() => undefined);
    await clock.advance(3000);
    const error = await running.then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error?.message).to.equal('work broke');
    expect(server.lease?.spec.holderIdentity).to.equal('');
  });

  it('refuses durations that could let two lead', () => {
    const options = { client: server.client('a'), namespace: 'n', name: 'l', identity: 'a', log: silentLogger };
    expect(() => new LeaderElector({ ...options, leaseDurationMs: 5000, renewDeadlineMs: 5000 })).to.throw(RangeError);
    expect(() => new LeaderElector({ ...options, retryPeriodMs: 9000 })).to.throw(RangeError);
  });
});
