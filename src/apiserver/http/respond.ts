import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline, type Writable } from 'node:stream';
import { createGzip, gzip } from 'node:zlib';
import type { FailureBody, StatusError } from './errors.ts';
import { yamlOfJson } from './yaml-text.ts';

/** Answers of this size are compressed when the client can read it (apiserver, `defaultGzipThresholdBytes`). */
const GZIP_BYTES = 128 * 1024;

/** As fast as it goes (apiserver, `defaultGzipContentEncodingLevel`). */
const GZIP_LEVEL = 1;

/** A list that is longer leaves in pieces. */
const STREAM_CHARACTERS = 2 * 1024 * 1024;
const PIECE_CHARACTERS = 256 * 1024;

/** What is longer is not written anew as YAML, which holds up everybody. */
const YAML_CHARACTERS = 64 * 1024;

/** What is longer is not made pretty: nobody reads it. */
const PRETTY_CHARACTERS = 1024 * 1024;

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
  if (wantsYaml(request)) {
    // JSON is YAML too: what would take long to write stays as it is.
    const yaml = json.length < YAML_CHARACTERS ? yamlOfJson(json) : json;
    send(request, response, code, yaml, headersOf('application/yaml', warnings), retryAfter);
    return;
  }
  const isPretty = json.length < PRETTY_CHARACTERS && wantsPretty(request.url, agent);
  const text = isPretty ? JSON.stringify(JSON.parse(json), null, 2) : json;
  send(request, response, code, text, headersOf('application/json', warnings), retryAfter);
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  code: number,
  text: string,
  headers: Record<string, string | number | string[]>,
  retryAfter: number,
): void {
  if (response.headersSent || response.destroyed) return;
  if (retryAfter > 0) headers['Retry-After'] = String(retryAfter);
  if (text.length > GZIP_BYTES && takesGzip(request)) {
    headers['Content-Encoding'] = 'gzip';
    headers['Vary'] = 'Accept-Encoding';
    // In another thread: packing a megabyte would hold up everybody.
    gzip(text, { level: GZIP_LEVEL }, (error, packed) => {
      if (error !== null || response.destroyed) {
        response.destroy();
        return;
      }
      headers['Content-Length'] = packed.length;
      response.writeHead(code, headers);
      response.end(packed);
    });
    return;
  }
  headers['Content-Length'] = Buffer.byteLength(text);
  response.writeHead(code, headers);
  response.end(text);
}

function headersOf(type: string, warnings: readonly string[]): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {
    'Cache-Control': 'no-cache, private',
    'Content-Type': type,
  };
  if (warnings.length > 0) headers['Warning'] = warningHeaders(warnings);
  return headers;
}

function takesGzip(request: IncomingMessage): boolean {
  return request.headers['accept-encoding']?.includes('gzip') === true;
}

/**
 * Sends a list of any length. What is long leaves in pieces, each when the client has taken the one before, so that a slow
 * client costs no memory and nobody waits for a list of others to be put together.
 */
export function sendList(
  request: IncomingMessage,
  response: ServerResponse,
  list: Iterable<string>,
  warnings: readonly string[] = [],
): void {
  const pieces = list[Symbol.iterator]();
  const first = take(pieces, STREAM_CHARACTERS);
  if (first.isLast || wantsYaml(request)) {
    sendJson(request, response, 200, first.isLast ? first.text : first.text + take(pieces, Infinity).text, warnings);
    return;
  }
  if (response.headersSent || response.destroyed) return;
  const headers = headersOf('application/json', warnings);
  let out: Writable = response;
  if (takesGzip(request)) {
    headers['Content-Encoding'] = 'gzip';
    headers['Vary'] = 'Accept-Encoding';
    const packer = createGzip({ level: GZIP_LEVEL });
    // The client went away: that is its business.
    pipeline(packer, response, () => {});
    out = packer;
  }
  response.writeHead(200, headers);
  out.write(first.text);
  const more = (): void => {
    if (response.destroyed) return;
    const { text, isLast } = take(pieces, PIECE_CHARACTERS);
    if (isLast) {
      out.end(text);
    } else if (out.write(text)) setImmediate(more);
    else out.once('drain', more);
  };
  setImmediate(more);
}

/** Takes pieces until there are so many characters. */
function take(pieces: Iterator<string>, characters: number): { readonly text: string; readonly isLast: boolean } {
  let text = '';
  while (text.length < characters) {
    const piece = pieces.next();
    if (piece.done === true) return { text, isLast: true };
    text += piece.value;
  }
  return { text, isLast: false };
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
