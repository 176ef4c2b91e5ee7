import { expect } from 'chai';
import { describe, it } from 'mocha';
import { COMMANDS } from '../../src/commands/registry.ts';
import { exposedCommands } from '../../src/openclaw/exposed.ts';

const names = (...words: readonly string[]): readonly string[] => exposedCommands(words).map(({ name }) => name);

describe('the commands that a gateway may call', () => {
  it('are all, those that only read, or the named ones', () => {
    expect(names('all')).to.deep.equal(COMMANDS.map(({ name }) => name));
    expect(names('volume.list', 'volume.create')).to.have.members(['volume.create', 'volume.list']);
    expect(names('read-only')).to.include('volume.list').and.not.to.include('volume.create');
  });

  it('only read where they are lists, and nowhere else', () => {
    for (const { name, readOnly } of COMMANDS) expect(readOnly === true, name).to.equal(name.endsWith('.list'));
  });

  const refused: readonly (readonly [readonly string[], string])[] = [
    [[], 'no command'],
    [['volume.explode'], 'unknown command "volume.explode" (known: all, read-only, volume.create'],
    [['read-only', 'volume.create'], 'stands alone'],
  ];
  for (const [words, fragment] of refused) {
    it(`are not ${JSON.stringify(words)}`, () => expect(() => exposedCommands(words)).to.throw(RangeError, fragment));
  }
});
