/**
 * Decodes the protobuf messages of the core kinds, which the typed clients of client-go send unless they are told
 * otherwise (k8s.io/api and apimachinery, `generated.proto`). Answers are JSON: those clients take both.
 */
import type { Json, JsonObject } from '../schema/json-value.ts';
import { setOwn } from '../schema/json-value.ts';
import { badRequest } from './errors.ts';

/** A field: its JSON name and what it holds. */
type Field = readonly [name: string, type: Type, repeated?: 'repeated'];
type Type =
  | 'string'
  /** A pointer in Go: there although it is empty. */
  | 'optionalString'
  | 'bytes'
  /** The bytes of a JSON document. */
  | 'json'
  | 'bool'
  | 'int'
  /** No pointer in Go: 0 is left out of JSON. */
  | 'count'
  | 'time'
  | 'microTime'
  | 'stringMap'
  | 'bytesMap'
  | Message;
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
  17: [
    'managedFields',
    {
      1: ['manager', 'string'],
      2: ['operation', 'string'],
      3: ['apiVersion', 'string'],
      4: ['time', 'time'],
      6: ['fieldsType', 'string'],
      7: ['fieldsV1', 'json'],
      8: ['subresource', 'string'],
    },
    'repeated',
  ],
};

const OBJECT_REFERENCE: Message = {
  1: ['kind', 'string'],
  2: ['namespace', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  5: ['apiVersion', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['fieldPath', 'string'],
};

const EVENT_SOURCE: Message = { 1: ['component', 'string'], 2: ['host', 'string'] };
const EVENT_SERIES: Message = { 1: ['count', 'count'], 2: ['lastObservedTime', 'microTime'] };

const ACCESS: Message = {
  1: ['namespace', 'string'],
  2: ['verb', 'string'],
  3: ['group', 'string'],
  4: ['version', 'string'],
  5: ['resource', 'string'],
  6: ['subresource', 'string'],
  7: ['name', 'string'],
};

/** By kind; those of a version of its own by apiVersion and kind. */
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
  Lease: {
    1: ['metadata', META],
    2: [
      'spec',
      {
        1: ['holderIdentity', 'optionalString'],
        2: ['leaseDurationSeconds', 'int'],
        3: ['acquireTime', 'microTime'],
        4: ['renewTime', 'microTime'],
        5: ['leaseTransitions', 'int'],
        6: ['strategy', 'optionalString'],
        7: ['preferredHolder', 'optionalString'],
      },
    ],
  },
  'v1 Event': {
    1: ['metadata', META],
    2: ['involvedObject', OBJECT_REFERENCE],
    3: ['reason', 'string'],
    4: ['message', 'string'],
    5: ['source', EVENT_SOURCE],
    6: ['firstTimestamp', 'time'],
    7: ['lastTimestamp', 'time'],
    8: ['count', 'count'],
    9: ['type', 'string'],
    10: ['eventTime', 'microTime'],
    11: ['series', EVENT_SERIES],
    12: ['action', 'string'],
    13: ['related', OBJECT_REFERENCE],
    14: ['reportingComponent', 'string'],
    15: ['reportingInstance', 'string'],
  },
  'events.k8s.io/v1 Event': {
    1: ['metadata', META],
    2: ['eventTime', 'microTime'],
    3: ['series', EVENT_SERIES],
    4: ['reportingController', 'string'],
    5: ['reportingInstance', 'string'],
    6: ['action', 'string'],
    7: ['reason', 'string'],
    8: ['regarding', OBJECT_REFERENCE],
    9: ['related', OBJECT_REFERENCE],
    10: ['note', 'string'],
    11: ['type', 'string'],
    12: ['deprecatedSource', EVENT_SOURCE],
    13: ['deprecatedFirstTimestamp', 'time'],
    14: ['deprecatedLastTimestamp', 'time'],
    15: ['deprecatedCount', 'count'],
  },
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
  const name = [`${apiVersion} ${kind}`, kind ?? ''].find((one) => Object.hasOwn(MESSAGES, one));
  const message = name === undefined ? undefined : MESSAGES[name];
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
      const converted = convert(value, type);
      if (converted !== '' || type === 'optionalString') result[name] = converted;
      if (type === 'count' && converted === 0) delete result[name];
    } else {
      ((result[name] ??= []) as Json[]).push(convert(value, type));
    }
  }
  return result;
}

function convert(value: number | Buffer, type: Exclude<Type, 'stringMap' | 'bytesMap'>): Json {
  if (typeof value === 'number') return type === 'bool' ? value !== 0 : value;
  if (type === 'string' || type === 'optionalString') return value.toString();
  if (type === 'json') return embeddedJson(value);
  if (type === 'bytes') return value.toString('base64');
  if (type === 'time') {
    const { seconds } = decode(value, { 1: ['seconds', 'int'] });
    return typeof seconds === 'number' ? `${secondOf(seconds)}Z` : null;
  }
  if (type === 'microTime') {
    const { seconds, nanos = 0 } = decode(value, { 1: ['seconds', 'int'], 2: ['nanos', 'int'] });
    if (typeof seconds !== 'number') return null;
    const micros = String(Math.floor(Number(nanos) / 1000)).padStart(6, '0');
    return `${secondOf(seconds)}.${micros}Z`;
  }
  return typeof type === 'object' ? decode(value, type) : null;
}

/** A time to the second. Throws StatusError for one that no calendar has. */
function secondOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) throw badRequest('the protobuf body is damaged');
  return date.toISOString().slice(0, 19);
}

/** FieldsV1 is a message around the text of a JSON document. */
function embeddedJson(value: Buffer): Json {
  const { raw } = decode(value, { 1: ['raw', 'string'] });
  try {
    return JSON.parse(typeof raw === 'string' ? raw : 'null') as Json;
  } catch (cause) {
    throw badRequest('the protobuf body is damaged', { cause });
  }
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
