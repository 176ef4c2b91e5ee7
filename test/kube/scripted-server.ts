/**
 * A small API server over a real socket for one resource, whose answers a test can replace one by one: for the faults
 * that no real server makes on demand. What it does by itself is list (paged), watch (resume, bookmarks, WatchList).
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import type { KubeObjectBase, ResourceDescriptor } from '../../src/kube/client.ts';
import { freePort } from '../support/harness/ports.ts';

export const WIDGETS: ResourceDescriptor = {
  group: 'example.com',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
};

export interface Widget extends KubeObjectBase {
  readonly spec?: { readonly size?: number };
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly kind: 'list' | 'watch' | 'watchlist' | 'other';
}

/** Answers one request instead of the server. */
export type Fault = (request: SeenRequest | undefined, response: ServerResponse) => void;

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Widget;
}

export class ScriptedServer {
  readonly requests: SeenRequest[] = [];
  /** Answers for the next requests of that kind, first in, first out. */
  readonly faults: Record<SeenRequest['kind'], Fault[]> = { list: [], watch: [], watchlist: [], other: [] };
  /** What a server that is too old for WatchList does: refuse, or ignore the parameter. */
  watchList: 'yes' | 'refuse' | 'ignore' = 'yes';
  readonly #objects = new Map<string, Widget>();
  readonly #history: Change[] = [];
  readonly #watchers = new Set<{ readonly response: ServerResponse }>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #version = 100;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  get version(): string {
    return String(this.#version);
  }

  kinds(): string[] {
    return this.requests.map(({ kind }) => kind);
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.#answer(request, Buffer.concat(chunks).toString(), response));
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    // One that no outgoing connection is given, so that it can be opened again.
    if (this.#port === 0) this.#port = await freePort();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#server = server;
  }

  /** Closes the port and cuts every connection; {@link start} opens the same port again. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    this.#watchers.clear();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  put(name: string, size = 1, extra: Partial<Widget> = {}): Widget {
    const present = this.#objects.get(name);
    const object: Widget = {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      ...extra,
      metadata: {
        name,
        namespace: 'ns',
        uid: present?.metadata.uid ?? `uid-${name}-${this.#version}`,
        ...extra.metadata,
        resourceVersion: String(++this.#version),
      },
      spec: { size },
    };
    this.#objects.set(name, object);
    this.#changed(present === undefined ? 'ADDED' : 'MODIFIED', object);
    return object;
  }

  remove(name: string): void {
    const present = this.#objects.get(name);
    if (present === undefined) return;
    this.#objects.delete(name);
    const metadata = { ...present.metadata, resourceVersion: String(++this.#version) };
    this.#changed('DELETED', { ...present, metadata });
  }

  /** Forgets history, as compaction does: watches from older versions are answered with 410. */
  compact(): void {
    this.#history.length = 0;
    this.#version += 1;
  }

  /** Forgets everything, as a server does whose database was lost. */
  wipe(): void {
    this.#objects.clear();
    this.#history.length = 0;
    this.#version = 10;
  }

  /** Sends a raw line to every open watch. */
  push(line: string): void {
    for (const { response } of this.#watchers) response.write(line);
  }

  bookmark(): void {
    this.push(eventLine('BOOKMARK', { metadata: { resourceVersion: this.version } }));
  }

  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#watchers.clear();
  }

  #changed(type: Change['type'], object: Widget): void {
    this.#history.push({ version: this.#version, type, object });
    this.push(eventLine(type, object));
  }

  #answer(request: IncomingMessage, body: string, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const query = url.searchParams;
    const isWatch = query.get('watch') === 'true';
    const isCollection = request.method === 'GET' && url.pathname.endsWith('/widgets');
    const kind = !isCollection ? 'other' : !isWatch ? 'list' : query.has('sendInitialEvents') ? 'watchlist' : 'watch';
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query,
      headers: request.headers,
      body,
      kind,
    };
    this.requests.push(seen);
    const fault = this.faults[kind].shift();
    if (fault !== undefined) fault(seen, response);
    else if (kind === 'list') this.#list(query, response);
    else if (kind === 'watchlist') this.#watchListAnswer(response);
    else if (kind === 'watch') this.#watch(Number(query.get('resourceVersion')), response);
    else status(404, 'NotFound')(seen, response);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const items = [...this.#objects.values()];
    const limit = Number(query.get('limit') ?? items.length);
    const offset = Number(query.get('continue') ?? 0);
    const next = offset + limit < items.length ? String(offset + limit) : undefined;
    json(response, 200, {
      kind: 'WidgetList',
      metadata: { resourceVersion: this.version, continue: next },
      items: items.slice(offset, offset + limit),
    });
  }

  #watchListAnswer(response: ServerResponse): void {
    if (this.watchList === 'refuse') {
      status(
        422,
        'Invalid',
        'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled',
      )(undefined, response);
      return;
    }
    this.#open(response);
    for (const object of this.#objects.values()) response.write(eventLine('ADDED', object));
    if (this.watchList === 'ignore') return;
    const metadata = { resourceVersion: this.version, annotations: { 'k8s.io/initial-events-end': 'true' } };
    response.write(eventLine('BOOKMARK', { metadata }));
  }

  #watch(from: number, response: ServerResponse): void {
    const oldest = this.#history[0]?.version ?? this.#version + 1;
    if (from < oldest - 1) {
      status(410, 'Expired', 'too old resource version')(undefined, response);
      return;
    }
    this.#open(response);
    for (const { version, type, object } of this.#history) if (version > from) response.write(eventLine(type, object));
  }

  #open(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watcher = { response };
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
  }
}

export function eventLine(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

export function json(
  response: ServerResponse,
  code: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** Answers with a `metav1.Status`. */
export function status(code: number, reason: string, message = reason, headers: Record<string, string> = {}): Fault {
  return (_request, response) =>
    json(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code }, headers);
}

/** Cuts the connection without an answer. */
export const drop: Fault = (_request, response) => {
  response.socket?.resetAndDestroy();
};

/** Waits until `condition` holds. @throws Error after half a minute. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come true in 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
