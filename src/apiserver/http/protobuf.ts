/**
 * Decodes the few protobuf messages that client-go tools send although they are told JSON: Namespace, Secret, ConfigMap
 * metadata, SelfSubjectAccessReview and DeleteOptions (k8s.io/api and apimachinery, `generated.proto`).
 */
import type { Json, JsonObject } from '../schema/json-value.ts';
import { setOwn } from '../schema/json-value.ts';
import { badRequest } from './errors.ts';

/** A field: its JSON name and what it holds. */
type Field = readonly [name: string, type: Type, repeated?: 'repeated'];
type Type = 'string' | 'bytes' | 'bool' | 'int' | 'time' | 'stringMap' | 'bytesMap' | Message;
interface Message {
  readonly [number: number]: Field;
}

const OWNER: Message = {
  5: ['apiVersion', 'string'],
  1: ['kind', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  6: ['controller', 'bool'],
  7: ['blockOwnerDeletion', 'bool'],
};

const META: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['generation', 'int'],
  8: ['creationTimestamp', 'time'],
  11: ['labels', 'stringMap'],
  12: ['annotations', 'stringMap'],
  13: ['ownerReferences', OWNER, 'repeated'],
  14: ['finalizers', 'string', 'repeated'],
};

const ACCESS: Message = {
  1: ['namespace', 'string'],
  2: ['verb', 'string'],
  3: ['group', 'string'],
  4: ['version', 'string'],
  5: ['resource', 'string'],
  6: ['subresource', 'string'],
  7: ['name', 'string'],
};

const MESSAGES: Readonly<Record<string, Message>> = {
  Namespace: { 1: ['metadata', META], 2: ['spec', { 1: ['finalizers', 'string', 'repeated'] }] },
  Secret: {
    1: ['metadata', META],
    2: ['data', 'bytesMap'],
    3: ['type', 'string'],
    4: ['stringData', 'stringMap'],
    5: ['immutable', 'bool'],
  },
  ConfigMap: {
    1: ['metadata', META],
    2: ['data', 'stringMap'],
    3: ['binaryData', 'bytesMap'],
    4: ['immutable', 'bool'],
  },
  SelfSubjectAccessReview: {
    1: ['metadata', META],
    2: [
      'spec',
      {
        1: ['resourceAttributes', ACCESS],
        2: ['nonResourceAttributes', { 1: ['path', 'string'], 2: ['verb', 'string'] }],
      },
    ],
  },
  SelfSubjectReview: { 1: ['metadata', META] },
  SelfSubjectRulesReview: { 1: ['metadata', META], 2: ['spec', { 1: ['namespace', 'string'] }] },
  DeleteOptions: {
    1: ['gracePeriodSeconds', 'int'],
    2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    3: ['orphanDependents', 'bool'],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', 'string', 'repeated'],
  },
};

const UNKNOWN: Message = {
  1: ['typeMeta', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }],
  2: ['raw', 'bytes'],
};

const MAGIC = Buffer.from('k8s\0');

/** Whether a body has the prefix of Kubernetes' protobuf encoding. */
export function isProtobuf(body: Buffer): boolean {
  return body.length >= 4 && body.subarray(0, 4).equals(MAGIC);
}

/** Decodes a body. Throws StatusError (400) when it is damaged or holds another kind. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!isProtobuf(body)) throw badRequest('the body does not start with the protobuf prefix');
  const envelope = decode(body.subarray(4), UNKNOWN);
  const { apiVersion, kind } = (envelope['typeMeta'] ?? {}) as { apiVersion?: string; kind?: string };
  const message = MESSAGES[kind ?? ''];
  if (message === undefined || apiVersion === undefined) {
    throw badRequest(`protobuf is not supported for ${kind ?? 'an object without kind'}; send application/json`);
  }
  const raw = Buffer.from(typeof envelope['raw'] === 'string' ? envelope['raw'] : '', 'base64');
  return { kind: kind as string, apiVersion, ...decode(raw, message) };
}

function decode(bytes: Buffer, message: Message): JsonObject {
  const result: JsonObject = {};
  const reader = new Reader(bytes);
  while (!reader.done) {
    const tag = reader.varint();
    const field = Object.hasOwn(message, tag >>> 3) ? message[tag >>> 3] : undefined;
    const value = reader.value(tag & 7);
    if (field === undefined) continue;
    const [name, type, repeated] = field;
    if (type === 'stringMap' || type === 'bytesMap') {
      const kind = type === 'bytesMap' ? 'bytes' : 'string';
      const entry = decode(value as Buffer, { 1: ['key', 'string'], 2: ['value', kind] });
      const map = (result[name] ??= {}) as JsonObject;
      setOwn(map, String(entry['key'] ?? ''), entry['value'] ?? '');
    } else if (repeated === undefined) {
      result[name] = convert(value, type);
    } else {
      ((result[name] ??= []) as Json[]).push(convert(value, type));
    }
  }
  for (const key of Object.keys(result)) if (result[key] === '') delete result[key];
  return result;
}

function convert(value: number | Buffer, type: Exclude<Type, 'stringMap' | 'bytesMap'>): Json {
  if (typeof value === 'number') return type === 'bool' ? value !== 0 : value;
  if (type === 'string') return value.toString();
  if (type === 'bytes') return value.toString('base64');
  if (type === 'time') {
    const { seconds } = decode(value, { 1: ['seconds', 'int'] });
    return typeof seconds === 'number' ? `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z` : null;
  }
  return typeof type === 'object' ? decode(value, type) : null;
}

class Reader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#position >= this.#bytes.length;
  }

  varint(): number {
    let result = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined || factor > 2 ** 63) throw badRequest('the protobuf body is damaged');
      result += (byte & 127) * factor;
      if (byte < 128) return result;
    }
  }

  value(wire: number): number | Buffer {
    if (wire === 0) return this.varint();
    const length = wire === 2 ? this.varint() : wire === 5 ? 4 : wire === 1 ? 8 : Number.NaN;
    const end = this.#position + length;
    if (!(end <= this.#bytes.length)) throw badRequest('the protobuf body is damaged');
    const value = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return value;
  }
}
