import { notSupported, tooLong } from './field-error.ts';
import { type Check, field, location, report, reportType, type Walk } from './findings.ts';
import { goJson, goNumber } from './go-format.ts';
import { deepEqual, type Json } from './json-value.ts';
import { compilePattern } from './pattern.ts';
import type { SchemaNode } from './structural.ts';

/** The keywords about a value alone (kube-openapi: pkg/validation/validate/{type,validator,values}.go). */

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

export function compileType(types: readonly string[], format: string): Check {
  const wanted = types.join(',');
  const numeric = types.includes('number') || types.includes('integer');
  return (value, walk) => {
    const [type, valueFormat] = typeOf(value);
    const fits =
      types.includes(type) ||
      (type === 'integer' && types.includes('number')) ||
      (type === 'number' && Number.isInteger(value) && types.includes('integer'));
    // kube-openapi lets a list pass for a text with a format, as if it were one of bytes. Then no apply ever reads the object
    // again (500), so here it is refused.
    const textual = type === 'string';
    if (format !== '' && !textual && !fits) reportType(walk, format, valueFormat);
    else if (!fits && (format === '' || numeric || !textual)) reportType(walk, wanted, type);
    else walk.matches++;
  };
}

export function compileEnum(values: readonly Json[]): Check {
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

export function compileString(
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

export function compileNumber(schema: SchemaNode): ((value: number, walk: Walk) => void) | undefined {
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
