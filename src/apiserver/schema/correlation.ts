import { deepEqual, isObject, type Json, type JsonObject, own } from './json-value.ts';
import { additional, property, type SchemaNode } from './structural.ts';

/**
 * Which old value belongs to a new one (apiserver: pkg/cel/common/equality.go). Fields correlate by name, items of
 * `x-kubernetes-list-type: map` by their keys, other items not at all. Two values that correlate and are equal are exempt
 * from rules they violated before (ratcheting).
 */

/** The old item with the same map keys as `item`, or undefined. */
export function correlateItem(schema: SchemaNode, old: Json | undefined, item: Json): JsonObject | undefined {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  if (schema['x-kubernetes-list-type'] !== 'map' || keys.length === 0 || !Array.isArray(old) || !isObject(item)) {
    return undefined;
  }
  const wanted = keys.map((key) => own(item, key));
  if (!wanted.every(isScalar)) return undefined;
  for (const candidate of old) {
    if (isObject(candidate) && keys.every((key, i) => own(candidate, key) === wanted[i])) return candidate;
  }
  return undefined;
}

function isScalar(value: Json | undefined): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** The old value of a field that is in both objects and in the schema, or undefined. */
export function correlateField(schema: SchemaNode, old: Json | undefined, key: string): Json | undefined {
  if (!isObject(old) || childSchema(schema, key) === undefined) return undefined;
  return own(old, key);
}

function childSchema(schema: SchemaNode, key: string): SchemaNode | undefined {
  return property(schema, key) ?? additional(schema);
}

/**
 * Equality as ratcheting sees it: lists of type map may be reordered, and an object with a field that its schema does not
 * know is never equal.
 */
export function correlatedEqual(schema: SchemaNode, value: Json, old: Json | undefined): boolean {
  if (old === undefined) return false;
  if (Array.isArray(value)) return Array.isArray(old) && equalLists(schema, value, old);
  if (!isObject(value)) return value === old;
  if (!isObject(old)) return false;
  const keys = Object.keys(value);
  if (keys.length !== Object.keys(old).length) return false;
  return keys.every((key) => {
    const child = childSchema(schema, key);
    return child !== undefined && correlatedEqual(child, value[key] as Json, own(old, key));
  });
}

function equalLists(schema: SchemaNode, value: Json[], old: Json[]): boolean {
  if (value.length !== old.length) return false;
  const { items } = schema;
  if (items === undefined || schema['x-kubernetes-list-type'] !== 'map') return deepEqual(value, old);
  return value.every((item) => correlatedEqual(items, item, correlateItem(schema, old, item)));
}
