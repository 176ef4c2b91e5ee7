/** A proxy in front of an S3 server that does what networks and servers do: the test says to which request. */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { onEnd } from './run.ts';
import type { S3Server } from './s3-server.ts';

export type Fault =
  /** An answer of the proxy's own; the request never arrives. */
  | { readonly kind: 'answer'; readonly status: number; readonly body?: string }
  /** The answer comes after so many milliseconds. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The connection is reset after so many bytes of the request's body (0 = at once). */
  | { readonly kind: 'reset-upload'; readonly afterBytes: number }
  /** The answer breaks off half way although its length was announced. */
  | { readonly kind: 'truncate-answer' }
  /** The request arrives and is done, and the answer is lost. */
  | { readonly kind: 'lose-answer' }
  /** The answer that the same request got before. */
  | { readonly kind: 'stale' };

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
}

interface Recorded {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export class S3Proxy {
  /** Every request that came, in order. */
  readonly seen: SeenRequest[] = [];
  #fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  readonly #target: S3Server;
  readonly #server: Server;
  readonly #answers = new Map<string, Recorded>();

  private constructor(target: S3Server) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => this.#handle(incoming, outgoing));
  }

  static async start(target: S3Server): Promise<S3Proxy> {
    const proxy = new S3Proxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    onEnd(() => proxy.end());
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What happens to requests from now on; undefined = they go through. */
  fault(decide: (request: SeenRequest) => Fault | undefined): void {
    this.#fault = decide;
  }

  heal(): void {
    this.#fault = () => undefined;
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #handle(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '' };
    this.seen.push(seen);
    const fault = this.#fault(seen);
    const key = `${seen.method} ${seen.url}`;
    incoming.on('error', () => undefined);
    outgoing.on('error', () => undefined);
    switch (fault?.kind) {
      case 'answer':
        incoming.resume();
        outgoing.writeHead(fault.status, { 'content-type': 'application/xml' }).end(fault.body ?? '');
        return;
      case 'reset-upload': {
        let bytes = 0;
        if (fault.afterBytes === 0) incoming.socket.resetAndDestroy();
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes >= fault.afterBytes) incoming.socket.resetAndDestroy();
        });
        return;
      }
      case 'stale': {
        const old = this.#answers.get(key);
        if (old !== undefined) {
          incoming.resume();
          outgoing.writeHead(old.status, old.headers).end(old.body);
          return;
        }
        break;
      }
      default:
    }
    const forward = (): void => this.#forward(incoming, outgoing, key, fault);
    if (fault?.kind === 'slow') setTimeout(forward, fault.ms);
    else forward();
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, key: string, fault: Fault | undefined): void {
    // The host header goes through as it is: it is part of the signature.
    const upstream = httpRequest(
      {
        host: '127.0.0.1',
        port: this.#target.port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', () => outgoing.destroy());
        answer.on('end', () => {
          const body = Buffer.concat(chunks);
          const recorded = { status: answer.statusCode ?? 502, headers: answer.headers, body };
          this.#answers.set(key, recorded);
          if (fault?.kind === 'lose-answer') return void outgoing.socket?.resetAndDestroy();
          outgoing.writeHead(recorded.status, recorded.headers);
          if (fault?.kind !== 'truncate-answer' || body.length < 2) return void outgoing.end(body);
          outgoing.write(body.subarray(0, Math.floor(body.length / 2)), () => outgoing.socket?.destroy());
        });
      },
    );
    upstream.on('error', () => outgoing.socket?.resetAndDestroy());
    incoming.pipe(upstream);
  }
}
