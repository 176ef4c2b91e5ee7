import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MockAgent } from 'undici';
import type { KubeClient } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { connect } from '../../src/kube/rest-client.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { Fault, Widget } from './scripted-server.ts';
import { drop, json, ScriptedServer, status, WIDGETS } from './scripted-server.ts';

const REF = { namespace: 'ns', name: 'a' };
const WIDGET: Widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a', namespace: 'ns' } };

describe('REST client', () => {
  let server: ScriptedServer;
  let client: KubeClient;
  let metrics: Metrics;

  beforeEach(async () => {
    server = new ScriptedServer();
    await server.start();
    metrics = createMetrics();
    client = connect({ server: `${server.url}/base/`, tls: {}, token: 'top-secret-token' }, { metrics });
  });

  afterEach(async () => {
    await client.close();
    await server.stop();
  });

  const ok: Fault = (_request, response) => json(response, 200, WIDGET);

  function failure(promise: Promise<unknown>): Promise<KubeError> {
    return promise.then(
      () => {
        throw new Error('did not fail');
      },
      (thrown: unknown) => {
        expect(thrown).to.be.instanceOf(KubeError);
        return thrown as KubeError;
      },
    );
  }

  it('addresses namespaced, cluster-wide and core resources below the base path', async () => {
    server.faults.other.push(ok, ok, ok);
    await client.get(WIDGETS, REF);
    await client.get({ ...WIDGETS, namespaced: false }, { name: 'a' });
    await client.get({ ...WIDGETS, group: '', plural: 'secrets' }, REF);
    expect(server.requests.map(({ path }) => path)).to.deep.equal([
      '/base/apis/example.com/v1/namespaces/ns/widgets/a',
      '/base/apis/example.com/v1/widgets/a',
      '/base/api/v1/namespaces/ns/secrets/a',
    ]);
    expect(server.requests[0]?.headers.authorization).to.equal('Bearer top-secret-token');
  });

  it('never lets a name change the path', async () => {
    server.faults.other.push(ok);
    await client.get(WIDGETS, { namespace: 'ns', name: '../../secrets?x=/#' });
    expect(server.requests[0]?.path).to.equal(
      '/base/apis/example.com/v1/namespaces/ns/widgets/..%2F..%2Fsecrets%3Fx%3D%2F%23',
    );
    for (const name of ['', '.', '..']) {
      expect((await failure(client.get(WIDGETS, { namespace: 'ns', name }))).reason).to.equal('Configuration');
    }
    expect((await failure(client.get(WIDGETS, { name: 'a' }))).message).to.contain('need a namespace');
    expect(server.requests).to.have.length(1);
  });

  it('sends each kind of patch as the server expects it', async () => {
    server.faults.other.push(ok, ok, ok);
    await client.patch(
      WIDGETS,
      REF,
      { a: 1 },
      { type: 'apply', fieldManager: 'me', force: true, subresource: 'status' },
    );
    await client.patch(WIDGETS, REF, { a: 1 }, { type: 'merge', dryRun: true });
    await client.patch(WIDGETS, REF, [], { type: 'json' });
    const [apply, merge, jsonPatch] = server.requests;
    expect(apply?.headers['content-type']).to.equal('application/apply-patch+yaml');
    expect(apply?.path).to.match(/\/widgets\/a\/status$/);
    expect(Object.fromEntries(apply?.query ?? [])).to.deep.equal({ fieldManager: 'me', force: 'true' });
    expect(merge?.headers['content-type']).to.equal('application/merge-patch+json');
    expect(Object.fromEntries(merge?.query ?? [])).to.deep.equal({ dryRun: 'All' });
    expect(jsonPatch?.headers['content-type']).to.equal('application/json-patch+json');
    expect(apply?.body).to.equal('{"a":1}');
  });

  it('creates in the collection, replaces at the object and deletes with preconditions', async () => {
    server.faults.other.push(ok, ok, ok);
    await client.create(WIDGETS, WIDGET);
    await client.replace(WIDGETS, WIDGET, { subresource: 'status' });
    await client.delete(WIDGETS, REF, {
      preconditions: { uid: 'u' },
      propagationPolicy: 'Foreground',
      gracePeriodSeconds: 0,
    });
    expect(
      server.requests.map(({ method, path }) => `${method} ${path.replace('/base/apis/example.com/v1', '')}`),
    ).to.deep.equal([
      'POST /namespaces/ns/widgets',
      'PUT /namespaces/ns/widgets/a/status',
      'DELETE /namespaces/ns/widgets/a',
    ]);
    expect(JSON.parse(server.requests[2]?.body ?? '')).to.deep.equal({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid: 'u' },
      propagationPolicy: 'Foreground',
      gracePeriodSeconds: 0,
    });
  });

  it('lists page by page', async () => {
    for (let count = 0; count < 5; count++) server.put(`w${count}`);
    const sizes: number[] = [];
    for await (const page of client.listPages<Widget>(WIDGETS, { limit: 2, labelSelector: 'a=b' }))
      sizes.push(page.items.length);
    expect(sizes).to.deep.equal([2, 2, 1]);
    expect(server.requests.every(({ query }) => query.get('labelSelector') === 'a=b')).to.equal(true);
  });

  it('turns a Status into an error with reason, code and causes', async () => {
    const details = { name: 'a', causes: [{ field: 'spec.size', message: 'must be positive' }] };
    server.faults.other.push((_request, response) =>
      json(response, 422, { kind: 'Status', reason: 'Invalid', message: 'Widget "a" is invalid', code: 422, details }),
    );
    const error = await failure(client.get(WIDGETS, REF));
    expect(error).to.include({ status: 422, reason: 'Invalid', message: 'Widget "a" is invalid', isInvalid: true });
    expect(error.isRetryable).to.equal(false);
    expect(error.causes[0]?.field).to.equal('spec.size');
  });

  it('classifies what is not a Status by its HTTP code', async () => {
    const cases: readonly (readonly [number, keyof KubeError])[] = [
      [404, 'isNotFound'],
      [409, 'isConflict'],
      [410, 'isExpired'],
      [403, 'isForbidden'],
      [401, 'isUnauthorized'],
      [500, 'isRetryable'],
    ];
    for (const [code, property] of cases) {
      server.faults.other.push((_request, response) => response.writeHead(code).end('<html>proxy</html>'));
      expect((await failure(client.get(WIDGETS, REF)))[property], String(code)).to.equal(true);
    }
  });

  it('retries 429 and 503 after Retry-After, writes too, and counts each try', async () => {
    server.faults.other.push(
      status(429, 'TooManyRequests', 'later', { 'retry-after': '0' }),
      status(503, 'ServiceUnavailable', 'later', { 'retry-after': '0' }),
      ok,
    );
    await client.patch(WIDGETS, REF, {}, { type: 'merge' });
    expect(server.requests).to.have.length(3);
    const text = await metrics.registry.getSingleMetricAsString('rest_client_requests_total');
    for (const code of [429, 503, 200]) expect(text).to.contain(`{code="${code}",method="PATCH"} 1`);
  });

  it('gives a 429 up at once when Retry-After is beyond the deadline', async () => {
    server.faults.other.push(status(429, 'TooManyRequests', 'later', { 'retry-after': '60' }));
    const error = await failure(client.get(WIDGETS, REF, { timeoutMs: 5000 }));
    expect(error).to.include({ status: 429, retryAfterMs: 60_000, isRetryable: true });
  });

  it('repeats a GET whose connection broke, once, but never a write', async () => {
    server.faults.other.push(drop, ok);
    await client.get(WIDGETS, REF);
    server.faults.other.push(drop, ok);
    expect((await failure(client.patch(WIDGETS, REF, {}, { type: 'merge' }))).reason).to.equal('ConnectionLost');
    server.faults.other.length = 0;
    server.faults.other.push(drop, drop, ok);
    expect((await failure(client.get(WIDGETS, REF))).isRetryable).to.equal(true);
  });

  it('says that nobody listens, retryably', async () => {
    await server.stop();
    const error = await failure(client.get(WIDGETS, REF));
    expect(error).to.include({ reason: 'ConnectionRefused', code: 'ECONNREFUSED', status: 0, isUnreachable: true });
    expect(error.isRetryable).to.equal(true);
  });

  it('gives up at the deadline when the server does not answer', async () => {
    server.faults.other.push(() => undefined);
    const error = await failure(client.get(WIDGETS, REF, { timeoutMs: 30 }));
    expect(error).to.include({ reason: 'DeadlineExceeded', isTimeout: true });
  });

  it('gives up at the deadline in the middle of an answer', async () => {
    server.faults.other.push((_request, response) => response.writeHead(200).write('{"meta'));
    expect((await failure(client.get(WIDGETS, REF, { timeoutMs: 30 }))).reason).to.equal('DeadlineExceeded');
  });

  it('lets a request and a watch go that wait for a connection, and closes without waiting for it', async () => {
    const sockets = new Set<Socket>();
    const both = Promise.withResolvers<void>();
    // It takes connections and never says anything: TLS does not come about.
    const silent = createServer((socket) => {
      sockets.add(socket);
      if (sockets.size === 2) both.resolve();
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const waiting = connect({ server: `https://127.0.0.1:${port}`, tls: {}, token: '' });
    const abort = new AbortController();
    const failures = [
      failure(waiting.get(WIDGETS, REF, { signal: abort.signal })),
      failure(waiting.watch(WIDGETS, { signal: abort.signal })[Symbol.asyncIterator]().next()),
    ];
    await both.promise;
    abort.abort();
    for (const failed of failures) expect((await failed).isAborted).to.equal(true);
    expect([...sockets].filter((socket) => socket.destroyed)).to.deep.equal([]);
    await waiting.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it('can be aborted before and during a request', async () => {
    const abort = new AbortController();
    server.faults.other.push(() => abort.abort());
    expect((await failure(client.get(WIDGETS, REF, { signal: abort.signal }))).isAborted).to.equal(true);
    expect((await failure(client.get(WIDGETS, REF, { signal: abort.signal }))).isAborted).to.equal(true);
  });

  it('keeps to its connections however many requests run at once', async () => {
    server.faults.other.push(...Array.from({ length: 200 }, () => ok));
    await Promise.all(Array.from({ length: 200 }, () => client.get(WIDGETS, REF)));
    expect(server.connections).to.be.at.most(16);
  });

  it('keeps to its connections after a DELETE, although that has a body', async () => {
    const ports = new Set<number | undefined>();
    const gone: Fault = (_request, response) => {
      ports.add(response.socket?.remotePort);
      json(response, 200, { kind: 'Status', status: 'Success' });
    };
    server.faults.other.push(...Array.from({ length: 40 }, () => gone));
    for (let turn = 0; turn < 40; turn++) await client.delete(WIDGETS, REF, { preconditions: { uid: 'u' } });
    expect(ports.size).to.be.at.most(16);
  });

  it('leaves the connections of requests to requests while watches are open', async () => {
    const stop = new AbortController();
    const opened = Array.from({ length: 40 }, async () => {
      for await (const event of client.watch<Widget>(WIDGETS, { sendInitialEvents: true, signal: stop.signal })) {
        if (event.type === 'BOOKMARK') return;
      }
    });
    await Promise.all(opened);
    server.faults.other.push(ok);
    await client.get(WIDGETS, REF);
    stop.abort();
  });

  it('refuses an answer that is not what was asked for', async () => {
    server.faults.other.push((_request, response) => response.writeHead(200).end('<html>'));
    expect((await failure(client.get(WIDGETS, REF))).reason).to.equal('Protocol');
    server.faults.list.push((_request, response) => json(response, 200, { items: [] }));
    expect((await failure(client.list(WIDGETS))).reason).to.equal('Protocol');
  });

  it('keeps tokens and signed URLs out of error texts', async () => {
    server.faults.other.push(
      status(
        500,
        'InternalError',
        'Get "https://u:pw@bucket.example.com/path?X-Amz-Signature=abc": Bearer abcdefghijklmn failed',
      ),
    );
    const error = await failure(client.get(WIDGETS, REF));
    expect(error.message).to.equal('Get "https://bucket.example.com": Bearer [redacted] failed');
  });

  it('works over an injected transport', async () => {
    const agent = new MockAgent();
    agent.disableNetConnect();
    agent
      .get('http://in.process')
      .intercept({ path: '/apis/example.com/v1/namespaces/ns/widgets/a' })
      .reply(200, WIDGET);
    const inProcess = connect({ server: 'http://in.process', tls: {} }, { transport: agent });
    expect((await inProcess.get<Widget>(WIDGETS, REF)).metadata.name).to.equal('a');
    await inProcess.close();
    await agent.close();
  });
});
