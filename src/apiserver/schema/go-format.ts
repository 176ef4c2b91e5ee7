import { isObject, type Json } from './json-value.ts';

/**
 * Kubernetes prints values the way Go's fmt, strconv and encoding/json do. Clients compare and grep these texts, so the
 * embedded server prints them alike.
 */

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
};

/** Quotes a string as Go's `%q` (strconv.Quote). */
export function goQuote(text: string): string {
  return `"${text.toWellFormed().replace(/["\\]|\p{C}|(?! )\p{Z}/gu, escapeRune)}"`;
}

function escapeRune(rune: string): string {
  const simple = SIMPLE_ESCAPES[rune];
  if (simple !== undefined) return simple;
  const code = rune.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

/**
 * Prints a number as Go's `%v`: an integer within int64 in full, anything else as the shortest float64 with an exponent
 * below 1e-4 and from 1e21 on.
 */
export function goNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) return BigInt(value).toString();
  const magnitude = Math.abs(value);
  if (magnitude >= 1e21 || (magnitude !== 0 && magnitude < 1e-4)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return String(value);
}

/** Serialises as Go's encoding/json: sorted keys, `<`, `>` and `&` escaped. */
export function goJson(value: Json): string {
  return stringify(value).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function stringify(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(stringify).join(',')}]`;
  if (isObject(value)) {
    const entries = Object.keys(value)
      .sort(compareBytes)
      .map((key) => `${JSON.stringify(key)}:${stringify(value[key] as Json)}`);
    return `{${entries.join(',')}}`;
  }
  if (typeof value === 'number') return goNumber(value);
  return JSON.stringify(value);
}

/** Orders strings as Go's sort.Strings: by code point, which is the order of their UTF-8 bytes. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const surrogateX = x >= 0xd800 && x <= 0xdfff;
    const surrogateY = y >= 0xd800 && y <= 0xdfff;
    if (surrogateX !== surrogateY) return surrogateX ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}
