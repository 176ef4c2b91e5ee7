import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Mutant, mutate } from '../../scripts/mutants.ts';

const root = resolve(import.meta.dirname, '../..');
const mutant: Mutant = { name: 'm', file: 'f', find: 'a + b', replace: 'a - b', suite: 'unit' };

describe('mutants', () => {
  it('replace the one place, literally', () => {
    expect(mutate('return a + b;', mutant)).to.equal('return a - b;');
    expect(mutate('return a + b;', { ...mutant, replace: '$&' })).to.equal('return $&;');
  });

  it('are refused when the text is not there exactly once', () => {
    expect(() => mutate('nothing', mutant)).to.throw('stands 0 times in f');
    expect(() => mutate('a + b; a + b', mutant)).to.throw('stands 2 times in f');
    expect(() => mutate('a + b', { ...mutant, replace: 'a + b' })).to.throw('would change nothing');
  });

  it('of the list still fit the code they break', () => {
    const listed = JSON.parse(readFileSync(join(root, 'test/mutants.json'), 'utf8')) as readonly Mutant[];
    expect(listed).not.to.have.length(0);
    expect(new Set(listed.map(({ name }) => name)).size).to.equal(listed.length);
    for (const entry of listed) mutate(readFileSync(join(root, entry.file), 'utf8'), entry);
  });
});
