import { expect } from 'chai';
import { describe, it } from 'mocha';
import { fit } from '../../bench/support/scale-table.ts';

describe('the line through what was measured', () => {
  it('is the line that the points lie on', () => {
    const { base, slope } = fit([
      [25, 57],
      [50, 107],
      [100, 207],
    ]);
    expect(base).to.be.closeTo(7, 1e-9);
    expect(slope).to.be.closeTo(2, 1e-9);
  });

  it('is flat where there is one size', () => {
    expect(fit([[10, 3]])).to.deep.equal({ base: 3, slope: 0 });
  });
});
