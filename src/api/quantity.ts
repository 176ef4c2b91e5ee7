/**
 * Kubernetes quantities (`10Gi`, `1.5M`, `100m`, `2e3`) with exact arithmetic.
 *
 * Source: `k8s.io/apimachinery/pkg/api/resource`, Quantity: grammar, suffixes, the canonical form (no fractional digits,
 * the largest suffix that leaves none, the suffix family kept) and the rounding up of anything finer than 1n.
 */

/** Family of suffixes a quantity is written in. */
export type QuantityFormat = 'BinarySI' | 'DecimalSI' | 'DecimalExponent';

/** An exact amount. */
export interface Quantity {
  /** The amount times 10⁹. */
  readonly nanos: bigint;
  readonly format: QuantityFormat;
}

/** Thrown for text that is no quantity; `code` says why. */
export class QuantityError extends Error {
  readonly code: 'Syntax' | 'OutOfRange';

  constructor(code: QuantityError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QuantityError';
    this.code = code;
  }
}

const NANO = 1_000_000_000n;
/** apimachinery caps amounts with a binary suffix (and only those) at 2⁶³−1. */
const MAX_BINARY_NANOS = (2n ** 63n - 1n) * NANO;
const GRAMMAR = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?$/;
const BINARY: readonly string[] = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL: readonly (readonly [suffix: string, exponent: number])[] = [
  ['E', 18],
  ['P', 15],
  ['T', 12],
  ['G', 9],
  ['M', 6],
  ['k', 3],
  ['', 0],
  ['m', -3],
  ['u', -6],
  ['n', -9],
];
/** The same with the size of each unit in nanos, largest first. */
const DECIMAL_UNITS = DECIMAL.map(([suffix, exponent]) => [suffix, 10n ** BigInt(exponent + 9)] as const);

/**
 * Parses a quantity. Amounts finer than 1n are rounded away from zero, as apimachinery does. Unlike apimachinery, a text
 * without a digit (`Gi`, `.`, `-`) is refused instead of read as 0, and so is an exponent of more than three digits.
 * @throws QuantityError `Syntax` when the text is not a quantity.
 */
export function parseQuantity(text: string): Quantity {
  const match = GRAMMAR.exec(text);
  if (match === null || text.length > 64) {
    throw new QuantityError('Syntax', `"${text.slice(0, 64)}" is not a quantity such as 10Gi, 500M or 1e9`);
  }
  const [, sign = '', number = '', binary, decimal, exponent] = match;
  const [whole = '', fraction = ''] = number.split('.');
  // A plain number is DecimalSI; "1E" is exa, "1E3" an exponent: the grammar tries the suffix first.
  const format: QuantityFormat =
    binary !== undefined ? 'BinarySI' : exponent !== undefined ? 'DecimalExponent' : 'DecimalSI';
  const digits = BigInt(`${whole}${fraction}` === '' ? '0' : `${whole}${fraction}`);
  let power = 9 - fraction.length;
  let factor = 1n;
  if (binary !== undefined) factor = 1024n ** BigInt(BINARY.indexOf(binary));
  else if (decimal !== undefined) power += DECIMAL.find(([suffix]) => suffix === decimal)?.[1] ?? 0;
  else if (exponent !== undefined) power += Number(exponent);
  let nanos = power >= 0 ? digits * factor * 10n ** BigInt(power) : divideUp(digits * factor, 10n ** BigInt(-power));
  if (binary !== undefined && nanos > MAX_BINARY_NANOS) nanos = MAX_BINARY_NANOS;
  return { nanos: sign === '-' ? -nanos : nanos, format };
}

/** Says whether {@link parseQuantity} accepts the text. */
export function isQuantity(text: string): boolean {
  return text.length <= 64 && GRAMMAR.test(text);
}

/** Makes a quantity of whole units (bytes). */
export function quantityOf(units: bigint | number, format: QuantityFormat = 'BinarySI'): Quantity {
  return { nanos: BigInt(units) * NANO, format };
}

/** Writes a quantity in its canonical form. */
export function formatQuantity(quantity: Quantity): string {
  const { nanos } = quantity;
  if (nanos === 0n) return '0';
  const sign = nanos < 0n ? '-' : '';
  const amount = nanos < 0n ? -nanos : nanos;
  // apimachinery writes amounts below 1024 and fractions in the decimal family even when they came with a binary suffix.
  if (quantity.format === 'BinarySI' && amount % NANO === 0n && amount >= 1024n * NANO) {
    return sign + formatBinary(amount / NANO);
  }
  if (quantity.format === 'DecimalExponent') return sign + formatExponent(amount);
  const [suffix, unit] = DECIMAL_UNITS.find(([, size]) => amount % size === 0n) ?? ['n', 1n];
  return `${sign}${amount / unit}${suffix}`;
}

/** Returns the canonical form of a quantity's text: two texts mean the same amount in the same family iff these agree. */
export function canonicalQuantity(text: string): string {
  return formatQuantity(parseQuantity(text));
}

/** Compares two amounts: −1, 0 or 1, whatever their families. */
export function compareQuantities(a: Quantity | string, b: Quantity | string): -1 | 0 | 1 {
  const left = (typeof a === 'string' ? parseQuantity(a) : a).nanos;
  const right = (typeof b === 'string' ? parseQuantity(b) : b).nanos;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Returns the amount in whole units, a fraction rounded up (as `Quantity.Value()` does). */
export function quantityToBigInt(quantity: Quantity | string): bigint {
  const { nanos } = typeof quantity === 'string' ? parseQuantity(quantity) : quantity;
  return nanos < 0n ? -divideUp(-nanos, NANO) : divideUp(nanos, NANO);
}

/**
 * Returns the amount in whole bytes as a number.
 * @throws QuantityError `OutOfRange` beyond 2⁵³−1, where a number is no longer exact.
 */
export function quantityToBytes(quantity: Quantity | string): number {
  const bytes = quantityToBigInt(quantity);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER) || bytes < -BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new QuantityError('OutOfRange', `${bytes} bytes is more than a number holds exactly`);
  }
  return Number(bytes);
}

/** Writes a number of bytes as a quantity: `10737418240` → `10Gi`. */
export function formatBytes(bytes: bigint | number): string {
  return formatQuantity(quantityOf(bytes));
}

/** Writes nanos as digits and the largest exponent that is a multiple of three and leaves no fraction. */
function formatExponent(nanos: bigint): string {
  let digits = nanos;
  let exponent = -9;
  while (digits % 1000n === 0n) {
    digits /= 1000n;
    exponent += 3;
  }
  return exponent === 0 ? digits.toString() : `${digits}e${exponent}`;
}

function formatBinary(amount: bigint): string {
  let value = amount;
  let index = 0;
  while (index < BINARY.length - 1 && value % 1024n === 0n) {
    value /= 1024n;
    index += 1;
  }
  return `${value}${BINARY[index]}`;
}

function divideUp(value: bigint, divisor: bigint): bigint {
  return (value + divisor - 1n) / divisor;
}
