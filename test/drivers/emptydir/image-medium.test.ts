import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statfsSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { DriverError, type DriverMount, type DriverVolume } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { parseImageName } from '../../../src/drivers/emptydir/image-name.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { DEFAULT_POOL, type Pool, Pools } from '../../../src/node/pools/pools.ts';
import { makePlace, type Place, soon, until } from '../../node/support.ts';
import { skipBecause } from '../../support/skip.ts';

const MIB = 1024n * 1024n;

describe('an emptyDir volume on disk', function () {
  this.timeout(120_000);
  let place: Place;
  let pools: Pools;
  let pool: Pool;
  let driver: EmptyDirDriver;
  let isHeld = false;
  const made: DriverVolume[] = [];

  before(async () => {
    place = await makePlace();
    pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
    pool = await pools.open(DEFAULT_POOL, soon());
    driver = new EmptyDirDriver({ node: place.layer, pools, isHeld: () => isHeld });
  });
  afterEach(async () => {
    isHeld = false;
    for (const volume of made.splice(0)) {
      expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
      await driver.delete(volume, soon());
    }
    expect(readdirSync(pool.directory)).to.deep.equal([]);
  });
  after(async () => {
    const { target } = pool.file ?? { target: undefined };
    if (target !== undefined) {
      const mountId = place.layer.table.at(join(target.root, target.path))?.id;
      await place.layer.unmount({ target, mountId, scope: 'device' }, soon());
    }
    expect(await place.dispose()).to.deep.equal([]);
  });

  const volumeOf = (name: string, capacityBytes: bigint, changes: Partial<DriverVolume> = {}): DriverVolume => {
    const volume: DriverVolume = {
      uid: `uid-${name}`,
      namespace: 'ns',
      name,
      source: { type: 'emptyDir', medium: '' },
      capacityBytes,
      capacityPolicy: undefined,
      provisioning: 'Thin',
      pool: DEFAULT_POOL,
      wasProvisioned: false,
      mayLoseData: false,
      mountOptions: ['nosuid', 'nodev'],
      ...changes,
    };
    made.push(volume);
    return volume;
  };
  const mountOf = ({ name }: DriverVolume): DriverMount => ({
    uid: `mount-${name}`,
    targetRoot: place.layer.mountRoot,
    targetPath: `ns/${name}/data`,
    readOnly: false,
  });
  const publish = async (volume: DriverVolume): Promise<string> => {
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    await driver.publish(volume, mountOf(volume), soon());
    return join(place.layer.mountRoot, mountOf(volume).targetPath);
  };
  const failure = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(() => undefined).catch((thrown) => thrown);
  const allocated = (): bigint =>
    readdirSync(pool.directory)
      .filter((name) => parseImageName(name) !== undefined)
      .reduce((sum, name) => sum + BigInt(statSync(join(pool.directory, name)).blocks) * 512n, 0n);

  it('says whether what keeps it from having a pool may pass', async () => {
    for (const [code, reason, mayPass] of [
      ['Busy', 'Busy', true],
      ['NoSpace', 'InsufficientCapacity', true],
      ['CommandFailed', 'CommandMissing', false],
    ] as const) {
      const broken = Object.create(pools, {
        open: { value: () => Promise.reject(new NodeError(code, 'no')) },
      }) as Pools;
      const without = new EmptyDirDriver({ node: place.layer, pools: broken });
      expect(await without.capabilities(soon())).to.include({ supported: false, reason, mayPass });
    }
  });

  it('gives writers "no space left" at its size', async () => {
    const path = await publish(volumeOf('full', 16n * MIB));
    expect(() => writeFileSync(join(path, 'x'), Buffer.alloc(Number(20n * MIB)))).to.throw('ENOSPC');
  });

  it('takes its whole size from the pool when it is Thick, and little when it is Thin', async () => {
    await driver.provision(volumeOf('thin', 64n * MIB), soon());
    expect(allocated() < 16n * MIB).to.equal(true);
    await driver.provision(volumeOf('thick', 64n * MIB, { provisioning: 'Thick' }), soon());
    expect(allocated() >= 64n * MIB).to.equal(true);
  });

  it('grows while it is mounted, without a byte lost', async () => {
    const volume = volumeOf('grow', 320n * MIB);
    const path = await publish(volume);
    writeFileSync(join(path, 'kept'), 'kept');
    const before = statfsSync(path).blocks;
    await driver.provision({ ...volume, capacityBytes: 640n * MIB }, soon());
    expect(statfsSync(path).blocks).to.be.greaterThan(before * 1.5);
    expect(execFileSync('cat', [join(path, 'kept')]).toString()).to.equal('kept');
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(640n * MIB);
  });

  it('is found again after somebody unmounted its pool, and only then deleted', async function () {
    if (pool.file === undefined) skipBecause(this, 'the pool is a directory here, not a file');
    const volume = volumeOf('unmounted', 16n * MIB);
    await driver.provision(volume, soon());
    const { target } = pool.file;
    execFileSync('umount', [join(target.root, target.path)]);
    await until(() => place.layer.table.at(join(target.root, target.path)) === undefined);
    expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(true);
    execFileSync('umount', [join(target.root, target.path)]);
    await until(() => place.layer.table.at(join(target.root, target.path)) === undefined);
    await driver.delete(volume, soon());
    expect(readdirSync(pool.directory)).to.deep.equal([]);
  });

  it('is neither missing nor deleted while something is mounted over its pool', async function () {
    if (pool.file === undefined) skipBecause(this, 'the pool is a directory here, not a file');
    const volume = volumeOf('covered', 16n * MIB);
    await driver.provision(volume, soon());
    const path = join(pool.file.target.root, pool.file.target.path);
    execFileSync('mount', ['-t', 'tmpfs', 'cover', path]);
    // As whoever restores a backup to the wrong place would leave it: it looks like a pool without images.
    mkdirSync(pool.directory);
    await until(() => place.layer.table.at(path)?.source === 'cover');
    try {
      for (const attempt of [driver.delete(volume, soon()), driver.observeVolume(volume, soon())]) {
        const error = await failure(attempt);
        expect(error).to.be.instanceOf(DriverError).with.property('message').that.includes(`${path} has cover mounted`);
      }
    } finally {
      execFileSync('umount', [path]);
    }
    await until(() => place.layer.table.at(path)?.source !== 'cover');
    expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(true);
  });

  it('larger than any file can be is refused for good', async () => {
    const error = await failure(driver.provision(volumeOf('absurd', 1n << 54n), soon()));
    expect(error).to.include({ reason: 'CapacityTooLarge', terminal: true });
  });

  it('is removed with the unfinished file that a kill left behind', async () => {
    const volume = volumeOf('killed', 16n * MIB);
    writeFileSync(join(pool.directory, `${volume.uid}.thin.ext4.img.new`), '');
    await driver.delete(volume, soon());
    expect(readdirSync(pool.directory)).to.deep.equal([]);
  });

  it('in memory is not deleted while a mount that outlived its object shows it', async () => {
    const volume = volumeOf('memory', 1n * MIB, { source: { type: 'emptyDir', medium: 'Memory' } });
    const path = await publish(volume);
    writeFileSync(join(path, 'file'), 'content');
    const error = await failure(driver.delete(volume, soon()));
    expect(error).to.include({ reason: 'VolumeInUse' });
    expect((error as Error).message).to.include(path);
    expect(execFileSync('cat', [join(path, 'file')]).toString()).to.equal('content');
  });

  it('grows while it is mounted nowhere, with its filesystem', async () => {
    for (const [name, size] of [
      ['grow-ext4', 32n * MIB],
      ['grow-xfs', 320n * MIB],
    ] as const) {
      const volume = volumeOf(name, size);
      await driver.provision(volume, soon());
      await driver.provision({ ...volume, capacityBytes: 2n * size }, soon());
      await driver.unstage(volume, soon());
      expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(2n * size);
      const path = await publish({ ...volume, capacityBytes: 2n * size });
      const { blocks, bsize } = statfsSync(path);
      expect(blocks * bsize, name).to.be.greaterThan(Number(size) * 1.5);
    }
  });

  it('grows although it is staged, when no workload has it', async () => {
    const volume = volumeOf('staged', 32n * MIB);
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    await driver.provision({ ...volume, capacityBytes: 64n * MIB }, soon());
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(64n * MIB);
  });

  it('does not have its new size before its filesystem has it', async () => {
    const volume = volumeOf('half', 32n * MIB);
    await driver.provision(volume, soon());
    const [image = ''] = readdirSync(pool.directory);
    const file = join(pool.directory, image);
    // As a kill after the file was extended leaves it.
    symlinkSync(String(32n * MIB), `${file}.growing`);
    truncateSync(file, Number(64n * MIB));
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(32n * MIB);
    await driver.provision({ ...volume, capacityBytes: 64n * MIB }, soon());
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(64n * MIB);
    const path = await publish({ ...volume, capacityBytes: 64n * MIB });
    const { blocks, bsize } = statfsSync(path);
    expect(blocks * bsize).to.be.greaterThan(Number(48n * MIB));
    expect(readdirSync(pool.directory)).to.deep.equal([image]);
  });

  it('never shrinks', async () => {
    const volume = volumeOf('shrink', 64n * MIB);
    await driver.provision(volume, soon());
    await driver.provision({ ...volume, capacityBytes: 16n * MIB }, soon());
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(64n * MIB);
  });

  it('that does not fit stays undone, with a reason, until there is room', async () => {
    const error = await failure(driver.provision(volumeOf('huge', 1n << 50n, { provisioning: 'Thick' }), soon()));
    expect(error).to.be.instanceOf(DriverError);
    expect(error).to.include({ reason: 'InsufficientCapacity', terminal: false });
  });

  it('is not made while the pool is full', async () => {
    isHeld = true;
    const error = await failure(driver.provision(volumeOf('held', 16n * MIB), soon()));
    expect(error).to.include({ reason: 'PoolLowSpace', terminal: false });
  });

  it('too small for a filesystem is refused for good', async () => {
    const error = await failure(driver.provision(volumeOf('tiny', 4096n), soon()));
    expect(error).to.include({ reason: 'CapacityTooSmall', terminal: true });
  });

  it('on a pool that does not exist is refused for good', async () => {
    const volume = volumeOf('elsewhere', 16n * MIB, { pool: 'other' });
    made.pop();
    expect(await failure(driver.provision(volume, soon()))).to.include({ reason: 'PoolNotFound', terminal: true });
  });

  it('says when the volumes together may need more than the pool can have', async () => {
    const volume = volumeOf('promise', 1n << 45n);
    await driver.provision(volume, soon());
    expect((await driver.observeVolume(volume, soon())).capacity).to.include({
      enforced: true,
      reason: 'Overcommitted',
    });
  });

  it('can be told to hold its writers only when it is Thin', async () => {
    await publish(volumeOf('thin', 16n * MIB));
    await publish(volumeOf('thick', 16n * MIB, { provisioning: 'Thick' }));
    expect(driver.thinMounts(pool).map(({ target }) => target.path)).to.deep.equal(['.volumes/uid-thin']);
  });
});
