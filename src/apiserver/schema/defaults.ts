import { deepCopy, isObject, type Json, type JsonObject, setOwn } from './json-value.ts';
import { additional, type SchemaNode } from './structural.ts';

type Walk = (value: Json, keepNulls: boolean) => void;

interface Defaulter {
  readonly nullable: boolean;
  readonly value: Json | undefined;
  /** Undefined where neither defaults nor nulls can matter below. */
  readonly apply: Walk | undefined;
}

/**
 * Compiles defaulting (apiextensions: pkg/apiserver/schema/defaulting). The returned function changes the object: a null
 * for a field that is not nullable is replaced by its default, or dropped when there is none; then missing fields get
 * theirs, from the outside inwards. Nulls inside lists stay when their items have no default. With `keepNulls`, for what a
 * server-side apply has made, a null without a default stays too, for validation to find: only decoding drops it.
 */
export function compileDefaults(schema: SchemaNode): (object: JsonObject, keepNulls?: boolean) => void {
  const { apply } = defaulter(schema);
  return (object, keepNulls = false) => apply?.(object, keepNulls);
}

function defaulter(schema: SchemaNode): Defaulter {
  const value = schema.default === null ? undefined : schema.default;
  return { nullable: schema.nullable === true, value, apply: walker(schema) };
}

function walker(schema: SchemaNode): Walk | undefined {
  const properties = Object.entries(schema.properties ?? {}).map(([key, node]) => [key, defaulter(node)] as const);
  const byKey = new Map(properties);
  const missing = properties.filter(([, node]) => node.value !== undefined);
  const more = additional(schema);
  const rest = more === undefined ? undefined : defaulter(more);
  const items = schema.items === undefined ? undefined : defaulter(schema.items);
  if (byKey.size === 0 && rest === undefined && items === undefined) return undefined;

  return (value, keepNulls) => {
    if (Array.isArray(value)) {
      if (items !== undefined) walkList(value, items, keepNulls);
    } else if (isObject(value)) {
      for (const [key, node] of missing) {
        if (!Object.hasOwn(value, key)) setOwn(value, key, deepCopy(node.value as Json));
      }
      for (const key of Object.keys(value)) {
        const node = byKey.get(key) ?? rest;
        if (node !== undefined) walkField(value, key, node, keepNulls);
      }
    }
  };
}

function walkField(object: JsonObject, key: string, node: Defaulter, keepNulls: boolean): void {
  if (object[key] === null && !node.nullable) {
    if (node.value === undefined) {
      if (!keepNulls) delete object[key];
      return;
    }
    setOwn(object, key, deepCopy(node.value));
  }
  node.apply?.(object[key] as Json, keepNulls);
}

function walkList(list: Json[], items: Defaulter, keepNulls: boolean): void {
  for (let i = 0; i < list.length; i++) {
    if (list[i] === null && !items.nullable && items.value !== undefined) list[i] = deepCopy(items.value);
    items.apply?.(list[i] as Json, keepNulls);
  }
}
