import { MANAGED_FIELDS_SCHEMA, OBJECT_META_SCHEMA } from './object-meta-schema.ts';
import { fieldElement, type PathElement } from './path-element.ts';
import { compareStrings, type JsonObject, own } from './values.ts';

/** The parts of a structural OpenAPI v3 schema (CustomResourceDefinition) that decide about ownership and merging. */
export interface StructuralSchema {
  readonly type?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly properties?: { readonly [name: string]: StructuralSchema };
  readonly additionalProperties?: StructuralSchema | boolean;
  readonly items?: StructuralSchema;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
}

/** What a scalar may be; untyped takes any of them. */
export type ScalarKind = 'numeric' | 'string' | 'boolean' | 'untyped';

/** A compiled type. Where several shapes are allowed, the value decides which one applies. */
export interface Type {
  readonly scalar: ScalarKind | undefined;
  readonly list: ListType | undefined;
  readonly map: MapType | undefined;
}

/** A list: owned as a whole (atomic), or by item: a set without keys, a keyed list with them. */
export interface ListType {
  readonly element: Type;
  readonly atomic: boolean;
  /** Key fields as declared, for messages. */
  readonly keys: readonly string[];
  /** Key fields in the order in which they are written. */
  readonly sortedKeys: readonly string[];
  /** Defaults of the sorted keys; undefined where there is none. */
  readonly keyDefaults: readonly unknown[];
}

/** A map or struct: owned as a whole (atomic) or by key. */
export interface MapType {
  readonly fields: ReadonlyMap<string, FieldType>;
  /** The type of keys that are no declared fields; undefined where those are not allowed. */
  readonly element: Type | undefined;
  readonly atomic: boolean;
  /** A free-form object: no declared fields, any others. */
  readonly freeForm: boolean;
}

/** A declared field of a struct. */
export interface FieldType {
  readonly type: Type;
  readonly path: PathElement;
}

/** The empty type, which nothing has: what an undeclared field is of. */
export const NO_TYPE: Type = { scalar: undefined, list: undefined, map: undefined };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface FreeType {
  readonly scalar: ScalarKind;
  readonly list: Mutable<ListType>;
  readonly map: Mutable<MapType>;
}

function freeType(atomicMap: boolean): FreeType {
  return {
    scalar: 'untyped',
    list: { element: NO_TYPE, atomic: true, keys: [], sortedKeys: [], keyDefaults: [] },
    map: { fields: new Map(), element: NO_TYPE, atomic: atomicMap, freeForm: !atomicMap },
  };
}

const untypedAtomic = freeType(true);
untypedAtomic.list.element = untypedAtomic;
untypedAtomic.map.element = untypedAtomic;

const deduced = freeType(false);
deduced.list.element = untypedAtomic;
deduced.map.element = deduced;

/** Anything at all, owned as a whole: what a list without a declared item type holds. */
export const UNTYPED_ATOMIC: Type = untypedAtomic;

/** Anything at all, with maps owned by key: the type of unknown fields. */
export const DEDUCED: Type = deduced;

/** Anything at all, owned as a whole and not looked into. */
export const UNCHECKED: Type = { ...untypedAtomic };

const compiled = new WeakMap<StructuralSchema, Type>();

/**
 * Compiles the schema of a kind, once per schema object: `apiVersion`, `kind` and `metadata` are added as the API
 * server does for every kind.
 */
export function compileSchema(schema: StructuralSchema): Type {
  let type = compiled.get(schema);
  if (type === undefined) {
    type = compile(asResource(schema), false);
    compiled.set(schema, type);
  }
  return type;
}

function asResource(schema: StructuralSchema): StructuralSchema {
  return {
    ...schema,
    type: 'object',
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: OBJECT_META_SCHEMA,
    },
  };
}

function compile(schema: StructuralSchema, inheritedPreserve: boolean): Type {
  if (schema === MANAGED_FIELDS_SCHEMA) return UNCHECKED;
  const preserve = inheritedPreserve || schema['x-kubernetes-preserve-unknown-fields'] === true;
  const source = schema['x-kubernetes-embedded-resource'] === true ? asResource(schema) : schema;
  switch (source.type) {
    case 'object':
      return { ...NO_TYPE, map: compileMap(source, preserve) };
    case 'array':
      return { ...NO_TYPE, list: compileList(source, preserve) };
    case 'integer':
    case 'number':
      return { ...NO_TYPE, scalar: 'numeric' };
    case 'boolean':
      return { ...NO_TYPE, scalar: 'boolean' };
    case 'string':
      return {
        ...NO_TYPE,
        scalar: source.format === undefined || /^(byte)?$/.test(source.format) ? 'string' : 'untyped',
      };
    default:
      return { scalar: 'untyped', list: compileList(source, preserve), map: compileMap(source, preserve) };
  }
}

function compileMap(schema: StructuralSchema, preserve: boolean): MapType {
  const fields = new Map<string, FieldType>();
  // ObjectMeta has a shape of its own; an enclosing "keep unknown fields" does not reach into it.
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const type = compile(property, preserve && property !== OBJECT_META_SCHEMA);
    fields.set(name, { type, path: fieldElement(name) });
  }
  let element: Type | undefined;
  if (typeof schema.additionalProperties === 'object') element = compile(schema.additionalProperties, preserve);
  else if (schema.additionalProperties === true) element = DEDUCED;
  else if (schema.additionalProperties === undefined && (preserve || fields.size === 0)) element = DEDUCED;
  return {
    fields,
    element,
    atomic: schema['x-kubernetes-map-type'] === 'atomic',
    freeForm: element === DEDUCED && fields.size === 0,
  };
}

function compileList(schema: StructuralSchema, preserve: boolean): ListType {
  const kind = schema['x-kubernetes-list-type'];
  const keys = kind === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : [];
  const sortedKeys = [...keys].sort(compareStrings);
  const properties = (schema.items?.properties ?? {}) as JsonObject;
  return {
    element: schema.items === undefined ? UNTYPED_ATOMIC : compile(schema.items, preserve),
    atomic: kind !== 'set' && kind !== 'map',
    keys,
    sortedKeys,
    keyDefaults: sortedKeys.map((key) => (own(properties, key) as StructuralSchema | undefined)?.default),
  };
}

/** The step to a key of a map. */
export function mapElement(map: MapType, key: string): PathElement {
  return map.fields.get(key)?.path ?? fieldElement(key);
}

/** The type of the value at a key of a map. */
export function mapValueType(map: MapType, key: string): Type {
  return map.fields.get(key)?.type ?? map.element ?? NO_TYPE;
}

/** The shapes a value may be treated as, in bits: a map first, then a scalar, then a list. */
export const MAP = 1;
export const SCALAR = 2;
export const LIST = 4;

/**
 * Which shapes of a type apply to a value: the one it has if the type allows it, else all that the type allows, so
 * that null fits everything and a misfit is reported by the first.
 */
export function shapesOf(type: Type, value: unknown): number {
  if (typeof value === 'object' && value !== null) {
    if (Array.isArray(value)) {
      if (type.list !== undefined) return LIST;
    } else if (type.map !== undefined) return MAP;
  } else if (value !== null && value !== undefined && type.scalar !== undefined) return SCALAR;
  return (
    (type.map === undefined ? 0 : MAP) | (type.scalar === undefined ? 0 : SCALAR) | (type.list === undefined ? 0 : LIST)
  );
}

/** The first of several shapes. */
export function firstShape(shapes: number): number {
  return shapes & MAP ? MAP : shapes & SCALAR ? SCALAR : shapes & LIST;
}
