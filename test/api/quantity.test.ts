import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  canonicalQuantity,
  compareQuantities,
  formatBytes,
  formatQuantity,
  isQuantity,
  parseQuantity,
  QuantityError,
  type QuantityFormat,
  quantityToBigInt,
  quantityToBytes,
} from '../../src/api/quantity.ts';
import { CRDS, schemaOf } from './crd-files.ts';
import { QUANTITY_CASES } from './quantity-cases.ts';

const formats: readonly QuantityFormat[] = ['BinarySI', 'DecimalSI', 'DecimalExponent'];
const anyQuantity = fc.record({
  nanos: fc.bigInt({ min: -(2n ** 63n) * 10n ** 8n, max: 2n ** 63n * 10n ** 8n }),
  format: fc.constantFrom(...formats),
});

describe('quantities', () => {
  for (const [text, canonical, value] of QUANTITY_CASES) {
    if (canonical === null) {
      it(`refuse ${JSON.stringify(text)} as apimachinery does`, () => {
        expect(() => parseQuantity(text)).to.throw(QuantityError);
        expect(isQuantity(text)).to.equal(false);
      });
      continue;
    }
    it(`read ${text} as ${canonical}, as apimachinery does`, () => {
      expect(canonicalQuantity(text)).to.equal(canonical);
      if (value !== undefined) expect(quantityToBigInt(text)).to.equal(BigInt(value));
    });
  }

  for (const text of ['Gi', '.', '-', '+', '1e1000', '1'.repeat(65)]) {
    it(`refuse ${text.slice(0, 10)}, which apimachinery reads`, () => {
      expect(() => parseQuantity(text)).to.throw(QuantityError, 'is not a quantity');
    });
  }

  it('come back the same after being written and read', () => {
    fc.assert(
      fc.property(anyQuantity, (quantity) => {
        expect(parseQuantity(formatQuantity(quantity)).nanos).to.equal(quantity.nanos);
      }),
    );
  });

  it('are canonical after being written once', () => {
    fc.assert(
      fc.property(anyQuantity, (quantity) => {
        const text = formatQuantity(quantity);
        expect(canonicalQuantity(text)).to.equal(text);
      }),
    );
  });

  it('compare as their amounts do, whatever their suffix', () => {
    expect(compareQuantities('1Gi', '1024Mi')).to.equal(0);
    expect(compareQuantities('2G', '2Gi')).to.equal(-1);
    expect(compareQuantities('1.5Gi', '1Gi')).to.equal(1);
    fc.assert(
      fc.property(anyQuantity, anyQuantity, (a, b) => {
        const wanted = a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
        expect(compareQuantities(formatQuantity(a), formatQuantity(b))).to.equal(wanted);
      }),
    );
  });

  it('write bytes in the largest binary unit that leaves no fraction', () => {
    expect(formatBytes(10 * 1024 ** 3)).to.equal('10Gi');
    expect(formatBytes(1536 * 1024 ** 2)).to.equal('1536Mi');
    // Below 1024 apimachinery uses the decimal family.
    expect(formatBytes(1000)).to.equal('1k');
  });

  it('refuse to become a number that is not exact', () => {
    expect(quantityToBytes('4Pi')).to.equal(2 ** 52);
    expect(() => quantityToBytes('8Pi')).to.throw(QuantityError, 'more than a number holds');
  });

  it('are accepted by the pattern of the CRD only where they parse', () => {
    expect(CRDS.size).to.be.greaterThan(0);
    const pattern = new RegExp(schemaOf('Volume', 'spec', 'capacity').pattern ?? '^$');
    for (const [text, canonical] of QUANTITY_CASES) {
      if (pattern.test(text)) expect(canonical, text).not.to.equal(null);
    }
    fc.assert(fc.property(fc.stringMatching(pattern), (text) => isQuantity(text) || text.length > 64));
  });
});
