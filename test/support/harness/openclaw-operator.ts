/** An operator of an OpenClaw gateway over its WebSocket: approves nodes and calls their commands, in milliseconds a call. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';

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

export type Frame = Readonly<Record<string, unknown>>;

const SCOPES = ['operator.admin', 'operator.read', 'operator.write', 'operator.pairing'];
const CALL_MS = 150_000;

/** One connection of an operator. */
export class Operator {
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

  /** @throws GatewayRefusal */
  async request(method: string, params: unknown = {}): Promise<Frame> {
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

  close(): void {
    this.#socket.terminate();
  }
}
