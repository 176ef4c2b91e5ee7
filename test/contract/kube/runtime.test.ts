import { expect } from 'chai';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { EVENTS, NAMESPACES, VOLUMES } from '../../../src/api/meta.ts';
import type { Volume } from '../../../src/api/volume.ts';
import { serverTimeFrom } from '../../../src/controllers/support/expiry.ts';
import type { KubeClient, KubeObjectBase } from '../../../src/kube/client.ts';
import { EventRecorder } from '../../../src/kube/events.ts';
import { LeaderElector } from '../../../src/kube/leader-election.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Manager } from '../../../src/runtime/manager.ts';
import { DONE } from '../../../src/runtime/reconciler.ts';
import { Reflector } from '../../../src/runtime/reflector.ts';
import { cacheSource } from '../../../src/runtime/source.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { until } from '../../kube/scripted-server.ts';
import { type KubeServer, SERVERS } from './servers.ts';

for (const { name: serverName, start: startServer } of SERVERS) {
  describe(`runtime, on ${serverName}`, function () {
    this.timeout(120_000);
    let server: KubeServer;
    let client: KubeClient;
    let stop: AbortController;
    let running: Promise<unknown>[];

    before(async () => {
      server = await startServer();
    });

    beforeEach(() => {
      client = connect(server.config);
      stop = new AbortController();
      running = [];
    });

    afterEach(async () => {
      stop.abort();
      await Promise.allSettled(running);
      await client.close();
    });

    async function namespace(name: string): Promise<void> {
      await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }

    function volume(namespaceName: string, name: string): Volume {
      return {
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        metadata: { name, namespace: namespaceName },
        spec: { emptyDir: {} },
      };
    }

    for (const watchList of [true, false]) {
      it(`mirrors objects ${watchList ? 'by WatchList' : 'by pages and a watch'}`, async () => {
        const name = watchList ? 'mirror-stream' : 'mirror-pages';
        await namespace(name);
        await Promise.all(Array.from({ length: 30 }, (_, index) => client.create(VOLUMES, volume(name, `v${index}`))));
        const metrics = createMetrics();
        const reflector = new Reflector<Volume>({
          client,
          resource: VOLUMES,
          selection: { namespace: name },
          log: silentLogger,
          metrics,
          clock: systemClock,
          watchList,
          pageSize: 7,
        });
        running.push(reflector.run(stop.signal));
        await reflector.synced(stop.signal);
        expect(reflector.store.size).to.equal(30);
        const created = await client.create<Volume>(VOLUMES, volume(name, 'later'));
        expect(await reflector.store.waitFor(`${name}/later`, created.metadata.resourceVersion ?? '', 60_000)).to.equal(
          true,
        );
        await client.delete(VOLUMES, { namespace: name, name: 'v0' });
        await until(() => reflector.store.get(`${name}/v0`) === undefined);
        const text = await metrics.registry.getSingleMetricAsString('clawstore_reflector_transitions_total');
        expect(text).to.contain(`transition="watch_list"} ${watchList ? 1 : 0}`);
        for (const bad of ['error', 'garbage', 'expired', 'watch_list_unsupported']) {
          expect(text).to.contain(`transition="${bad}"} 0`);
        }
      });
    }

    it('tells its time with an answer, which a ttl is held against', async () => {
      const at = await serverTimeFrom(client)(stop.signal);
      // One machine has one clock.
      expect(Math.abs(Date.now() - (at ?? 0))).to.be.lessThan(900_000);
    });

    it('writes events that the server accepts, and counts repetitions in one object', async () => {
      await namespace('events');
      const object = await client.create<Volume>(VOLUMES, volume('events', 'data'));
      const sink = new EventRecorder({ client, component: 'test', log: silentLogger });
      for (let count = 0; count < 3; count++) sink.record(object, 'Warning', 'MountBusy', 'pid 5 holds it');
      sink.record(object, 'Normal', 'Mounted', 'done');
      await sink.flush();
      await sink.close();
      interface Event extends KubeObjectBase {
        readonly reason: string;
        readonly count: number;
      }
      const fieldSelector = `involvedObject.uid=${object.metadata.uid}`;
      const { items } = await client.list<Event>(EVENTS, { namespace: 'events', fieldSelector });
      expect(items.map(({ reason, count }) => `${reason} ${count}`)).to.have.members(['MountBusy 3', 'Mounted 1']);
    });

    it('runs leader-only controllers in one of two managers, and in the other after a stop', async () => {
      await namespace('election');
      const reconciled: string[] = [];
      const start = (identity: string) => {
        const own = new AbortController();
        const leaderElector = new LeaderElector({
          client,
          namespace: 'election',
          name: 'controller',
          identity,
          log: silentLogger,
          // A busy machine must not take it from the first; when that stops, it gives it back.
          leaseDurationMs: 90_000,
          renewDeadlineMs: 60_000,
          retryPeriodMs: 200,
        });
        const manager = new Manager({ client, log: silentLogger, metrics: createMetrics(), leaderElector });
        manager.addController({
          name: 'volume',
          leaderOnly: true,
          sources: [cacheSource(manager.cache<Volume>(VOLUMES, { namespace: 'election' }))],
          reconcile: async (key) => {
            reconciled.push(`${identity} ${key}`);
            return DONE;
          },
        });
        const run = manager.run(own.signal);
        running.push(run);
        stop.signal.addEventListener('abort', () => own.abort());
        return { own, run, leaderElector };
      };
      const first = start('first');
      await until(() => first.leaderElector.isLeader, 'the first leads');
      const second = start('second');
      await client.create(VOLUMES, volume('election', 'a'));
      await until(() => reconciled.length === 1);
      expect(reconciled).to.deep.equal(['first election/a']);
      first.own.abort();
      await first.run;
      await until(() => second.leaderElector.isLeader, 'the second leads');
      await until(() => reconciled.length === 2);
      expect(reconciled[1]).to.equal('second election/a');
    });
  });
}
