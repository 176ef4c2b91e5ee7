import { compareStrings, type JsonObject } from './values.ts';

/*
 * Error texts of kube-apiserver print values with Go's verbs. Clients and people search for these texts, so the few
 * verbs that occur are spelled the same way here.
 */

const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\u000b': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** Quotes a string like `%q`: Go escapes, printable Unicode kept as it is. */
export function quote(text: string): string {
  let out = '"';
  for (const char of text) {
    const escape = ESCAPES[char];
    const code = char.codePointAt(0) ?? 0;
    if (escape !== undefined) out += escape;
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, '0')}`;
    else if (code < 0x7f || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char)) out += char;
    else if (code <= 0xffff) out += `\\u${code.toString(16).padStart(4, '0')}`;
    else out += `\\U${code.toString(16).padStart(8, '0')}`;
  }
  return `${out}"`;
}

/** Prints a number like `%v` prints a float64: exponents below 1e-4 and from 1e21 on, at least two digits long. */
export function formatNumber(value: number): string {
  const magnitude = Math.abs(value);
  const text = magnitude !== 0 && magnitude < 1e-4 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}

/** Prints a value like `%v`: strings bare, maps as `map[a:1]` with sorted keys, lists as `[a b]`. */
export function formatPlain(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (typeof value === 'number') return formatNumber(value);
  if (Array.isArray(value)) return `[${value.map(formatPlain).join(' ')}]`;
  if (typeof value !== 'object') return String(value);
  return `map[${sortedEntries(value as JsonObject)
    .map(([key, item]) => `${key}:${formatPlain(item)}`)
    .join(' ')}]`;
}

/** Prints a value like `%#v`: Go syntax. */
export function formatSyntax(value: unknown): string {
  if (value === null || value === undefined) return 'interface {}(nil)';
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number') return formatNumber(value);
  if (Array.isArray(value)) return `[]interface {}{${value.map(formatSyntax).join(', ')}}`;
  if (typeof value !== 'object') return String(value);
  return `map[string]interface {}{${sortedEntries(value as JsonObject)
    .map(([key, item]) => `${quote(key)}:${formatSyntax(item)}`)
    .join(', ')}}`;
}

/** Names the type of a value like `%T`. */
export function formatType(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (typeof value === 'number') return 'float64';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'string';
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}';
}

/** Encodes a string as Go's JSON encoders do: `<`, `>`, `&` and the line separators are escaped. */
export function jsonString(text: string): string {
  // Nearly all names are plain ASCII.
  if (/^[ !#-%'-;=?-[\]-~]*$/.test(text)) return `"${text}"`;
  const plain = JSON.stringify(text);
  if (!/[<>&\u2028\u2029]|\\[bf]/.test(plain)) return plain;
  return plain.replace(/\\\\|\\b|\\f|[<>&\u2028\u2029]/g, (match) => {
    if (match === '\\\\') return match;
    const code = match === '\\b' ? 8 : match === '\\f' ? 12 : match.charCodeAt(0);
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Encodes a value as Go's JSON encoders do: sorted keys, no white space. */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonString(value);
  if (value === null || value === undefined) return 'null';
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(jsonValue).join(',')}]`;
  return `{${sortedEntries(value as JsonObject)
    .map(([key, item]) => `${jsonString(key)}:${jsonValue(item)}`)
    .join(',')}}`;
}

function sortedEntries(object: JsonObject): [string, unknown][] {
  return Object.entries(object).sort(([a], [b]) => compareStrings(a, b));
}
