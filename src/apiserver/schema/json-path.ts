import { isObject, type Json, own } from './json-value.ts';

/**
 * The part of Kubernetes' JSONPath (client-go: util/jsonpath) that printer columns and selectable fields use: `.a.b`,
 * `['a.b']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, and filters such as `[?(@.type=="Ready")]`; not `..a`, unions or ranges.
 */
type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'slice'; readonly start: number; readonly end: number | undefined }
  | { readonly kind: 'all' }
  | { readonly kind: 'filter'; readonly left: Operand; readonly operator: string; readonly right: Operand | undefined };

type Operand = { readonly path: readonly Step[] } | { readonly value: Json };

/** A path that is not understood. */
export class JsonPathError extends Error {
  override readonly name = 'JsonPathError';
}

/** A compiled path: the values it finds, in order; none when a field is missing. */
export type JsonPath = (root: Json) => Json[];

/** Compiles a path such as `.status.conditions[?(@.type=="Ready")].status`. Throws JsonPathError. */
export function compileJsonPath(path: string): JsonPath {
  const steps = new Parser(path).steps();
  return (root) => evaluate(steps, root);
}

function evaluate(steps: readonly Step[], root: Json): Json[] {
  let found: Json[] = [root];
  for (const step of steps) {
    found = found.flatMap((value) => apply(step, value));
    if (found.length === 0) break;
  }
  return found;
}

function apply(step: Step, value: Json): Json[] {
  switch (step.kind) {
    case 'field': {
      const item = isObject(value) ? own(value, step.name) : undefined;
      return item === undefined ? [] : [item];
    }
    case 'index': {
      const item = Array.isArray(value) ? value.at(step.index) : undefined;
      return item === undefined ? [] : [item];
    }
    case 'slice':
      return Array.isArray(value) ? value.slice(step.start, step.end) : [];
    case 'all':
      return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    case 'filter':
      return Array.isArray(value) ? value.filter((item) => matches(step, item)) : [];
  }
}

function matches(step: Extract<Step, { kind: 'filter' }>, item: Json): boolean {
  const left = operand(step.left, item);
  if (step.right === undefined) return left !== undefined;
  const right = operand(step.right, item);
  if (left === undefined || right === undefined) return false;
  switch (step.operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    default:
      return typeof left === typeof right && left !== null && right !== null && compare(step.operator, left, right);
  }
}

function compare(operator: string, left: NonNullable<Json>, right: NonNullable<Json>): boolean {
  switch (operator) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    default:
      return left >= right;
  }
}

function operand(side: Operand, item: Json): Json | undefined {
  return 'value' in side ? side.value : evaluate(side.path, item)[0];
}

/** Field names may hold escaped dots (`.metadata.annotations.a\.b/c`). */
const FIELD = /(?:\\.|[^.[\]\\\s(){}=!<>,'"])+/sy;
const TEXT = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/sy;
const NUMBER = /-?\d+(?:\.\d+)?/y;
const OPERATOR = /==|!=|<=|>=|<|>/y;

class Parser {
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    const trimmed = source.trim();
    const inner = /^\{(.*)\}$/s.exec(trimmed)?.[1] ?? trimmed;
    this.#source = inner.trim();
  }

  steps(): Step[] {
    if (this.#source.startsWith('$')) this.#position = 1;
    const steps = this.#path();
    if (this.#position < this.#source.length) throw this.#error();
    return steps;
  }

  #path(): Step[] {
    const steps: Step[] = [];
    for (;;) {
      if (this.#take('[')) {
        steps.push(this.#bracket());
      } else if (this.#take('.')) {
        if (this.#take('*')) steps.push({ kind: 'all' });
        else if (this.#peek() === '[') steps.push(...this.#path());
        else if (this.#position < this.#source.length) steps.push({ kind: 'field', name: this.#field() });
      } else {
        return steps;
      }
    }
  }

  #bracket(): Step {
    this.#space();
    if (this.#take('*')) return this.#close({ kind: 'all' });
    if (this.#take('?')) return this.#close(this.#filter());
    const text = this.#match(TEXT);
    if (text !== undefined) return this.#close({ kind: 'field', name: unescape(text) });
    const start = this.#match(NUMBER);
    if (this.#take(':')) {
      const end = this.#match(NUMBER);
      return this.#close({
        kind: 'slice',
        start: start === undefined ? 0 : Number(start),
        end: end === undefined ? undefined : Number(end),
      });
    }
    if (start === undefined) throw this.#error();
    return this.#close({ kind: 'index', index: Number(start) });
  }

  #close<T>(step: T): T {
    this.#space();
    if (!this.#take(']')) throw this.#error();
    return step;
  }

  #filter(): Step {
    if (!this.#take('(')) throw this.#error();
    const left = this.#operand();
    this.#space();
    const operator = this.#match(OPERATOR);
    const right = operator === undefined ? undefined : this.#operand();
    this.#space();
    if (!this.#take(')')) throw this.#error();
    return { kind: 'filter', left, operator: operator ?? '', right };
  }

  #operand(): Operand {
    this.#space();
    if (this.#take('@')) return { path: this.#path() };
    const text = this.#match(TEXT);
    if (text !== undefined) return { value: unescape(text) };
    const number = this.#match(NUMBER);
    if (number !== undefined) return { value: Number(number) };
    const word = this.#match(FIELD);
    if (word === 'true' || word === 'false') return { value: word === 'true' };
    throw this.#error();
  }

  #field(): string {
    const name = this.#match(FIELD);
    if (name === undefined) throw this.#error();
    return name.replace(/\\(.)/gs, '$1');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#source);
    if (match === null) return undefined;
    this.#position = pattern.lastIndex;
    return match[0];
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#position)) return false;
    this.#position += text.length;
    return true;
  }

  #peek(): string | undefined {
    return this.#source[this.#position];
  }

  #space(): void {
    while (/\s/.test(this.#peek() ?? '')) this.#position++;
  }

  #error(): JsonPathError {
    return new JsonPathError(`unrecognized JSONPath at character ${this.#position} of ${JSON.stringify(this.#source)}`);
  }
}

function unescape(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/gs, '$1');
}
