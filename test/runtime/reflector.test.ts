import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { KubeClient } from '../../src/kube/client.ts';
import { connect } from '../../src/kube/rest-client.ts';
import type { ReflectorTuning } from '../../src/runtime/reflector.ts';
import { Reflector } from '../../src/runtime/reflector.ts';
import type { Delta } from '../../src/runtime/store.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { Fault, Widget } from '../kube/scripted-server.ts';
import { drop, eventLine, json, ScriptedServer, status, until, WIDGETS } from '../kube/scripted-server.ts';
import { waitFor } from '../support/harness/wait.ts';

/** Quick to try again, and no quicker to give up than a busy machine allows. */
const FAST: ReflectorTuning = { backoff: { initialMs: 5, maxMs: 20 }, initialIdleMs: 60_000, healthyMs: 50 };

describe('Reflector', () => {
  let server: ScriptedServer;
  let client: KubeClient;
  let metrics: Metrics;
  let stop: AbortController;
  let running: Promise<void>;
  let deltas: string[];

  beforeEach(async () => {
    server = new ScriptedServer();
    await server.start();
    client = connect({ server: server.url, tls: {} });
    metrics = createMetrics();
    stop = new AbortController();
    running = Promise.resolve();
    deltas = [];
  });

  afterEach(async () => {
    stop.abort();
    await running;
    await client.close();
    await server.stop();
  });

  function run(tuning: ReflectorTuning = {}): Reflector<Widget> {
    const reflector = new Reflector<Widget>({
      client,
      resource: WIDGETS,
      log: silentLogger,
      metrics,
      clock: systemClock,
      ...FAST,
      ...tuning,
    });
    reflector.store.subscribe((delta: Delta<Widget>) => {
      deltas.push(`${delta.type} ${delta.key}${delta.type === 'added' && delta.initial ? ' (initial)' : ''}`);
    });
    running = reflector.run(stop.signal);
    return reflector;
  }

  async function transitions(name: string): Promise<number> {
    const { values } = await metrics.reflectorTransitions.get();
    return values.find(({ labels }) => labels.transition === name)?.value ?? 0;
  }

  async function synced(reflector: Reflector<Widget>): Promise<void> {
    await until(() => reflector.hasSynced, 'the first sync');
  }

  /** Makes a change and waits until it has arrived. */
  async function follows(reflector: Reflector<Widget>, name: string): Promise<void> {
    const { metadata } = server.put(name);
    await until(() => reflector.store.get(`ns/${name}`)?.metadata.resourceVersion === metadata.resourceVersion, name);
  }

  it('streams the present state by WatchList and follows changes on the same connection', async () => {
    server.put('a');
    server.put('b');
    const reflector = run();
    await reflector.synced(stop.signal);
    expect(deltas).to.deep.equal(['added ns/a (initial)', 'added ns/b (initial)']);
    server.put('c');
    server.put('a', 2);
    server.remove('b');
    await until(() => deltas.length === 5);
    expect(deltas.slice(2)).to.deep.equal(['added ns/c', 'updated ns/a', 'deleted ns/b']);
    expect(server.kinds()).to.deep.equal(['watchlist']);
    const [request] = server.requests;
    expect(request?.query.get('allowWatchBookmarks')).to.equal('true');
    expect(request?.query.get('resourceVersionMatch')).to.equal('NotOlderThan');
    expect(Number(request?.query.get('timeoutSeconds'))).to.be.within(300, 600);
  });

  it('lists page by page and watches from there when WatchList is refused', async () => {
    server.watchList = 'refuse';
    for (let count = 0; count < 5; count++) server.put(`w${count}`);
    const reflector = run({ pageSize: 2 });
    await synced(reflector);
    expect(reflector.store.size).to.equal(5);
    await follows(reflector, 'later');
    expect(server.kinds()).to.deep.equal(['watchlist', 'list', 'list', 'list', 'watch']);
    expect(await transitions('watch_list_unsupported')).to.equal(1);
  });

  it('lists when the server ignores sendInitialEvents and never ends the initial events', async () => {
    server.watchList = 'ignore';
    server.put('a');
    const reflector = run({ initialIdleMs: 100 });
    await synced(reflector);
    await follows(reflector, 'b');
    expect(server.kinds()).to.deep.equal(['watchlist', 'list', 'watch']);
  });

  it('caches objects without managedFields, with apiVersion and kind', async () => {
    server.watchList = 'refuse';
    const managedFields = [{ manager: 'x', operation: 'Apply' as const, fieldsV1: { 'f:spec': {} } }];
    server.put('a', 1, {
      apiVersion: undefined as never,
      kind: undefined as never,
      metadata: { name: 'a', managedFields },
    });
    const reflector = run();
    await synced(reflector);
    const object = reflector.store.get('ns/a');
    expect(object?.metadata).to.not.have.property('managedFields');
    expect(object).to.include({ apiVersion: 'example.com/v1', kind: 'Widget' });
  });

  it('resumes from the last version when the server ends a watch, without listing again', async () => {
    const reflector = run();
    await synced(reflector);
    await follows(reflector, 'a');
    server.endWatches();
    await follows(reflector, 'b');
    expect(server.kinds().filter((kind) => kind !== 'watch')).to.deep.equal(['watchlist']);
    expect(await transitions('closed')).to.be.at.least(1);
  });

  it('resumes from a bookmark', async () => {
    const reflector = run();
    await synced(reflector);
    server.compact();
    server.bookmark();
    // On the same connection, after the bookmark.
    server.endWatches();
    await follows(reflector, 'a');
    expect(await transitions('expired')).to.equal(0);
  });

  it('misses nothing when connections drop amid changes', async () => {
    const reflector = run();
    await synced(reflector);
    for (let round = 0; round < 10; round++) {
      server.put(`w${round}`);
      server.dropConnections();
      server.put(`x${round}`);
      if (round > 0) server.remove(`w${round - 1}`);
    }
    await until(() => reflector.store.size === 11, 'all changes');
    expect(reflector.store.keys()).to.include.members(['ns/w9', 'ns/x0', 'ns/x9']);
  });

  it('lists again when the connection broke and the server lost its data before it could be reached again', async () => {
    server.put('a');
    const reflector = run();
    await synced(reflector);
    await until(() => server.watchers === 1);
    server.dropConnections();
    server.wipe();
    await until(() => reflector.store.size === 0, 'the relist');
    await follows(reflector, 'b');
    expect(await transitions('expired')).to.equal(1);
  });

  it('relists on 410, deletes what is gone and tells only the differences', async () => {
    server.watchList = 'refuse';
    server.put('a');
    server.put('b');
    server.put('c');
    const reflector = run();
    await synced(reflector);
    await until(() => server.watchers === 1);
    server.faults.watch.push((_request, response) => {
      server.remove('a');
      server.put('b', 7);
      server.compact();
      status(410, 'Expired')(undefined, response);
    });
    server.endWatches();
    await until(() => reflector.store.size === 2, 'the relist');
    expect(deltas.slice(3)).to.have.members(['updated ns/b', 'deleted ns/a']);
    expect(await transitions('expired')).to.equal(1);
  });

  it('relists on an ERROR event of 410 in the middle of a watch', async () => {
    const reflector = run();
    await synced(reflector);
    server.push(eventLine('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }));
    await follows(reflector, 'a');
    expect(await transitions('expired')).to.equal(1);
    expect(server.kinds()).to.deep.equal(['watchlist', 'watchlist']);
  });

  it('starts the list anew when a continue token expires', async () => {
    server.watchList = 'refuse';
    for (let count = 0; count < 4; count++) server.put(`w${count}`);
    const expired = status(410, 'Expired', 'the provided continue parameter is too old');
    const normal: Fault = (_request, response) =>
      json(response, 200, { metadata: { resourceVersion: '100', continue: 'gone' }, items: [] });
    server.faults.list.push(normal, expired);
    const reflector = run({ pageSize: 2 });
    await synced(reflector);
    expect(reflector.store.size).to.equal(4);
  });

  it('outlives errors 500, drops, HTML, empty bodies and half answers at the start', async () => {
    server.put('a');
    server.faults.watchlist.push(
      status(500, 'InternalError'),
      drop,
      (_request, response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<html>bad gateway</html>'),
      (_request, response) => response.writeHead(200).end(),
      (_request, response) => response.writeHead(200).end('{"type":"ADDED","object":{"metadata":{"na'),
      (_request, response) => response.writeHead(200).end('not json\n'),
      (_request, response) => response.writeHead(200).end('null\n[]\n'),
      status(401, 'Unauthorized'),
      status(404, 'NotFound'),
    );
    const reflector = run();
    await synced(reflector);
    expect(reflector.store.size).to.equal(1);
    await follows(reflector, 'b');
  });

  it('outlives garbage in a watch and misses nothing', async () => {
    const reflector = run();
    await synced(reflector);
    const garbage = [
      'garbage\n',
      '{"type":"WHAT","object":{}}\n',
      '{"type":"ADDED","object":{}}\n',
      '{"type":"ADDED"}\n',
      '{"type":"MODIFIED","object":3}\n',
    ];
    for (const [index, line] of garbage.entries()) {
      await until(() => server.watchers === 1);
      server.push(line);
      await follows(reflector, `w${index}`);
    }
    expect(await transitions('garbage')).to.equal(garbage.length);
    expect(reflector.store.size).to.equal(garbage.length);
  });

  it('understands events split at any byte', async () => {
    const reflector = run();
    await synced(reflector);
    const object = {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'ünïcödé', namespace: 'ns', resourceVersion: '999' },
    };
    for (const byte of Buffer.from(`\n${eventLine('ADDED', object)}`)) {
      server.push(Buffer.from([byte]) as unknown as string);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => reflector.store.get('ns/ünïcödé') !== undefined);
    expect(await transitions('garbage')).to.equal(0);
  });

  it('waits as long as Retry-After says when the server throttles watches', async () => {
    server.faults.watchlist.push(status(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' }));
    const started = performance.now();
    const reflector = run();
    await synced(reflector);
    expect(performance.now() - started).to.be.at.least(990);
    expect(await transitions('throttled')).to.equal(1);
  });

  it('lists again after a silent watch, whose version may be from the future of a restored server', async () => {
    const reflector = run({ idleMs: 60 });
    await synced(reflector);
    await until(() => server.kinds().filter((kind) => kind === 'watchlist').length > 1, 'a second list');
    expect(await transitions('idle')).to.be.at.least(1);
    await follows(reflector, 'a');
  });

  for (const [what, fault] of [
    ['the kind was not served', status(404, 'NotFound', 'page not found')],
    ['its rights were gone', status(403, 'Forbidden')],
    ['nobody knew it', status(401, 'Unauthorized')],
  ] as const) {
    it(`lists again after ${what} for a while`, async () => {
      const reflector = run();
      await synced(reflector);
      server.faults.watch.push(fault);
      server.endWatches();
      await until(() => server.kinds().filter((kind) => kind === 'watchlist').length > 1, 'a second list');
      await follows(reflector, 'a');
    });
  }

  it('lists again after the server was down, since it may have come back with older data', async () => {
    server.put('a');
    const reflector = run();
    await synced(reflector);
    await server.stop();
    await waitFor(async () => (await transitions('unreachable')) > 0, { message: 'the reflector to find nobody' });
    server.remove('a');
    await server.start();
    await until(() => reflector.store.size === 0, 'the deletion');
    await follows(reflector, 'b');
    expect(await transitions('unreachable')).to.be.at.least(1);
  });

  it('goes on when a listener throws', async () => {
    server.put('a');
    const reflector = run();
    reflector.store.subscribe(() => {
      throw new Error('a bug in a listener');
    });
    await synced(reflector);
    await follows(reflector, 'b');
    expect(deltas).to.include('added ns/b');
  });

  it('backs off with growing delays while the server fails', async () => {
    for (let count = 0; count < 6; count++) server.faults.watchlist.push(status(500, 'InternalError'));
    const reflector = run({ backoff: { initialMs: 10, maxMs: 40, random: () => 0 } });
    const started = performance.now();
    await synced(reflector);
    // 10 + 20 + 20 + 20 + 20 + 20: half of the delay, at least.
    expect(performance.now() - started).to.be.at.least(105);
  });

  it('does not spin when watches end at once', async () => {
    const reflector = run({ backoff: { initialMs: 20, maxMs: 200, random: () => 0 }, healthyMs: 60_000 });
    await synced(reflector);
    for (let count = 0; count < 100; count++) {
      server.faults.watch.push((_request, response) => response.writeHead(200).end());
    }
    server.endWatches();
    const started = performance.now();
    await until(() => server.kinds().length === 8, 'seven watches');
    // 20 + 40 + 80 + 4 * 100 before the last of them; none before the first when the one that was ended was an old one.
    expect(performance.now() - started).to.be.at.least(500);
  });

  it('ends its watch and its connection when it is stopped', async () => {
    run();
    await until(() => server.watchers === 1);
    stop.abort();
    await running;
    await until(() => server.watchers === 0);
    expect(server.watchers).to.equal(0);
  });
});
