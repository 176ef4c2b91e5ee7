import { correlatedEqual, correlateField, correlateItem } from './correlation.ts';
import {
  type FieldError,
  invalid,
  NO_FIELD,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
} from './field-error.ts';
import { formatCheck } from './formats.ts';
import { goJson, goNumber, goQuote } from './go-format.ts';
import { deepEqual, isObject, type Json, type JsonObject, own } from './json-value.ts';
import { compilePattern } from './pattern.ts';
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

interface Finding {
  /** The text by which Kubernetes tells findings apart; the second of two equal ones is dropped. */
  readonly text: string;
  readonly error: FieldError;
}

interface Walk {
  readonly prefix: string;
  readonly path: (string | number)[];
  findings: Finding[];
  /** How many checks applied: of several failed alternatives, the one with the most is reported. */
  matches: number;
}

type Check = (value: Json, walk: Walk, old: Json | undefined) => void;

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

function visit(schema: SchemaNode, check: Check, value: Json, walk: Walk, old: Json | undefined): void {
  const before = walk.findings.length;
  check(value, walk, old);
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
  const junctions = compileJunctions(schema);
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

// ---- paths and findings ----

/** The path as it stands in messages: map keys and fields alike follow a dot. */
function location(walk: Walk): string {
  let text = '';
  walk.path.forEach((part, index) => {
    if (typeof part === 'number') text += `[${part}]`;
    else text += index === 0 ? part : `.${part}`;
  });
  return text;
}

function field(walk: Walk, path: string): string {
  if (walk.prefix === '') return path === '' ? NO_FIELD : path;
  return path === '' ? walk.prefix : `${walk.prefix}.${path}`;
}

function report(walk: Walk, value: Json, detail: string): void {
  const path = location(walk);
  const text = `${path} in body ${detail}`;
  walk.findings.push({ text, error: invalid(field(walk, path), value, text) });
}

/** `actual` is the JSON type of the value, or the value itself where a format is violated. */
function reportType(walk: Walk, wanted: string, actual: string): void {
  const path = location(walk);
  const text = `${path} in body must be of type ${wanted}: ${goQuote(actual)}`;
  walk.findings.push({ text, error: typeInvalid(field(walk, path), actual, text) });
}

/** Findings about alternatives concern no field in Kubernetes; the path stands in the text alone. */
function reportWhole(walk: Walk, detail: string): void {
  const text = `${goQuote(location(walk))} ${detail}`;
  walk.findings.push({ text, error: invalid(walk.prefix === '' ? NO_FIELD : walk.prefix, '', text) });
}

// ---- one keyword each ----

function typeOf(value: Json): readonly [type: string, format: string] {
  if (typeof value === 'string') return ['string', ''];
  if (typeof value === 'boolean') return ['boolean', ''];
  if (typeof value === 'number') return isInt64(value) ? ['integer', 'int64'] : ['number', 'float64'];
  return Array.isArray(value) ? ['array', ''] : ['object', ''];
}

/** JSON.parse does not tell `1` from `1.0`; Kubernetes takes both for an integer, too. */
function isInt64(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) < 2 ** 63;
}

function compileType(types: readonly string[], format: string): Check {
  const wanted = types.join(',');
  const numeric = types.includes('number') || types.includes('integer');
  return (value, walk) => {
    const [type, valueFormat] = typeOf(value);
    const fits =
      types.includes(type) ||
      (type === 'integer' && types.includes('number')) ||
      (type === 'number' && Number.isInteger(value) && types.includes('integer'));
    const textual = type === 'string' || type === 'array';
    if (format !== '' && !textual && !fits) reportType(walk, format, valueFormat);
    else if (!fits && (format === '' || numeric || !textual)) reportType(walk, wanted, type);
    else walk.matches++;
  };
}

function compileEnum(values: readonly Json[]): Check {
  const scalars = new Set(values);
  const compound = values.filter((value) => typeof value === 'object' && value !== null);
  const texts = values.map((value) => (typeof value === 'string' ? value : goJson(value)));
  return (value, walk) => {
    if (value !== null && (scalars.has(value) || compound.some((item) => deepEqual(item, value)))) return;
    const path = location(walk);
    walk.findings.push({
      text: `${path} in body should be one of`,
      error: notSupported(field(walk, path), value, texts),
    });
  };
}

/** Kubernetes counts characters by code point. */
function length(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}

function compileString(
  schema: SchemaNode,
  matchesFormat: ((text: string) => boolean) | undefined,
  format: string,
): ((value: string, walk: Walk) => void) | undefined {
  const { maxLength, minLength, pattern } = schema;
  const matches = pattern === undefined || pattern === '' ? undefined : compilePattern(pattern);
  return (value, walk) => {
    walk.matches += matchesFormat === undefined ? 1 : 2;
    if (maxLength !== undefined && value.length > maxLength && length(value) > maxLength) {
      const path = location(walk);
      walk.findings.push({
        text: `${path} in body should be at most ${maxLength} chars long`,
        error: tooLong(field(walk, path), maxLength),
      });
    } else if (minLength !== undefined && length(value) < minLength) {
      report(walk, value, `should be at least ${minLength} chars long`);
    } else if (matches !== undefined && !matches(value)) {
      report(walk, value, `should match '${pattern}'`);
    }
    if (matchesFormat !== undefined && !matchesFormat(value)) reportType(walk, format, value);
  };
}

function compileNumber(schema: SchemaNode): ((value: number, walk: Walk) => void) | undefined {
  const { multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum } = schema;
  return (value, walk) => {
    walk.matches += 2;
    // A limit is cut down to an integer before an integer is compared with it, as in Kubernetes.
    const limit = (bound: number) => (isInt64(value) ? Math.trunc(bound) : bound);
    if (multipleOf !== undefined && !isMultiple(value, limit(multipleOf))) {
      report(walk, value, `should be a multiple of ${goNumber(limit(multipleOf))}`);
    }
    if (minimum !== undefined) {
      const bound = limit(minimum);
      if (value < bound || (exclusiveMinimum === true && value === bound)) {
        const words = exclusiveMinimum === true ? 'greater than' : 'greater than or equal to';
        report(walk, value, `should be ${words} ${goNumber(bound)}`);
      }
    }
    if (maximum !== undefined) {
      const bound = limit(maximum);
      if (value > bound || (exclusiveMaximum === true && value === bound)) {
        const words = exclusiveMaximum === true ? 'less than' : 'less than or equal to';
        report(walk, value, `should be ${words} ${goNumber(bound)}`);
      }
    }
  };
}

function isMultiple(value: number, factor: number): boolean {
  if (factor <= 0) return false;
  if (isInt64(value)) return value % factor === 0;
  return isNearInteger(factor < 1 ? (1 / factor) * value : value / factor);
}

/** go-openapi allows a relative error of 1e-9. */
function isNearInteger(value: number): boolean {
  if (!Number.isFinite(value)) return false;
  const difference = Math.abs(value - Math.trunc(value));
  return difference === 0 || difference / Math.abs(value) < 1e-9;
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

// ---- allOf, anyOf, oneOf, not ----

interface Outcome {
  readonly findings: Finding[];
  readonly matches: number;
}

function compileJunctions(schema: SchemaNode): Check | undefined {
  const any = (schema.anyOf ?? []).map(node);
  const one = (schema.oneOf ?? []).map(node);
  const all = (schema.allOf ?? []).map(node);
  const not = schema.not === undefined ? undefined : node(schema.not);
  if (any.length + one.length + all.length === 0 && not === undefined) return undefined;
  return (value, walk) => {
    if (any.length > 0) checkAny(any, value, walk);
    if (one.length > 0) checkOne(one, value, walk);
    if (all.length > 0) checkAll(all, value, walk);
    if (not !== undefined && attempt(not, value, walk).findings.length === 0) {
      reportWhole(walk, 'must not validate the schema (not)');
    }
  };
}

/** Nothing is exempt inside alternatives: ratcheting stops at them in Kubernetes. */
function attempt(check: Check, value: Json, walk: Walk): Outcome {
  const { findings, matches } = walk;
  walk.findings = [];
  walk.matches = 0;
  check(value, walk, undefined);
  const outcome = { findings: walk.findings, matches: walk.matches };
  walk.findings = findings;
  walk.matches = matches;
  return outcome;
}

function merge(walk: Walk, outcome: Outcome | undefined): void {
  if (outcome === undefined) return;
  walk.findings.push(...outcome.findings);
  walk.matches += outcome.matches;
}

function checkAny(checks: readonly Check[], value: Json, walk: Walk): void {
  let best: Outcome | undefined;
  for (const check of checks) {
    const outcome = attempt(check, value, walk);
    if (outcome.findings.length === 0) {
      merge(walk, outcome);
      return;
    }
    if (best === undefined || outcome.matches > best.matches) best = outcome;
  }
  reportWhole(walk, 'must validate at least one schema (anyOf)');
  merge(walk, best);
}

function checkOne(checks: readonly Check[], value: Json, walk: Walk): void {
  const outcomes = checks.map((check) => attempt(check, value, walk));
  const valid = outcomes.filter(({ findings }) => findings.length === 0);
  if (valid.length === 1) {
    merge(walk, valid[0]);
  } else if (valid.length > 1) {
    reportWhole(walk, `must validate one and only one schema (oneOf). Found ${valid.length} valid alternatives`);
  } else {
    reportWhole(walk, 'must validate one and only one schema (oneOf). Found none valid');
    merge(
      walk,
      outcomes.reduce((best, outcome) => (outcome.matches > best.matches ? outcome : best)),
    );
  }
}

function checkAll(checks: readonly Check[], value: Json, walk: Walk): void {
  let valid = 0;
  for (const check of checks) {
    const outcome = attempt(check, value, walk);
    if (outcome.findings.length === 0) valid++;
    merge(walk, outcome);
  }
  if (valid < checks.length) {
    reportWhole(walk, `must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`);
  }
}
