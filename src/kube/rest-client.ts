/**
 * The real {@link KubeClient}: HTTP/1.1 over one shared undici Agent, so that a thousand requests use sixteen
 * connections and not a thousand TLS handshakes. Watches have an Agent of their own: a thousand of them must not take
 * the connections of the requests.
 */

import type { Dispatcher } from 'undici';
import type { KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import type { Clock } from '../telemetry/clock.ts';
import { sleep, systemClock } from '../telemetry/clock.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Agent } from './agent.ts';
import type {
  DeleteOptions,
  GetOptions,
  KubeClient,
  ListOptions,
  ListPage,
  ObjectRef,
  PatchOptions,
  RawRequest,
  RawResponse,
  Selection,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from './client.ts';
import type { ClientConfig } from './config.ts';
import { unlessAborted, withDeadline } from './deadline.ts';
import { KubeError } from './errors.ts';
import { collectionPath, objectPath, requiredNamespace, toQuery } from './resource-path.ts';
import { watchEvents } from './watch-stream.ts';

export interface ConnectOptions {
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  /** Sent as User-Agent; default `clawstore`. */
  readonly userAgent?: string | undefined;
  /** Connections for requests other than watches; default 16. */
  readonly connections?: number | undefined;
  /**
   * Unix socket of an API server on this machine, to be used instead of the address in the configuration; requests on it
   * are not encrypted.
   */
  readonly socketPath?: string | undefined;
  /** Replaces the network, for use within a process and for faults in tests. It is not closed by {@link KubeClient.close}. */
  readonly transport?: Dispatcher | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Wait when a 429 or 503 does not say how long, in milliseconds. */
const DEFAULT_RETRY_MS = 1000;
const MAX_ATTEMPTS = 10;
/** Of requests on a Unix socket. An address: of a name undici asks first whether it is one of IPv6, which takes 3 ms. */
const SOCKET_ORIGIN = 'http://127.0.0.1';

const PATCH_TYPES = {
  apply: 'application/apply-patch+yaml',
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
} as const;

/** Makes a client; it connects with the first request. */
export function connect(config: ClientConfig, options: ConnectOptions = {}): KubeClient {
  return new RestClient(config, options);
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Sending {
  readonly method: Method;
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  readonly accept?: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}

class RestClient implements KubeClient {
  readonly #origin: string;
  readonly #basePath: string;
  readonly #token: ClientConfig['token'];
  readonly #requests: Dispatcher;
  readonly #watches: Dispatcher;
  readonly #ownsTransport: boolean;
  readonly #metrics: Metrics | undefined;
  readonly #clock: Clock;
  readonly #userAgent: string;
  /** Requests that somebody waits for. */
  #running = 0;

  constructor(config: ClientConfig, options: ConnectOptions) {
    const url = new URL(options.socketPath === undefined ? config.server : SOCKET_ORIGIN);
    this.#origin = url.origin;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#token = config.token;
    this.#metrics = options.metrics;
    this.#clock = options.clock ?? systemClock;
    this.#userAgent = options.userAgent ?? 'clawstore';
    this.#ownsTransport = options.transport === undefined;
    const shared = {
      allowH2: false,
      // One request at a time per connection: HTTP pipelining would put a watchless PATCH behind a slow LIST.
      pipelining: 1,
      keepAliveTimeout: 60_000,
      keepAliveMaxTimeout: 600_000,
      connect:
        options.socketPath === undefined
          ? { ...config.tls, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 30_000 }
          : { socketPath: options.socketPath, timeout: 10_000 },
    };
    this.#requests = options.transport ?? new Agent({ ...shared, connections: options.connections ?? 16 });
    this.#watches = options.transport ?? new Agent({ ...shared, connections: null, bodyTimeout: 0 });
  }

  async get<T extends KubeObjectBase>(resource: ResourceDescriptor, ref: ObjectRef, options: GetOptions = {}) {
    const query = toQuery({ resourceVersion: options.resourceVersion });
    return this.#json<T>({ method: 'GET', path: objectPath(resource, ref) + query }, options);
  }

  async list<T extends KubeObjectBase>(resource: ResourceDescriptor, options: ListOptions = {}): Promise<ListPage<T>> {
    const path =
      collectionPath(resource, options.namespace) +
      toQuery({
        ...selectors(options),
        limit: options.limit,
        continue: options.continue,
        resourceVersion: options.resourceVersion,
        resourceVersionMatch: options.resourceVersionMatch,
      });
    const list = await this.#json<RawList<T>>({ method: 'GET', path }, options);
    const { resourceVersion, continue: token } = list.metadata ?? {};
    if (resourceVersion === undefined) {
      throw new KubeError({ reason: 'Protocol', message: `the list of ${resource.plural} has no resourceVersion` });
    }
    const items = list.items ?? [];
    return token === undefined || token === ''
      ? { items, resourceVersion }
      : { items, resourceVersion, continue: token };
  }

  async *listPages<T extends KubeObjectBase>(resource: ResourceDescriptor, options: ListOptions = {}) {
    let page = await this.list<T>(resource, { limit: 500, ...options });
    yield page;
    while (page.continue !== undefined) {
      // The token carries the version; repeating resourceVersion beside it is an error.
      const { resourceVersion: _version, resourceVersionMatch: _match, ...rest } = options;
      page = await this.list<T>(resource, { limit: 500, ...rest, continue: page.continue });
      yield page;
    }
  }

  async create<T extends KubeObjectBase>(resource: ResourceDescriptor, object: T, options: WriteOptions = {}) {
    const { namespace, name } = object.metadata;
    const target =
      options.subresource === undefined
        ? collectionPath(resource, requiredNamespace(resource, namespace))
        : objectPath(resource, { namespace, name }, options.subresource);
    return this.#json<T>({ method: 'POST', path: target + writeQuery(options), body: JSON.stringify(object) }, options);
  }

  async replace<T extends KubeObjectBase>(resource: ResourceDescriptor, object: T, options: WriteOptions = {}) {
    const path = objectPath(resource, object.metadata, options.subresource) + writeQuery(options);
    return this.#json<T>({ method: 'PUT', path, body: JSON.stringify(object) }, options);
  }

  async patch<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    ref: ObjectRef,
    body: unknown,
    options: PatchOptions,
  ) {
    const path = objectPath(resource, ref, options.subresource) + writeQuery(options, options.force);
    const contentType = PATCH_TYPES[options.type];
    return this.#json<T>({ method: 'PATCH', path, body: JSON.stringify(body), contentType }, options);
  }

  async delete(resource: ResourceDescriptor, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const { preconditions, propagationPolicy, gracePeriodSeconds, dryRun } = options;
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions,
      propagationPolicy,
      gracePeriodSeconds,
      dryRun: dryRun === true ? ['All'] : undefined,
    });
    await this.#send({ method: 'DELETE', path: objectPath(resource, ref), body }, options);
  }

  async *watch<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    options: WatchOptions = {},
  ): AsyncGenerator<WatchEvent<T>, void, void> {
    const path =
      collectionPath(resource, options.namespace) +
      toQuery({
        ...selectors(options),
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: options.resourceVersion,
        sendInitialEvents: options.sendInitialEvents,
        resourceVersionMatch: options.sendInitialEvents === true ? 'NotOlderThan' : undefined,
        timeoutSeconds: options.timeoutSeconds,
      });
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    if (options.signal?.aborted === true) onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const headersTimeout = options.headersTimeoutMs ?? DEFAULT_TIMEOUT_MS;
      const headers = await this.#headers({ method: 'GET', path });
      const response = await unlessAborted(
        abort.signal,
        this.#watches.request({
          origin: this.#origin,
          path: this.#basePath + path,
          method: 'GET',
          headers,
          signal: abort.signal,
          headersTimeout,
          bodyTimeout: 0,
        }),
      );
      this.#count('GET', String(response.statusCode));
      if (response.statusCode >= 400) {
        const text = await response.body.text();
        throw KubeError.fromResponse(response.statusCode, text, headerOf(response.headers, 'retry-after'));
      }
      // A body that is destroyed before its end reports an error that nobody waits for.
      response.body.on('error', () => undefined);
      yield* watchEvents<T>(response.body, { clock: this.#clock, idleMs: options.idleMs });
    } catch (thrown) {
      if (thrown instanceof KubeError) throw thrown;
      if (abort.signal.aborted)
        throw new KubeError({ reason: 'Aborted', message: 'the watch was aborted', cause: thrown });
      const error = KubeError.from(thrown);
      if (error.status === 0) this.#count('GET', '<error>');
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', onAbort);
      abort.abort();
    }
  }

  async raw(request: RawRequest): Promise<RawResponse> {
    const { method = 'GET', path, body, contentType, accept } = request;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    return this.#send({ method, path, body: text, contentType, accept }, request);
  }

  async close(): Promise<void> {
    if (!this.#ownsTransport) return;
    // Closing waits for connections that nobody wants any more, too.
    const requests = this.#running > 0 ? this.#requests.close() : this.#requests.destroy();
    await Promise.all([requests, this.#watches.destroy()]);
  }

  async #json<T>(sending: Sending, options: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined }) {
    const { text, status } = await this.#send(sending, options);
    try {
      return JSON.parse(text) as T;
    } catch (thrown) {
      throw new KubeError({ status, reason: 'Protocol', message: 'the answer is not JSON', cause: thrown });
    }
  }

  /** Sends a request, retries what may be retried, and throws what is not a success. */
  #send(
    sending: Sending,
    options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined },
  ): Promise<Answer> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const started = this.#clock.monotonic();
    this.#running += 1;
    const answer = withDeadline(this.#clock, timeoutMs, options.signal, async (signal) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#attempt(sending, signal);
        } catch (thrown) {
          const error = KubeError.from(thrown);
          const wait = retryDelay(error, sending.method, attempt);
          const left = timeoutMs - (this.#clock.monotonic() - started);
          if (wait === undefined || attempt >= MAX_ATTEMPTS || wait >= left) throw error;
          await sleep(this.#clock, wait, signal);
        }
      }
    });
    return answer.finally(() => {
      this.#running -= 1;
    });
  }

  async #attempt(sending: Sending, signal: AbortSignal): Promise<Answer> {
    let status = 0;
    try {
      const response = await this.#requests.request({
        origin: this.#origin,
        path: this.#basePath + sending.path,
        method: sending.method,
        headers: await this.#headers(sending),
        body: sending.body ?? null,
        signal,
        // Otherwise undici closes the connection after each DELETE, which has a body.
        reset: false,
        // The deadline is ours.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      status = response.statusCode;
      const text = await response.body.text();
      if (status >= 400) throw KubeError.fromResponse(status, text, headerOf(response.headers, 'retry-after'));
      return { status, headers: response.headers, text };
    } finally {
      this.#count(sending.method, status === 0 ? '<error>' : String(status));
    }
  }

  async #headers(sending: Sending): Promise<Record<string, string>> {
    const headers: Record<string, string> = {
      accept: sending.accept ?? 'application/json',
      'user-agent': this.#userAgent,
    };
    if (sending.body !== undefined) headers['content-type'] = sending.contentType ?? 'application/json';
    const token = typeof this.#token === 'function' ? await this.#token() : this.#token;
    if (token !== undefined && token !== '') headers['authorization'] = `Bearer ${token}`;
    return headers;
  }

  #count(method: Method, code: string): void {
    this.#metrics?.restRequests.inc({ code, method });
  }
}

interface RawList<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

/**
 * Whether and when to try again. 429 and 503 were refused before anything was done; a GET on a kept-alive connection
 * that the server had just closed is repeated once, at once. A write that broke off may have been done: the caller
 * decides, by looking.
 */
function retryDelay(error: KubeError, method: Method, attempt: number): number | undefined {
  if (error.status === 429 || error.status === 503) return error.retryAfterMs ?? DEFAULT_RETRY_MS;
  if (method === 'GET' && error.reason === 'ConnectionLost' && attempt === 1) return 0;
  return undefined;
}

function headerOf(headers: Record<string, string | string[] | undefined>, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function selectors(selection: Selection) {
  return { labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector };
}

function writeQuery(options: WriteOptions, force?: boolean): string {
  return toQuery({
    fieldManager: options.fieldManager,
    fieldValidation: options.fieldValidation,
    dryRun: options.dryRun === true ? 'All' : undefined,
    force: force === true ? true : undefined,
  });
}
