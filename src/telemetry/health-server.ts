/** The HTTP face for Prometheus and probes: `/metrics`, `/healthz`, `/readyz`. It listens where `--metrics` says. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HealthChecks } from './health.ts';
import type { Metrics } from './metrics.ts';
import { cleanText } from './redact.ts';

export interface HealthServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly health: HealthChecks;
  readonly ready: HealthChecks;
}

export interface HealthServer {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

/** Splits `ADDR:PORT`, `[V6]:PORT` or `:PORT` (then loopback). @throws RangeError when it is none of them. */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new RangeError(`"${text}" is not ADDRESS:PORT`);
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

/** Starts the server. @throws What `listen` throws, e.g. EADDRINUSE. */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((thrown: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(cleanText(thrown instanceof Error ? thrown.message : String(thrown)));
    });
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.unref();
  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: HealthServerOptions): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, 'text/plain; charset=utf-8', 'only GET and HEAD\n');
    return;
  }
  switch (url.pathname) {
    case '/metrics':
      send(200, options.metrics.registry.contentType, await options.metrics.registry.metrics());
      return;
    case '/healthz':
    case '/livez':
    case '/readyz': {
      const checks = url.pathname === '/readyz' ? options.ready : options.health;
      const report = await checks.run(new Set(url.searchParams.getAll('exclude')));
      const verbose = url.searchParams.has('verbose') || !report.ok;
      const name = url.pathname.slice(1);
      const summary = `${name} check ${report.ok ? 'passed' : 'failed'}`;
      const body = verbose ? `${cleanText(report.lines.join('\n'))}\n${summary}\n` : 'ok';
      send(report.ok ? 200 : 503, 'text/plain; charset=utf-8', body);
      return;
    }
    default:
      send(404, 'text/plain; charset=utf-8', 'try /metrics, /healthz or /readyz\n');
  }
}
