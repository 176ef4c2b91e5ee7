/**
 * A gateway that does as it is told, on a real WebSocket: for the faults that a real one cannot be asked for. What it gets
 * is held against the schemas of OpenClaw's own package, so that a frame which the real one would refuse fails here too.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  formatValidationErrors,
  validateConnectParams,
  validateNodeInvokeResultParams,
  validateRequestFrame,
} from '@openclaw/gateway-protocol';
import { type WebSocket, WebSocketServer } from 'ws';
import { until } from '../node/support.ts';
import { freePort } from '../support/harness/ports.ts';

export interface ConnectParams {
  readonly client: Readonly<Record<string, string>>;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly commands: readonly string[];
  readonly auth?: { readonly token?: string };
  readonly device: {
    readonly id: string;
    readonly publicKey: string;
    readonly signature: string;
    readonly signedAt: number;
    readonly nonce: string;
  };
}

export interface InvokeResult {
  readonly id: string;
  readonly nodeId: string;
  readonly ok: boolean;
  readonly payloadJSON?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
  readonly retryAfterMs?: number;
}

/** What a connection is answered: by default the node is let in. */
export interface Script {
  /** Before anything is said. */
  readonly onOpen?: (socket: WebSocket) => void;
  readonly refuse?: (params: ConnectParams) => Refusal | undefined;
  readonly challenge?: unknown;
  readonly hello?: unknown;
  readonly policy?: Readonly<Record<string, number>>;
  readonly deviceToken?: string;
  /** Answer no pings. */
  readonly silent?: boolean;
}

const NONCE = 'a-nonce';
export const CHALLENGE_TS = 1_790_000_000_000;

export class ScriptedGateway {
  /** Every `connect` there was. */
  readonly connects: ConnectParams[] = [];
  readonly results: InvokeResult[] = [];
  /** Whatever the real one would have refused. */
  readonly violations: string[] = [];
  script: Script;
  readonly #server: WebSocketServer;
  #last: WebSocket | undefined;
  #attempts = 0;

  private constructor(server: WebSocketServer, script: Script) {
    this.#server = server;
    this.script = script;
    server.on('connection', (socket) => this.#serve(socket));
  }

  /** @param given one that it has had before; else one that no outgoing connection is given, so that it can be had again. */
  static async start(script: Script = {}, given?: number): Promise<ScriptedGateway> {
    const port = given ?? (await freePort());
    const server = new WebSocketServer({ host: '127.0.0.1', port, autoPong: script.silent !== true });
    await once(server, 'listening');
    return new ScriptedGateway(server, script);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Connections there were, refused ones too. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The connection of the node. */
  get socket(): WebSocket {
    if (this.#last === undefined) throw new Error('nobody has connected');
    return this.#last;
  }

  /** Resolves when the node has introduced itself so many times. */
  joined(times = 1): Promise<void> {
    return until(() => this.connects.length >= times);
  }

  invoke(id: string, command: string, params?: unknown, more: Readonly<Record<string, unknown>> = {}): void {
    const paramsJSON = params === undefined ? {} : { paramsJSON: JSON.stringify(params) };
    this.event('node.invoke.request', { id, nodeId: 'the-node', command, ...paramsJSON, ...more });
  }

  event(event: string, payload: unknown): void {
    this.socket.send(JSON.stringify({ type: 'event', event, payload }));
  }

  /** The answer to a call. */
  async result(id: string): Promise<InvokeResult> {
    await until(() => this.results.some((result) => result.id === id));
    return this.results.find((result) => result.id === id) as InvokeResult;
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: WebSocket): void {
    this.#last = socket;
    this.#attempts += 1;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => this.#read(socket, data.toString()));
    this.script.onOpen?.(socket);
    const challenge = this.script.challenge ?? { nonce: NONCE, ts: CHALLENGE_TS };
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload: challenge }));
  }

  #read(socket: WebSocket, text: string): void {
    const frame = JSON.parse(text) as { readonly id: string; readonly method: string; readonly params: unknown };
    const check = (validate: typeof validateRequestFrame, value: unknown): void => {
      if (!validate(value)) this.violations.push(`${frame.method}: ${formatValidationErrors(validate.errors)}`);
    };
    check(validateRequestFrame, frame);
    const answer = (payload: unknown): void =>
      socket.send(JSON.stringify({ type: 'res', id: frame.id, ok: true, payload }));
    if (frame.method === 'node.invoke.result') {
      check(validateNodeInvokeResultParams as unknown as typeof validateRequestFrame, frame.params);
      this.results.push(frame.params as InvokeResult);
      answer({ ok: true });
      return;
    }
    check(validateConnectParams as unknown as typeof validateRequestFrame, frame.params);
    const params = frame.params as ConnectParams;
    if (!isSigned(params)) this.violations.push('connect: the signature is wrong');
    const error = this.script.refuse?.(params);
    this.connects.push(params);
    if (error !== undefined) {
      socket.send(JSON.stringify({ type: 'res', id: frame.id, ok: false, error }));
      socket.close(error.code === 'UNAVAILABLE' ? 1013 : 1008, error.message);
      return;
    }
    const { deviceToken } = this.script;
    answer(
      this.script.hello ?? {
        type: 'hello-ok',
        protocol: 4,
        server: { version: '2026.9.6', connId: 'c' },
        features: { methods: [], events: [] },
        snapshot: {},
        auth: { role: 'node', scopes: [], ...(deviceToken === undefined ? {} : { deviceToken }) },
        policy: { maxPayload: 26_214_400, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000, ...this.script.policy },
      },
    );
  }
}

/** As the gateway checks it: the text that is signed is put together from what was sent beside the signature. */
function isSigned({ client, role, scopes, auth, device }: ConnectParams): boolean {
  const key = Buffer.from(device.publicKey, 'base64url');
  const id = createHash('sha256').update(key).digest('hex');
  const token = auth?.token ?? '';
  const text = [
    'v3',
    id,
    client['id'],
    client['mode'],
    role,
    scopes.join(','),
    device.signedAt,
    token,
    NONCE,
    client['platform'],
    '',
  ];
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: device.publicKey }, format: 'jwk' });
  const isRight = verify(null, Buffer.from(text.join('|')), publicKey, Buffer.from(device.signature, 'base64url'));
  return isRight && device.id === id && device.nonce === NONCE && device.signedAt === CHALLENGE_TS;
}
