import { Writable } from 'node:stream';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { request } from 'undici';
import { HealthChecks } from '../../src/telemetry/health.ts';
import type { HealthServer } from '../../src/telemetry/health-server.ts';
import { parseListenAddress, startHealthServer } from '../../src/telemetry/health-server.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { cleanText } from '../../src/telemetry/redact.ts';

describe('cleanText', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['nothing to hide', 'nothing to hide'],
    ['Get "https://user:pw@host:6443/api?token=x": EOF', 'Get "https://host:6443": EOF'],
    ['s3://key:secret@bucket/prefix failed', 's3://bucket failed'],
    ['see (https://host/a/b), please', 'see (https://host), please'],
    ['Authorization: Bearer abc.def-ghi_jkl', 'Authorization: Bearer [redacted]'],
    ['AKIAABCDEFGHIJKLMNOP was refused', '[redacted] was refused'],
    ['password=hunter2 user=me', 'password=[redacted] user=me'],
    ['aws_secret_access_key = "abc"', 'aws_secret_access_key = [redacted]'],
    ['{"token":"abc","name":"x"}', '{"token":[redacted],"name":"x"}'],
    ['-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- end', '[redacted] end'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln', '[redacted]'],
    ['/data/volumes/a is not a directory', '/data/volumes/a is not a directory'],
    ['secret "s3-keys" not found', 'secret "s3-keys" not found'],
  ];
  for (const [text, cleaned] of cases) {
    it(`turns ${JSON.stringify(text.slice(0, 40))} into what may be shown`, () => {
      expect(cleanText(text)).to.equal(cleaned);
    });
  }
});

describe('log', () => {
  function capture() {
    const lines: Record<string, unknown>[] = [];
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
        done();
      },
    });
    return { lines, log: createLogger({ destination, level: 'debug' }) };
  }

  it('writes one JSON object per line, with level and time in words', () => {
    const { log, lines } = capture();
    log.child({ controller: 'volume' }).info({ key: 'ns/a' }, 'Reconciled');
    expect(lines[0]).to.include({ level: 'info', controller: 'volume', key: 'ns/a', msg: 'Reconciled' });
    expect(lines[0]?.['time']).to.match(/^\d{4}-\d\d-\d\dT/);
  });

  it('writes errors with their causes, cleaned', () => {
    const { log, lines } = capture();
    const cause = Object.assign(new Error('connect https://u:p@h/x'), { code: 'ECONNREFUSED' });
    log.error({ err: new Error('password=abc', { cause }) }, 'Failed');
    const err = lines[0]?.['err'] as { message: string; cause: { message: string; code: string } };
    expect(err.message).to.equal('password=[redacted]');
    expect(err.cause).to.include({ message: 'connect https://h', code: 'ECONNREFUSED' });
  });

  it('writes for people when asked to', () => {
    let text = '';
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        done();
      },
    });
    createLogger({ destination, format: 'pretty' }).warn({ key: 'ns/a' }, 'Slow');
    expect(text).to.match(/WARN.*Slow/);
    expect(text).to.contain('ns/a');
  });

  it('never writes the values of secret fields', () => {
    const { log, lines } = capture();
    log.info({ token: 'abc', config: { password: 'def', name: 'x' } }, 'Loaded');
    expect(JSON.stringify(lines)).to.not.match(/abc|def/);
    expect(lines[0]?.['config']).to.deep.equal({ password: '[redacted]', name: 'x' });
  });
});

describe('health server', () => {
  let server: HealthServer | undefined;

  afterEach(async () => {
    await server?.close();
  });

  async function start() {
    const metrics = createMetrics();
    const health = new HealthChecks();
    const ready = new HealthChecks();
    server = await startHealthServer({ host: '127.0.0.1', port: 0, metrics, health, ready });
    const get = async (path: string, method: 'GET' | 'POST' = 'GET') => {
      const answer = await request(`http://127.0.0.1:${server?.address.port}${path}`, { method });
      return { status: answer.statusCode, text: await answer.body.text() };
    };
    return { metrics, health, ready, get };
  }

  it('serves metrics in the Prometheus text form', async () => {
    const { metrics, get } = await start();
    metrics.buildInfo.set({ version: '1', node_version: '24' }, 1);
    const { status, text } = await get('/metrics');
    expect(status).to.equal(200);
    expect(text).to.contain('clawstore_build_info{version="1",node_version="24"} 1');
  });

  it('answers probes from its checks', async () => {
    const { ready, get } = await start();
    expect(await get('/healthz')).to.deep.equal({ status: 200, text: 'ok' });
    let failing = true;
    ready.add('caches', () => {
      if (failing) throw new Error('volumes not synced');
    });
    ready.add('lock', async () => undefined);
    expect(await get('/readyz')).to.deep.equal({
      status: 503,
      text: '[-]caches failed: volumes not synced\n[+]lock ok\nreadyz check failed\n',
    });
    expect((await get('/readyz?exclude=caches')).status).to.equal(200);
    failing = false;
    expect(await get('/readyz?verbose')).to.deep.equal({
      status: 200,
      text: '[+]caches ok\n[+]lock ok\nreadyz check passed\n',
    });
  });

  it('fails a check that does not answer in time', async function () {
    this.timeout(120_000);
    const { health, get } = await start();
    health.add('stuck', () => new Promise(() => undefined));
    const { status, text } = await get('/healthz');
    expect(status).to.equal(503);
    expect(text).to.contain('[-]stuck failed: no answer');
  });

  it('offers nothing else', async () => {
    const { get } = await start();
    expect((await get('/debug')).status).to.equal(404);
    expect((await get('/metrics', 'POST')).status).to.equal(405);
  });
});

describe('parseListenAddress', () => {
  it('reads addresses as people write them', () => {
    expect(parseListenAddress('0.0.0.0:9090')).to.deep.equal({ host: '0.0.0.0', port: 9090 });
    expect(parseListenAddress(':0')).to.deep.equal({ host: '127.0.0.1', port: 0 });
    expect(parseListenAddress('[::1]:80')).to.deep.equal({ host: '::1', port: 80 });
    for (const text of ['', '9090', 'host', 'host:x', 'host:70000', '::1:80']) {
      expect(() => parseListenAddress(text), text).to.throw(RangeError);
    }
  });
});
