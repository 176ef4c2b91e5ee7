import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attributes } from '../access/attributes.ts';
import { impersonated } from '../access/impersonation.ts';
import type { Resource } from '../kinds/resource.ts';
import { isTrue } from '../registry/lists.ts';
import type { User } from '../registry/request.ts';
import { pinnedBy } from '../registry/selectors.ts';
import type { Trail } from './audit.ts';
import { passOver, readBody } from './body.ts';
import {
  badRequest,
  forbiddenFor,
  forbiddenPath,
  methodNotAllowed,
  notFound,
  notSupportedOn,
  tooManyRequests,
  toStatusError,
  unauthorized,
  unknownResource,
} from './errors.ts';
import type { Exchange, ServerParts } from './exchange.ts';
import { negotiate } from './negotiate.ts';
import { parsePath, type ResourcePath } from './path.ts';
import { readObject, readPage, watch } from './read-handlers.ts';
import { RequestCounter } from './request-counter.ts';
import { sendError, sendJson, sendText } from './respond.ts';
import { review } from './reviews.ts';
import { createObject, deleteMany, deleteObject, patchObject, replaceObject } from './write-handlers.ts';

/** More requests than this at once are sent away (apiserver, `--max-requests-inflight`); watches are not counted. */
const MAX_IN_FLIGHT = 600;

const NO_QUERY = new URLSearchParams();

/** Answers requests: health, discovery, reviews and resources. */
export class Handler {
  readonly #parts: ServerParts;
  readonly #table = new Map<string, Resource>();
  #inFlight = 0;
  readonly #counter = new RequestCounter();

  constructor(parts: ServerParts) {
    this.#parts = parts;
    for (const resource of parts.resources) {
      this.#table.set(`${resource.group}/${resource.version}/${resource.resource}`, resource);
    }
  }

  /** Handles one request; never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const warnings: string[] = [];
    this.#route(request, response, warnings).catch(async (error: unknown) => {
      const status = toStatusError(error);
      if (status.reason === 'InternalError' && status.cause instanceof Error) this.#parts.onError(status.cause);
      if (!request.complete) await passOver(request);
      // What is left of a refused body must not be taken for the next request.
      if (!request.complete && !response.headersSent) response.setHeader('Connection', 'close');
      if (response.headersSent) response.destroy();
      else sendError(request, response, status, warnings);
    });
  }

  async #route(request: IncomingMessage, response: ServerResponse, warnings: string[]): Promise<void> {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const pathname = mark < 0 ? url : url.slice(0, mark);
    const method = request.method ?? 'GET';
    if (this.#public(response, pathname, method)) return;
    const { authenticator, authorizer, audit } = this.#parts;
    const trail = audit?.begin(request, response);
    const caller = authenticator.user(request);
    if (caller === undefined) throw unauthorized();
    this.#parts.onKnown(request.socket);
    if (trail !== undefined) trail.user = caller;
    const other = impersonated(request, caller);
    if (trail !== undefined) trail.impersonated = other;
    const user = other ?? caller;
    const query = mark < 0 ? NO_QUERY : new URLSearchParams(url.slice(mark + 1));
    const path = parsePath(pathname);
    if (trail !== undefined && path !== undefined) trail.version = path.version;
    if (path === undefined || path.resource === '') {
      const isAllowed = authorizer.isPathAllowed(user, method.toLowerCase(), pathname);
      if (trail !== undefined) trail.decision = isAllowed ? 'allow' : 'forbid';
      if (!isAllowed) throw forbiddenPath(user.name, method.toLowerCase(), pathname);
      this.#document(request, response, pathname, method, query, path);
      return;
    }
    const resource = this.#table.get(`${path.group}/${path.version}/${path.resource}`);
    if (resource === undefined) {
      this.#authorize(user, attributesOf(path, method === 'POST' ? 'create' : 'get', query), trail);
      if (await review(request, response, path, user, authorizer, method)) return;
      if (path.group === '' && path.version === 'v1') throw unknownResource();
      sendText(response, 404, '404 page not found\n');
      return;
    }
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      throw tooManyRequests('Too many requests, please try again later.', 1);
    }
    const body = (): Promise<Buffer> => this.#body(request);
    const exchange: Exchange = { request, response, query, path, resource, user, parts: this.#parts, warnings, body };
    this.#inFlight += 1;
    try {
      await this.#resource(exchange, method, trail);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Requests whose bodies are on their way are not in flight: 600 slow ones would shut out everybody. */
  async #body(request: IncomingMessage): Promise<Buffer> {
    this.#inFlight -= 1;
    try {
      return await readBody(request);
    } finally {
      this.#inFlight += 1;
    }
  }

  #authorize(user: User, attributes: Attributes, trail: Trail | undefined): void {
    const isAllowed = this.#parts.authorizer.isAllowed(user, attributes);
    if (trail !== undefined) {
      trail.attributes = attributes;
      trail.decision = isAllowed ? 'allow' : 'forbid';
    }
    if (!isAllowed) throw denied(user, attributes);
  }

  /** What is answered without a credential: whether the server lives, and nothing else. */
  #public(response: ServerResponse, path: string, method: string): boolean {
    if (method !== 'GET') return false;
    if (/^\/(?:healthz|livez|readyz)(?:\/ping)?$/.test(path)) {
      sendText(response, 200, 'ok');
      return true;
    }
    return false;
  }

  /** Discovery and OpenAPI. */
  #document(
    request: IncomingMessage,
    response: ServerResponse,
    pathname: string,
    method: string,
    query: URLSearchParams,
    path: ResourcePath | undefined,
  ): void {
    const { discovery, openApi } = this.#parts;
    if (pathname === '/metrics' && method === 'GET') {
      sendText(response, 200, this.#counter.toString());
      return;
    }
    const trimmed = pathname.length > 1 ? pathname.replace(/\/$/, '') : pathname;
    if (openApi.handle(request, response, trimmed, query)) return;
    let body: string | undefined;
    if (trimmed === '/version') body = versionInfo(this.#parts.version);
    else if (trimmed === '/api' || trimmed === '/apis') {
      const { discovery: form } = negotiate(request.headers.accept);
      if (form !== 'plain') {
        response.setHeader('Vary', 'Accept');
        const type = `application/json;g=apidiscovery.k8s.io;v=${form};as=APIGroupDiscoveryList`;
        const json = discovery.aggregated(trimmed === '/api', form);
        response.writeHead(200, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(json) });
        response.end(json);
        return;
      }
      body = trimmed === '/api' ? discovery.core(this.#parts.address()) : discovery.groupList();
    } else if (trimmed === '/') {
      const groups = [...discovery.groups].flatMap(([group, versions]) =>
        group === ''
          ? ['/api', '/api/v1']
          : [`/apis/${group}`, ...versions.map((version) => `/apis/${group}/${version}`)],
      );
      body = JSON.stringify({
        paths: [
          ...groups,
          '/apis',
          '/healthz',
          '/livez',
          '/metrics',
          '/openapi/v2',
          '/openapi/v3',
          '/readyz',
          '/version',
        ].sort(),
      });
    } else if (path !== undefined) {
      body = discovery.resourceList(path.group, path.version);
    } else {
      const match = /^\/apis\/([^/]+)$/.exec(trimmed);
      if (match !== null) body = discovery.group(match[1] as string);
    }
    if (/^\/api\/[^/]+$/.test(trimmed) && body === undefined) throw unknownResource();
    if (body === undefined) {
      sendText(response, 404, '404 page not found\n');
      return;
    }
    if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    sendJson(request, response, 200, body);
  }

  #resource(exchange: Exchange, method: string, trail: Trail | undefined): Promise<void> {
    const { path, resource, user, query } = exchange;
    checkSubresource(resource, path);
    const verb = verbOf(method, path, query, resource);
    const attributes = attributesOf(path, verb, query);
    this.#counter.watch(exchange.request, exchange.response, attributes);
    this.#authorize(user, attributes, trail);
    if (!resource.verbs.includes(verb)) throw methodNotAllowed();
    if (resource.namespaced && path.namespace === '' && verb !== 'list' && verb !== 'watch') {
      if (resource.custom && verb === 'deletecollection') {
        sendText(exchange.response, 404, '404 page not found\n');
        return Promise.resolve();
      }
      throw path.name === '' && verb !== 'create' ? methodNotAllowed() : unknownResource();
    }
    if (!resource.namespaced && path.namespace !== '') throw unknownResource();
    switch (verb) {
      case 'get':
        return readObject(exchange);
      case 'list':
        return readPage(exchange);
      case 'watch': {
        const { audit } = this.#parts;
        return watch(exchange).then(() => {
          if (trail !== undefined) audit?.started(trail, exchange.response);
        });
      }
      case 'create':
        return createObject(exchange);
      case 'update':
        return replaceObject(exchange);
      case 'patch':
        return patchObject(exchange);
      case 'delete':
        return deleteObject(exchange);
      default:
        return deleteMany(exchange);
    }
  }
}

function denied(user: User, { verb, group, resource, subresource, namespace, name }: Attributes): Error {
  const what = { group, resource: subresource === '' ? resource : `${resource}/${subresource}` };
  return forbiddenFor(user.name, verb, what, namespace, name);
}

const NOTHING_PINNED: ReadonlyMap<string, string> = new Map();

/** A list or watch of one name is a read of that name (apiserver, `RequestInfoFactory`). */
function attributesOf(path: ResourcePath, verb: string, query: URLSearchParams): Attributes {
  const { group, resource, subresource, namespace, name } = path;
  const selector = name === '' && verb !== 'create' ? (query.get('fieldSelector') ?? '') : '';
  const pinned = selector === '' ? NOTHING_PINNED : pinnedBy(selector);
  return { verb, group, resource, subresource, namespace, name: name || (pinned.get('metadata.name') ?? ''), pinned };
}

function versionInfo(version: string): string {
  const [major, minor] = version.replace(/^v/, '').split('.');
  return JSON.stringify({
    major,
    minor,
    gitVersion: version,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: process.version,
    compiler: 'v8',
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  });
}

function checkSubresource(resource: Resource, { subresource, name }: ResourcePath): void {
  if (subresource === '') return;
  const known =
    (subresource === 'status' && resource.hasStatus) ||
    (subresource === 'finalize' && resource.group === '' && resource.resource === 'namespaces');
  if (known && name !== '') return;
  throw resource.custom ? notFound(resource, name) : unknownResource();
}

function verbOf(method: string, path: ResourcePath, query: URLSearchParams, resource: Resource): string {
  const one = path.name !== '';
  const { custom } = resource;
  switch (method) {
    case 'GET':
    case 'HEAD':
      return !one && isTrue(query.get('watch')) ? 'watch' : one ? 'get' : 'list';
    case 'POST':
      // Custom resources take a name in the path here, as in the real server.
      if (custom && path.subresource !== '') throw notSupportedOn('create', resource);
      if (one && !custom) throw methodNotAllowed();
      return 'create';
    case 'PUT':
      if (!one) throw custom ? badRequest('name must be provided') : methodNotAllowed();
      return 'update';
    case 'PATCH':
      if (!one && custom) throw badRequest('name must be provided');
      if (!one || path.subresource === 'finalize') throw methodNotAllowed();
      return 'patch';
    case 'DELETE':
      if (path.subresource !== '') throw custom ? notSupportedOn('delete', resource) : methodNotAllowed();
      return one ? 'delete' : 'deletecollection';
    default:
      throw methodNotAllowed();
  }
}
