/** A missing number counts as zero, as in apimachinery. */
const FORM = /^([+-]?)(\d*(?:\.\d*)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/;

interface Scale {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

const DECIMAL: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 10n ** 3n,
  m: 10n ** 6n,
  '': 10n ** 9n,
  k: 10n ** 12n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
};
const ONE = 10n ** 9n;
const SCALES: ReadonlyMap<string, Scale> = new Map<string, Scale>([
  ...Object.entries(DECIMAL).map(([suffix, numerator]) => [suffix, { numerator, denominator: 1n }] as const),
  ...['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'].map(
    (suffix, index) => [suffix, { numerator: ONE * 1024n ** BigInt(index + 1), denominator: 1n }] as const,
  ),
]);
/** Exponents beyond this do not fit a Kubernetes quantity; it keeps hostile input cheap. */
const MAX_EXPONENT = 100;

const CACHE_LIMIT = 1000;
const CACHE = new Map<string, CelQuantity>();

/** A Kubernetes quantity (`1.5Gi`, `100m`) inside CEL rules, in units of 1e-9, rounded up as apimachinery does. */
export class CelQuantity {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }

  /** Parses a quantity; undefined when the text is none. The same few sizes come again and again, so they are kept. */
  static parse(text: string): CelQuantity | undefined {
    const kept = CACHE.get(text);
    if (kept !== undefined) return kept;
    const quantity = CelQuantity.#parse(text);
    if (quantity !== undefined) {
      if (CACHE.size >= CACHE_LIMIT) CACHE.clear();
      CACHE.set(text, quantity);
    }
    return quantity;
  }

  static #parse(text: string): CelQuantity | undefined {
    const match = FORM.exec(text);
    if (match === null || text === '') return undefined;
    const [, sign, number = '', suffix = ''] = match;
    const scale = scaleOf(suffix);
    if (scale === undefined) return undefined;
    const [whole = '', fraction = ''] = number.split('.');
    const numerator = BigInt(whole + fraction || '0') * scale.numerator;
    const denominator = fraction === '' ? scale.denominator : 10n ** BigInt(fraction.length) * scale.denominator;
    const nanos = denominator === 1n ? numerator : (numerator + denominator - 1n) / denominator;
    return new CelQuantity(sign === '-' ? -nanos : nanos);
  }

  static of(units: bigint): CelQuantity {
    return new CelQuantity(units * ONE);
  }

  compareTo(other: CelQuantity): bigint {
    return this.nanos < other.nanos ? -1n : this.nanos > other.nanos ? 1n : 0n;
  }

  isInteger(): boolean {
    return this.nanos % ONE === 0n && BigInt.asIntN(64, this.nanos / ONE) === this.nanos / ONE;
  }

  asInteger(): bigint {
    return this.nanos / ONE;
  }

  asApproximateFloat(): number {
    return Number(this.nanos / ONE) + Number(this.nanos % ONE) / 1e9;
  }
}

function scaleOf(suffix: string): Scale | undefined {
  const known = SCALES.get(suffix);
  if (known !== undefined) return known;
  const exponent = Number(suffix.slice(1));
  if (Math.abs(exponent) > MAX_EXPONENT) return undefined;
  const power = 10n ** BigInt(Math.abs(exponent));
  return exponent < 0 ? { numerator: ONE, denominator: power } : { numerator: ONE * power, denominator: 1n };
}
