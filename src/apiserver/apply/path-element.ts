import { formatNumber, jsonString, jsonValue, quote } from './go-format.ts';
import { compareStrings, compareValues, isObject, type JsonObject } from './values.ts';

/**
 * One step from a container to something in it, in the spelling of FieldsV1, which is also its identity:
 * `f:name` a field, `k:{"name":"a"}` an item of a list keyed by fields, `v:"a"` an item of a set, `i:0` an index.
 */
export type PathElement = string;

/** Thrown when a FieldsV1 document cannot be read. */
export class FieldsError extends Error {
  override readonly name = 'FieldsError';
}

/** The step to a field of a map. */
export function fieldElement(name: string): PathElement {
  return `f:${name}`;
}

/** The step to an item of a set. */
export function valueElement(value: unknown): PathElement {
  return `v:${jsonValue(value)}`;
}

/** The step to an item of a keyed list; `names` are sorted, absent keys are left out. */
export function keyElement(names: readonly string[], values: readonly unknown[]): PathElement {
  let out = 'k:{';
  for (let i = 0; i < names.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    if (out.length > 3) out += ',';
    out += `${jsonString(names[i] as string)}:${typeof value === 'string' ? jsonString(value) : jsonValue(value)}`;
  }
  return `${out}}`;
}

/**
 * Reads a key of FieldsV1 into its canonical form. Returns undefined for a kind of step that is not known: those are
 * ignored, a later version of the format may define them.
 *
 * @throws FieldsError when the key is malformed.
 */
export function parsePathElement(text: string): PathElement | undefined {
  if (text.length < 2) throw new FieldsError('key must be 2 characters long:');
  if (text.charCodeAt(1) !== 58) throw new FieldsError(`missing colon: ${text}`);
  switch (text[0]) {
    case 'f':
      return text;
    case 'v':
      return valueElement(parseJson(text));
    case 'k': {
      const key = parseJson(text);
      if (!isObject(key)) throw new FieldsError(`expected an object: ${text}`);
      const names = Object.keys(key).sort(compareStrings);
      return keyElement(
        names,
        names.map((name) => key[name]),
      );
    }
    case 'i': {
      if (!/^i:[+-]?\d+$/.test(text)) throw new FieldsError(`expected a number: ${text}`);
      return `i:${Number(text.slice(2))}`;
    }
    default:
      return undefined;
  }
}

/** Prints a step as conflicts and errors show it: `.name`, `[name="a"]`, `[="a"]`, `[0]`. */
export function formatPathElement(element: PathElement): string {
  switch (element[0]) {
    case 'f':
      return `.${element.slice(2)}`;
    case 'k': {
      const key = parseJson(element) as JsonObject;
      const fields = Object.keys(key).sort(compareStrings);
      return `[${fields.map((name) => `${name}=${formatValue(key[name])}`).join(',')}]`;
    }
    case 'v':
      return `[=${formatValue(parseJson(element))}]`;
    default:
      return `[${element.slice(2)}]`;
  }
}

/** Prints a path as conflicts show it, such as `.spec.items[name="a"].size`. */
export function formatPath(path: readonly PathElement[]): string {
  return path.map(formatPathElement).join('');
}

/** Orders steps as Go does: fields, keys, values, indices. */
export function comparePathElements(a: PathElement, b: PathElement): number {
  const kind = a.charCodeAt(0);
  const order = kindRank(kind) - kindRank(b.charCodeAt(0));
  if (order !== 0) return order;
  if (kind === FIELD) return compareStrings(a, b);
  if (a === b) return 0;
  const left = parseJson(a);
  const right = parseJson(b);
  return compareValues(left, right);
}

const FIELD = 102;
const KEY = 107;
const VALUE = 118;

function kindRank(code: number): number {
  return code === FIELD ? 0 : code === KEY ? 1 : code === VALUE ? 2 : 3;
}

function parseJson(element: PathElement): unknown {
  try {
    return JSON.parse(element.slice(2));
  } catch (cause) {
    throw new FieldsError(`parsing key as path element: ${element}`, { cause });
  }
}

function formatValue(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number') return formatNumber(value);
  if (Array.isArray(value)) return `[${value.map(formatValue).join(',')}]`;
  if (!isObject(value)) return String(value);
  return Object.keys(value)
    .sort(compareStrings)
    .map((name) => `${name}=${formatValue(value[name])}`)
    .join('');
}
