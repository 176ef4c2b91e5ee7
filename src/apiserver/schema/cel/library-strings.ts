import type { Environment } from '@marcbachmann/cel-js';
import { goNumber } from '../go-format.ts';
import { re2 } from '../pattern.ts';
import { CelError } from './errors.ts';
import { REPLACEMENT_SUFFIX } from './source.ts';

/**
 * The string functions of CEL in Kubernetes (cel-go: ext/strings.go version 2; apiserver: pkg/cel/library/regex.go).
 * Positions count code points; patterns are RE2.
 */
export function registerStrings(env: Environment): void {
  const method = (signature: string, handler: (...args: never[]) => unknown) =>
    env.registerFunction(`string.${signature}`, handler);
  const replaced = (name: string, rest: string, handler: (...args: never[]) => unknown) =>
    method(`${name}${REPLACEMENT_SUFFIX}${rest}`, handler);

  replaced('matches', '(string): bool', matches);
  env.registerFunction('matches(string, string): bool', matches);
  method('find(string): string', (text: string, pattern: string) => findAll(text, pattern, 1)[0] ?? '');
  method('findAll(string): list<string>', (text: string, pattern: string) => findAll(text, pattern, -1));
  method('findAll(string, int): list<string>', (text: string, pattern: string, limit: bigint) =>
    findAll(text, pattern, Number(limit)),
  );

  replaced('indexOf', '(string): int', (text: string, part: string) => indexOf(text, part, 0n));
  replaced('indexOf', '(string, int): int', indexOf);
  replaced('lastIndexOf', '(string): int', (text: string, part: string) => lastIndexOf(text, part));
  replaced('lastIndexOf', '(string, int): int', lastIndexOf);
  replaced('substring', '(int): string', (text: string, start: bigint) => substring(text, start));
  replaced('substring', '(int, int): string', substring);
  method('charAt(int): string', charAt);

  replaced('split', '(string): list<string>', (text: string, by: string) => split(text, by, -1n));
  replaced('split', '(string, int): list<string>', split);
  replaced('lowerAscii', '(): string', (text: string) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase()));
  replaced('upperAscii', '(): string', (text: string) => text.replace(/[a-z]+/g, (part) => part.toUpperCase()));
  replaced('trim', '(): string', (text: string) => text.replace(/^[\p{White_Space}]+|[\p{White_Space}]+$/gu, ''));
  method('replace(string, string): string', (text: string, from: string, to: string) => text.split(from).join(to));
  method('replace(string, string, int): string', replace);
  env.registerFunction('list.join__k8s(): string', (list: Iterable<unknown>) => join(list, ''));
  env.registerFunction('list.join__k8s(string): string', (list: Iterable<unknown>, by: string) => join(list, by));
  method('format(list): string', format);
}

function matches(text: string, pattern: string): boolean {
  return regex(pattern).test(text);
}

function regex(pattern: string) {
  try {
    return re2(pattern);
  } catch (cause) {
    throw new CelError(`error parsing regexp: ${cause instanceof Error ? cause.message : pattern}`, { cause });
  }
}

function findAll(text: string, pattern: string, limit: number): string[] {
  const matcher = regex(pattern).matcher(text);
  const found: string[] = [];
  const most = limit < 0 ? text.length + 1 : limit;
  for (let i = 0; i < most && matcher.find(); i++) found.push(matcher.group() ?? '');
  return found;
}

function points(text: string): string[] {
  return Array.from(text);
}

function indexOf(text: string, part: string, from: bigint): bigint {
  const all = points(text);
  if (part === '') return from;
  if (from < 0n) throw new CelError(`index out of range: ${from}`);
  if (from >= BigInt(all.length)) return -1n;
  const start = all.slice(0, Number(from)).join('').length;
  const found = text.indexOf(part, start);
  return found < 0 ? -1n : BigInt(points(text.slice(0, found)).length);
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const all = points(text);
  if (part === '') return from ?? BigInt(all.length);
  if (from !== undefined && from < 0n) throw new CelError(`index out of range: ${from}`);
  if (from !== undefined && from >= BigInt(all.length)) return -1n;
  const limit = from === undefined ? Number.POSITIVE_INFINITY : all.slice(0, Number(from)).join('').length;
  const found = text.lastIndexOf(part, limit);
  return found < 0 ? -1n : BigInt(points(text.slice(0, found)).length);
}

function substring(text: string, start: bigint, end?: bigint): string {
  const all = points(text);
  const last = end ?? BigInt(all.length);
  if (end !== undefined && start > end) {
    throw new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  }
  if (start < 0n || start > BigInt(all.length)) throw new CelError(`index out of range: ${start}`);
  if (last < 0n || last > BigInt(all.length)) throw new CelError(`index out of range: ${last}`);
  return all.slice(Number(start), Number(last)).join('');
}

function charAt(text: string, index: bigint): string {
  const all = points(text);
  if (index < 0n || index > BigInt(all.length)) throw new CelError(`index out of range: ${index}`);
  return all[Number(index)] ?? '';
}

function split(text: string, by: string, limit: bigint): string[] {
  if (limit === 0n) return [];
  const parts = by === '' ? points(text) : text.split(by);
  if (limit < 0n || BigInt(parts.length) <= limit) return parts;
  const kept = parts.slice(0, Number(limit) - 1);
  return [...kept, parts.slice(kept.length).join(by)];
}

function replace(text: string, from: string, to: string, limit: bigint): string {
  if (limit < 0n) return text.split(from).join(to);
  const parts = split(text, from, limit + 1n);
  return parts.length === 0 ? text : parts.join(to);
}

function join(list: Iterable<unknown>, by: string): string {
  const parts = [...list];
  if (!parts.every((part) => typeof part === 'string')) throw new CelError('no such overload');
  return parts.join(by);
}

/** The clauses of `'...'.format([...])` (cel-go: ext/formatting.go). */
function format(template: string, values: Iterable<unknown>): string {
  const args = [...values];
  let next = 0;
  return template.replace(/%(?:%|(?:\.(\d+))?(.))|%$/gs, (clause, precision: string | undefined, verb?: string) => {
    if (clause === '%%') return '%';
    if (verb === undefined) throw new CelError('unexpected end of string');
    if (next >= args.length) throw new CelError(`index ${next} out of range`);
    return formatOne(verb, args[next++], precision === undefined ? 6 : Number(precision));
  });
}

function formatOne(verb: string, value: unknown, precision: number): string {
  const digits = Math.min(precision, 100);
  switch (verb) {
    case 's':
      return printText(value);
    case 'd':
      if (typeof value === 'bigint') return value.toString();
      break;
    case 'f':
      if (typeof value === 'number' || typeof value === 'bigint') return Number(value).toFixed(digits);
      break;
    case 'e':
      if (typeof value === 'number') return value.toExponential(digits).replace(/e([+-])(\d)$/, 'e$10$2');
      break;
    case 'b':
      if (typeof value === 'bigint') return value.toString(2);
      if (typeof value === 'boolean') return value ? '1' : '0';
      break;
    case 'o':
      if (typeof value === 'bigint') return value.toString(8);
      break;
    case 'x':
    case 'X':
      return hex(value, verb === 'X');
    default:
      throw new CelError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
  throw new CelError(`error during formatting: ${verb} clause cannot be used on this type`);
}

function hex(value: unknown, upper: boolean): string {
  let text: string;
  if (typeof value === 'bigint') text = value.toString(16);
  else if (typeof value === 'string') text = Buffer.from(value).toString('hex');
  else if (value instanceof Uint8Array) text = Buffer.from(value).toString('hex');
  else throw new CelError('error during formatting: only integers, byte buffers, and strings can be formatted as hex');
  return upper ? text.toUpperCase() : text;
}

function printText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString().replace(/\.?0*Z$/, 'Z');
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value) || value instanceof Set) return `[${[...value].map(printText).join(', ')}]`;
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => `${printText(key)}: ${printText(item)}`).sort();
    return `{${entries.join(', ')}}`;
  }
  if (typeof value === 'number') return goNumber(value);
  return String(value);
}
