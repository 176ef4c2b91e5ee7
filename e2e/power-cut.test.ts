import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { makeDirectory } from '../test/support/harness/run.ts';
import { Guest, GuestNetwork, makeDisk } from '../test/support/harness/uml.ts';

describe('a power cut', function () {
  this.timeout(120_000);
  let directory: string;
  let disk: string;
  let network: GuestNetwork;

  before(async () => {
    directory = makeDirectory('power');
    disk = join(directory, 'disk.img');
    await makeDisk(disk, 256);
    network = await GuestNetwork.create();
  });
  after(async () => {
    await network.end();
    rmSync(directory, { recursive: true, force: true });
  });

  const mount = 'mkdir /mnt/disk && mount -t ext4 /dev/ubda /mnt/disk';

  it('loses what the guest did not write to its disk, and nothing that it did', async () => {
    const written = `${mount}
echo kept >/mnt/disk/synced; sync
echo lost >/mnt/disk/unsynced
echo told; sleep 60`;
    const guest = await Guest.boot({ name: 'writer', script: written, disks: [disk], network });
    await guest.waitFor('told');
    await guest.cutPower();
    await guest.end();
    const read = `${mount}; cat /mnt/disk/synced; cat /mnt/disk/unsynced 2>&1 || true`;
    const again = await Guest.boot({ name: 'reader', script: read, disks: [disk], network });
    const said = await again.finish();
    await again.end();
    expect(said).to.include('kept').and.not.include('lost');
  });
});
