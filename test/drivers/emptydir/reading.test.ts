import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { DriverError, type DriverVolume, type OpenedForReading } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { EmptyDirReading } from '../../../src/drivers/emptydir/reading.ts';
import { DEFAULT_POOL, Pools } from '../../../src/node/pools/pools.ts';
import { makePlace, type Place, soon } from '../../node/support.ts';

describe('reading emptyDir volumes', function () {
  this.timeout(120_000);
  let place: Place;
  let pools: Pools;
  let driver: EmptyDirDriver;

  before(async () => {
    place = await makePlace();
    pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
    driver = new EmptyDirDriver({ node: place.layer, pools });
  });
  after(async () => {
    const pool = await pools.open(DEFAULT_POOL, soon());
    if (pool.file !== undefined) {
      const { target } = pool.file;
      const mountId = place.layer.table.at(join(target.root, target.path))?.id;
      await place.layer.unmount({ target, mountId, scope: 'device' }, soon());
    }
    expect(await place.dispose()).to.deep.equal([]);
  });

  const volume: DriverVolume = {
    uid: 'full',
    namespace: 'ns',
    name: 'full',
    source: { type: 'emptyDir', medium: '' },
    capacityBytes: 32n * 1024n * 1024n,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: DEFAULT_POOL,
    mountOptions: [],
    mayLoseData: false,
    wasProvisioned: false,
  };

  it('are read in place where the pool has no room for a moment of them, and for no other reason', async () => {
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    writeFileSync(join(place.layer.mountRoot, '.volumes/full/data/file'), 'content');
    const methodWhen = (reason: string): Promise<OpenedForReading['method']> => {
      const take = () => Promise.reject(new DriverError(reason, 'refused'));
      const { snapshots: own } = driver;
      const snapshots = { ...own, take };
      const stage = (one: DriverVolume, signal: AbortSignal) => driver.stage(one, signal);
      const reading = new EmptyDirReading({ node: place.layer, pools, snapshots, stage });
      const who = { uid: 'reader', elsewhere: [], most: 20 };
      return reading.read(volume, who, ({ method }) => Promise.resolve(method), soon());
    };
    expect(await methodWhen('PoolLowSpace')).to.equal('InPlace');
    const other = await methodWhen('FreezeTimeout').catch((thrown: unknown) => (thrown as DriverError).reason);
    expect(other).to.equal('FreezeTimeout');
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    await driver.delete(volume, soon());
  });
});
