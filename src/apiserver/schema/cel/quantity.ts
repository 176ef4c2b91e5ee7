/** A missing number counts as zero, as in apimachinery. */
const FORM = /^([+-]?)(\d*(?:\.\d*)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/;

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
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const ONE = 10n ** 9n;
/** Exponents beyond this do not fit a Kubernetes quantity; it keeps hostile input cheap. */
const MAX_EXPONENT = 100;

/** A Kubernetes quantity (`1.5Gi`, `100m`) inside CEL rules, in units of 1e-9, rounded up as apimachinery does. */
export class CelQuantity {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }

  /** Parses a quantity; undefined when the text is none. */
  static parse(text: string): CelQuantity | undefined {
    const match = FORM.exec(text);
    if (match === null || text === '') return undefined;
    const [, sign, number = '', suffix = ''] = match;
    const scale = scaleOf(suffix);
    if (scale === undefined) return undefined;
    const [whole = '', fraction = ''] = number.split('.');
    const denominator = 10n ** BigInt(fraction.length) * scale.denominator;
    const numerator = BigInt(whole + fraction || '0') * scale.numerator;
    const nanos = (numerator + denominator - 1n) / denominator;
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

function scaleOf(suffix: string): { numerator: bigint; denominator: bigint } | undefined {
  const binary = BINARY.indexOf(suffix);
  if (binary >= 0) return { numerator: ONE * 1024n ** BigInt(binary + 1), denominator: 1n };
  const decimal = DECIMAL[suffix];
  if (decimal !== undefined) return { numerator: decimal, denominator: 1n };
  const exponent = Number(suffix.slice(1));
  if (Math.abs(exponent) > MAX_EXPONENT) return undefined;
  const power = 10n ** BigInt(Math.abs(exponent));
  return exponent < 0 ? { numerator: ONE, denominator: power } : { numerator: ONE * power, denominator: 1n };
}
