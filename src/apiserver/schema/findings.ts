import { type FieldError, invalid, NO_FIELD, typeInvalid } from './field-error.ts';
import { goQuote } from './go-format.ts';
import type { Json } from './json-value.ts';

/** One violation, and the text by which Kubernetes tells violations apart. */
export interface Finding {
  /** The text by which Kubernetes tells findings apart; the second of two equal ones is dropped. */
  readonly text: string;
  readonly error: FieldError;
}

/** The state of one validation. */
export interface Walk {
  readonly prefix: string;
  readonly path: (string | number)[];
  findings: Finding[];
  /** How many checks applied: of several failed alternatives, the one with the most is reported. */
  matches: number;
}

/** A check of one value; `old` is the value it had before, if that is known. */
export type Check = (value: Json, walk: Walk, old: Json | undefined) => void;

/** The path as it stands in messages: map keys and fields alike follow a dot. */
export function location(walk: Walk): string {
  let text = '';
  walk.path.forEach((part, index) => {
    if (typeof part === 'number') text += `[${part}]`;
    else text += index === 0 ? part : `.${part}`;
  });
  return text;
}

export function field(walk: Walk, path: string): string {
  if (walk.prefix === '') return path === '' ? NO_FIELD : path;
  return path === '' ? walk.prefix : `${walk.prefix}.${path}`;
}

export function report(walk: Walk, value: Json, detail: string): void {
  const path = location(walk);
  const text = `${path} in body ${detail}`;
  walk.findings.push({ text, error: invalid(field(walk, path), value, text) });
}

/** `actual` is the JSON type of the value, or the value itself where a format is violated. */
export function reportType(walk: Walk, wanted: string, actual: string): void {
  const path = location(walk);
  const text = `${path} in body must be of type ${wanted}: ${goQuote(actual)}`;
  walk.findings.push({ text, error: typeInvalid(field(walk, path), actual, text) });
}

/** Findings about alternatives concern no field in Kubernetes; the path stands in the text alone. */
export function reportWhole(walk: Walk, detail: string): void {
  const text = `${goQuote(location(walk))} ${detail}`;
  walk.findings.push({ text, error: invalid(walk.prefix === '' ? NO_FIELD : walk.prefix, '', text) });
}
