import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createPlainServer, type Server as PlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { Authenticator, sha256 } from './access/authenticator.ts';
import { Authorizer } from './access/authorizer.ts';
import { tokenSource } from './access/credentials.ts';
import { userOf } from './access/roles.ts';
import { Discovery } from './discovery/discovery.ts';
import { GarbageCollector } from './gc/collector.ts';
import { AuditLog } from './http/audit.ts';
import { Connections } from './http/connections.ts';
import { Handler } from './http/handler.ts';
import { builtinResources } from './kinds/builtin.ts';
import { loadCrds } from './kinds/custom.ts';
import { NamespaceLifecycle } from './namespace/lifecycle.ts';
import { OpenApi } from './openapi/openapi.ts';
import { localAddresses, type ServingPair, servingPair } from './pki/certificates.ts';
import { writeKubeconfig } from './pki/kubeconfig.ts';
import type { Clock } from './registry/clock.ts';
import { storeDefinitions } from './registry/definitions.ts';
import { Deletes } from './registry/deletes.ts';
import { Writes } from './registry/writes.ts';
import { DATABASE } from './storage/backup.ts';
import { Housekeeping } from './storage/housekeeping.ts';
import { lockDirectory } from './storage/lock.ts';
import { makePrivateDirectory, writePrivate } from './storage/private-file.ts';
import type { Synchronous } from './storage/revision-log.ts';
import { Store } from './storage/store.ts';
import { WatchHub } from './watch/hub.ts';

/** Where the server tells what it does. */
export interface ServerLog {
  info(message: string): void;
  error(message: string, error: Error): void;
}

/** How to run the embedded API server. */
export interface ApiServerOptions {
  /** Holds the database, certificates and tokens (0700); one server runs for each. */
  readonly stateDir: string;
  /** `HOST:PORT`; port 0 = any free one. The default is `127.0.0.1:0`. */
  readonly listen?: string;
  /**
   * A Unix socket that is served besides, without TLS, for clients of this user on this machine: who may open it is said
   * by the mode of its directory, and it wants the same tokens. TLS costs a third of a small request.
   */
  readonly socket?: string;
  /** The directory with the CRDs that are served. */
  readonly crdsDir: string;
  /** The administrator's bearer token; made and kept in the state directory when absent. */
  readonly adminToken?: string;
  /** Where it is logged who did what; nowhere when absent. */
  readonly auditLog?: string;
  /** Ends the server. */
  readonly signal?: AbortSignal;
  readonly log?: ServerLog;
  readonly clock?: Clock;
  /** Other limits than the usual; for tests that meet them. */
  readonly limits?: Partial<Limits>;
  /** `OFF` gives up durability; for the test that shows the difference. */
  readonly synchronous?: Synchronous;
}

/** What bounds clients. */
export interface Limits {
  /** How long a client may take for the handshake of TLS, and then for its headers, in milliseconds. */
  readonly headersMs: number;
  /** How long it may take for a whole request, in milliseconds. */
  readonly requestMs: number;
  /** Connections over TLS. */
  readonly connections: number;
}

/** A server that runs. */
export interface ApiServer {
  /** `HOST:PORT` that it listens on. */
  readonly address: string;
  /** `https://HOST:PORT`. */
  readonly url: string;
  readonly caPem: string;
  readonly adminToken: string;
  /** The store, for tests. */
  readonly store: Store;
  /** Writes a kubeconfig (0600) of the administrator. */
  writeKubeconfig(file: string): void;
  /** Ends watches and connections, commits and closes the database. */
  close(): Promise<void>;
}

/** The version of Kubernetes that the server answers like. */
export const KUBERNETES_VERSION = 'v1.34.4';

const SILENT: ServerLog = { info: () => {}, error: () => {} };
const SYSTEM_CLOCK: Clock = { now: () => Date.now() };
/** Slow clients hold no connection for ever. */
const LIMITS: Limits = { headersMs: 10_000, requestMs: 60_000, connections: 5000 };
/** A connection on which nothing moves for so long is ended: a client that does not take its answer, or that is gone. */
const STILL_MS = 150_000;

/**
 * Starts the embedded control plane: a Kubernetes-compatible API server for the kinds of `crdsDir` and the few core ones
 * they need. Throws LockedError when another server uses the state directory, StorageError when its database cannot be
 * used, CrdError when a CRD is not valid, and what `listen` throws.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { stateDir, log = SILENT, clock = SYSTEM_CLOCK } = options;
  const limits: Limits = { ...LIMITS, ...options.limits };
  options.signal?.throwIfAborted();
  makePrivateDirectory(stateDir);
  chmodSync(stateDir, 0o700);
  const lock = lockDirectory(stateDir);
  const cleanups: (() => void | Promise<void>)[] = [() => lock.release()];
  const cleanUp = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  };
  try {
    const onError = (error: Error): void => log.error('request failed', error);
    const file = join(stateDir, DATABASE);
    const store = new Store({
      file,
      onError: (error) => log.error('commit failed', error),
      // A database that was wiped must not give out versions that clients have seen before: with the time in
      // milliseconds, theirs are older than anything it knows, and they list again (410) instead of waiting for ever.
      firstRevision: clock.now(),
      ...(options.synchronous === undefined ? {} : { synchronous: options.synchronous }),
    });
    cleanups.push(() => store.close());
    chmodSync(file, 0o600);

    const custom = loadCrds(options.crdsDir, store);
    const resources = [...builtinResources(store), ...custom.flatMap((kind) => kind.resources)];
    const writes = new Writes(store);
    const deletes = new Deletes(store);
    const shared = { store, resources, writes, deletes, clock, onError };
    storeDefinitions(store, custom, clock);
    const lifecycle = new NamespaceLifecycle(shared);
    cleanups.push(() => lifecycle.close());
    const collector = new GarbageCollector(shared);
    cleanups.push(() => collector.close());
    const housekeeping = new Housekeeping(store, clock, onError);
    cleanups.push(() => housekeeping.close());
    const hub = new WatchHub(store);
    cleanups.push(() => hub.close());

    const adminToken = options.adminToken ?? keptToken(join(stateDir, 'admin.token'));
    const admin = { hash: sha256(adminToken), user: userOf('admin', 'clawstore-admin') };
    const authenticator = new Authenticator(tokenSource(stateDir, [admin], onError));
    const audit = options.auditLog === undefined ? undefined : openAuditLog(options.auditLog, clock, log);
    if (audit !== undefined) cleanups.push(() => audit.close());
    const { host, port } = parseListen(options.listen ?? '127.0.0.1:0');
    const isAny = host === '0.0.0.0' || host === '::';
    const pair = await servingPair(stateDir, isAny ? localAddresses() : [host], clock.now());
    let address = '';
    const connections = new Connections(limits.connections);
    const handler = new Handler({
      ...shared,
      hub,
      discovery: new Discovery(resources),
      openApi: new OpenApi(resources),
      authenticator,
      authorizer: new Authorizer(resources),
      audit,
      address: () => address,
      onKnown: (socket) => connections.welcome(socket),
      version: KUBERNETES_VERSION,
    });
    const common = {
      noDelay: true,
      keepAliveTimeout: 120_000,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.headersMs / 2,
      // kube-apiserver takes 1 MiB; this bounds what somebody without a credential can have us hold.
      maxHeaderSize: 64 * 1024,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    };
    const server = createServer(
      {
        ...common,
        ...contextOf(pair),
        ALPNProtocols: ['http/1.1'],
        // A client may show a certificate; one that is not ours counts as none.
        requestCert: true,
        rejectUnauthorized: false,
        handshakeTimeout: limits.headersMs,
      },
      (request, response) => handler.handle(request, response),
    );
    const servers: (Server | PlainServer)[] = [server];
    connections.guard(server);
    server.setTimeout(STILL_MS);
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    await listen(server, host, port);
    if (options.socket !== undefined) {
      const plain = createPlainServer(common, (request, response) => handler.handle(request, response));
      await listenOnSocket(plain, options.socket);
      servers.push(plain);
    }
    const bound = (server.address() as AddressInfo).port;
    address = `${host.includes(':') ? `[${host}]` : host}:${bound}`;
    const renewal = setInterval(
      () => renew(server, stateDir, isAny ? localAddresses() : [host], clock, onError),
      RENEW_MS,
    );
    renewal.unref();
    cleanups.push(() => clearInterval(renewal));
    log.info(`listening on https://${address}`);

    const url = `https://${isAny ? address.replace(/^.*:/, '127.0.0.1:') : address}`;
    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closing ??= closeServers(servers, hub).then(cleanUp);
      return closing;
    };
    options.signal?.addEventListener('abort', () => void close(), { once: true });
    return {
      address,
      url,
      caPem: pair.ca,
      adminToken,
      store,
      writeKubeconfig: (target) =>
        writeKubeconfig(target, { server: url, caPem: pair.ca, user: 'admin', credential: { token: adminToken } }),
      close,
    };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

const RENEW_MS = 12 * 3_600_000;

/** Certificates that have grown old are replaced while the server runs. */
function renew(
  server: Server,
  stateDir: string,
  hosts: readonly string[],
  clock: Clock,
  onError: (error: Error) => void,
): void {
  servingPair(stateDir, hosts, clock.now()).then(
    (pair) => server.setSecureContext(contextOf(pair)),
    (error: unknown) => onError(error as Error),
  );
}

function contextOf({ cert, key, ca }: ServingPair): SecureContextOptions {
  return { cert: cert + ca, key, ca, minVersion: 'TLSv1.2' };
}

function openAuditLog(file: string, clock: Clock, log: ServerLog): AuditLog {
  const report = (message: string, error?: Error): void =>
    error === undefined ? log.info(message) : log.error(message, error);
  return new AuditLog({ file, clock, report });
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new TypeError(`not an address: ${text} (HOST:PORT is wanted)`);
  return { host: match[1] ?? (match[2] === '' ? '0.0.0.0' : (match[2] as string)), port };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** The lock on the state directory is held: a socket that is there was left by a server that was killed. */
async function listenOnSocket(server: PlainServer, path: string): Promise<void> {
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  chmodSync(path, 0o600);
}

async function closeServers(servers: readonly (Server | PlainServer)[], hub: WatchHub): Promise<void> {
  const closed = Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  hub.close();
  for (const server of servers) server.closeIdleConnections();
  // Requests that run get a moment to be answered.
  const force = setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
  }, 500);
  await closed;
  clearTimeout(force);
}

/** Reads a token from its file, or makes one (256 bits). */
function keptToken(file: string): string {
  if (existsSync(file)) {
    const token = readFileSync(file, 'utf8').trim();
    if (token !== '') return token;
  }
  const token = randomBytes(32).toString('base64url');
  writePrivate(file, token);
  return token;
}
