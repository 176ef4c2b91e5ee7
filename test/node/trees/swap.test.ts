import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, beforeEach, describe, it } from 'mocha';
import { makePlace, type Place, soon, until } from '../support.ts';

const HIDDEN = '.ours';

describe('swaps of trees that were left half way', function () {
  this.timeout(120_000);
  let place: Place;
  let tree: string;

  before(async () => {
    place = await makePlace();
  });

  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  beforeEach(() => {
    tree = join(place.data, 'tree');
    rmSync(tree, { recursive: true, force: true });
    mkdirSync(tree);
  });

  const own = () => ({ root: place.data, path: 'tree' });
  const seen = () =>
    place.layer.call('halfSwaps', { tree: own(), hidden: HIDDEN, asideEnd: '.aside' }, { signal: soon() });
  const swap = () => {
    const names = { hidden: HIDDEN, fresh: 'new', aside: 'new.aside' };
    return place.layer.call('swapTree', { tree: own(), ...names }, { signal: soon() });
  };
  const fill = (): void => {
    for (const name of ['a', 'b']) writeFileSync(join(tree, name), 'old');
    mkdirSync(join(tree, HIDDEN, 'new'), { recursive: true });
    for (const name of ['a', 'c']) writeFileSync(join(tree, HIDDEN, 'new', name), 'new');
  };

  for (const point of ['tree.after-aside', 'tree.after-all-aside', 'tree.after-up'] as const) {
    it(`are seen in the directory itself, until the same call has ended them: ${point}`, async () => {
      fill();
      expect(await seen(), 'before it is begun').to.deep.equal([]);
      const restarts = await place.armHelper(point);
      await swap().catch(() => undefined);
      await until(() => place.layer.helperRestarts > restarts);
      expect(await seen()).to.deep.equal(['new']);
      await swap();
      expect(await seen()).to.deep.equal([]);
    });
  }

  it('are none where there is nothing of ours, whatever has the name', async () => {
    expect(await seen()).to.deep.equal([]);
    writeFileSync(join(tree, HIDDEN), 'a file');
    expect(await seen()).to.deep.equal([]);
    rmSync(join(tree, HIDDEN));
    mkdirSync(join(place.data, 'elsewhere', 'new.up'), { recursive: true });
    symlinkSync(join(place.data, 'elsewhere'), join(tree, HIDDEN));
    expect(await seen()).to.deep.equal([]);
    rmSync(tree, { recursive: true });
    expect(await seen()).to.deep.equal([]);
  });
});
