import { expect } from 'chai';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { VOLUMES } from '../../../src/api/meta.ts';
import type { Volume } from '../../../src/api/volume.ts';
import { StatusPatcher } from '../../../src/kube/apply.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { addFinalizer, removeFinalizer } from '../../../src/kube/finalizers.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Reflector } from '../../../src/runtime/reflector.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import type { Metrics } from '../../../src/telemetry/metrics.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { type KubeServer, SERVERS } from './servers.ts';

const CONDITION = {
  type: 'Ready' as const,
  status: 'True' as const,
  reason: 'Succeeded',
  message: 'all is well',
  lastTransitionTime: '2026-01-01T00:00:00Z',
  observedGeneration: 1,
};

const STATUS = { observedGeneration: 1, capacity: '1Gi', conditions: [CONDITION] };

for (const { name: serverName, start: startServer } of SERVERS) {
  describe(`status patcher and finalizers, on ${serverName}`, function () {
    this.timeout(120_000);
    let server: KubeServer;
    let client: KubeClient;
    let metrics: Metrics;
    let reflector: Reflector<Volume>;
    let stop: AbortController;
    let running: Promise<void>;
    let serial = 0;

    before(async () => {
      server = await startServer();
    });

    beforeEach(async () => {
      metrics = createMetrics();
      client = connect(server.config, { metrics });
      stop = new AbortController();
      reflector = new Reflector<Volume>({ client, resource: VOLUMES, log: silentLogger, metrics, clock: systemClock });
      running = reflector.run(stop.signal);
      await reflector.synced(stop.signal);
    });

    afterEach(async () => {
      stop.abort();
      await running;
      await client.close();
    });

    async function create(): Promise<Volume> {
      const name = `vol-${serial++}`;
      const volume: Volume = {
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        metadata: { name, namespace: 'default' },
        spec: { emptyDir: {} },
      };
      return cached(await client.create(VOLUMES, volume));
    }

    /** The object as the cache has it, once the cache has caught up. */
    async function cached(object: Volume): Promise<Volume> {
      const { name, resourceVersion = '' } = object.metadata;
      expect(await reflector.store.waitFor(`default/${name}`, resourceVersion, 60_000)).to.equal(true);
      const found = reflector.store.get(`default/${name}`);
      if (found === undefined) throw new Error(`${name} is not in the cache`);
      return found;
    }

    async function patches(): Promise<number> {
      const { values } = await metrics.restRequests.get();
      return values.filter(({ labels }) => labels.method === 'PATCH').reduce((sum, { value }) => sum + value, 0);
    }

    it('writes once and not again while nothing differs', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const volume = await create();
      const first = await patcher.apply(VOLUMES, volume, STATUS);
      expect(first.written).to.equal(true);
      const now = await cached(first.object);
      expect((await patcher.apply(VOLUMES, now, STATUS)).written).to.equal(false);
      expect(await patches()).to.equal(1);
    });

    it('does not write again what it is given in another order, as the server gives it back', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const now = await cached((await patcher.apply(VOLUMES, await create(), STATUS)).object);
      const turned = Object.fromEntries(Object.entries(STATUS).toReversed());
      expect(JSON.stringify(turned)).not.to.equal(JSON.stringify(STATUS));
      expect((await patcher.apply(VOLUMES, now, turned)).written).to.equal(false);
      // Also where the cache shows a version that somebody else wrote since.
      await client.patch(VOLUMES, now.metadata, { metadata: { labels: { a: 'b' } } }, { type: 'merge' });
      const later = await cached(await client.get<Volume>(VOLUMES, now.metadata));
      expect((await patcher.apply(VOLUMES, later, turned)).written).to.equal(false);
    });

    it('does not write after a restart, when the server has all of it already', async () => {
      const first = await new StatusPatcher(client, 'agent').apply(VOLUMES, await create(), STATUS);
      const now = await cached(first.object);
      expect(now.metadata).to.not.have.property('managedFields');
      expect((await new StatusPatcher(client, 'agent').apply(VOLUMES, now, STATUS)).written).to.equal(false);
      expect(await patches()).to.equal(1);
    });

    it('does not write twice while the cache lags behind', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const volume = await create();
      await patcher.apply(VOLUMES, volume, STATUS);
      expect((await patcher.apply(VOLUMES, volume, STATUS)).written).to.equal(false);
    });

    it('writes back what was there before its last write, although the cache that lags behind shows it still', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const now = await cached((await patcher.apply(VOLUMES, await create(), STATUS)).object);
      const failed = {
        ...STATUS,
        conditions: [{ ...CONDITION, status: 'False' as const, reason: 'HelperUnavailable' }],
      };
      expect((await patcher.apply(VOLUMES, now, failed)).written).to.equal(true);
      const back = await patcher.apply(VOLUMES, now, STATUS);
      expect(back.written).to.equal(true);
      expect(back.object.status?.conditions).to.deep.equal([CONDITION]);
      expect((await patcher.apply(VOLUMES, await cached(back.object), STATUS)).written).to.equal(false);
    });

    it('removes a field that is no longer wanted, also when another process wrote it', async () => {
      const first = await new StatusPatcher(client, 'agent').apply(VOLUMES, await create(), STATUS);
      const now = await cached(first.object);
      const { capacity: _, ...less } = STATUS;
      const second = await new StatusPatcher(client, 'agent').apply(VOLUMES, now, less);
      expect(second.written).to.equal(true);
      expect(second.object.status).to.not.have.property('capacity');
    });

    it('removes a condition that is no longer wanted', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const reconciling = { ...CONDITION, type: 'Reconciling' as const };
      const first = await patcher.apply(VOLUMES, await create(), { ...STATUS, conditions: [CONDITION, reconciling] });
      const now = await cached(first.object);
      expect((await patcher.apply(VOLUMES, now, { ...STATUS, conditions: [reconciling, CONDITION] })).written).to.equal(
        false,
      );
      const second = await patcher.apply(VOLUMES, now, STATUS);
      expect(second.object.status?.conditions?.map(({ type }) => type)).to.deep.equal(['Ready']);
    });

    it('takes back a value that somebody else changed', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const first = await patcher.apply(VOLUMES, await create(), STATUS);
      const { name, namespace } = first.object.metadata;
      const meddled = await client.patch<Volume>(
        VOLUMES,
        { namespace, name },
        { status: { capacity: '9Gi' } },
        {
          type: 'merge',
          subresource: 'status',
          fieldManager: 'meddler',
        },
      );
      const back = await patcher.apply(VOLUMES, await cached(meddled), STATUS);
      expect(back.written).to.equal(true);
      expect(back.object.status?.capacity).to.equal('1Gi');
      expect((await patcher.apply(VOLUMES, await cached(back.object), STATUS)).written).to.equal(false);
    });

    it('puts back a value that somebody else removed', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const first = await patcher.apply(VOLUMES, await create(), STATUS);
      const { name, namespace } = first.object.metadata;
      const meddled = await client.patch<Volume>(
        VOLUMES,
        { namespace, name },
        { status: null },
        {
          type: 'merge',
          subresource: 'status',
        },
      );
      const back = await patcher.apply(VOLUMES, await cached(meddled), STATUS);
      expect(back.written).to.equal(true);
      expect(back.object.status).to.deep.include(STATUS);
    });

    it("leaves other managers' fields alone and is not disturbed by them", async () => {
      const agent = new StatusPatcher(client, 'agent');
      const controller = new StatusPatcher(client, 'controller');
      const mine = await agent.apply(VOLUMES, await create(), STATUS);
      const attachments = [
        { mountUID: 'u1', workloadId: 'w', nodeName: 'n', readOnly: false },
        { mountUID: 'u2', workloadId: 'w', nodeName: 'n', readOnly: true },
      ];
      const theirs = await controller.apply(VOLUMES, await cached(mine.object), {
        nodeName: 'n',
        attachments,
        mounts: { desired: 2, ready: 0 },
      });
      const now = await cached(theirs.object);
      expect(now.status).to.deep.include({ ...STATUS, nodeName: 'n', attachments });
      expect((await agent.apply(VOLUMES, now, STATUS)).written).to.equal(false);
      const fewer = await controller.apply(VOLUMES, now, {
        nodeName: 'n',
        attachments: attachments.slice(1),
        mounts: { desired: 1, ready: 1 },
      });
      expect(fewer.object.status).to.deep.include({
        ...STATUS,
        attachments: attachments.slice(1),
        mounts: { desired: 1, ready: 1 },
      });
    });

    it('gives up everything with an empty status, once', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const first = await patcher.apply(VOLUMES, await create(), STATUS);
      const second = await patcher.apply(VOLUMES, await cached(first.object), {});
      expect(second.object.status?.conditions ?? []).to.deep.equal([]);
      expect((await patcher.apply(VOLUMES, await cached(second.object), {})).written).to.equal(false);
    });

    it('never writes to an object that was made again under the same name', async () => {
      const patcher = new StatusPatcher(client, 'agent');
      const old = await create();
      const { name, namespace } = old.metadata;
      await client.delete(VOLUMES, { namespace, name });
      await client.create(VOLUMES, { ...old, metadata: { name: old.metadata.name, namespace: 'default' } });
      const error = await patcher.apply(VOLUMES, old, STATUS).then(() => undefined, KubeError.from);
      expect(error?.isConflict, String(error)).to.equal(true);
    });

    it('says NotFound for an object that is gone, and does not make it', async () => {
      const old = await create();
      const { name, namespace } = old.metadata;
      await client.delete(VOLUMES, { namespace, name });
      const error = await new StatusPatcher(client, 'agent')
        .apply(VOLUMES, old, STATUS)
        .then(() => undefined, KubeError.from);
      expect(error?.isNotFound === true || error?.isConflict === true, String(error)).to.equal(true);
      const gone = await client.get(VOLUMES, { namespace, name }).then(() => undefined, KubeError.from);
      expect(gone?.isNotFound).to.equal(true);
    });

    it('writes from a stale object as long as it is the same one', async () => {
      const stale = await create();
      const { name, namespace } = stale.metadata;
      await client.patch(VOLUMES, { namespace, name }, { metadata: { labels: { a: 'b' } } }, { type: 'merge' });
      const result = await new StatusPatcher(client, 'agent').apply(VOLUMES, stale, STATUS);
      expect(result.object.status).to.deep.include(STATUS);
      expect(result.object.metadata.labels).to.deep.equal({ a: 'b' });
    });

    it('refuses with requireUnchanged when the object has changed since it was read', async () => {
      const old = await create();
      const { name, namespace } = old.metadata;
      await client.patch(VOLUMES, { namespace, name }, { metadata: { labels: { a: 'b' } } }, { type: 'merge' });
      const error = await new StatusPatcher(client, 'agent')
        .apply(VOLUMES, old, STATUS, { requireUnchanged: true })
        .then(() => undefined, KubeError.from);
      expect(error?.isConflict, String(error)).to.equal(true);
    });

    it('adds and removes a finalizer beside those of others, from a stale object too', async () => {
      const options = { fieldManager: 'agent' };
      const stale = await create();
      const { name, namespace } = stale.metadata;
      await client.patch(
        VOLUMES,
        { namespace, name },
        { metadata: { finalizers: ['example.com/theirs'] } },
        { type: 'merge' },
      );
      const added = await addFinalizer(client, VOLUMES, stale, 'example.com/ours', options);
      expect(added.metadata.finalizers).to.deep.equal(['example.com/theirs', 'example.com/ours']);
      expect(await addFinalizer(client, VOLUMES, added, 'example.com/ours', options)).to.equal(added);
      await client.delete(VOLUMES, { namespace, name });
      const removed = await removeFinalizer(client, VOLUMES, added, 'example.com/ours', options);
      expect(removed?.metadata.finalizers).to.deep.equal(['example.com/theirs']);
      const error = await addFinalizer(client, VOLUMES, removed!, 'example.com/new', options).then(
        () => undefined,
        KubeError.from,
      );
      expect(error?.isConflict, String(error)).to.equal(true);
      await removeFinalizer(client, VOLUMES, removed!, 'example.com/theirs', options);
      expect(await removeFinalizer(client, VOLUMES, added, 'example.com/ours', options)).to.equal(undefined);
    });

    it('never touches the finalizers of an object made again under the same name', async () => {
      const old = await create();
      const { name, namespace } = old.metadata;
      await client.delete(VOLUMES, { namespace, name });
      const again = await client.create<Volume>(VOLUMES, {
        ...old,
        metadata: { name: old.metadata.name, namespace: 'default' },
      });
      const error = await addFinalizer(client, VOLUMES, old, 'example.com/ours', { fieldManager: 'agent' }).then(
        () => undefined,
        KubeError.from,
      );
      expect(error?.isConflict, String(error)).to.equal(true);
      const live = await client.get<Volume>(VOLUMES, { namespace, name });
      expect(live.metadata.uid).to.equal(again.metadata.uid);
      expect(live.metadata.finalizers).to.equal(undefined);
    });
  });
}
