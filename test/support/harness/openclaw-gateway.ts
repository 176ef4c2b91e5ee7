/**
 * A real OpenClaw gateway on loopback, and an operator of it: who approves nodes and calls their commands, mostly over the
 * WebSocket (milliseconds a call), where it matters through the gateway's own CLI (seconds a call).
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WebSocket } from 'ws';
import { Daemon } from './daemon.ts';
import { type ExecResult, exec, run } from './exec.ts';
import { freePort } from './ports.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

export interface GatewayConfig {
  /** Commands that its policy lets through, by name. */
  readonly allow?: readonly string[];
  /** Directories of plugins that are loaded, with the IDs of the plugins. */
  readonly plugins?: Readonly<Record<string, string>>;
}

export interface PendingNode {
  readonly requestId: string;
  readonly nodeId: string;
  readonly displayName?: string;
  readonly commands?: readonly string[];
}

export interface InvokeOptions {
  readonly timeoutMs?: number;
  readonly idempotencyKey?: string;
}

/** What the gateway, or the node behind it, refused. */
export class GatewayRefusal extends Error {
  override readonly name = 'GatewayRefusal';
  readonly code: string;
  readonly details: unknown;

  constructor(error: { readonly code?: string; readonly message?: string; readonly details?: unknown }) {
    super(error.message ?? 'no message');
    this.code = error.code ?? '';
    this.details = error.details;
  }
}

/** A private one that is not loopback. */
const REMOTE_ADDRESS = '10.77.0.1';
const SCOPES = ['operator.admin', 'operator.read', 'operator.write', 'operator.pairing'];
/** It loads for ten to twenty seconds, and longer where it is not alone. */
const READY_MS = 150_000;
const CALL_MS = 150_000;

type Frame = Readonly<Record<string, unknown>>;

export class OpenClawGateway {
  readonly token = randomBytes(24).toString('hex');
  readonly port: number;
  readonly directory: string;
  readonly #program: string;
  #daemon: Daemon | undefined;
  #operator: Operator | undefined;

  private constructor(directory: string, port: number) {
    const program = process.env['OPENCLAW'];
    if (program === undefined)
      throw new Error('OPENCLAW is not set: the suite must name the tool in scripts/suites.ts');
    this.#program = program;
    this.directory = directory;
    this.port = port;
  }

  /** Prepares one that is not started yet; it ends with the run. */
  static async create(): Promise<OpenClawGateway> {
    // Only for suites with a network of their own, in which the address ends with them.
    await run('ip', ['address', 'replace', `${REMOTE_ADDRESS}/32`, 'dev', 'lo']);
    const gateway = new OpenClawGateway(makeDirectory('openclaw'), await freePort());
    onEnd(() => gateway.end());
    return gateway;
  }

  /** Where its operator finds it, on the same machine. */
  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Where others find it: whoever comes this way is to be approved as a device first. */
  get remoteUrl(): string {
    return `ws://${REMOTE_ADDRESS}:${this.port}`;
  }

  /** Starts it and waits until an operator is let in. */
  async start(config: GatewayConfig = {}): Promise<void> {
    for (const folder of ['home', 'tmp', 'state']) mkdirSync(join(this.directory, folder), { recursive: true });
    writeFileSync(join(this.directory, 'openclaw.json'), JSON.stringify(this.#config(config)));
    this.#daemon = new Daemon({
      name: 'openclaw gateway',
      command: process.execPath,
      args: [this.#program, 'gateway', 'run'],
      logFile: join(this.directory, 'gateway.log'),
      env: this.#env(),
      cwd: this.directory,
    });
    this.#operator = await waitFor(
      async () => {
        this.#daemon?.assertRunning();
        return await Operator.connect(this.url, this.token);
      },
      {
        deadline: READY_MS,
        message: 'the OpenClaw gateway to let an operator in',
        instead: () => this.#daemon?.tail(20),
      },
    );
  }

  async stop(): Promise<void> {
    this.#operator?.close();
    const daemon = this.#daemon;
    this.#daemon = undefined;
    await daemon?.stop('SIGTERM', READY_MS);
    // What it started may outlive it.
    await daemon?.killGroup();
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Everything that it has logged. */
  log(): string {
    return readFileSync(join(this.directory, 'gateway.log'), 'utf8');
  }

  /** A request of the operator. @throws GatewayRefusal */
  request(method: string, params: unknown = {}): Promise<Frame> {
    if (this.#operator === undefined) throw new Error('the gateway has not been started');
    return this.#operator.request(method, params);
  }

  /** Calls a command of a node, as `node.invoke` does. @throws GatewayRefusal */
  async invoke(nodeId: string, command: string, params?: unknown, options: InvokeOptions = {}): Promise<unknown> {
    const idempotencyKey = options.idempotencyKey ?? randomBytes(8).toString('hex');
    const timeoutMs = options.timeoutMs ?? 30_000;
    const given = params === undefined ? {} : { params };
    const answer = await this.request('node.invoke', { nodeId, command, ...given, timeoutMs, idempotencyKey });
    return answer['payload'];
  }

  /** Nodes whose commands wait for an approval. */
  async pending(): Promise<readonly PendingNode[]> {
    return (await this.request('node.pair.list'))['pending'] as readonly PendingNode[];
  }

  /** Nodes that are there, as `openclaw nodes list` shows them. */
  async nodes(): Promise<readonly Frame[]> {
    return (await this.request('node.list'))['nodes'] as readonly Frame[];
  }

  /** The gateway's own command line, as its operator uses it. */
  cli(...args: readonly string[]): Promise<ExecResult> {
    return exec(process.execPath, [this.#program, ...args], {
      env: this.#env(),
      cwd: this.directory,
      deadline: CALL_MS,
    });
  }

  #config({ allow = [], plugins }: GatewayConfig): unknown {
    const ids = Object.keys(plugins ?? {});
    return {
      gateway: {
        mode: 'local',
        bind: 'lan',
        port: this.port,
        auth: { mode: 'token', token: this.token },
        controlUi: { enabled: false },
        nodes: { commands: { allow } },
      },
      update: { checkOnStart: false },
      models: { catalogRefresh: { enabled: false } },
      plugins:
        plugins === undefined
          ? { enabled: false }
          : {
              enabled: true,
              allow: ids,
              load: { paths: Object.values(plugins) },
              entries: Object.fromEntries(ids.map((id) => [id, { enabled: true }])),
            },
      discovery: { mdns: { mode: 'off' } },
      logging: { file: join(this.directory, 'file.log') },
    };
  }

  /** Everything that it writes stays below its directory, and it asks nobody outside. */
  #env(): Readonly<Record<string, string>> {
    return {
      PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
      HOME: join(this.directory, 'home'),
      TMPDIR: join(this.directory, 'tmp'),
      OPENCLAW_STATE_DIR: join(this.directory, 'state'),
      OPENCLAW_CONFIG_PATH: join(this.directory, 'openclaw.json'),
      OPENCLAW_GATEWAY_TOKEN: this.token,
      OPENCLAW_OFFLINE: '1',
      OPENCLAW_DISABLE_BONJOUR: '1',
      OPENCLAW_NO_RESPAWN: '1',
      OPENCLAW_NO_AUTO_UPDATE: '1',
      OPENCLAW_SKIP_CHANNELS: '1',
      OPENCLAW_SKIP_CRON: '1',
      NO_COLOR: '1',
    };
  }
}

/** One connection of an operator. */
class Operator {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (frame: Frame) => void>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame;
      if (frame['type'] === 'res') this.#waiting.get(String(frame['id']))?.(frame);
    });
    socket.on('close', () => {
      const error = { code: 'CLOSED', message: 'the connection of the operator has ended' };
      for (const answer of this.#waiting.values()) answer({ ok: false, error });
    });
  }

  static async connect(url: string, token: string): Promise<Operator> {
    const socket = new WebSocket(url);
    const operator = new Operator(socket);
    try {
      await once(socket, 'open');
      await operator.request('connect', {
        minProtocol: 4,
        maxProtocol: 4,
        client: { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'backend' },
        role: 'operator',
        scopes: SCOPES,
        caps: [],
        auth: { token },
      });
      return operator;
    } catch (thrown) {
      socket.terminate();
      throw thrown;
    }
  }

  async request(method: string, params: unknown): Promise<Frame> {
    this.#last += 1;
    const id = `o${this.#last}`;
    let timer: NodeJS.Timeout | undefined;
    const frame = await new Promise<Frame>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${method}: the gateway did not answer`)), CALL_MS);
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ type: 'req', id, method, params }), (error) => {
        if (error) reject(error);
      });
    }).finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(id);
    });
    if (frame['ok'] === true) return (frame['payload'] ?? {}) as Frame;
    throw new GatewayRefusal(frame['error'] ?? {});
  }

  close(): void {
    this.#socket.terminate();
  }
}
