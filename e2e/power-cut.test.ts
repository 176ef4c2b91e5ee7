import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { AcknowledgedWrites } from '../test/support/harness/acknowledged-writes.ts';
import { GuestServer } from '../test/support/harness/guest-server.ts';
import { full, makeDirectory, seededRandom } from '../test/support/harness/run.ts';
import { Guest, makeDisk } from '../test/support/harness/uml.ts';
import { waitFor } from '../test/support/harness/wait.ts';

/** How long the writers work before the power goes, in milliseconds. */
const WORK_MS = { low: 200, high: 1500 } as const;

/** Writes under load until the power goes at a random moment. */
async function workUntilPowerCut(server: GuestServer, writes: AcknowledgedWrites, milliseconds: number): Promise<void> {
  const off = new AbortController();
  const before = writes.count;
  const running = writes.run(server.client, off.signal);
  running.catch(() => undefined);
  await waitFor(() => writes.count > before + 20, { message: 'the writers to be at work' });
  await Promise.race([delay(milliseconds), running]);
  // Nothing is answered after the cut, so the order does not matter to the record.
  const cut = server.cutPower();
  off.abort();
  await running;
  await cut;
}

describe('a guest whose power is cut', function () {
  this.timeout(300_000);
  let directory: string;
  before(() => {
    directory = makeDirectory('power');
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('loses what it did not flush to its disk, and nothing that it did', async () => {
    const disk = join(directory, 'disk.img');
    await makeDisk(disk, 64);
    const mount = 'mkdir /mnt/disk && mount -t ext4 /dev/ubda /mnt/disk';
    const write = `${mount}
echo flushed >/mnt/disk/one; sync
echo cached >/mnt/disk/two
echo told; sleep 60`;
    const guest = await Guest.boot({ name: 'writer', script: write, disks: [disk] });
    await guest.waitFor('told');
    await guest.cutPower();
    await guest.end();
    const again = await Guest.boot({
      name: 'reader',
      script: `${mount}; cat /mnt/disk/one; cat /mnt/disk/two 2>/dev/null || true`,
      disks: [disk],
    });
    const said = await again.finish();
    await again.end();
    expect(said).to.include('flushed').and.not.include('cached');
  });
});

for (const { filesystem, cuts } of full
  ? ([
      { filesystem: 'ext4', cuts: 20 },
      { filesystem: 'xfs', cuts: 8 },
    ] as const)
  : ([{ filesystem: 'ext4', cuts: 3 }] as const)) {
  describe(`an API server on ${filesystem} whose power is cut`, function () {
    this.timeout(300_000);
    const random = seededRandom(`power-cut-${filesystem}`);
    const writes = new AcknowledgedWrites(random);
    let server: GuestServer;

    before(async () => {
      server = await GuestServer.make(filesystem, 'durable');
      await server.start();
    });
    after(() => server.end());

    for (let cut = 1; cut <= cuts; cut++) {
      it(`has everything that it acknowledged, and no version goes back (cut ${cut})`, async () => {
        await workUntilPowerCut(server, writes, random.between(WORK_MS.low, WORK_MS.high));
        // Sometimes it goes again while what happened before is being repaired.
        if (cut % 3 === 2) {
          await server.switchOn();
          await delay(random.between(WORK_MS.low, WORK_MS.high));
          await server.cutPower();
        }
        await server.start();
        expect(await writes.compare(server.client)).to.deep.equal([]);
      });
    }

    it('lets watches go on where they were, without a gap', async () => {
      const stop = new AbortController();
      const running = writes.run(server.client, stop.signal);
      await Promise.race([running, delay(500)]);
      stop.abort();
      await running;
      const watch = new AbortController();
      const watching = writes.watch(server.client, watch.signal);
      await waitFor(() => writes.unseen.length === 0, {
        message: 'the watch to catch up',
        instead: () => writes.unseen,
      });
      watch.abort();
      await watching;
      expect(await writes.compare(server.client)).to.deep.equal([]);
      expect(writes.relists, 'relists').to.equal(0);
    });
  });
}

describe('an API server that does not wait for its disk', function () {
  this.timeout(300_000);

  it('loses acknowledged writes: the test above can fail', async () => {
    const random = seededRandom('power-cut-volatile');
    const writes = new AcknowledgedWrites(random);
    const server = await GuestServer.make('ext4', 'volatile');
    try {
      await server.start();
      await workUntilPowerCut(server, writes, WORK_MS.high);
      const lost = await server.start().then(
        () => writes.compare(server.client),
        (error: unknown) => [String(error)],
      );
      const said = lost.join('\n');
      expect(
        /was acknowledged, there is|database disk image is malformed|cannot open the database|went back/.test(said),
        said,
      ).to.equal(true);
    } finally {
      await server.end();
    }
  });
});
