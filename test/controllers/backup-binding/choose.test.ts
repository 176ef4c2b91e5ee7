import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Volume } from '../../../src/api/volume.ts';
import { chooseVolumes, missingVolumes } from '../../../src/controllers/backup-binding/choose.ts';
import { volume } from '../support/objects.ts';
import { backup } from './backup-world.ts';

const refs = (...names: readonly string[]) => backup('b', { volumeRefs: names.map((name) => ({ name })) });

describe('the volumes that a Backup names', () => {
  it('are chosen once each, in its order, and those that are not there are told', () => {
    const { volumes, missing } = chooseVolumes(refs('b', 'no', 'a', 'b'), [volume('a'), volume('b'), volume('c')]);
    expect(volumes.map(({ metadata }) => metadata.name)).to.deep.equal(['b', 'a']);
    expect(missing).to.deep.equal(['no']);
    expect(missingVolumes(refs('b', 'no', 'a', 'b'), ['a', 'b'])).to.deep.equal(['no']);
  });

  it('cost a look at each volume, not at each for every name', () => {
    const names = Array.from({ length: 200 }, (_, index) => `v${index}`);
    let looks = 0;
    const watched = names.map((name): Volume => {
      const { metadata, ...rest } = volume(name);
      const counted = {
        get metadata() {
          looks += 1;
          return metadata;
        },
      };
      return Object.assign(counted, rest);
    });
    expect(chooseVolumes(refs(...names), watched).volumes).to.have.length(200);
    expect(looks).to.be.at.most(3 * 200);
  });
});
