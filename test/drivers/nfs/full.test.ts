/** Snapshots, copies and ways back of nfs volumes for which the server has no room half way. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import type { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { mountDisk } from '../../node/trees/disk.ts';
import { guestDriver, guestVolume } from './guest-support.ts';
import { withLocalExport } from './local-export.ts';

const EXPORT = { server: 'files', port: '2049', path: '/export' };
const FILES = 300;
const NO_ROOM = { reason: 'InsufficientCapacity', terminal: false };

describe('nfs volumes for which there is no room', function () {
  this.timeout(120_000);
  let place: Place;
  let server: string;
  let takeDown: () => void;
  let driver: NfsDriver;
  let volume: DriverVolume;
  let snapshot: DriverSnapshot;

  before(async () => {
    place = await makePlace();
    server = join(place.dir, 'server');
    takeDown = mountDisk(server, 'ext4', 40, ['-N', '1024']);
    const layer = withLocalExport(place.layer, { root: place.dir, path: 'server' }, 'files:/export');
    driver = guestDriver(layer);
    volume = guestVolume('data', EXPORT);
    snapshot = { uid: 'snap', name: 'snap', volume, consistency: undefined, freezeTimeoutMs: 10_000 };
    await driver.provision(volume, soon());
    // Mounts of an export are filesystems apart, as far as the driver goes; these binds are one.
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    for (let i = 0; i < FILES; i += 1) writeFileSync(join(server, `data/file${i}`), `content ${i}`);
  });
  afterEach(() => rmSync(join(server, 'ballast'), { recursive: true, force: true }));
  after(async () => {
    await driver.snapshots.delete(snapshot, soon());
    await driver.delete(volume, soon());
    expect(readdirSync(server)).to.deep.equal(['lost+found']);
    takeDown();
    expect(await place.dispose()).to.deep.equal([]);
  });

  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  const filling = (clone: DriverVolume): Promise<void> => driver['fill'](clone, long());
  /** Leaves names for some of the files of the volume. */
  const fillUp = (): void => {
    mkdirSync(join(server, 'ballast'));
    const taken = statfsSync(server).ffree - FILES / 3;
    for (let i = 0; i < taken; i += 1) writeFileSync(join(server, `ballast/${i}`), '');
  };
  const makeRoom = (): void => rmSync(join(server, 'ballast'), { recursive: true });
  const expectWhole = (name: string): void => {
    const files = readdirSync(join(server, name)).filter((file) => file.startsWith('file'));
    expect(files).to.have.length(FILES);
    for (const file of files) {
      expect(readFileSync(join(server, name, file), 'utf8')).to.equal(`content ${file.slice('file'.length)}`);
    }
  };

  it('have no part of a snapshot, and a whole one once there is room', async () => {
    fillUp();
    const error = await rejection(driver.snapshots.take(snapshot, long()));
    expect(error, error.message).to.include(NO_ROOM);
    expect((await driver.snapshots.observe(snapshot, soon())).facts).to.equal(undefined);
    expect(readdirSync(join(server, '.clawstore-snapshots'))).to.deep.equal([]);
    expectWhole('data');
    makeRoom();
    await driver.snapshots.take(snapshot, long());
    expect((await driver.snapshots.observe(snapshot, soon())).facts?.consistent).to.include({ reason: 'Unchanged' });
    expectWhole('.clawstore-snapshots/snap');
  });

  it('are none before everything is in them, and are filled once there is room', async () => {
    await driver.snapshots.take(snapshot, long());
    const clone: DriverVolume = { ...guestVolume('clone', EXPORT), content: { from: 'snapshot', snapshot } };
    fillUp();
    const error = await rejection(filling(clone));
    expect(error, error.message).to.include(NO_ROOM);
    expect((await driver.observeVolume(clone, soon())).provisioned).to.equal(false);
    expect(readdirSync(server).sort()).to.deep.equal(['.clawstore-snapshots', 'ballast', 'data', 'lost+found']);
    expectWhole('data');
    makeRoom();
    await filling(clone);
    expect((await driver.observeVolume(clone, soon())).provisioned).to.equal(true);
    expectWhole('clone');
    await driver.delete(clone, soon());
  });

  it('keep what they have when they cannot go back, and go back once there is room', async () => {
    await driver.snapshots.take(snapshot, long());
    const newer = join(server, 'data/newer');
    writeFileSync(newer, 'newer');
    fillUp();
    const revert = () => driver.revert(volume, snapshot, { uid: 'restore', name: 'back' }, long());
    const error = await rejection(revert());
    expect(error, error.message).to.include(NO_ROOM);
    expect((await driver.observeVolume(volume, soon())).problem).to.equal(undefined);
    expect(readFileSync(newer, 'utf8')).to.equal('newer');
    expectWhole('data');
    makeRoom();
    await revert();
    expect(readdirSync(join(server, 'data'))).to.have.length(FILES);
    expectWhole('data');
  });
});
