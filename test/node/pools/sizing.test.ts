import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  criticalWater,
  growable,
  growthBytes,
  hostReserve,
  initialPoolBytes,
  lowWater,
  SMALLEST_POOL,
} from '../../../src/node/pools/sizing.ts';

const MIB = 1024n * 1024n;
const GIB = 1024n * MIB;
const space = fc
  .tuple(fc.bigInt(1n, 1n << 50n), fc.bigInt(0n, 1n << 50n))
  .map(([totalBytes, part]) => ({ totalBytes, freeBytes: part % (totalBytes + 1n) }));

describe('pool sizes', () => {
  it('take an eighth of a roomy host, at most 4 GiB', () => {
    expect(initialPoolBytes({ totalBytes: 40n * GIB, freeBytes: 16n * GIB })).to.equal(2n * GIB);
    expect(initialPoolBytes({ totalBytes: 400n * GIB, freeBytes: 300n * GIB })).to.equal(4n * GIB);
  });

  it('are refused on a host that has no room for the smallest pool beside its reserve', () => {
    expect(initialPoolBytes({ totalBytes: GIB, freeBytes: 400n * MIB })).to.equal(undefined);
    expect(initialPoolBytes({ totalBytes: GIB, freeBytes: 500n * MIB })).to.equal(SMALLEST_POOL);
  });

  it('never take the reserve of the host', () => {
    fc.assert(
      fc.property(space, space, fc.bigInt(0n, 1n << 45n), (pool, host, wanted) => {
        expect(growthBytes(pool, host, wanted) <= growable(host)).to.equal(true);
        const initial = initialPoolBytes(host);
        if (initial !== undefined) expect(host.freeBytes - initial >= hostReserve(host)).to.equal(true);
      }),
    );
  });

  it('grow before writers are held: the low-water mark lies above the critical one', () => {
    fc.assert(
      fc.property(space, (pool) => {
        expect(lowWater(pool) > criticalWater(pool)).to.equal(true);
      }),
    );
  });

  it('do not grow while there is room enough', () => {
    const host = { totalBytes: 100n * GIB, freeBytes: 90n * GIB };
    expect(growthBytes({ totalBytes: 4n * GIB, freeBytes: 2n * GIB }, host)).to.equal(0n);
    expect(growthBytes({ totalBytes: 4n * GIB, freeBytes: GIB / 2n }, host)).to.equal(GIB / 2n);
  });

  it('grow by what a Thick volume needs above the low-water mark', () => {
    const host = { totalBytes: 100n * GIB, freeBytes: 90n * GIB };
    expect(growthBytes({ totalBytes: 4n * GIB, freeBytes: 2n * GIB }, host, 3n * GIB)).to.equal(2n * GIB);
  });
});
