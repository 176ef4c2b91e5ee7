import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { type ApiServer, LockedError, startApiServer } from '../../src/apiserver/index.ts';
import { volume } from '../contract/apiserver/cases/support.ts';
import { RawClient } from '../contract/apiserver/watch-client.ts';

const crdsDir = join(import.meta.dirname, '../../crds');
const VOLUMES = '/apis/storage.clawbernetes.io/v1alpha1/namespaces/default/volumes';

describe('startApiServer', function () {
  this.timeout(120_000);
  let stateDir: string;
  let server: ApiServer;
  let agent: Agent;

  const start = async (): Promise<void> => {
    server = await startApiServer({ stateDir, crdsDir });
    agent = new Agent({ connect: { ca: server.caPem } });
  };

  beforeEach(async () => {
    stateDir = mkdtempSync(join(tmpdir(), 'clawstore-server-'));
    await start();
  });

  afterEach(async () => {
    await agent.destroy();
    await server.close();
    rmSync(stateDir, { recursive: true, force: true });
  });

  interface Options {
    readonly method?: 'GET' | 'POST' | 'DELETE' | 'PATCH' | 'OPTIONS';
    readonly token?: string | null;
    readonly body?: string | Buffer;
    readonly headers?: Readonly<Record<string, string>>;
  }

  const ask = async (path: string, { method = 'GET', token = server.adminToken, body, headers }: Options = {}) => {
    const response = await request(server.url + path, {
      method,
      dispatcher: agent,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.body.text();
    return { code: response.statusCode, headers: response.headers, text };
  };

  it('tells its health to anybody, and nothing else', async () => {
    for (const path of ['/healthz', '/livez', '/readyz']) {
      expect(await ask(path, { token: null })).to.include({ code: 200, text: 'ok' });
    }
    expect(JSON.parse((await ask('/version')).text)).to.include({ gitVersion: 'v1.34.4' });
    for (const path of ['/', '/api', '/apis', '/openapi/v3', '/api/v1/namespaces', VOLUMES, '/nonsense']) {
      const { code, text } = await ask(path, { token: null });
      expect(code, path).to.equal(401);
      expect(JSON.parse(text), path).to.deep.equal({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'Unauthorized',
        reason: 'Unauthorized',
        code: 401,
      });
    }
    expect((await ask('/api', { token: 'wrong' })).code).to.equal(401);
  });

  it('keeps everything private on disk', () => {
    const kubeconfig = join(stateDir, 'kubeconfig');
    server.writeKubeconfig(kubeconfig);
    for (const file of ['apiserver.db', 'ca.key', 'server.key', 'admin.token', 'kubeconfig']) {
      expect(statSync(join(stateDir, file)).mode & 0o777, file).to.equal(0o600);
    }
    expect(statSync(stateDir).mode & 0o777).to.equal(0o700);
    const config = parse(readFileSync(kubeconfig, 'utf8'));
    expect(config.users[0].user.token).to.equal(server.adminToken);
  });

  it('lets one server use a state directory', async () => {
    let error: unknown;
    await startApiServer({ stateDir, crdsDir }).catch((thrown: unknown) => {
      error = thrown;
    });
    expect(error).to.be.instanceOf(LockedError);
  });

  it('has the same certificate authority, tokens, objects and revisions after a restart', async () => {
    const { caPem, adminToken } = server;
    await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume('a')) });
    const before = await ask(`${VOLUMES}/a`);
    await agent.destroy();
    await server.close();
    expect(existsSync(join(stateDir, 'apiserver.lock'))).to.equal(false);
    await start();
    expect(server.caPem).to.equal(caPem);
    expect(server.adminToken).to.equal(adminToken);
    expect((await ask(`${VOLUMES}/a`)).text).to.equal(before.text);
  });

  it('resumes a watch over a restart', async () => {
    const first = await ask(VOLUMES);
    const { resourceVersion } = JSON.parse(first.text).metadata;
    await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume('a')) });
    await ask(`${VOLUMES}/a`, { method: 'DELETE' });
    await agent.destroy();
    await server.close();
    await start();
    const client = new RawClient({ url: server.url, token: server.adminToken, ca: server.caPem });
    const watch = await client.watch(`${VOLUMES}?resourceVersion=${resourceVersion}`);
    expect(await watch.take(2)).to.deep.equal(['ADDED a', 'DELETED a']);
    await client.close();
  });

  it('answers 410 for what is compacted away', async () => {
    const page = async (): Promise<string> => JSON.parse((await ask(`${VOLUMES}?limit=1`)).text).metadata.continue;
    for (const name of ['a', 'b', 'c']) await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume(name)) });
    const token = await page();
    await ask(`${VOLUMES}/a`, { method: 'DELETE' });
    await server.store.compact(server.store.committed);
    const compacted = server.store.compacted;
    const client = new RawClient({ url: server.url, token: server.adminToken, ca: server.caPem });
    const watch = await client.watch(`${VOLUMES}?resourceVersion=2`);
    const event = await watch.next();
    expect(event?.type).to.equal('ERROR');
    expect(event?.object).to.include({
      code: 410,
      reason: 'Expired',
      message: `too old resource version: 2 (${compacted})`,
    });
    expect(await watch.next()).to.equal(undefined);
    const exact = await client.send('GET', `${VOLUMES}?resourceVersion=2&resourceVersionMatch=Exact`);
    expect(exact).to.include({ code: 410, reason: 'Expired' });
    const expired = await client.send('GET', `${VOLUMES}?limit=1&continue=${encodeURIComponent(token)}`);
    expect(expired).to.include({ code: 410, reason: 'Expired' });
    const rest = await client.send(
      'GET',
      `${VOLUMES}?limit=5&continue=${encodeURIComponent(expired.metadata.continue ?? '')}`,
    );
    expect(rest.items?.map(({ metadata }) => metadata.name)).to.deep.equal(['b', 'c']);
    await client.close();
  });

  it('refuses bodies that are too large or too deep', async () => {
    const large = await ask(VOLUMES, { method: 'POST', body: Buffer.alloc(3 * 1024 * 1024 + 1, 0x20) });
    expect(large.code).to.equal(413);
    expect(JSON.parse(large.text)).to.include({ reason: 'RequestEntityTooLarge' });
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect((await ask(VOLUMES, { method: 'POST', body: deep })).code).to.equal(400);
    expect((await ask(VOLUMES)).code).to.equal(200);
  });

  it('answers who sends a body that is too large when all of it is sent, so that the answer is read', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connectTls({ host: hostname, port: Number(port), ca: server.caPem });
    try {
      await once(socket, 'secureConnect');
      socket.pause();
      const size = 4 * 1024 * 1024;
      socket.write(
        `POST ${VOLUMES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.adminToken}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${size}\r\n\r\n `,
      );
      // By then it has seen how large the body is to be.
      for (let turn = 0; turn < 5; turn += 1) expect((await ask(VOLUMES)).code).to.equal(200);
      await new Promise<void>((resolve, reject) => {
        socket.write(Buffer.alloc(size - 1, 0x20), (error) => (error ? reject(error) : resolve()));
      });
      const [answer] = (await once(socket.resume(), 'data')) as [Buffer];
      expect(answer.toString()).to.match(/^HTTP\/1\.1 413 [^]*RequestEntityTooLarge/);
    } finally {
      socket.destroy();
    }
  });

  it('refuses a list for a text with a format, which a real kube-apiserver lets pass and then never applies to again', async () => {
    await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume('a')) });
    const condition = { type: 'Ready', status: 'True', reason: 'Test', message: '', lastTransitionTime: [1] };
    const { code, text } = await ask(`${VOLUMES}/a/status`, {
      method: 'PATCH',
      body: JSON.stringify({ status: { conditions: [condition] } }),
      headers: { 'content-type': 'application/merge-patch+json' },
    });
    expect(code).to.equal(422);
    expect(JSON.parse(text).message).to.include('conditions[0].lastTransitionTime in body must be of type date-time');
  });

  it('deletes nothing for a dry run that is written as nobody reads it', async () => {
    await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume('a')) });
    const { code, text } = await ask(`${VOLUMES}/a`, { method: 'DELETE', body: '{"dryRun":"All"}' });
    expect(code).to.equal(400);
    expect(JSON.parse(text).message).to.include('DeleteOptions.dryRun of type []string');
    expect((await ask(`${VOLUMES}/a`)).code).to.equal(200);
  });

  it('serves others while a client is slow with its body', async () => {
    const { hostname, port } = new URL(server.url);
    const slow = connectTls({ host: hostname, port: Number(port), ca: server.caPem });
    await new Promise<void>((resolve) => slow.once('secureConnect', () => resolve()));
    slow.write(
      `POST ${VOLUMES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.adminToken}\r\nContent-Length: 100\r\n\r\n{`,
    );
    expect((await ask(VOLUMES)).code).to.equal(200);
    slow.destroy();
  });

  it('survives a client that speaks no TLS', async () => {
    const { hostname, port } = new URL(server.url);
    const plain = connectPlain(Number(port), hostname);
    const closed = new Promise<void>((resolve) => plain.once('close', () => resolve()));
    plain.on('error', () => {});
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await closed;
    expect((await ask('/healthz')).code).to.equal(200);
  });

  it('decodes the protobuf of kubectl create namespace', async () => {
    const field = (number: number, bytes: Buffer | string): Buffer => {
      const value = Buffer.from(bytes);
      return Buffer.concat([Buffer.from([(number << 3) | 2, value.length]), value]);
    };
    const type = Buffer.concat([field(1, 'v1'), field(2, 'Namespace')]);
    const namespace = Buffer.concat([field(1, field(1, 'from-protobuf')), field(2, ''), field(3, '')]);
    const body = Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, namespace)]);
    const headers = {
      'content-type': 'application/vnd.kubernetes.protobuf',
      accept: 'application/vnd.kubernetes.protobuf,application/json',
    };
    const { code, text } = await ask('/api/v1/namespaces', { method: 'POST', body, headers });
    expect(code).to.equal(201);
    expect(JSON.parse(text)).to.deep.include({ kind: 'Namespace', status: { phase: 'Active' } });
    const damaged = await ask('/api/v1/namespaces', { method: 'POST', body: body.subarray(0, 20), headers });
    expect(damaged.code).to.equal(400);
  });

  it('lists every served group version in OpenAPI v3, with hashes', async () => {
    const { paths } = JSON.parse((await ask('/openapi/v3')).text) as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    expect(Object.keys(paths).toSorted()).to.deep.equal([
      'api/v1',
      'apis/apiextensions.k8s.io/v1',
      'apis/authorization.k8s.io/v1',
      'apis/coordination.k8s.io/v1',
      'apis/events.k8s.io/v1',
      'apis/storage.clawbernetes.io/v1alpha1',
    ]);
    for (const { serverRelativeURL } of Object.values(paths)) {
      const document = JSON.parse((await ask(serverRelativeURL)).text);
      expect(document.openapi).to.equal('3.0.0');
    }
    const ours = JSON.parse((await ask('/openapi/v3/apis/storage.clawbernetes.io/v1alpha1')).text);
    const create = ours.paths['/apis/storage.clawbernetes.io/v1alpha1/namespaces/{namespace}/volumes'].post;
    const parameters = create.parameters.map(({ name }: { name: string }) => name);
    expect(parameters).to.include.members(['dryRun', 'fieldValidation', 'fieldManager']);
    expect(ours.components.schemas).to.have.property('io.clawbernetes.storage.v1alpha1.Volume');
  });

  it('ends when its signal aborts', async () => {
    await server.close();
    const controller = new AbortController();
    server = await startApiServer({ stateDir, crdsDir, signal: controller.signal });
    const { url } = server;
    controller.abort();
    await server.close();
    let error: unknown;
    await request(`${url}/healthz`, { dispatcher: agent }).catch((thrown: unknown) => {
      error = thrown;
    });
    expect(error).to.be.instanceOf(Error);
  });

  it('acknowledges what a crash does not take away', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `v${i}`);
    const codes = await Promise.all(
      names.map(async (name) => (await ask(VOLUMES, { method: 'POST', body: JSON.stringify(volume(name)) })).code),
    );
    expect(new Set(codes)).to.deep.equal(new Set([201]));
    expect(server.store.committed).to.equal(server.store.revision);
  });
});
