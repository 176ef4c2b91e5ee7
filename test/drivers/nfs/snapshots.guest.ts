/** The contract suite of snapshots against nfs, as `contract.guest.ts`. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { DriverMount, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import type { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import type { SubjectContext } from '../../contract/driver-contract.ts';
import { describeReading, type ReadingSubject } from '../../contract/reading-contract.ts';
import { describeReverts } from '../../contract/revert-contract.ts';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { guestDriver, guestVolume } from './guest-support.ts';

const subject = ({ layer }: SubjectContext): ReadingSubject => ({
  driver: guestDriver(layer),
  volume: guestVolume,
  hasSize: false,
  consistentReason: 'Unchanged',
  // NFS 4.2 carries attributes of users between client and server that both know them; those of root never.
  // The server of these tests does not keep the times of symbolic links.
  lacks: ['xattrs', 'linkTimes'],
  isElsewhere: true,
  method: 'InPlace',
});

describeSnapshots('nfs', subject);
describeReading('nfs', subject);
describeReverts('nfs', subject);

describe('nfs volumes that a lost node has left half reverted', function () {
  this.timeout(120_000);
  const volume: DriverVolume = { ...guestVolume('lost'), wasProvisioned: true };
  const mount: DriverMount = { uid: 'm', targetRoot: '', targetPath: 'ns/lost/data', readOnly: false };
  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  let place: Place;
  let first: NfsDriver;
  let next: NfsDriver;

  before(async () => {
    place = await makePlace();
    first = guestDriver(place.layer);
    next = guestDriver(place.layer, join(place.dir, 'next'));
  });

  after(async () => {
    expect(await place?.dispose()).to.deep.equal([]);
  });

  const target = (): DriverMount => ({ ...mount, targetRoot: place.layer.mountRoot });
  const unmount = async (driver: NfsDriver): Promise<void> => {
    expect(await driver.unpublish(volume, target(), soon())).to.deep.equal({ outcome: 'done' });
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
  };
  const problem = async () => (await next.observeVolume(volume, soon())).problem?.reason;

  it('are mounted, read and said to be whole by no other, until one has ended it', async () => {
    await first.provision({ ...volume, wasProvisioned: false }, soon());
    await first.publish(volume, target(), soon());
    const path = join(place.layer.mountRoot, mount.targetPath);
    // As a node leaves it that was lost when all of the old was aside, and one name of the new was up.
    const hidden = join(path, '.clawstore-snapshots');
    for (const name of ['revert-r-1.up', 'revert-r-1.aside']) mkdirSync(join(hidden, name), { recursive: true });
    writeFileSync(join(hidden, 'revert-r-1.aside', 'file'), 'newer');
    writeFileSync(join(hidden, 'revert-r-1.up', 'other'), 'old');
    writeFileSync(join(path, 'file'), 'old');
    await unmount(first);

    await next.provision(volume, soon());
    expect(await problem()).to.equal('RevertIncomplete');
    for (const driver of [first, next]) {
      await driver.stage(volume, soon());
      expect(await rejection(driver.publish(volume, target(), soon()))).to.include({ reason: 'RevertIncomplete' });
    }
    const reading = { uid: 'reading', elsewhere: [], most: 1 };
    const read = first.reading.read(volume, reading, () => Promise.resolve(), soon());
    expect(await rejection(read), 'by whoever has no note of it').to.include({ reason: 'RevertIncomplete' });

    const snapshot = { uid: 'snap-lost', name: 'now', volume, consistency: undefined, freezeTimeoutMs: 10_000 };
    await next.snapshots.take(snapshot, long());
    await next.revert(volume, snapshot, { uid: 'restore-lost', name: 'back' }, long());
    expect(await problem()).to.equal(undefined);
    await next.publish(volume, target(), soon());
    expect(readdirSync(path)).to.deep.equal(['file']);
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('old');
    await unmount(next);
    await next.snapshots.delete(snapshot, soon());
    await next.release(volume, soon());
    await first.delete(volume, soon());
    rmSync(join(place.dir, 'next'), { recursive: true, force: true });
  });
});
