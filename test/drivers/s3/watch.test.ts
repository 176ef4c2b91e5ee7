import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { type DriverVolume } from '../../../src/drivers/driver.ts';
import type { S3Driver } from '../../../src/drivers/s3/driver.ts';
import { makePlace, type Place, soon } from '../../node/support.ts';
import { isRunning } from '../../support/harness/daemon.ts';
import { S3Proxy } from '../../support/harness/s3-proxy.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { s3Driver, s3Volume } from './support.ts';

const WATCH_MS = 100;

describe('what an S3 driver watches', function () {
  this.timeout(120_000);
  let place: Place;
  let server: S3Server;
  let proxy: S3Proxy;
  let driver: S3Driver;
  let stop: () => void;
  let volumes: readonly DriverVolume[];
  let serial = 0;
  const told: string[] = [];

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    place = await makePlace();
    server = await S3Server.start();
    proxy = await S3Proxy.start(server);
    await server.createBucket('data');
  });

  beforeEach(async () => {
    driver = s3Driver(place.layer, { hungMs: 1_000, watchMs: WATCH_MS });
    stop = driver.onChange((uid) => told.push(uid));
    told.length = 0;
    volumes = Array.from({ length: 5 }, () => {
      serial += 1;
      return s3Volume(`w${serial}`, server.location('data', `w${serial}/`, { endpoint: proxy.endpoint }));
    });
    for (const volume of volumes) {
      await driver.provision(volume, soon());
      expect((await driver.observeVolume(volume, soon())).problem).to.equal(undefined);
    }
  });

  afterEach(async () => {
    stop();
    proxy.heal();
    if (!server.isUp) await server.up();
  });

  after(async () => {
    await place.dispose();
  });

  const uids = (): readonly string[] => volumes.map(({ uid }) => uid).toSorted();
  const toldOfAll = (what: string) =>
    waitFor(() => expect(told.toSorted()).to.deep.equal(uids()) && true, { message: `news that ${what}` });
  const problems = async (): Promise<readonly (string | undefined)[]> =>
    Promise.all(volumes.map(async (volume) => (await driver.observeVolume(volume, soon())).problem?.reason));

  it('tells of every volume of a server that goes and comes, and asks it for one volume at a time', async () => {
    await server.down();
    await toldOfAll('the server is away');
    // From here on without the watch: every request is a volume's own.
    stop();
    const before = proxy.seen.length;
    expect(new Set(await problems())).to.deep.equal(new Set(['ServerUnreachable']));
    const { problem } = await driver.observeVolume(volumes[3] as DriverVolume, soon());
    expect(problem?.message, 'where it failed').to.include(`data/${volumes[3]?.name}/`);
    // The watch may have had one on its way.
    expect(proxy.seen.length - before, 'requests of five volumes').to.be.at.most(1);
    told.length = 0;
    stop = driver.onChange((uid) => told.push(uid));
    await problems();
    await toldOfAll('the server is still away');
    told.length = 0;
    await server.up();
    await toldOfAll('the server is back');
    expect(new Set(await problems())).to.deep.equal(new Set([undefined]));
  });

  it('says nothing while nothing changes, and nothing of what was forgotten', async () => {
    const [gone, ...others] = volumes;
    await driver.delete(gone as DriverVolume, soon());
    const before = proxy.seen.length;
    await waitFor(() => proxy.seen.length > before + 3, { message: 'some rounds' });
    expect(told).to.deep.equal([]);
    await server.down();
    await waitFor(() => told.length >= others.length, { message: 'news of the others' });
    expect(told).to.not.include(gone?.uid);
  });

  it('ends a process that hangs without being asked, and tells of its end', async () => {
    const volume = volumes[0] as DriverVolume;
    await driver.stage(volume, soon());
    const record = readFileSync(join(place.layer.stateDir, 's3', volume.uid, 'process'), 'utf8');
    const pid = Number(record.split(' ')[0]);
    process.kill(pid, 'SIGSTOP');
    await waitFor(() => !isRunning(pid), { message: 'the process to be ended' });
    await waitFor(() => told.includes(volume.uid), { message: 'news of its end' });
    const dropping = { ...volume, mayLoseData: true };
    expect(await driver.unstage(dropping, soon())).to.deep.equal({ outcome: 'done' });
  });
});
