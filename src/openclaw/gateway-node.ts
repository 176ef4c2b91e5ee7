/**
 * This machine as a node of an OpenClaw gateway: it joins, stays joined, and answers the commands that its operator has
 * turned on. A gateway that is away, restarts or refuses the node is told of and tried again for ever; nothing that a
 * gateway does ends this process.
 *
 *   connect → challenge → signed introduction → joined → invocations …
 *      ▲                                                     │
 *      └────────── back off 1 → 30 s, or as it asked ────────┘
 */
import { join } from 'node:path';
import { Reason } from '../api/reasons.ts';
import type { NodeFeature } from '../api/storage-node.ts';
import type { CommandContext } from '../commands/command.ts';
import type { AnyCommand } from '../commands/registry.ts';
import { type Clock, sleep } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Connection, type ConnectionEnd, type ConnectionTuning } from './connection.ts';
import { type Credential, Credentials } from './credentials.ts';
import {
  type Challenge,
  type Hello,
  type InvokeRequest,
  PROTOCOL_VERSION,
  readCancel,
  readInvokeRequest,
} from './frames.ts';
import { type Client, DeviceIdentity } from './identity.ts';
import { type InvocationLimits, Invocations, type Outcome } from './invocations.ts';
import type { PrivateFiles } from './private-files.ts';
import { judge } from './refusals.ts';

export interface GatewayNodeOptions {
  /** `ws://` or `wss://`, without credentials. */
  readonly url: string;
  readonly nodeName: string;
  readonly version: string;
  /** The commands that are offered. */
  readonly commands: readonly AnyCommand[];
  readonly context: Omit<CommandContext, 'signal' | 'timeoutMs' | 'requestId'>;
  /** Where key and token are kept. One process uses it at a time: the lock of the agent sees to that. */
  readonly directory: string;
  readonly files: PrivateFiles;
  /** Reads the gateway's own token; undefined = nobody gave one. */
  readonly sharedToken: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tuning?: Partial<GatewayTuning>;
  readonly limits?: Partial<InvocationLimits>;
}

/** Durations in milliseconds. */
export interface GatewayTuning extends ConnectionTuning {
  readonly firstBackOffMs: number;
  readonly lastBackOffMs: number;
  /** A connection that lasted so long was a good one: the next back-off begins anew. */
  readonly steadyMs: number;
}

const TUNING: GatewayTuning = {
  handshakeMs: 15_000,
  silentTicks: 1.5,
  answerMs: 10_000,
  closeMs: 2000,
  firstBackOffMs: 1000,
  lastBackOffMs: 30_000,
  steadyMs: 10_000,
};

/** Name in the features of the StorageNode. */
export const GATEWAY_FEATURE = 'OpenClawGateway';

export class GatewayNode {
  readonly #options: GatewayNodeOptions;
  readonly #tuning: GatewayTuning;
  /** Host and port: all that is ever shown of the address. */
  readonly #gateway: string;
  readonly #identity: DeviceIdentity;
  readonly #credentials: Credentials;
  readonly #client: Client;
  readonly #invocations: Invocations;
  readonly #listeners = new Set<() => void>();
  #feature: NodeFeature;

  /** @throws Error naming the file when the key of the node cannot be read. */
  constructor(options: GatewayNodeOptions) {
    this.#options = options;
    this.#tuning = { ...TUNING, ...options.tuning };
    this.#gateway = new URL(options.url).host;
    const { files, clock, log, metrics, commands, context, limits } = options;
    this.#identity = DeviceIdentity.load(files, options.directory);
    this.#credentials = new Credentials({
      files,
      directory: options.directory,
      gateway: this.#gateway,
      deviceId: this.#identity.id,
      sharedToken: options.sharedToken,
    });
    this.#client = {
      id: 'node-host',
      displayName: options.nodeName,
      version: options.version,
      platform: process.platform,
      mode: 'node',
      instanceId: this.#identity.id,
    };
    this.#invocations = new Invocations({
      commands,
      context,
      clock,
      log,
      metrics,
      ...(limits === undefined ? {} : { limits }),
    });
    this.#feature = this.#notJoined(Reason.ServerUnreachable, `${this.#gateway} has not answered yet`);
    metrics.openClawConnected.set({ gateway: this.#gateway }, 0);
  }

  /** The node's ID at the gateway. */
  get id(): string {
    return this.#identity.id;
  }

  /** How things are, for the StorageNode. */
  get feature(): NodeFeature {
    return this.#feature;
  }

  /** Calls `listener` whenever {@link feature} has changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const { firstBackOffMs, lastBackOffMs, steadyMs } = this.#tuning;
    let backOffMs = firstBackOffMs;
    while (!signal.aborted) {
      const start = clock.monotonic();
      const waitMs = await this.#connectOnce(signal);
      if (clock.monotonic() - start >= steadyMs) backOffMs = firstBackOffMs;
      if (waitMs === undefined) {
        // Many nodes lose one gateway at the same moment, and must not come back at the same moment.
        await pause(clock, backOffMs * (0.75 + Math.random() / 4), signal);
        backOffMs = Math.min(backOffMs * 2, lastBackOffMs);
      } else {
        await pause(clock, waitMs, signal);
      }
    }
    this.#invocations.close();
  }

  /** @returns how long to wait before the next attempt, in milliseconds; undefined = back off. */
  async #connectOnce(signal: AbortSignal): Promise<number | undefined> {
    let shown: Credential = { kind: 'none', token: '' };
    const connection = new Connection({
      url: this.#options.url,
      clock: this.#options.clock,
      tuning: this.#tuning,
      introduce: async (challenge) => {
        shown = await this.#credentials.current();
        return this.#introduction(challenge, shown.token);
      },
      onJoined: (hello) => this.#joined(hello),
      onEvent: (event, payload) => this.#event(event, payload, connection),
      onGarbage: (what) =>
        this.#options.log.warn({ gateway: this.#gateway, what }, 'The gateway sent what is not of its protocol'),
    });
    const stop = (): void => connection.close('the node stops');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const end = await connection.ended;
    signal.removeEventListener('abort', stop);
    return signal.aborted ? 0 : this.#left(end, shown);
  }

  /** Parameters of `connect`. */
  #introduction(challenge: Challenge, token: string): unknown {
    return {
      minProtocol: PROTOCOL_VERSION,
      maxProtocol: PROTOCOL_VERSION,
      client: this.#client,
      role: 'node',
      scopes: [],
      caps: ['storage'],
      commands: this.#invocations.commands,
      permissions: {},
      ...(token === '' ? {} : { auth: { token } }),
      device: this.#identity.sign(this.#client, challenge, token),
    };
  }

  #joined({ deviceToken, serverVersion }: Hello): void {
    if (deviceToken !== undefined) this.#keep(deviceToken);
    const commands = this.#invocations.commands.join(', ');
    const message = `joined ${this.#gateway} as ${this.id}; offered there: ${commands}. What it does not pass on yet must be approved: openclaw nodes pending`;
    this.#options.metrics.openClawConnected.set({ gateway: this.#gateway }, 1);
    this.#options.log.info(
      { gateway: this.#gateway, version: serverVersion, node: this.id },
      'Joined the OpenClaw gateway',
    );
    this.#tell({ name: GATEWAY_FEATURE, available: true, message });
  }

  #left(end: ConnectionEnd, shown: Credential): number | undefined {
    const { log, metrics } = this.#options;
    const { reason, message, retryMs, forgetToken } = judge(end, this.#gateway, shown);
    if (forgetToken) this.#forget();
    metrics.openClawConnected.set({ gateway: this.#gateway }, 0);
    const feature = this.#notJoined(reason, message);
    const isNew = this.#tell(feature);
    // Once for each kind of trouble, not for each attempt.
    if (isNew) log.warn({ gateway: this.#gateway, reason, why: message }, 'Not joined to the OpenClaw gateway');
    else log.debug({ gateway: this.#gateway, reason, why: message }, 'Still not joined to the OpenClaw gateway');
    return retryMs;
  }

  #event(event: string, payload: unknown, connection: Connection): void {
    if (event === 'node.invoke.cancel') {
      const id = readCancel(payload);
      if (id !== undefined) this.#invocations.cancel(id);
      return;
    }
    if (event !== 'node.invoke.request') return;
    const request = readInvokeRequest(payload);
    if (request === undefined) {
      this.#options.log.warn({ gateway: this.#gateway }, 'The gateway sent an invocation without ID, node or command');
      return;
    }
    void this.#invoke(request, connection);
  }

  async #invoke(request: InvokeRequest, connection: Connection): Promise<void> {
    const { id, nodeId } = request;
    const outcome = await this.#invocations.run(request);
    // On another connection the gateway would not know the call any more.
    if (outcome !== undefined)
      connection.send('node.invoke.result', { id, nodeId, ...resultOf(outcome, connection.maxPayload) });
  }

  #keep(token: string): void {
    this.#quietly('The token of the node could not be kept', () => this.#credentials.keep(token));
  }

  #forget(): void {
    this.#quietly('The token of the node could not be removed', () => this.#credentials.forget());
  }

  /** A full disk is no reason to be no node. */
  #quietly(what: string, work: () => void): void {
    try {
      work();
    } catch (err) {
      this.#options.log.error({ err, directory: join(this.#options.directory) }, what);
    }
  }

  #notJoined(reason: Reason, message: string): NodeFeature {
    return { name: GATEWAY_FEATURE, available: false, reason, message };
  }

  /** @returns whether that is news. */
  #tell(feature: NodeFeature): boolean {
    const isNew = feature.reason !== this.#feature.reason || feature.message !== this.#feature.message;
    this.#feature = feature;
    if (isNew) for (const listener of this.#listeners) listener();
    return isNew;
  }
}

/** Room for the frame around the answer, in bytes. */
const FRAME_BYTES = 4096;

function resultOf(outcome: Outcome, maxPayload: number): object {
  if (!outcome.ok) return outcome;
  const payloadJSON = JSON.stringify(outcome.payload ?? null);
  // As text within JSON, each quote takes a byte more.
  const bytes = Buffer.byteLength(JSON.stringify(payloadJSON)) + FRAME_BYTES;
  if (bytes <= maxPayload) return { ok: true, payloadJSON };
  const message = `the answer has ${bytes} bytes, and the gateway takes no more than ${maxPayload}`;
  return { ok: false, error: { code: 'ResultTooLarge', message } };
}

async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(clock, delayMs, signal).catch(() => undefined);
}
