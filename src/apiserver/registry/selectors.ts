import { badRequest } from '../http/errors.ts';
import type { FieldGetter, Resource } from '../kinds/resource.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import { labelValueErrors, qualifiedNameErrors } from './meta-validation.ts';

/** Says whether an object is selected. */
export type Matcher = (object: JsonObject) => boolean;

type LabelTest = (labels: JsonObject | undefined) => boolean;

const TOKEN = /\s*(?:(!=|==|=|!|,|\(|\)|<|>)|([^\s,()=!<>]+))/y;

/**
 * Parses a label selector (apimachinery, `labels.Parse`): `a=b,c!=d,e in (f,g),h notin (i),j,!k,n>1,m<2`. Returns undefined
 * when it selects everything. Throws StatusError (400).
 */
export function parseLabelSelector(text: string): Matcher | undefined {
  if (text.trim() === '') return undefined;
  const tests = new LabelParser(text).parse();
  return (object) => {
    const labels = (object['metadata'] as JsonObject)['labels'];
    const present = isObject(labels) ? labels : undefined;
    return tests.every((test) => test(present));
  };
}

class LabelParser {
  readonly #tokens: string[] = [];
  #position = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    const trimmed = text.trimEnd();
    while (TOKEN.lastIndex < trimmed.length) {
      const match = TOKEN.exec(trimmed);
      if (match === null) throw this.#error('found unexpected characters');
      this.#tokens.push((match[1] ?? match[2]) as string);
    }
  }

  parse(): LabelTest[] {
    const tests: LabelTest[] = [];
    const first = this.#tokens[0] ?? '';
    if (!startsRequirement(first)) {
      throw badRequest(`found '${first}', expected: !, identifier, or 'end of string'`);
    }
    for (;;) {
      tests.push(this.#requirement());
      const token = this.#next();
      if (token === undefined) return tests;
      if (token !== ',') throw badRequest(`found '${token}', expected: ',' or 'end of string'`);
      const following = this.#tokens[this.#position] ?? '';
      if (!startsRequirement(following)) throw badRequest(`found '${following}', expected: identifier after ','`);
    }
  }

  #next(): string | undefined {
    return this.#tokens[this.#position++];
  }

  #error(detail: string): Error {
    return badRequest(`unable to parse requirement: ${detail}`);
  }

  #requirement(): LabelTest {
    const first = this.#next();
    if (first === '!') {
      const absent = this.#key(this.#next());
      return (labels) => valueOf(labels, absent) === undefined;
    }
    const key = this.#key(first);
    const operator = this.#next();
    if (operator === undefined || operator === ',') {
      this.#position--;
      return (labels) => valueOf(labels, key) !== undefined;
    }
    switch (operator) {
      case '=':
      case '==': {
        const value = this.#value();
        return (labels) => valueOf(labels, key) === value;
      }
      case '!=': {
        const value = this.#value();
        return (labels) => valueOf(labels, key) !== value;
      }
      case 'in': {
        const values = this.#values();
        return (labels) => {
          const value = valueOf(labels, key);
          return value !== undefined && values.has(value);
        };
      }
      case 'notin': {
        const values = this.#values();
        return (labels) => {
          const value = valueOf(labels, key);
          return value === undefined || !values.has(value);
        };
      }
      case '>':
      case '<': {
        const limit = this.#value();
        if (!/^[+-]?\d+$/.test(limit)) {
          throw this.#error(
            `values[0]: Invalid value: ${JSON.stringify(limit)}: for 'Gt', 'Lt' operators, the value must be an integer`,
          );
        }
        return (labels) => {
          const value = valueOf(labels, key);
          if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
          return operator === '>' ? BigInt(value) > BigInt(limit) : BigInt(value) < BigInt(limit);
        };
      }
      default:
        throw this.#error(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  }

  #key(token: string | undefined): string {
    if (token === undefined) throw this.#error(`found '', expected: identifier`);
    if (/^[=!,()<>]/.test(token)) throw this.#error(`found '${token}', expected: !, identifier, or 'end of string'`);
    const errors = qualifiedNameErrors(token);
    if (errors.length > 0) throw this.#error(`<nil>: Invalid value: ${JSON.stringify(token)}: ${errors.join('; ')}`);
    return token;
  }

  #value(): string {
    const token = this.#tokens[this.#position];
    // `a=` and `a=,b` compare with the empty value.
    if (token === undefined || token === ',') return '';
    this.#position++;
    if (/^[=!()<>]/.test(token)) throw this.#error(`found '${token}', expected: identifier`);
    return this.#checked(token);
  }

  #values(): ReadonlySet<string> {
    if (this.#next() !== '(') throw this.#error(`found '${this.#tokens[this.#position - 1] ?? ''}' expected: '('`);
    const values = new Set<string>();
    let expectValue = true;
    for (;;) {
      const token = this.#next();
      if (token === undefined) throw this.#error(`found '', expected: ',' or ')'`);
      if (token === ')' || token === ',') {
        if (expectValue) values.add('');
        if (token === ')') return values;
        expectValue = true;
      } else {
        values.add(this.#checked(token));
        expectValue = false;
      }
    }
  }

  #checked(value: string): string {
    const errors = labelValueErrors(value);
    if (errors.length > 0) {
      throw this.#error(`values[0]: Invalid value: ${JSON.stringify(value)}: ${errors.join('; ')}`);
    }
    return value;
  }
}

/** A requirement begins with a key or with `!`. */
function startsRequirement(token: string): boolean {
  return token === '!' || (token !== '' && !/^[=!,()<>]/.test(token));
}

function valueOf(labels: JsonObject | undefined, key: string): string | undefined {
  if (labels === undefined || !Object.hasOwn(labels, key)) return undefined;
  const value = labels[key];
  return typeof value === 'string' ? value : undefined;
}

/** A parsed field selector. */
export interface FieldSelector {
  readonly matches: Matcher;
  /** The one name that can match, if the selector says so: a list becomes a look-up. */
  readonly name: string | undefined;
}

const METADATA_FIELDS: ReadonlyMap<string, FieldGetter> = new Map(
  ['name', 'namespace'].map((key) => [
    `metadata.${key}`,
    (object: JsonObject) => {
      const value = (object['metadata'] as JsonObject)[key];
      return typeof value === 'string' ? value : '';
    },
  ]),
);

/**
 * Parses a field selector (apimachinery, `fields.ParseSelector`): `a=b,c!=d` over the fields that the kind offers. Returns
 * undefined when it selects everything. Throws StatusError (400).
 */
export function parseFieldSelector(resource: Resource, text: string): FieldSelector | undefined {
  if (/(?:^|[^\\])(?:\\\\)*\\$/.test(text)) throw badRequest('invalid field selector: invalid escape sequence: \\');
  const tests: Matcher[] = [];
  let name: string | undefined;
  for (const term of splitTerms(text)) {
    if (term === '') continue;
    const match = /^([^=!]*)(!=|==|=)(.*)$/s.exec(term);
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field, operator, raw] = match as unknown as [string, string, string, string];
    const getter = METADATA_FIELDS.get(field) ?? resource.selectable.get(field);
    if (getter === undefined) {
      throw badRequest(
        resource.custom || resource.selectable.size > 0
          ? `field label not supported: ${field}`
          : `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`,
      );
    }
    const value = unescape(raw, text);
    if (operator === '!=') {
      tests.push((object) => getter(object) !== value);
    } else {
      tests.push((object) => getter(object) === value);
      if (field === 'metadata.name') name = value;
    }
  }
  if (tests.length === 0) return undefined;
  return {
    name,
    matches: tests.length === 1 ? (tests[0] as Matcher) : (object) => tests.every((test) => test(object)),
  };
}

/** The fields that a selector holds to one value each: what it says for sure about every object that it lets through. */
export function pinnedBy(text: string): ReadonlyMap<string, string> {
  const pinned = new Map<string, string>();
  for (const term of splitTerms(text)) {
    const match = /^([^=!]*)(?:==|=)(.*)$/s.exec(term);
    if (match !== null) pinned.set(match[1] as string, unescape(match[2] as string, text));
  }
  return pinned;
}

/** Splits at commas that are not escaped. */
function splitTerms(text: string): string[] {
  return text.match(/(?:\\.|[^,\\])+/gs) ?? [];
}

function unescape(value: string, selector: string): string {
  return value.replace(/\\(.?)|=/gs, (found: string, escaped: string | undefined) => {
    if (escaped === '\\' || escaped === ',' || escaped === '=') return escaped;
    throw badRequest(`invalid field selector: ${selector}: invalid field value: ${found}`);
  });
}
