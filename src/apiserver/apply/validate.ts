import { formatPlain, formatSyntax, formatType } from './go-format.ts';
import { itemElement } from './list-items.ts';
import { formatPathElement, type PathElement } from './path-element.ts';
import {
  firstShape,
  type ListType,
  MAP,
  type MapType,
  SCALAR,
  type ScalarKind,
  shapesOf,
  type Type,
  UNCHECKED,
} from './schema.ts';
import { isObject, type JsonObject } from './values.ts';

/** One place where a value does not have its type. */
export interface TypeProblem {
  readonly path: string;
  readonly message: string;
}

interface Walk {
  readonly path: PathElement[];
  readonly problems: TypeProblem[];
  readonly allowDuplicates: boolean;
}

/**
 * Checks that a value has a type, as far as merging needs it: declared fields, shapes, unique keys. Stored objects
 * may hold duplicates (written by clients that know nothing of list types), applied ones may not.
 */
export function validate(type: Type, value: unknown, allowDuplicates: boolean): readonly TypeProblem[] {
  const walk: Walk = { path: [], problems: [], allowDuplicates };
  check(walk, type, value);
  return walk.problems;
}

/** Prints problems as one message, as the API server does. */
export function formatProblems(problems: readonly TypeProblem[]): string {
  const lines = problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  return lines.length === 1 ? (lines[0] as string) : ['errors:', ...lines.map((line) => `  ${line}`)].join('\n');
}

function report(walk: Walk, message: string): void {
  walk.problems.push({ path: walk.path.map(formatPathElement).join(''), message });
}

function check(walk: Walk, type: Type, value: unknown): void {
  if (type === UNCHECKED) return;
  switch (firstShape(shapesOf(type, value))) {
    case MAP:
      checkMap(walk, type.map as MapType, value);
      return;
    case SCALAR:
      checkScalar(walk, type.scalar as ScalarKind, value);
      return;
    case 0:
      report(walk, 'schema error: invalid atom: inlined');
      return;
    default:
      checkList(walk, type.list as ListType, value);
  }
}

function checkScalar(walk: Walk, kind: ScalarKind, value: unknown): void {
  if (value === null) return;
  switch (kind) {
    case 'numeric':
      if (typeof value !== 'number') report(walk, `expected numeric (int or float), got ${formatType(value)}`);
      return;
    case 'string':
      if (typeof value !== 'string') {
        report(walk, `expected string, got &value.valueUnstructured{Value:${formatSyntax(value)}}`);
      }
      return;
    case 'boolean':
      if (typeof value !== 'boolean') report(walk, `expected boolean, got &{${formatPlain(value)}}`);
      return;
    case 'untyped':
      if (typeof value === 'object') report(walk, `expected any scalar, got &{${formatPlain(value)}}`);
  }
}

function checkMap(walk: Walk, map: MapType, value: unknown): void {
  if (value === null) return;
  if (!isObject(value)) {
    report(walk, `expected map, got &{${formatPlain(value)}}`);
    return;
  }
  for (const key of Object.keys(value)) {
    const field = map.fields.get(key);
    const type = field?.type ?? map.element;
    walk.path.push(field?.path ?? `f:${key}`);
    if (type === undefined) {
      report(walk, 'field not declared in schema');
      walk.path.pop();
      return;
    }
    check(walk, type, value[key]);
    walk.path.pop();
  }
}

function checkList(walk: Walk, list: ListType, value: unknown): void {
  if (value === null) return;
  if (!Array.isArray(value)) {
    report(walk, `expected list, got &{${formatPlain(value)}}`);
    return;
  }
  const seen = list.atomic || value.length < 2 ? undefined : new Set<PathElement>();
  for (let i = 0; i < value.length; i++) {
    let element = '';
    if (list.atomic) element = `i:${i}`;
    else {
      const step = itemElement(list, value[i]);
      if (typeof step !== 'string') {
        report(walk, `element ${i}: ${step.problem}`);
        return;
      }
      if (!walk.allowDuplicates && seen?.has(step))
        report(walk, `duplicate entries for key ${formatPathElement(step)}`);
      seen?.add(step);
      element = step;
    }
    walk.path.push(element);
    check(walk, list.element, value[i]);
    walk.path.pop();
  }
}

const validLive = new WeakMap<JsonObject, Type>();

/** Like `validate` with duplicates allowed, remembering the objects that passed: stored objects do not change. */
export function validateStored(type: Type, object: JsonObject): readonly TypeProblem[] {
  if (validLive.get(object) === type) return [];
  const problems = validate(type, object, true);
  if (problems.length === 0) validLive.set(object, type);
  return problems;
}
