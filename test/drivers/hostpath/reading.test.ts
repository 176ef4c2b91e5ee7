import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { describeReading } from '../../contract/reading-contract.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

describeReading('hostPath', ({ layer, data }) => ({
  driver: hostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  hasSize: false,
  consistentReason: 'Unchanged',
  method: 'InPlace',
}));

describe('reading hostPath volumes', function () {
  this.timeout(120_000);
  let place: Place;

  before(async () => {
    place = await makePlace();
  });
  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  it('names the filesystems that are mounted below, which a backup does not have', async () => {
    const path = join(place.data, 'outer');
    mkdirSync(join(path, 'sub', 'disk'), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(path, 'sub', 'disk')]);
    try {
      writeFileSync(join(path, 'sub', 'disk', 'file'), 'elsewhere');
      const driver = hostPathDriver(place.layer);
      const reading = { uid: 'reader', elsewhere: [], most: 20 };
      const volume = hostPathVolume('outer', path, [place.data]);
      const lacking = await driver.reading?.read(volume, reading, (opened) => Promise.resolve(opened.lacking), soon());
      expect(lacking).to.deep.equal(['sub/disk']);
    } finally {
      execFileSync('umount', [join(path, 'sub', 'disk')]);
    }
  });

  it('fails when the directory is not there', async () => {
    const driver = hostPathDriver(place.layer);
    const volume = hostPathVolume('gone', join(place.data, 'gone'), [place.data]);
    const work = driver.reading?.read(volume, { uid: 'r', elsewhere: [], most: 20 }, () => Promise.resolve(), soon());
    expect((await rejection(Promise.resolve(work))).reason).to.equal('DataMissing');
  });
});
