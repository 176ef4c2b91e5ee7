import { duplicate, type FieldError, invalid } from './field-error.ts';
import { goJson } from './go-format.ts';
import { isObject, type Json, type JsonObject, own } from './json-value.ts';
import { additional, property, type SchemaNode } from './structural.ts';

type ListCheck = (value: Json, path: string, errors: FieldError[]) => void;

/**
 * Compiles the uniqueness check of `x-kubernetes-list-type` set and map (apiextensions: pkg/apiserver/schema/listtype).
 * Each value that occurs more than once is reported once, at its second place.
 */
export function compileListTypes(schema: SchemaNode): (object: JsonObject) => FieldError[] {
  const check = listCheck(schema);
  return (object) => {
    const errors: FieldError[] = [];
    check?.(object, '', errors);
    return errors;
  };
}

function listCheck(schema: SchemaNode | undefined): ListCheck | undefined {
  if (schema === undefined) return undefined;
  const children = new Map<string, ListCheck>();
  for (const key of Object.keys(schema.properties ?? {})) {
    const check = listCheck(property(schema, key));
    if (check !== undefined) children.set(key, check);
  }
  const rest = listCheck(additional(schema));
  const items = listCheck(schema.items);
  const type = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const unique = type === 'set' ? checkSet : type === 'map' ? checkMap(keys) : undefined;
  if (children.size === 0 && rest === undefined && items === undefined && unique === undefined) return undefined;

  return (value, path, errors) => {
    if (Array.isArray(value)) {
      unique?.(value, path, errors);
      if (items !== undefined) value.forEach((item, index) => items(item, `${path}[${index}]`, errors));
    } else if (isObject(value)) {
      if (rest !== undefined) for (const key of Object.keys(value)) rest(value[key] as Json, `${path}[${key}]`, errors);
      for (const [key, check] of children) {
        const item = own(value, key);
        if (item !== undefined) check(item, path === '' ? key : `${path}.${key}`, errors);
      }
    }
  };
}

function checkSet(list: readonly Json[], path: string, errors: FieldError[]): void {
  for (const index of repeated(list, setKey)) errors.push(duplicate(`${path}[${index}]`, list[index] as Json));
}

function checkMap(keys: readonly string[]): (list: readonly Json[], path: string, errors: FieldError[]) => void {
  return (list, path, errors) => {
    const wrong = list.findIndex((item) => item !== null && !isObject(item));
    if (wrong >= 0) {
      const detail = 'must be an object for an array of list-type map';
      errors.push(invalid(`${path}[${wrong}]`, list[wrong] as Json, detail));
      return;
    }
    const places = repeated(list, (item) => mapKey(item as JsonObject | null, keys));
    for (const index of places) {
      errors.push(duplicate(`${path}[${index}]`, identity(list[index] as JsonObject | null, keys)));
    }
  };
}

function mapKey(item: JsonObject | null, keys: readonly string[]): string {
  let text = '';
  for (const key of keys) {
    const value = item === null ? undefined : own(item, key);
    text += value === undefined ? '-,' : `${setKey(value)},`;
  }
  return text;
}

function setKey(value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? goJson(value) : String(value);
}

function identity(item: JsonObject | null, keys: readonly string[]): JsonObject {
  const result: JsonObject = {};
  for (const key of keys) {
    const value = item === null ? undefined : own(item, key);
    if (value !== undefined) result[key] = value;
  }
  return result;
}

/** The second place of every value that occurs more than once. */
function repeated(list: readonly Json[], keyOf: (item: Json) => string): number[] {
  if (list.length < 2) return [];
  const seen = new Map<string, number>();
  const places: number[] = [];
  list.forEach((item, index) => {
    const key = keyOf(item);
    const times = seen.get(key) ?? 0;
    if (times === 1) places.push(index);
    seen.set(key, times + 1);
  });
  return places;
}
