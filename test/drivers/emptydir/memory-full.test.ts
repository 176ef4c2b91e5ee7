/** Snapshots, copies and ways back of volumes in memory for which there is no room half way. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type {
  DriverContent,
  DriverMount,
  DriverSnapshot,
  DriverVolume,
  LongCall,
} from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { createMemoryMedium } from '../../../src/drivers/emptydir/memory-medium.ts';
import { snapshotDirectory, snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import { DEFAULT_POOL, Pools } from '../../../src/node/pools/pools.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';

const MIB = 1024 * 1024;
const CAPACITY = 16n * BigInt(MIB);
/** One file, so that nothing but its own writes can say that there is no room; it fits once and not twice. */
const CONTENT = randomBytes(10 * MIB);
const NO_ROOM = { reason: 'InsufficientCapacity', terminal: false };

describe('volumes in memory for which there is no room', function () {
  this.timeout(120_000);
  let place: Place;
  let driver: EmptyDirDriver;
  let count = 0;
  const made: DriverVolume[] = [];
  const taken: DriverSnapshot[] = [];

  before(async () => {
    place = await makePlace();
    const pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
    driver = new EmptyDirDriver({ node: place.layer, pools });
  });
  afterEach(async () => {
    for (const snapshot of taken.splice(0)) await driver.snapshots.delete(snapshot, soon());
    for (const volume of made.splice(0)) {
      expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
      await driver.delete(volume, soon());
    }
  });
  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  const volumeOf = (content?: DriverContent): DriverVolume => {
    count += 1;
    const volume: DriverVolume = {
      uid: `uid-${count}`,
      namespace: 'ns',
      name: `v${count}`,
      source: { type: 'emptyDir', medium: 'Memory' },
      capacityBytes: CAPACITY,
      capacityPolicy: undefined,
      provisioning: 'Thin',
      pool: DEFAULT_POOL,
      wasProvisioned: false,
      mayLoseData: false,
      mountOptions: ['nosuid', 'nodev'],
      ...(content === undefined ? {} : { content }),
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
  /** Its tmpfs, with its data and what else lies there. */
  const stageOf = ({ uid }: DriverVolume): string => join(place.layer.mountRoot, '.volumes', uid);
  const dataOf = (volume: DriverVolume): string => join(stageOf(volume), 'data');
  const filled = async (): Promise<DriverVolume> => {
    const volume = volumeOf();
    await driver.provision(volume, soon());
    mkdirSync(join(dataOf(volume), 'deep'));
    writeFileSync(join(dataOf(volume), 'deep/file'), CONTENT);
    return volume;
  };
  const snapshotOf = (volume: DriverVolume): DriverSnapshot => {
    count += 1;
    const name = `snap-${count}`;
    const snapshot = { uid: name, name, volume, consistency: undefined, freezeTimeoutMs: 10_000 };
    taken.push(snapshot);
    return snapshot;
  };
  const expectWhole = (volume: DriverVolume): void => {
    expect(readdirSync(stageOf(volume))).to.deep.equal(['data']);
    expect(readFileSync(join(dataOf(volume), 'deep/file')).equals(CONTENT), 'its content').to.equal(true);
  };
  const remount = (target: string, option: string): void => {
    execFileSync('mount', ['-o', `remount,${option}`, target]);
  };

  it('have no part of a snapshot, and a whole one once there is room', async () => {
    const volume = await filled();
    const snapshot = snapshotOf(volume);
    const directory = snapshotDirectory(place.layer.stateDir);
    mkdirSync(directory, { recursive: true });
    // No multiple of what tar writes at once: the last write is cut short.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'small', directory]);
    try {
      const error = await rejection(driver.snapshots.take(snapshot, long()));
      expect(error, error.message).to.include(NO_ROOM);
      expect((await driver.snapshots.observe(snapshot, soon())).facts).to.equal(undefined);
      expect(readdirSync(directory)).to.deep.equal([]);
      expectWhole(volume);
      remount(directory, 'size=32m');
      await driver.snapshots.take(snapshot, long());
      expect((await driver.snapshots.observe(snapshot, soon())).facts?.consistent).to.include({ reason: 'Unchanged' });
      const copy = volumeOf({ from: 'snapshot', snapshot });
      await driver.fill(copy, long());
      expectWhole(copy);
      await driver.snapshots.delete(snapshot, soon());
      expect([...snapshotRecords(place.layer.stateDir).all().keys()]).to.deep.equal([]);
    } finally {
      execFileSync('umount', [directory]);
    }
  });

  for (const from of ['snapshot', 'volume'] as const) {
    it(`are none before everything from a ${from} is in them, and are filled once there is room`, async () => {
      const volume = await filled();
      const snapshot = snapshotOf(volume);
      await driver.snapshots.take(snapshot, long());
      const copy = volumeOf(from === 'snapshot' ? { from, snapshot } : { from, volume });
      await createMemoryMedium(place.layer).mountEmpty(copy, soon());
      const ballast = join(stageOf(copy), 'ballast');
      writeFileSync(ballast, Buffer.alloc(10 * MIB));
      const error = await rejection(driver.fill(copy, long()));
      expect(error, error.message).to.include(NO_ROOM);
      expect((await driver.observeVolume(copy, soon())).provisioned).to.equal(false);
      expectWhole(volume);
      rmSync(ballast);
      await driver.fill(copy, long());
      expect((await driver.observeVolume(copy, soon())).provisioned).to.equal(true);
      expectWhole(copy);
    });
  }

  it('keep what they have when they cannot go back, and go back once there is room', async () => {
    const volume = await filled();
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    const [newer, restore] = [join(dataOf(volume), 'newer'), { uid: `restore-${count}`, name: 'back' }];
    writeFileSync(newer, 'newer');
    // A way back makes itself room for bytes, not for names: those of the root, of the data and of three things in it.
    remount(stageOf(volume), 'nr_inodes=6');
    const error = await rejection(driver.revert(volume, snapshot, restore, long()));
    expect(error, error.message).to.include(NO_ROOM);
    expect(readFileSync(newer, 'utf8')).to.equal('newer');
    expect(readFileSync(join(dataOf(volume), 'deep/file')).equals(CONTENT), 'its content').to.equal(true);
    remount(stageOf(volume), 'nr_inodes=100');
    await driver.revert(volume, snapshot, restore, long());
    expect(readdirSync(dataOf(volume))).to.deep.equal(['deep']);
    expectWhole(volume);
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(CAPACITY);
  });
});
