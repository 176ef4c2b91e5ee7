import type { Environment } from '@marcbachmann/cel-js';
import { Duration } from '@marcbachmann/cel-js/evaluator';
import { correlatedEqual } from '../correlation.ts';
import { parseFormatDuration } from '../formats.ts';
import { isObject, type Json, type JsonObject, own } from '../json-value.ts';
import { additional, type SchemaNode } from '../structural.ts';
import { CelError } from './errors.ts';
import { escapeField } from './escape.ts';

/** How the values of one schema node look to rules. */
export interface CelType {
  /** The name of the type in the rule environment. */
  readonly name: string;
  readonly convert: (value: Json) => unknown;
  /** True when `convert` returns its argument; saves copying lists and maps. */
  readonly identity: boolean;
}

const RAW = Symbol('raw');
const MEMO = Symbol('memo');

interface Wrapper {
  readonly [RAW]: JsonObject;
  [MEMO]?: Map<string, unknown>;
}

const META: SchemaNode = {
  type: 'object',
  properties: { name: { type: 'string' }, generateName: { type: 'string' } },
};

/** The root as rules see it: type and name are always there, nothing else of the metadata is. */
export function withTypeAndMeta(schema: SchemaNode): SchemaNode {
  const properties = {
    ...schema.properties,
    kind: { type: 'string' },
    apiVersion: { type: 'string' },
    metadata: META,
  };
  return { ...schema, properties };
}

/**
 * Turns schema nodes into types of a rule environment (apiserver: pkg/cel/common/schemas.go) and JSON into values of these
 * types. Objects are wrapped and converted field by field when a rule reads them.
 */
export class CelTypes {
  readonly #env: Environment;
  readonly #known = new Map<SchemaNode, CelType | undefined>();
  #count = 0;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** The type of a node, or undefined when rules cannot see values of it (no type, unknown content). */
  of(schema: SchemaNode): CelType | undefined {
    if (this.#known.has(schema)) return this.#known.get(schema);
    const type = this.#build(schema);
    this.#known.set(schema, type);
    return type;
  }

  /** The type of list items and map values. They may be null, while a field that is null is absent to rules. */
  #element(schema: SchemaNode): CelType | undefined {
    const type = this.of(schema);
    if (schema.nullable !== true || type === undefined) return type;
    return { name: 'dyn', convert: (value) => (value === null ? null : type.convert(value)), identity: type.identity };
  }

  #build(schema: SchemaNode): CelType | undefined {
    if (schema['x-kubernetes-int-or-string'] === true) return { name: 'dyn', convert: intOrString, identity: false };
    switch (schema.type) {
      case 'array':
        return this.#list(schema);
      case 'object':
        return additional(schema) === undefined ? this.#object(schema) : this.#map(schema);
      case 'string':
        return stringType(schema.format);
      case 'boolean':
        return { name: 'bool', convert: expect('bool', (value) => typeof value === 'boolean'), identity: true };
      case 'number':
        return { name: 'double', convert: expect('float', (value) => typeof value === 'number'), identity: true };
      case 'integer':
        return { name: 'int', convert: integer, identity: false };
      default:
        return undefined;
    }
  }

  #list(schema: SchemaNode): CelType | undefined {
    const item = schema.items === undefined ? undefined : this.#element(schema.items);
    if (item === undefined) return undefined;
    const { convert } = item;
    // A set of scalars compares without order; one with duplicates (they do not stop the rules) stays a list.
    const isSet = schema['x-kubernetes-list-type'] === 'set' && schema.items?.type !== 'object';
    return {
      name: `list<${item.name}>`,
      identity: false,
      convert: (value) => {
        if (!Array.isArray(value)) throw invalidData('an array');
        const items = value.map(convert);
        const unique = isSet ? new Set(items) : undefined;
        return unique?.size === items.length ? unique : items;
      },
    };
  }

  #map(schema: SchemaNode): CelType | undefined {
    const more = additional(schema);
    const item = more === undefined ? undefined : this.#element(more);
    if (item === undefined) return undefined;
    const { convert } = item;
    return {
      name: `map<string, ${item.name}>`,
      identity: false,
      convert: (value) => {
        if (!isObject(value)) throw invalidData('a map');
        return new Map(Object.keys(value).map((key) => [key, convert(value[key] as Json)]));
      },
    };
  }

  #object(schema: SchemaNode): CelType {
    const fields: Record<string, string> = Object.create(null);
    const Wrapped = wrapperClass();
    for (const [key, node] of Object.entries(schema.properties ?? {})) {
      const type = this.of(node);
      const name = escapeField(key);
      // `constructor` tells the library the class of a value, so a field of that name cannot be shown.
      if (type === undefined || name === undefined || name === 'constructor') continue;
      fields[name] = type.name;
      Object.defineProperty(Wrapped.prototype, name, { get: getter(key, type) });
    }
    const name = `object${this.#count++}`;
    this.#env.registerType(name, { ctor: Wrapped, fields });
    this.#env.registerOperator(`${name} == ${name}`, (a: Wrapper, b: Wrapper) =>
      correlatedEqual(schema, a[RAW], b[RAW]),
    );
    return {
      name,
      identity: false,
      convert: (value) => {
        if (!isObject(value)) throw invalidData('a map');
        return new Wrapped(value);
      },
    };
  }
}

/** One class per schema node: the library finds the type of a value by its class. */
function wrapperClass(): new (raw: JsonObject) => Wrapper {
  return class implements Wrapper {
    readonly [RAW]: JsonObject;

    constructor(raw: JsonObject) {
      this[RAW] = raw;
    }
  };
}

function getter(key: string, type: CelType): (this: Wrapper) => unknown {
  const { convert, identity } = type;
  if (identity) {
    return function () {
      const raw = own(this[RAW], key);
      return raw === undefined || raw === null ? undefined : convert(raw);
    };
  }
  return function () {
    const raw = own(this[RAW], key);
    if (raw === undefined || raw === null) return undefined;
    this[MEMO] ??= new Map();
    const known = this[MEMO].get(key);
    if (known !== undefined) return known;
    const value = convert(raw);
    this[MEMO].set(key, value);
    return value;
  };
}

function invalidData(expected: string): CelError {
  return new CelError(`invalid data, expected ${expected} for the provided schema`);
}

function expect(name: string, test: (value: Json) => boolean): (value: Json) => unknown {
  return (value) => {
    if (value === null) throw new CelError('invalid data, got null for schema with nullable=false');
    if (!test(value)) throw new CelError(`invalid data, expected ${name}, got ${goType(value)}`);
    return value;
  };
}

function goType(value: Json): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}';
}

function integer(value: Json): unknown {
  if (value === null) throw new CelError('invalid data, got null for schema with nullable=false');
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new CelError(`invalid data, expected int, got ${goType(value)}`);
  }
  return BigInt(value);
}

function intOrString(value: Json): unknown {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (value === null) throw new CelError('invalid data, got null for schema with nullable=false');
  throw new CelError('invalid data, expected XIntOrString value to be either a string or integer');
}

const text = expect('string', (value) => typeof value === 'string');

function stringType(format: string | undefined): CelType {
  switch (format) {
    case 'byte':
      return { name: 'bytes', identity: false, convert: (value) => Buffer.from(text(value) as string, 'base64') };
    case 'duration':
      return { name: 'google.protobuf.Duration', identity: false, convert: (value) => duration(text(value) as string) };
    case 'date':
    case 'date-time':
      return {
        name: 'google.protobuf.Timestamp',
        identity: false,
        convert: (value) => time(text(value) as string, format),
      };
    default:
      return { name: 'string', identity: true, convert: text };
  }
}

const BILLION = 1_000_000_000n;

function duration(value: string): Duration {
  const nanos = parseFormatDuration(value);
  if (nanos === undefined) throw new CelError(`Invalid duration ${value}: unable to parse ${value} as duration`);
  return new Duration(nanos / BILLION, Number(nanos % BILLION));
}

function time(value: string, format: string): Date {
  const date = new Date(format === 'date' ? `${value}T00:00:00Z` : value);
  if (Number.isNaN(date.getTime())) throw new CelError(`Invalid ${format} formatted string ${value}`);
  return date;
}
