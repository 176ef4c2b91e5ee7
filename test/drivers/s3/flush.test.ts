/** Backups and snapshots of buckets of which files were written here that do not reach the server. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverMount, DriverVolume, OpenedForReading } from '../../../src/drivers/driver.ts';
import type { S3Driver } from '../../../src/drivers/s3/driver.ts';
import type { NodeLayer } from '../../../src/node/layer.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { hasEnded, s3Driver, s3Volume } from './support.ts';

/** Long enough to be asked more than once what was sent. */
const FLUSH_MS = 2_000;

describe('what was written to a bucket and has not reached the server', function () {
  this.timeout(120_000);
  let place: Place;
  let server: S3Server;
  let driver: S3Driver;
  let serial = 0;
  const used: { volume: DriverVolume; mount: DriverMount }[] = [];

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    place = await makePlace();
    server = await S3Server.start();
    await server.createBucket('data');
    driver = s3Driver(place.layer, { flushMs: FLUSH_MS });
  });
  afterEach(async () => {
    if (!server.isUp) await server.up();
    for (const { volume, mount } of used.splice(0)) {
      const dropping = { ...volume, mayLoseData: true };
      expect(await driver.unpublish(dropping, mount, soon())).to.deep.equal({ outcome: 'done' });
      expect(await driver.unstage(dropping, soon())).to.deep.equal({ outcome: 'done' });
    }
  });
  after(async () => {
    await server?.end();
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  /** A mounted volume with a file that the server does not have, because it is away. */
  const unsent = async () => {
    serial += 1;
    const volume = s3Volume(`f${serial}`, server.location('data', `f${serial}/`));
    const { mountRoot } = place.layer;
    const mount = { uid: `uid-${serial}`, targetRoot: mountRoot, targetPath: `ns/f${serial}/data`, readOnly: false };
    used.push({ volume, mount });
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    const target = join(mountRoot, mount.targetPath);
    // Opened in time: a new name would have to be looked for at the server.
    const file = openSync(join(target, 'file'), 'w');
    await server.down();
    writeSync(file, 'content');
    closeSync(file);
    return { volume, target };
  };
  const read = (volume: DriverVolume, by = driver, work = contentOf): Promise<string> =>
    by.reading.read(volume, { uid: 'reading', elsewhere: [], most: 20 }, work, soon());
  const contentOf = ({ directory }: OpenedForReading): Promise<string> => {
    if (!('own' in directory)) throw new Error('a bucket is read through a mount of ours');
    return Promise.resolve(readFileSync(join(directory.own.root, directory.own.path, 'file'), 'utf8'));
  };
  const never = (): Promise<string> => Promise.reject(new Error('it was read without what was written'));
  const pidOf = ({ uid }: DriverVolume): number =>
    Number(readFileSync(join(place.layer.stateDir, 's3', uid, 'process'), 'utf8').split(' ')[0]);

  it('is waited for by a backup, which says what is lacking and begins once the server has it', async () => {
    const { volume, target } = await unsent();
    const error = await rejection(read(volume, driver, never));
    expect(error, error.message).to.include({ reason: 'UploadPending', terminal: false });
    expect(error.message).to.include(`1 files (7 bytes) written at ${target} have not reached the server`);
    await server.up();
    expect(await read(volume, s3Driver(place.layer))).to.equal('content');
  });

  it('is not taken for sent when the process that was to send it dies, also with the server back', async () => {
    const { volume } = await unsent();
    let asked = 0;
    const dying: NodeLayer = {
      ...place.layer,
      call: async (operation, params, options) => {
        const isOfVolume = operation === 'findDaemon' && String(Object(params)['directory']).endsWith(volume.uid);
        // Asked once what it has not sent, it has told.
        if (isOfVolume && (asked += 1) === 2) {
          const pid = pidOf(volume);
          process.kill(pid, 'SIGKILL');
          await waitFor(() => hasEnded(pid), { message: 'the process to end' });
          await server.up();
        }
        return place.layer.call(operation, params, options);
      },
    };
    const error = await rejection(read(volume, s3Driver(dying, { flushMs: FLUSH_MS }), never));
    expect(asked, 'how often the process was looked for').to.be.greaterThan(1);
    expect(error, error.message).to.include({ reason: 'UploadPending', terminal: false });
    expect(error.message).to.include('have not reached the server');
    await driver.stage(volume, soon());
    expect(await read(volume, s3Driver(place.layer))).to.equal('content');
  });
});
