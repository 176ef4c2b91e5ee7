import { isIPv4, isIPv6 } from 'node:net';
import { parseGoDuration } from './go-duration.ts';
import { compilePattern } from './pattern.ts';

/**
 * The string formats that Kubernetes 1.34 checks in custom resources (apiextensions: pkg/apiserver/validation/formats.go;
 * kube-openapi: pkg/validation/strfmt). Others, `int32` and `int64` among them, say nothing to the API server.
 * `k8s-short-name` and `k8s-long-name` count only from 1.35 on, when no older server can share the storage.
 */
export function formatCheck(format: string | undefined): ((text: string) => boolean) | undefined {
  return format === undefined ? undefined : FORMATS.get(format.replaceAll('-', ''));
}

const HOSTNAME =
  '^([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}](([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})$';
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIME = /^(\d{2}):(\d{2}):(\d{2})(.\d+)?(z|([+-]\d{2}:\d{2}))$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;
const CREDIT_CARD =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|(222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11}|6[27]\d{14})$/;
const RGB_CHANNEL = '(?:0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])';
const RGB = new RegExp(`^rgb\\(\\s*${RGB_CHANNEL}\\s*,\\s*${RGB_CHANNEL}\\s*,\\s*${RGB_CHANNEL}\\s*\\)$`);
const MAC = [
  /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/,
  /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){7}$/,
  /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){19}$/,
  /^[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}$/,
  /^[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){7}$/,
  /^[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){19}$/,
  /^[0-9a-fA-F]{4}(?:\.[0-9a-fA-F]{4}){2}$/,
  /^[0-9a-fA-F]{4}(?:\.[0-9a-fA-F]{4}){3}$/,
  /^[0-9a-fA-F]{4}(?:\.[0-9a-fA-F]{4}){9}$/,
];

const FORMATS: ReadonlyMap<string, (text: string) => boolean> = new Map<string, (text: string) => boolean>([
  ['bsonobjectid', (text) => /^[0-9a-fA-F]{24}$/.test(text)],
  ['uri', isRequestUri],
  ['email', isEmail],
  ['hostname', isHostname],
  ['ipv4', (text) => isIPv4(withoutLeadingZeros(text))],
  ['ipv6', isIPv6Text],
  ['cidr', isCidr],
  ['mac', (text) => MAC.some((form) => form.test(text))],
  ['uuid', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid3', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid4', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid5', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text)],
  ['isbn', (text) => isIsbn10(text) || isIsbn13(text)],
  ['isbn10', isIsbn10],
  ['isbn13', isIsbn13],
  ['creditcard', isCreditCard],
  ['ssn', (text) => /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text)],
  ['hexcolor', (text) => /^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(text)],
  ['rgbcolor', (text) => RGB.test(text)],
  ['byte', (text) => BASE64.test(text)],
  ['password', () => true],
  ['date', isDate],
  ['duration', (text) => parseFormatDuration(text) !== undefined],
  ['datetime', isDateTime],
]);

/** An RFC 3339 full-date that exists in the calendar. */
function isDate(text: string): boolean {
  const match = DATE.exec(text);
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1) return false;
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day <= (days[month - 1] ?? 0);
}

function isDateTime(text: string): boolean {
  const [date, time] = text.toLowerCase().split('t');
  if (date === undefined || time === undefined || !isDate(date)) return false;
  const match = TIME.exec(time);
  return match !== null && (match[1] ?? '') <= '23' && (match[2] ?? '') <= '59' && (match[3] ?? '') <= '59';
}

const LONG_UNITS: readonly (readonly [names: readonly string[], nanoseconds: bigint])[] = [
  [['ns', 'nano'], 1n],
  [['us', 'µs', 'micro'], 1_000n],
  [['ms', 'milli'], 1_000_000n],
  [['s', 'sec'], 1_000_000_000n],
  [['m', 'min'], 60_000_000_000n],
  [['h', 'hr', 'hour'], 3_600_000_000_000n],
  [['d', 'day'], 86_400_000_000_000n],
  [['w', 'wk', 'week'], 604_800_000_000_000n],
];

/**
 * Parses the format `duration`: a Go duration (`1h30m`), or numbers with long units anywhere in the text (`2 days`).
 * Returns nanoseconds, or undefined.
 */
export function parseFormatDuration(text: string): bigint | undefined {
  const go = parseGoDuration(text);
  if (go !== undefined) return go;
  let total: bigint | undefined;
  for (const match of text.matchAll(/(\d+)\s*([A-Za-zµ]+)/g)) {
    const unit = (match[2] ?? '').toLowerCase();
    for (const [names, nanoseconds] of LONG_UNITS) {
      if (names.includes(unit) || unit.startsWith(names.at(-1) ?? '')) {
        total = (total ?? 0n) + BigInt(match[1] ?? '0') * nanoseconds;
      }
    }
  }
  return total;
}

/** Compiled with its first use: all letters and symbols that there are take fifty milliseconds. */
let matchesHostname: ((text: string) => boolean) | undefined;

function isHostname(text: string): boolean {
  matchesHostname ??= compilePattern(HOSTNAME);
  if (!matchesHostname(text)) return false;
  return Buffer.byteLength(text) <= 255 && text.split('.').every((part) => Buffer.byteLength(part) <= 63);
}

/** Addresses with leading zeros were valid before Go 1.17 and still are to Kubernetes. */
function withoutLeadingZeros(text: string): string {
  return text.replace(/(^|[.:/])0+(?=\d)/g, '$1');
}

function isIPv6Text(text: string): boolean {
  return text.includes(':') && !text.includes('%') && isIPv6(text);
}

function isCidr(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return false;
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(bits)) return false;
  if (isIPv4(withoutLeadingZeros(address))) return Number(bits) <= 32;
  return isIPv6Text(address) && Number(bits) <= 128;
}

/** An absolute URI or an absolute path, as Go's url.ParseRequestURI takes it. */
function isRequestUri(text: string): boolean {
  if (text === '' || /[\p{Cc} ]/u.test(text)) return false;
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return false;
  if (text.startsWith('/')) return true;
  const match = /^[a-zA-Z][a-zA-Z0-9+.-]*:(.*)$/s.exec(text);
  const rest = match?.[1];
  if (rest === undefined) return false;
  if (!rest.startsWith('//')) return rest.startsWith('/');
  const authority = /^\/\/([^/?#]*)/.exec(rest)?.[1] ?? '';
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  return /^(\[[0-9a-fA-F:.%]+\]|[^[\]:]*)(:\d*)?$/.test(host);
}

/** `user@host` or `Name <user@host>`, the common part of RFC 5322. */
function isEmail(text: string): boolean {
  const bracketed = /^[^<>]*<([^<>]+)>\s*$/.exec(text);
  const address = (bracketed?.[1] ?? text).trim();
  const at = address.lastIndexOf('@');
  if (at <= 0) return false;
  const local = address.slice(0, at);
  const atoms = /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
  return (
    (atoms.test(local) || /^"([^"\\]|\\.)*"$/.test(local)) &&
    (atoms.test(address.slice(at + 1)) || /^\[[^[\]\s]+\]$/.test(address.slice(at + 1)))
  );
}

function isIsbn10(text: string): boolean {
  const digits = text.replace(/[\s-]+/g, '');
  if (!/^(?:\d{9}X|\d{10})$/.test(digits)) return false;
  const sum = [...digits].reduce((total, digit, i) => total + (10 - i) * (digit === 'X' ? 10 : Number(digit)), 0);
  return sum % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const digits = text.replace(/[\s-]+/g, '');
  if (!/^\d{13}$/.test(digits)) return false;
  return [...digits].reduce((total, digit, i) => total + (i % 2 === 0 ? 1 : 3) * Number(digit), 0) % 10 === 0;
}

function isCreditCard(text: string): boolean {
  const digits = text.replace(/\D+/g, '');
  if (!CREDIT_CARD.test(digits)) return false;
  const sum = [...digits].reverse().reduce((total, digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}
