import { goQuote } from './go-format.ts';
import type { Json } from './json-value.ts';

/** What a body says, and what strict decoding says about it. */
export interface StrictJson {
  readonly value: Json;
  /** `duplicate field "spec.a"`, each once, at most 100 (sigs.k8s.io/json). */
  readonly errors: readonly string[];
}

const MAX_ERRORS = 100;
/** Bounds the recursion of everything that walks an object later. */
const MAX_DEPTH = 1000;

/**
 * Parses JSON and reports duplicate keys as kube-apiserver does under `fieldValidation` Strict and Warn; the last value
 * wins. Costs about twice as much as JSON.parse. Throws SyntaxError, also for nesting deeper than 1,000.
 */
export function parseJsonStrict(text: string): StrictJson {
  // Before anything else: parsing a million brackets takes long.
  const keys = countColons(text);
  const value = JSON.parse(text) as Json;
  // When text and value have as many keys, none was lost.
  return { value, errors: keys === countKeys(value) ? [] : new DuplicateFinder(text).find() };
}

/** Counts the keys of a text, if it is JSON. Throws SyntaxError when it is nested too deeply. */
function countColons(text: string): number {
  let keys = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x3a) keys++;
    else if (code === 0x22) i = endOfString(text, i);
    else if (code === 0x5b || code === 0x7b) depth++;
    else if (code === 0x5d || code === 0x7d) depth--;
    if (depth > MAX_DEPTH) throw new SyntaxError('exceeded max depth');
  }
  return keys;
}

function countKeys(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countKeys(item);
    return count;
  }
  for (const key of Object.keys(value)) count += 1 + countKeys(value[key] as Json);
  return count;
}

/** The index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i;
}

/** Walks a text that JSON.parse has accepted. */
class DuplicateFinder {
  readonly #text: string;
  #position = 0;
  readonly #errors = new Set<string>();

  constructor(text: string) {
    this.#text = text;
  }

  find(): string[] {
    this.#value('');
    return [...this.#errors];
  }

  #value(path: string): void {
    this.#space();
    const start = this.#text[this.#position];
    if (start === '{') this.#object(path);
    else if (start === '[') this.#array(path);
    else if (start === '"') this.#string();
    else
      while (this.#position < this.#text.length && !/[,\]}\s]/.test(this.#text[this.#position] ?? '')) this.#position++;
    this.#space();
  }

  #object(path: string): void {
    const seen = new Set<string>();
    this.#position++;
    this.#space();
    while (this.#text[this.#position] !== '}') {
      const key = this.#string();
      const field = path === '' ? key : `${path}.${key}`;
      if (seen.has(key) && this.#errors.size < MAX_ERRORS) this.#errors.add(`duplicate field ${goQuote(field)}`);
      seen.add(key);
      this.#space();
      this.#position++;
      this.#value(field);
      this.#comma();
    }
    this.#position++;
  }

  #array(path: string): void {
    this.#position++;
    this.#space();
    for (let index = 0; this.#text[this.#position] !== ']'; index++) {
      this.#value(`${path}[${index}]`);
      this.#comma();
    }
    this.#position++;
  }

  #string(): string {
    const start = this.#position;
    const end = endOfString(this.#text, start);
    this.#position = end + 1;
    return JSON.parse(this.#text.slice(start, end + 1)) as string;
  }

  #comma(): void {
    if (this.#text[this.#position] === ',') this.#position++;
    this.#space();
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#position] ?? '')) this.#position++;
  }
}

/** The texts of unknown and duplicate fields, in the order of kube-apiserver: what the parser found comes first. */
export function strictErrors(parser: readonly string[], unknown: readonly string[]): string[] {
  return [...parser, ...unknown.map((path) => `unknown field "${path}"`)];
}

/** The text of the error under `fieldValidation=Strict`; on create and replace it stands inside undecodableMessage. */
export function strictDecodingMessage(errors: readonly string[]): string {
  const [lines, others] = [errors.filter(isYamlLine), errors.filter((text) => !isYamlLine(text))];
  return `strict decoding error: ${[...(lines.length === 0 ? [] : [yamlErrors(lines)]), ...others].join(', ')}`;
}

/** The same for an apply, whose body is YAML. */
export function strictYamlMessage(errors: readonly string[]): string {
  return errors.some(isYamlLine)
    ? `error strict decoding YAML: error converting YAML to JSON: ${yamlErrors(errors)}`
    : `error ${strictDecodingMessage(errors)}`;
}

/** What the YAML library says of a key that is there twice. */
const isYamlLine = (text: string): boolean => /^line \d+: /.test(text);
const yamlErrors = (lines: readonly string[]): string => `yaml: unmarshal errors:\n  ${lines.join('\n  ')}`;

/** The message of the 400 answer to a body of a custom resource that cannot be decoded. */
export function undecodableMessage(kind: string, version: string, reason: string): string {
  return `${kind} in version "${version}" cannot be handled as a ${kind}: ${reason}`;
}
