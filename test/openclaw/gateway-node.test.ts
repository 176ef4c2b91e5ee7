import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { writePrivate } from '../../src/apiserver/storage/private-file.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { CommandError } from '../../src/commands/command-error.ts';
import type { AnyCommand } from '../../src/commands/registry.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { GatewayNode, type GatewayNodeOptions, type GatewayTuning } from '../../src/openclaw/gateway-node.ts';
import type { PrivateFiles } from '../../src/openclaw/private-files.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { until } from '../node/support.ts';
import { type Script, ScriptedGateway } from './scripted-gateway.ts';

const files: PrivateFiles = {
  read(file) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  },
  write(file, text) {
    mkdirSync(dirname(file), { recursive: true });
    writePrivate(file, text);
  },
  remove: (file) => rmSync(file, { force: true }),
};

/** Quick, and no shorter than a busy machine needs. */
const QUICK: Partial<GatewayTuning> = { firstBackOffMs: 5, lastBackOffMs: 20, closeMs: 200 };
const context = { client: {} as KubeClient, namespace: 'team', nodeName: 'gpu-1', hostPathAllow: [] };

/** Commands that do as their parameters say. */
class Commands {
  readonly began: string[] = [];
  readonly contexts: CommandContext[] = [];
  /** Calls of `work.hold` end when this is called. */
  release: () => void = () => undefined;
  readonly #released = new Promise<void>((resolve) => {
    this.release = resolve;
  });

  readonly list: readonly AnyCommand[] = [
    {
      name: 'work.echo',
      summary: 'Answer with the text.',
      parameters: {
        required: ['text'],
        properties: {
          text: { type: 'string', description: 'Text.' },
          times: { type: 'number', description: 'Times.', default: 1 },
        },
      },
      run: async (params: { readonly text: string; readonly times: number }, given: CommandContext) => {
        this.began.push(params.text);
        this.contexts.push(given);
        if (params.text === 'refuse')
          throw new CommandError('Refused', 'volume "a" is attached', { reason: 'VolumeInUse' });
        if (params.text === 'break') throw new TypeError('secret detail');
        if (params.text === 'running') return { state: 'running' };
        return { text: params.text.repeat(params.times) };
      },
    },
    {
      name: 'work.hold',
      summary: 'Answer when it is let go.',
      parameters: { required: [], properties: { name: { type: 'string', description: 'Name.' } } },
      run: async (params: { readonly name?: string }, given: CommandContext) => {
        this.began.push(params.name ?? '');
        this.contexts.push(given);
        await this.#released;
        return { held: true };
      },
    },
    {
      name: 'work.list',
      summary: 'Answer at once.',
      readOnly: true,
      parameters: { required: [], properties: {} },
      run: async () => {
        this.began.push('list');
        return { count: this.began.length };
      },
    },
  ];
}

describe('a node of an OpenClaw gateway', () => {
  let directory: string;
  let gateway: ScriptedGateway;
  let commands: Commands;
  let stop: AbortController;
  let running: Promise<void> | undefined;
  let metrics: ReturnType<typeof createMetrics>;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-openclaw-'));
    commands = new Commands();
    stop = new AbortController();
    running = undefined;
    metrics = createMetrics();
  });
  afterEach(async () => {
    commands.release();
    stop.abort();
    await running;
    await gateway.stop();
    rmSync(directory, { recursive: true });
    expect(gateway.violations, 'what the real gateway would refuse').to.deep.equal([]);
  });

  const makeNode = (more: Partial<GatewayNodeOptions> = {}): GatewayNode =>
    new GatewayNode({
      url: gateway.url,
      nodeName: 'gpu-1',
      version: '1.2.3',
      commands: commands.list,
      context,
      directory,
      files,
      sharedToken: () => Promise.resolve('shared'),
      clock: systemClock,
      log: silentLogger,
      metrics,
      ...more,
      tuning: { ...QUICK, ...more.tuning },
    });

  const attach = async (script: Script = {}, more: Partial<GatewayNodeOptions> = {}): Promise<GatewayNode> => {
    gateway = await ScriptedGateway.start(script);
    const node = makeNode(more);
    running = node.run(stop.signal);
    return node;
  };
  const joined = async (script: Script = {}, more: Partial<GatewayNodeOptions> = {}): Promise<GatewayNode> => {
    const node = await attach(script, more);
    await until(() => node.feature.available);
    return node;
  };
  const payload = async (id: string): Promise<unknown> => {
    const result = await gateway.result(id);
    expect(result.ok, JSON.stringify(result)).to.equal(true);
    return JSON.parse(result.payloadJSON ?? '');
  };
  const error = async (id: string): Promise<{ readonly code: string; readonly message: string } | undefined> => {
    const result = await gateway.result(id);
    expect(result.ok).to.equal(false);
    return result.error;
  };
  const sample = async (name: string, labels: object): Promise<number | undefined> => {
    const { values } = (await metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
    return values.find((value) => JSON.stringify(value.labels) === JSON.stringify(labels))?.value;
  };

  describe('joins', () => {
    it('with what the gateway needs to know, signed, and says so', async () => {
      const node = await joined();
      const [params] = gateway.connects;
      expect(params).to.deep.include({
        role: 'node',
        scopes: [],
        caps: ['storage'],
        commands: ['work.echo', 'work.hold', 'work.list'],
        auth: { token: 'shared' },
      });
      expect(params?.client).to.deep.equal({
        id: 'node-host',
        displayName: 'gpu-1',
        version: '1.2.3',
        platform: 'linux',
        mode: 'node',
        instanceId: node.id,
      });
      expect(node.feature).to.deep.include({ name: 'OpenClawGateway', available: true });
      expect(node.feature.message).to.include(node.id).and.to.include('work.echo');
      const label = { gateway: `127.0.0.1:${gateway.port}` };
      expect(await sample('clawstore_openclaw_connected', label)).to.equal(1);
      stop.abort();
      await running;
    });

    it('as the same node after a restart, with a key that only its owner can read', async () => {
      const node = await joined();
      const again = makeNode();
      expect(again.id).to.equal(node.id);
      expect(statSync(join(directory, 'device-key.pem')).mode & 0o777).to.equal(0o600);
    });

    it('not at all with a key that is damaged, rather than as another node', async () => {
      gateway = await ScriptedGateway.start();
      writeFileSync(join(directory, 'device-key.pem'), 'no key');
      expect(() => makeNode()).to.throw(/device-key\.pem has no Ed25519 key/);
      expect(readFileSync(join(directory, 'device-key.pem'), 'utf8')).to.equal('no key');
    });

    it('with the token that the gateway gave it, once it has one', async () => {
      await joined({ deviceToken: 'of-the-device' });
      const file = join(directory, 'device-token.json');
      expect(statSync(file).mode & 0o777).to.equal(0o600);
      gateway.socket.close(1012);
      await gateway.joined(2);
      expect(gateway.connects.map(({ auth }) => auth?.token)).to.deep.equal(['shared', 'of-the-device']);
    });

    it('another gateway without the token of the first', async () => {
      await joined({ deviceToken: 'of-the-device' });
      stop.abort();
      await running;
      await gateway.stop();
      stop = new AbortController();
      await joined();
      expect(gateway.connects[0]?.auth?.token).to.equal('shared');
    });

    it('with the shared token again when its own is no longer taken', async () => {
      const node = await joined({ deviceToken: 'old' });
      gateway.script = {
        deviceToken: 'new',
        refuse: ({ auth }) =>
          auth?.token === 'old'
            ? { code: 'INVALID_REQUEST', message: 'unauthorized', details: { code: 'AUTH_DEVICE_TOKEN_MISMATCH' } }
            : undefined,
      };
      gateway.socket.close(1012);
      await until(() => gateway.connects.length === 3 && node.feature.available);
      expect(gateway.connects.map(({ auth }) => auth?.token)).to.deep.equal(['shared', 'old', 'shared']);
      expect(readFileSync(join(directory, 'device-token.json'), 'utf8')).to.include('new');
    });

    it('without a token where nobody gave one', async () => {
      await joined({}, { sharedToken: () => Promise.resolve(undefined) });
      expect(gateway.connects[0]).not.to.have.property('auth');
    });
  });

  describe('that is refused', () => {
    it('says what somebody must approve, and does not press', async () => {
      const details = { code: 'PAIRING_REQUIRED', reason: 'not-paired', requestId: 'req-7' };
      const node = await attach({ refuse: () => ({ code: 'NOT_PAIRED', message: 'pairing required', details }) });
      await until(() => node.feature.reason === 'PairingRequired');
      expect(node.feature.available).to.equal(false);
      expect(node.feature.message).to.include('openclaw devices approve req-7');
      expect(gateway.attempts).to.equal(1);
    });

    it('says that the token is wrong, and never what it is', async () => {
      const details = { code: 'AUTH_TOKEN_MISMATCH' };
      const node = await attach({ refuse: () => ({ code: 'INVALID_REQUEST', message: 'unauthorized', details }) });
      await until(() => node.feature.reason === 'CredentialsRejected');
      expect(node.feature.message).to.include('--openclaw-token-file').and.not.to.include('shared');
    });

    it('tries again as soon as a starting gateway says', async () => {
      let refusals = 0;
      const refuse = () =>
        (refusals += 1) <= 2 ? { code: 'UNAVAILABLE', message: 'gateway starting', retryAfterMs: 100 } : undefined;
      const node = await attach({ refuse }, { tuning: { ...QUICK, firstBackOffMs: 60_000 } });
      await until(() => node.feature.available);
      expect(gateway.connects).to.have.length(3);
    });

    it('waits slowly for a gateway of another protocol', async () => {
      const node = await attach({ hello: { type: 'hello-ok', protocol: 5 } });
      await until(() => node.feature.reason === 'ProtocolNotSupported');
      expect(gateway.attempts).to.equal(1);
    });

    it('tells a token file that cannot be read', async () => {
      const sharedToken = () => Promise.reject(new Error('--openclaw-token-file: /x cannot be read (ENOENT)'));
      const node = await attach({}, { sharedToken });
      await until(() => node.feature.message?.includes('/x cannot be read') === true);
    });
  });

  describe('keeps at it', () => {
    it('when the gateway goes away in any way, and tells of it', async () => {
      const node = await joined();
      const ways = [
        () => gateway.socket.close(1012, 'service restart'),
        () => gateway.socket.close(1013, 'try again later'),
        () => gateway.socket.terminate(),
        () => gateway.socket.close(1008, 'slow consumer'),
        () => gateway.socket.send(Buffer.alloc(26 * 1024 * 1024)),
      ];
      for (const [index, way] of ways.entries()) {
        way();
        await gateway.joined(index + 2);
        await until(() => node.feature.available);
      }
      gateway.invoke('after', 'work.list');
      await gateway.result('after');
    });

    it('while nobody listens', async () => {
      const node = await joined();
      const { port } = gateway;
      await gateway.stop();
      await until(() => node.feature.reason === 'ServerUnreachable');
      const label = { gateway: `127.0.0.1:${port}` };
      expect(await sample('clawstore_openclaw_connected', label)).to.equal(0);
      gateway = await ScriptedGateway.start({}, port);
      await until(() => node.feature.available);
    });

    it('after the time that a gateway said it would be away', async () => {
      const node = await joined({}, { tuning: { ...QUICK, firstBackOffMs: 60_000 } });
      gateway.event('shutdown', { reason: 'restart', restartExpectedMs: 10 });
      gateway.socket.close(1012);
      await gateway.joined(2);
      await until(() => node.feature.available);
    });

    it('when the gateway falls silent without closing', async () => {
      const script = { policy: { tickIntervalMs: 20 }, silent: true };
      const node = await attach(script, { tuning: { ...QUICK, answerMs: 50 } });
      await gateway.joined(2);
      expect(node.feature).to.have.property('name', 'OpenClawGateway');
    });

    it('in peace with a gateway that says nothing but answers pings', async () => {
      await joined({ policy: { tickIntervalMs: 5 } }, { tuning: { ...QUICK, answerMs: 30_000 } });
      let pings = 0;
      gateway.socket.on('ping', () => (pings += 1));
      await until(() => pings >= 5);
      expect(gateway.attempts).to.equal(1);
    });

    it('when the gateway does not finish the handshake', async () => {
      await attach({ challenge: { nonce: '' } }, { tuning: { ...QUICK, handshakeMs: 50 } });
      await until(() => gateway.attempts >= 3);
    });

    it('whatever a gateway sends', async () => {
      const node = await joined();
      const garbage = [
        '',
        '{',
        'null',
        '[]',
        '7',
        '"x"',
        '{"type":"event"}',
        '{"type":"res","id":"connect","ok":true}',
      ];
      for (const text of garbage) gateway.socket.send(text);
      gateway.socket.send(Buffer.from([0, 1, 2]));
      for (const text of [{}, null, { id: 'x' }, { id: 'x', nodeId: 'n' }, { id: '', nodeId: '', command: '' }]) {
        gateway.event('node.invoke.request', text);
      }
      gateway.event('node.invoke.cancel', { invokeId: 'never' });
      gateway.event('node.invoke.cancel', null);
      gateway.event('tick', { ts: 1 });
      gateway.event('connect.challenge', { nonce: 'again', ts: 1 });
      gateway.invoke('good', 'work.list');
      await gateway.result('good');
      expect(gateway.results).to.have.length(1);
      expect(gateway.attempts).to.equal(1);
      expect(node.feature.available).to.equal(true);
    });
  });

  describe('answers', () => {
    it('what the command returns, with defaults filled in as everywhere', async () => {
      await joined();
      gateway.invoke('1', 'work.echo', { text: 'a' });
      expect(await payload('1')).to.deep.equal({ text: 'a' });
      expect((await gateway.result('1')).nodeId).to.equal('the-node');
      expect(commands.contexts[0]).to.deep.include({ namespace: 'team', nodeName: 'gpu-1' });
    });

    it('errors with code, field and reason', async () => {
      await joined();
      gateway.invoke('none', 'work.echo');
      gateway.invoke('more', 'work.echo', { text: 'a', colour: 'red' });
      gateway.invoke('json', 'work.echo', undefined, { paramsJSON: '{' });
      gateway.invoke('refused', 'work.echo', { text: 'refuse' });
      gateway.invoke('broken', 'work.echo', { text: 'break' });
      gateway.invoke('unknown', 'work.nothing', {});
      expect(await error('none')).to.deep.equal({
        code: 'InvalidParameter',
        message: 'work.echo: parameter "text" is required',
      });
      expect((await error('more'))?.message).to.include('unknown parameter "colour"');
      expect((await error('json'))?.message).to.include('not JSON');
      expect(await error('refused')).to.deep.equal({
        code: 'Refused',
        message: 'volume "a" is attached (reason: VolumeInUse)',
      });
      const broken = await error('broken');
      expect(broken?.code).to.equal('InternalError');
      expect(broken?.message).not.to.include('secret');
      expect((await error('unknown'))?.message)
        .to.include('does not offer')
        .and.to.include('work.echo');
      const invokes = 'clawstore_openclaw_invokes_total';
      expect(await sample(invokes, { command: 'unknown', result: 'InvalidParameter' })).to.equal(1);
      expect(await sample(invokes, { command: 'work.echo', result: 'Refused' })).to.equal(1);
    });

    it('no command that its operator has not turned on', async () => {
      await joined({}, { commands: commands.list.filter(({ readOnly }) => readOnly) });
      expect(gateway.connects[0]?.commands).to.deep.equal(['work.list']);
      gateway.invoke('1', 'work.echo', { text: 'a' });
      expect((await error('1'))?.message).to.include('does not offer the command "work.echo"');
      expect(commands.began).to.deep.equal([]);
    });

    it('fifty calls at once, each with its own answer', async () => {
      await joined();
      for (let n = 0; n < 50; n++) gateway.invoke(`c${n}`, 'work.echo', { text: `t${n}` });
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => payload(`c${n}`)));
      expect(answers).to.deep.equal(Array.from({ length: 50 }, (_, n) => ({ text: `t${n}` })));
      expect(gateway.results).to.have.length(50);
    });

    it('reads at once while everything else is held up, and refuses what cannot wait', async () => {
      await joined({}, { limits: { atOnce: 2, waiting: 3 } });
      for (let n = 0; n < 6; n++) gateway.invoke(`h${n}`, 'work.hold', {});
      expect((await error('h5'))?.code).to.equal('Unavailable');
      gateway.invoke('read', 'work.list', {});
      await payload('read');
      expect(commands.began).to.deep.equal(['', '', 'list']);
      commands.release();
      for (let n = 0; n < 5; n++) expect(await payload(`h${n}`)).to.deep.equal({ held: true });
    });

    it('before the caller stops waiting, whatever the command does', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', {}, { timeoutMs: 1_000 });
      const { code, message } = (await error('1')) ?? {};
      expect(code).to.equal('Timeout');
      expect(message).to.include('goes on');
      const [given] = commands.contexts;
      expect(given?.timeoutMs).to.be.lessThan(1_000).and.greaterThan(0);
      // AbortSignal.timeout takes nothing else.
      expect(given?.timeoutMs).to.satisfy(Number.isInteger);
      expect(given?.signal.aborted).to.equal(true);
    });

    it('in time also what never got its turn', async () => {
      await joined({}, { limits: { atOnce: 1 } });
      gateway.invoke('first', 'work.hold', {});
      await until(() => commands.began.length === 1);
      gateway.invoke('second', 'work.hold', {}, { timeoutMs: 100 });
      expect((await error('second'))?.code).to.equal('Timeout');
      commands.release();
      await payload('first');
      gateway.invoke('third', 'work.list');
      await payload('third');
      expect(commands.began).to.deep.equal(['', 'list']);
    });

    it('that an answer is too large instead of being cut off', async () => {
      await joined({ policy: { maxPayload: 100_000 } });
      gateway.invoke('1', 'work.echo', { text: '"'.repeat(1000), times: 100 });
      expect((await error('1'))?.code).to.equal('ResultTooLarge');
      gateway.invoke('2', 'work.echo', { text: 'x'.repeat(1000), times: 50 });
      await payload('2');
      expect(gateway.attempts).to.equal(1);
    });

    it('that parameters are too large', async () => {
      await joined({}, { limits: { paramsLength: 1000 } });
      gateway.invoke('1', 'work.echo', { text: 'x'.repeat(1000) });
      expect((await error('1'))?.message).to.include('longer than 1000');
      expect(commands.began).to.deep.equal([]);
    });
  });

  describe('does once what is asked for twice', () => {
    const key = { idempotencyKey: 'k' };

    it('while it is being done', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', {}, key);
      gateway.invoke('2', 'work.hold', {}, key);
      gateway.invoke('2', 'work.hold', {}, key);
      gateway.invoke('other', 'work.list');
      await payload('other');
      commands.release();
      expect(await payload('1')).to.deep.equal({ held: true });
      expect(await payload('2')).to.deep.equal({ held: true });
      expect(commands.began.filter((name) => name === '')).to.have.length(1);
      expect(commands.contexts[0]?.requestId).to.equal('k');
      expect(gateway.results.map(({ id }) => id).toSorted()).to.deep.equal(['1', '2', 'other']);
    });

    it('and when it was done, over a reconnect too', async () => {
      await joined();
      gateway.invoke('1', 'work.echo', { text: 'a' }, key);
      await payload('1');
      gateway.socket.terminate();
      await gateway.joined(2);
      gateway.invoke('2', 'work.echo', { text: 'a' }, key);
      expect(await payload('2')).to.deep.equal({ text: 'a' });
      expect(commands.began).to.deep.equal(['a']);
    });

    it('and refuses the key for anything else', async () => {
      await joined();
      gateway.invoke('1', 'work.echo', { text: 'a' }, key);
      await payload('1');
      gateway.invoke('2', 'work.echo', { text: 'b' }, key);
      expect((await error('2'))?.message).to.include('idempotency key');
      expect(commands.began).to.deep.equal(['a']);
    });

    it('but looks anew at what failed, still runs, or only reads', async () => {
      await joined();
      for (const [name, command, params] of [
        ['refuse', 'work.echo', { text: 'refuse' }],
        ['running', 'work.echo', { text: 'running' }],
        ['list', 'work.list', {}],
      ] as const) {
        for (const time of [1, 2]) {
          gateway.invoke(`${name}${time}`, command, params, { idempotencyKey: name });
          await gateway.result(`${name}${time}`);
        }
      }
      expect(commands.began).to.deep.equal(['refuse', 'refuse', 'running', 'running', 'list', 'list']);
    });

    it('and keeps no more answers than it may', async () => {
      await joined({}, { limits: { keep: 2 } });
      for (const text of ['a', 'b', 'c', 'c', 'a']) {
        const id = `${text}${commands.began.length}${gateway.results.length}`;
        gateway.invoke(id, 'work.echo', { text }, { idempotencyKey: text });
        await payload(id);
      }
      expect(commands.began).to.deep.equal(['a', 'b', 'c', 'a']);
    });
  });

  describe('whose caller does not wait any more', () => {
    it('stops waiting too, and answers nothing', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', {});
      await until(() => commands.contexts.length === 1);
      gateway.event('node.invoke.cancel', { invokeId: '1' });
      await until(() => commands.contexts[0]?.signal.aborted === true);
      commands.release();
      gateway.invoke('2', 'work.list');
      await payload('2');
      expect(gateway.results.map(({ id }) => id)).to.deep.equal(['2']);
    });

    it('begins anew for who asks again', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', {}, { idempotencyKey: 'k' });
      await until(() => commands.contexts.length === 1);
      gateway.event('node.invoke.cancel', { invokeId: '1' });
      gateway.invoke('2', 'work.hold', {}, { idempotencyKey: 'k' });
      await until(() => commands.contexts.length === 2);
      gateway.invoke('3', 'work.hold', {}, { idempotencyKey: 'k' });
      gateway.invoke('4', 'work.list');
      await payload('4');
      commands.release();
      for (const id of ['2', '3']) expect(await payload(id)).to.deep.equal({ held: true });
      expect(commands.contexts).to.have.length(2);
      expect(commands.contexts.map(({ signal }) => signal.aborted)).to.deep.equal([true, false]);
    });

    it('goes on for another delivery of the same request', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', {}, { idempotencyKey: 'k' });
      gateway.invoke('2', 'work.hold', {}, { idempotencyKey: 'k' });
      gateway.event('node.invoke.cancel', { invokeId: '1' });
      gateway.invoke('3', 'work.list');
      await payload('3');
      expect(commands.contexts[0]?.signal.aborted).to.equal(false);
      commands.release();
      await payload('2');
      expect(gateway.results.map(({ id }) => id).toSorted()).to.deep.equal(['2', '3']);
    });

    it('says nothing on the next connection, and has the answer for who asks again', async () => {
      await joined();
      gateway.invoke('1', 'work.hold', { name: 'x' }, { idempotencyKey: 'k' });
      await until(() => commands.began.length === 1);
      gateway.socket.terminate();
      await gateway.joined(2);
      commands.release();
      gateway.invoke('2', 'work.hold', { name: 'x' }, { idempotencyKey: 'k' });
      expect(await payload('2')).to.deep.equal({ held: true });
      expect(commands.began).to.deep.equal(['x']);
      expect(gateway.results.map(({ id }) => id)).to.deep.equal(['2']);
    });
  });

  it('ends at once when it is told to, whatever is going on', async () => {
    await joined();
    gateway.invoke('1', 'work.hold', {});
    await until(() => commands.began.length === 1);
    stop.abort();
    await running;
    expect(commands.contexts[0]?.signal.aborted).to.equal(true);
  });
});
