import { expect } from 'chai';
import { describe, it } from 'mocha';
import { cleanPath, isWithin } from '../../src/api/paths.ts';

describe('paths', () => {
  it('lie within a prefix by whole components, never by a name that begins alike', () => {
    expect(isWithin('/data', '/data')).to.equal(true);
    expect(isWithin('/data/x', '/data')).to.equal(true);
    expect(isWithin('/data/x', '/data/')).to.equal(true);
    expect(isWithin('/data-2', '/data')).to.equal(false);
    expect(isWithin('/database', '/data')).to.equal(false);
    expect(isWithin('/dat', '/data')).to.equal(false);
    expect(isWithin('/anything', '/')).to.equal(true);
  });

  it('are compared without repeated and trailing slashes', () => {
    expect(cleanPath('/data//x/')).to.equal('/data/x');
    expect(cleanPath('/')).to.equal('/');
  });
});
