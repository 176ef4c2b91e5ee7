import type { IncomingMessage } from 'node:http';
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import { parseJsonStrict } from '../schema/strict-json.ts';
import { MAX_OBJECT_CHARACTERS } from '../storage/store.ts';
import { badRequest, StatusError, tooLarge, tooManyRequests, unsupportedMediaType } from './errors.ts';
import { decodeProtobuf, isProtobuf } from './protobuf.ts';
import { readYaml, YamlError } from './yaml.ts';
import type { ReadYaml } from './yaml-text.ts';

/** The largest request body (apiserver, `MaxRequestBodyBytes`). */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** What the server decodes besides patches. */
export const OBJECT_TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];

/** A body with what strict decoding says about it. */
export interface DecodedBody {
  readonly object: JsonObject;
  readonly duplicates: readonly string[];
}

/** Bodies that are on their way may not hold more than this together; who sends more has to wait. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
let pendingBytes = 0;

/** Reads a body. Throws StatusError (413) above {@link MAX_BODY_BYTES}, and 400 when the client goes away. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > MAX_BODY_BYTES) {
      request.resume();
      reject(tooLarge(MAX_BODY_BYTES));
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    let held = 0;
    const letGo = (): void => {
      pendingBytes -= held;
      held = 0;
    };
    const refuse = (error: StatusError): void => {
      letGo();
      chunks.length = 0;
      size = Infinity;
      reject(error);
    };
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) {
        if (size < Infinity) refuse(tooLarge(MAX_BODY_BYTES));
      } else if (pendingBytes > MAX_PENDING_BYTES) {
        refuse(tooManyRequests('Too many requests, please try again later.', 1));
      } else {
        held += chunk.length;
        pendingBytes += chunk.length;
        chunks.push(chunk);
      }
    });
    request.on('end', letGo);
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    request.on('error', (cause) => reject(badRequest('the request body could not be read', { cause })));
    request.on('close', () => {
      letGo();
      // After every request: an error, which is slow to make, only when something is missing.
      if (!request.complete) reject(badRequest('the client closed the connection'));
    });
  });
}

/** What is read of a refused body, and for how long, so that its sender is there to read the answer. */
const MAX_REST_BYTES = 16 * 1024 * 1024;
const REST_MS = 2000;

/**
 * Reads what is left of a body that is refused, and throws it away: a connection that is closed while its client still sends
 * is reset, and the client may never read why (RFC 9112, 9.6). Resolves when all was read, or more comes than anybody should
 * be waited for; never rejects.
 */
export function passOver(request: IncomingMessage): Promise<void> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (request.complete || request.destroyed || declared > MAX_REST_BYTES) return Promise.resolve();
  return new Promise((resolve) => {
    let size = 0;
    const count = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > MAX_REST_BYTES) done();
    };
    const done = (): void => {
      clearTimeout(timer);
      request.off('data', count);
      resolve();
    };
    const timer = setTimeout(done, REST_MS);
    request.once('end', done);
    request.once('close', done);
    request.on('data', count);
    request.resume();
  });
}

/** The media type of a request, without parameters. */
export function mediaType(request: IncomingMessage): string {
  const header = request.headers['content-type'] ?? '';
  const end = header.indexOf(';');
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
}

/**
 * Decodes an object that a client sends. `kind` is what the endpoint expects, for messages; `strict` asks for duplicate
 * keys. Throws StatusError.
 */
export async function decodeObject(body: Buffer, type: string, kind: string, strict: boolean): Promise<DecodedBody> {
  if (type === 'application/vnd.kubernetes.protobuf' || isProtobuf(body)) {
    if (!isProtobuf(body)) {
      throw badRequest(
        `the object provided is unrecognized (must be of type ${kind}): provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] (${summary(body)})`,
      );
    }
    return { object: decodeProtobuf(body), duplicates: [] };
  }
  if (type === 'application/yaml') return decodeYaml(body);
  if (type !== '' && type !== 'application/json' && !type.endsWith('+json')) throw unsupportedMediaType(OBJECT_TYPES);
  const { value, errors } = parseJson(body, kind, strict);
  if (!isObject(value)) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (${summary(body)})`,
    );
  }
  checkSize(body, value);
  return { object: value, duplicates: errors };
}

/** What cannot be stored is refused before it has cost anything. */
function checkSize(body: Buffer, value: Json): void {
  if (body.length > MAX_OBJECT_CHARACTERS && JSON.stringify(value).length > MAX_OBJECT_CHARACTERS) {
    throw tooLarge(MAX_OBJECT_CHARACTERS);
  }
}

/** Decodes the body of a JSON patch or merge patch. Throws StatusError. */
export function decodePatch(
  body: Buffer,
  strict: boolean,
): { readonly value: Json; readonly duplicates: readonly string[] } {
  try {
    const { value, errors } = parseText(body, strict);
    checkSize(body, value);
    return { value, duplicates: errors };
  } catch (cause) {
    if (cause instanceof StatusError) throw cause;
    throw badRequest(`error decoding patch: ${goJsonError(body.toString())}`, { cause });
  }
}

/** Decodes YAML, which an apply sends. Throws StatusError. */
export async function decodeYaml(body: Buffer): Promise<DecodedBody> {
  const text = body.toString();
  // Most clients send JSON, which is YAML too and much faster to read.
  if (/^\s*\{/.test(text)) {
    try {
      const { value, errors } = parseJsonStrict(text);
      if (isObject(value)) {
        checkSize(body, value);
        return { object: value, duplicates: errors };
      }
    } catch (error) {
      if (isTooDeep(error)) throw tooDeep(error);
      if (error instanceof StatusError) throw error;
    }
  }
  let read: ReadYaml;
  try {
    read = await readYaml(text);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    throw badRequest(`error decoding YAML: ${cause.message}`, { cause });
  }
  const { json, duplicates } = read;
  if (nesting(json) > MAX_DEPTH) throw tooDeep(undefined);
  if (json.length > MAX_OBJECT_CHARACTERS) throw tooLarge(MAX_OBJECT_CHARACTERS);
  const value = JSON.parse(json) as Json;
  if (!isObject(value)) {
    if (value === null) throw badRequest('invalid object type: /, Kind=');
    throw badRequest(
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type map[string]interface {}`,
    );
  }
  return { object: value, duplicates };
}

function parseJson(body: Buffer, kind: string, strict: boolean): { value: Json; errors: readonly string[] } {
  try {
    return parseText(body, strict);
  } catch (cause) {
    if (isTooDeep(cause)) throw tooDeep(cause);
    const detail = body.length === 0 ? 'unexpected end of JSON input' : goJsonError(body.toString());
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${detail} (${summary(body)})`,
      { cause },
    );
  }
}

const MAX_DEPTH = 1000;

/** Parses JSON of bounded depth; duplicates are looked for only when somebody wants to know. */
function parseText(body: Buffer, strict: boolean): { value: Json; errors: readonly string[] } {
  const text = body.toString();
  if (strict) return parseJsonStrict(text);
  // No text is nested deeper than it has brackets.
  if (text.length > MAX_DEPTH && nesting(text) > MAX_DEPTH) throw new SyntaxError('exceeded max depth');
  return { value: JSON.parse(text) as Json, errors: [] };
}

function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      i++;
      while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
    } else if (code === 0x5b || code === 0x7b) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return deepest;
}

function isTooDeep(error: unknown): boolean {
  return error instanceof SyntaxError && error.message === 'exceeded max depth';
}

function tooDeep(cause: unknown): StatusError {
  return badRequest('json: exceeded max depth', { cause: cause as Error });
}

const SUMMARY_BYTES = 30;

/** The first bytes of a body, as the real server shows them (apiserver, `summarizeData`). */
function summary(body: Buffer): string {
  if (body.length === 0) return '<empty>';
  const end = body.length > SUMMARY_BYTES ? ' ...' : '';
  const start = body.subarray(0, SUMMARY_BYTES);
  return `${start[0] === 0x7b ? start.toString() : start.toString('hex')}${end}`;
}

/** Says in Go's words where a text stops being JSON, for the usual case that it starts wrong. */
export function goJsonError(text: string): string {
  const first = text.trimStart()[0];
  if (first === undefined) return 'unexpected end of JSON input';
  for (const literal of ['null', 'true', 'false']) {
    if (first !== literal[0]) continue;
    const start = text.trimStart();
    for (let i = 1; i < literal.length; i++) {
      if (start[i] === undefined) return 'unexpected end of JSON input';
      if (start[i] !== literal[i]) {
        return `invalid character '${start[i]}' in literal ${literal} (expecting '${literal[i]}')`;
      }
    }
  }
  if (!/[{["\-\d]/.test(first)) return `invalid character '${first}' looking for beginning of value`;
  return 'unexpected end of JSON input';
}
