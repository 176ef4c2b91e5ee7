import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { createMemoryMedium } from '../../../src/drivers/emptydir/memory-medium.ts';
import type { Medium } from '../../../src/drivers/emptydir/stage.ts';
import { stageMountOf } from '../../../src/drivers/stage.ts';
import { makePlace, type Place, soon, until } from '../../node/support.ts';

const MIB = 1024n * 1024n;
const NOW = Date.parse('2026-01-02T03:04:05Z');

describe('an emptyDir volume in memory', function () {
  this.timeout(120_000);
  let place: Place;
  let medium: Medium;
  const volume: DriverVolume = {
    uid: 'uid-memory',
    namespace: 'ns',
    name: 'memory',
    source: { type: 'emptyDir', medium: 'Memory' },
    capacityBytes: MIB,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    wasProvisioned: false,
    mayLoseData: false,
    mountOptions: [],
  };
  const again = { ...volume, wasProvisioned: true };

  before(async () => {
    place = await makePlace();
    medium = createMemoryMedium(place.layer, () => NOW);
  });
  after(async () => {
    await medium.delete(volume, soon());
    expect(await place.dispose()).to.deep.equal([]);
  });

  const stageMount = () => stageMountOf(place.layer, volume.uid);
  const observe = () => medium.observe(again, stageMount(), soon());
  const file = () => join(stageMount()?.target ?? '', 'data/file');

  it('was never emptied when it is new, nor when it grows', async () => {
    await medium.provision(volume, MIB, undefined, soon());
    writeFileSync(file(), 'content');
    await medium.provision(again, 2n * MIB, stageMount(), soon());
    expect(await observe()).to.include({ provisioned: true, enforcedBytes: 2n * MIB });
    expect((await observe()).emptiedAt).to.equal(undefined);
    expect(existsSync(file())).to.equal(true);
  });

  it('that is gone with its content is made again, and whoever looks later sees when', async () => {
    execFileSync('umount', [stageMount()?.target ?? '']);
    await until(() => stageMount() === undefined);
    expect((await observe()).provisioned).to.equal(false);
    await medium.provision(again, MIB, undefined, soon());
    expect((await observe()).provisioned).to.equal(true);
    expect((await observe()).emptiedAt?.getTime()).to.equal(NOW);
    expect(existsSync(file())).to.equal(false);
    await medium.stage(again, soon());
    expect((await observe()).emptiedAt?.getTime()).to.equal(NOW);
    expect((await medium.leftovers(soon())).map(({ volumeUID }) => volumeUID)).to.deep.equal([volume.uid]);
  });
});
