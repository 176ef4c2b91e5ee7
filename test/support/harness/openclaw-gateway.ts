/**
 * A real OpenClaw gateway on loopback, and an operator of it: who approves nodes and calls their commands, mostly over the
 * WebSocket (milliseconds a call), where it matters through the gateway's own CLI (seconds a call).
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import { type ExecResult, exec, run } from './exec.ts';
import { type Frame, type InvokeOptions, Operator, type PendingNode } from './openclaw-operator.ts';
import { type GatewayConfig, gatewayEnvironment, writeGatewayConfig } from './openclaw-settings.ts';
import { freePort } from './ports.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

/** A private one that is not loopback. */
const REMOTE_ADDRESS = '10.77.0.1';
/** It loads for ten to twenty seconds, and longer where it is not alone. */
const READY_MS = 150_000;
const CALL_MS = 150_000;

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
    writeGatewayConfig(this.directory, this.port, this.token, config);
    this.#daemon = new Daemon({
      name: 'openclaw gateway',
      command: process.execPath,
      args: [this.#program, 'gateway', 'run'],
      logFile: join(this.directory, 'gateway.log'),
      env: gatewayEnvironment(this.directory, this.token),
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
    return this.#connected().request(method, params);
  }

  /** Calls a command of a node, as `node.invoke` does. @throws GatewayRefusal */
  invoke(nodeId: string, command: string, params?: unknown, options: InvokeOptions = {}): Promise<unknown> {
    return this.#connected().invoke(nodeId, command, params, options);
  }

  /** Nodes whose commands wait for an approval. */
  pending(): Promise<readonly PendingNode[]> {
    return this.#connected().pending();
  }

  /** Nodes that are there, as `openclaw nodes list` shows them. */
  nodes(): Promise<readonly Frame[]> {
    return this.#connected().nodes();
  }

  /** The gateway's own command line, as its operator uses it. */
  cli(...args: readonly string[]): Promise<ExecResult> {
    return exec(process.execPath, [this.#program, ...args], {
      env: gatewayEnvironment(this.directory, this.token),
      cwd: this.directory,
      deadline: CALL_MS,
    });
  }

  #connected(): Operator {
    if (this.#operator === undefined) throw new Error('the gateway has not been started');
    return this.#operator;
  }
}
