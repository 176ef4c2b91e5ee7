import { expect } from 'chai';
import { describe, it } from 'mocha';
import { seededTurns } from '../support/harness/random.ts';

const CASES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const SEEDS = Array.from({ length: 20 }, (_, seed) => seed);
const taken = (seed: number, purpose = 'letters', of = 2): string =>
  CASES.filter(seededTurns(seed, purpose, of)).join('');

describe('shares of cases', () => {
  it('have every second case, by the seed the one half or the other', () => {
    expect(new Set(SEEDS.map((seed) => taken(seed)))).to.deep.equal(new Set(['aceg', 'bdf']));
    expect(taken(7)).to.equal(taken(7));
  });

  it('meet every case over some runs', () => {
    expect(new Set(SEEDS.map((seed) => taken(seed, 'letters', 3)))).to.deep.equal(new Set(['adg', 'be', 'cf']));
  });

  it('of two lists do not go together', () => {
    const pairs = SEEDS.map((seed) => `${taken(seed)} ${taken(seed, 'others')}`);
    expect(new Set(pairs).size).to.equal(4);
  });
});
