import { correlatedEqual, correlateField, correlateItem } from './correlation.ts';
import { type FieldError, required, tooMany } from './field-error.ts';
import { type Check, field, location, report, reportType, type Walk } from './findings.ts';
import { formatCheck } from './formats.ts';
import { isObject, type Json, type JsonObject, own } from './json-value.ts';
import { compileJunctions } from './junctions.ts';
import { compileEnum, compileNumber, compileString, compileType } from './scalar-checks.ts';
import { additional, type SchemaNode } from './structural.ts';

/**
 * Value validation as kube-openapi does it (pkg/validation/validate), with its texts. Every schema node is compiled once
 * into a list of checks; paths are only put together when there is an error to report.
 */
export interface ValueValidator {
  /**
   * Returns the violations. `old` switches ratcheting on: violations in values that did not change are left out.
   * `prefix` is the field that `value` stands at; messages do not carry it, as in Kubernetes.
   */
  (value: Json, old?: Json, prefix?: string): FieldError[];
}

/** Compiles the value validation of a schema. Throws when a pattern is not valid RE2. */
export function compileValues(schema: SchemaNode): ValueValidator {
  const check = node(schema);
  return (value, old, prefix = '') => {
    const walk: Walk = { prefix, path: [], findings: [], matches: 0 };
    visit(schema, check, value, walk, old);
    if (walk.findings.length < 2) return walk.findings.map(({ error }) => error);
    const distinct = new Map<string, FieldError>();
    for (const { text, error } of walk.findings) if (!distinct.has(text)) distinct.set(text, error);
    return [...distinct.values()];
  };
}

/**
 * Values of stored objects with the schema that they passed. The versions of an object share what did not change, and it
 * never changes afterwards, so that a status update need not look at the spec again.
 */
const passedUnchanged = new WeakMap<object, SchemaNode>();

function visit(schema: SchemaNode, check: Check, value: Json, walk: Walk, old: Json | undefined): void {
  const isUnchanged = value === old && typeof value === 'object' && value !== null;
  if (isUnchanged && passedUnchanged.get(value) === schema) return;
  const before = walk.findings.length;
  check(value, walk, old);
  if (isUnchanged && walk.findings.length === before) passedUnchanged.set(value, schema);
  if (old !== undefined && walk.findings.length > before && correlatedEqual(schema, value, old)) {
    walk.findings.length = before;
  }
}

function node(schema: SchemaNode): Check {
  const types =
    schema['x-kubernetes-int-or-string'] === true ? ['integer', 'string'] : schema.type ? [schema.type] : [];
  const matchesFormat = formatCheck(schema.format);
  const format = matchesFormat === undefined ? '' : (schema.format ?? '');
  const typeCheck = types.length > 0 || format !== '' ? compileType(types, format) : undefined;
  const nullType = types.length > 0 && schema.nullable !== true ? types.join(',') : undefined;
  const junctions = compileJunctions(schema, node);
  const strings = compileString(schema, matchesFormat, format);
  const numbers = compileNumber(schema);
  const lists = compileList(schema);
  const enumeration = schema.enum !== undefined && schema.enum.length > 0 ? compileEnum(schema.enum) : undefined;
  const objects = compileObject(schema);

  return (value, walk, old) => {
    if (value === null) {
      if (nullType === undefined) walk.matches++;
      else reportType(walk, nullType, 'null');
      enumeration?.(value, walk, old);
      return;
    }
    walk.matches += 4;
    if (typeCheck !== undefined) {
      walk.matches++;
      typeCheck(value, walk, old);
    }
    junctions?.(value, walk, old);
    if (typeof value === 'string') strings?.(value, walk);
    else if (typeof value === 'number') numbers?.(value, walk);
    else if (Array.isArray(value)) lists(value, walk, old);
    enumeration?.(value, walk, old);
    if (isObject(value)) objects(value, walk, old);
  };
}

function compileList(schema: SchemaNode): (value: Json[], walk: Walk, old: Json | undefined) => void {
  const { items, minItems, maxItems } = schema;
  const item = items === undefined ? undefined : node(items);
  return (value, walk, old) => {
    walk.matches += 2;
    if (items !== undefined && item !== undefined) {
      for (let i = 0; i < value.length; i++) {
        const element = value[i] as Json;
        walk.path.push(i);
        visit(items, item, element, walk, old === undefined ? undefined : correlateItem(schema, old, element));
        walk.path.pop();
      }
    }
    if (minItems !== undefined && value.length < minItems) {
      report(walk, value.length, `should have at least ${minItems} items`);
    }
    if (maxItems !== undefined && value.length > maxItems) {
      const path = location(walk);
      walk.findings.push({
        text: `${path} in body should have at most ${maxItems} items`,
        error: tooMany(field(walk, path), value.length, maxItems),
      });
    }
  };
}

function compileObject(schema: SchemaNode): (value: JsonObject, walk: Walk, old: Json | undefined) => void {
  const { minProperties, maxProperties } = schema;
  const properties = Object.entries(schema.properties ?? {}).map(([key, child]) => [key, child, node(child)] as const);
  const known = new Set(properties.map(([key]) => key));
  const more = additional(schema);
  const rest = more === undefined ? undefined : node(more);
  const needed = schema.required ?? [];

  return (value, walk, old) => {
    walk.matches++;
    if (minProperties !== undefined || maxProperties !== undefined)
      checkSize(value, walk, minProperties, maxProperties);
    if (more !== undefined && rest !== undefined) {
      for (const key of Object.keys(value)) {
        if (known.has(key)) continue;
        walk.path.push(key);
        visit(more, rest, value[key] as Json, walk, correlateField(schema, old, key));
        walk.path.pop();
      }
    }
    for (const [key, child, check] of properties) {
      const item = own(value, key);
      if (item === undefined) continue;
      // The type of an object cannot change, so what it says about it is never exempt.
      const fixed = walk.path.length === 0 && walk.prefix === '' && (key === 'kind' || key === 'apiVersion');
      walk.path.push(key);
      visit(child, check, item, walk, fixed || old === undefined ? undefined : correlateField(schema, old, key));
      walk.path.pop();
    }
    for (const key of needed) {
      if (Object.hasOwn(value, key)) continue;
      walk.path.push(key);
      const path = location(walk);
      walk.path.pop();
      walk.findings.push({ text: `${path} in body is required`, error: required(field(walk, path)) });
    }
  };
}

function checkSize(value: JsonObject, walk: Walk, min: number | undefined, max: number | undefined): void {
  const size = Object.keys(value).length;
  if (min !== undefined && size < min) report(walk, size, `should have at least ${min} properties`);
  if (max !== undefined && size > max) {
    const path = location(walk);
    walk.findings.push({
      text: `${path} in body should have at most ${max} properties`,
      error: tooMany(field(walk, path), size, max),
    });
  }
}
