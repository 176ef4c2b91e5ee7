import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { stringify } from 'yaml';
import type { FailureBody, StatusError } from './errors.ts';

/** Answers of this size are compressed when the client can read it (apiserver, `defaultGzipThresholdBytes`). */
const GZIP_BYTES = 128 * 1024;

/** Warning headers may not take more than this, together. */
const MAX_WARNINGS = 4096;

/** Sends JSON. `warnings` become Warning headers (RFC 7234, 299 as Kubernetes uses it). */
export function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  code: number,
  json: string,
  warnings: readonly string[] = [],
  retryAfter = 0,
): void {
  if (response.headersSent || response.destroyed) return;
  const agent = request.headers['user-agent'];
  let text = json;
  let type = 'application/json';
  if (wantsYaml(request)) {
    text = stringify(JSON.parse(json));
    type = 'application/yaml';
  } else if (wantsPretty(request.url, agent)) text = JSON.stringify(JSON.parse(json), null, 2);
  const headers: Record<string, string | number | string[]> = {
    'Cache-Control': 'no-cache, private',
    'Content-Type': type,
  };
  if (warnings.length > 0) headers['Warning'] = warningHeaders(warnings);
  if (retryAfter > 0) headers['Retry-After'] = String(retryAfter);
  if (text.length > GZIP_BYTES && request.headers['accept-encoding']?.includes('gzip') === true) {
    const packed = gzipSync(text, { level: 1 });
    headers['Content-Encoding'] = 'gzip';
    headers['Vary'] = 'Accept-Encoding';
    headers['Content-Length'] = packed.length;
    response.writeHead(code, headers);
    response.end(packed);
    return;
  }
  headers['Content-Length'] = Buffer.byteLength(text);
  response.writeHead(code, headers);
  response.end(text);
}

/** People who look with a bare client get indented JSON. */
function wantsPretty(url: string | undefined, agent: string | undefined): boolean {
  if (agent !== undefined && /^(?:curl|Wget|Mozilla\/5\.0)/.test(agent)) return url?.includes('pretty=0') !== true;
  return url?.includes('pretty=') === true && /[?&]pretty=(?:1|true)/.test(url);
}

function wantsYaml(request: IncomingMessage): boolean {
  return request.headers.accept?.startsWith('application/yaml') === true;
}

function warningHeaders(warnings: readonly string[]): string[] {
  const headers: string[] = [];
  let size = 0;
  for (const warning of new Set(warnings)) {
    const text = warning.replaceAll(/[\\"]/g, (character) => `\\${character}`).replaceAll(/[^\x20-\x7e]/g, '?');
    size += text.length;
    if (size > MAX_WARNINGS) break;
    headers.push(`299 - "${text}"`);
  }
  return headers;
}

/** Sends an error. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: StatusError,
  warnings: readonly string[] = [],
): void {
  const body: FailureBody = error.body();
  sendJson(request, response, error.code, JSON.stringify(body), warnings, error.details?.retryAfterSeconds ?? 0);
}

/** Sends plain text. */
export function sendText(response: ServerResponse, code: number, text: string): void {
  if (response.headersSent) return;
  response.writeHead(code, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}
