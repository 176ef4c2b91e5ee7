import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { KubeClient } from '../../src/kube/client.ts';
import { connect } from '../../src/kube/rest-client.ts';
import { Manager } from '../../src/runtime/manager.ts';
import { DONE } from '../../src/runtime/reconciler.ts';
import { cacheSource, INITIAL_LIST_PRIORITY } from '../../src/runtime/source.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { Widget } from '../kube/scripted-server.ts';
import { ScriptedServer, until, WIDGETS } from '../kube/scripted-server.ts';

describe('Manager', () => {
  let server: ScriptedServer;
  let client: KubeClient;
  let manager: Manager;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    server = new ScriptedServer();
    await server.start();
    client = connect({ server: server.url, tls: {} });
    manager = new Manager({
      client,
      log: silentLogger,
      metrics: createMetrics(),
      reflector: { backoff: { initialMs: 5 } },
    });
    stop = new AbortController();
    running = Promise.resolve();
  });

  afterEach(async () => {
    stop.abort();
    await running.catch(() => undefined);
    await client.close();
    await server.stop();
  });

  it('shares one watch per selection between all who ask', async () => {
    const first = manager.cache<Widget>(WIDGETS, { namespace: 'ns' });
    expect(manager.cache<Widget>(WIDGETS, { namespace: 'ns' })).to.equal(first);
    expect(manager.cache<Widget>(WIDGETS)).to.not.equal(first);
    running = manager.run(stop.signal);
    await first.synced(stop.signal);
    await until(() => server.watchers === 2);
    expect(server.requests).to.have.length(2);
  });

  it('reconciles what is there, then what changes, then what refers to it', async () => {
    server.put('a');
    const seen: string[] = [];
    const widgets = manager.cache<Widget>(WIDGETS);
    manager.addController({
      name: 'widget',
      sources: [cacheSource(widgets), cacheSource(widgets, { mapTo: ({ spec }) => [`size-${spec?.size}`] })],
      reconcile: async (key) => {
        seen.push(key);
        return DONE;
      },
    });
    running = manager.run(stop.signal);
    await until(() => seen.length === 2);
    expect(seen).to.have.members(['ns/a', 'size-1']);
    server.put('a', 2);
    await until(() => seen.length === 5);
    expect(seen.slice(2)).to.have.members(['ns/a', 'size-1', 'size-2']);
    server.remove('a');
    await until(() => seen.length === 7);
    expect(seen.slice(5)).to.have.members(['ns/a', 'size-2']);
  });

  it('puts the first list behind everything that changes later', () => {
    const added: unknown[] = [];
    const widgets = manager.cache<Widget>(WIDGETS);
    cacheSource(widgets).start((key, options) => added.push([key, options?.priority]), stop.signal);
    const store = widgets.store as unknown as { set(object: Widget, initial?: boolean): void };
    const object = server.put('a');
    store.set(object, true);
    store.set(server.put('a', 2));
    expect(added).to.deep.equal([
      ['ns/a', INITIAL_LIST_PRIORITY],
      ['ns/a', 0],
    ]);
  });

  it('is ready when all caches have synced', async () => {
    server.faults.watchlist.push((_request, response) => response.writeHead(503).end());
    manager.cache<Widget>(WIDGETS);
    expect((await manager.ready.run()).ok).to.equal(false);
    running = manager.run(stop.signal);
    await manager.cache<Widget>(WIDGETS).synced(stop.signal);
    expect(await manager.ready.run()).to.deep.equal({ ok: true, lines: ['[+]caches ok'] });
  });

  it('starts a cache that is asked for while it runs', async () => {
    running = manager.run(stop.signal);
    server.put('a');
    const widgets = manager.cache<Widget>(WIDGETS);
    await widgets.synced(stop.signal);
    expect(widgets.store.get('ns/a')?.spec?.size).to.equal(1);
  });

  it('watches a named object as long as somebody holds it, once', async () => {
    server.put('a');
    running = manager.run(stop.signal);
    const watches = manager.objects<Widget>(WIDGETS);
    const events: string[] = [];
    watches.store.subscribe(({ type, key }) => events.push(`${type} ${key}`));
    const first = watches.hold('ns/a');
    const second = watches.hold('ns/a');
    await first.synced(stop.signal);
    expect(first.get()?.metadata.name).to.equal('a');
    expect(second.hasSynced).to.equal(true);
    expect(server.requests).to.have.length(1);
    expect(server.requests[0]?.query.get('fieldSelector')).to.equal('metadata.name=a');
    server.put('a', 5);
    await until(() => first.get()?.spec?.size === 5);
    first.release();
    first.release();
    expect(server.watchers).to.equal(1);
    expect(second.get()).to.not.equal(undefined);
    second.release();
    await until(() => server.watchers === 0);
    expect(watches.size).to.equal(0);
    expect(events).to.deep.equal(['added ns/a', 'updated ns/a', 'deleted ns/a']);
  });

  it('ends with the error of a part that fails, and stops the others', async () => {
    let stopped = false;
    manager.addRunnable({
      name: 'lives',
      run: (signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            stopped = true;
            resolve();
          });
        }),
    });
    manager.addRunnable({ name: 'dies', run: () => Promise.reject(new Error('no more')) });
    const error = await manager.run(stop.signal).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error?.message).to.equal('no more');
    expect(stopped).to.equal(true);
  });

  it('refuses two controllers of one name and leader work without an election', () => {
    const options = { name: 'x', sources: [], reconcile: async () => DONE };
    manager.addController(options);
    expect(() => manager.addController(options)).to.throw(RangeError);
    expect(() => manager.addController({ ...options, name: 'y', leaderOnly: true })).to.throw(RangeError);
  });
});
