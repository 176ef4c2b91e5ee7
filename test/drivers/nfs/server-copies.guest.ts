/**
 * Snapshots of nfs volumes, clones of them and the way back, on a server that copies by itself: that of the guest's kernel
 * (test/support/harness/kernel-nfs.ts). Run as `contract.guest.ts`.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import type { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { filesOf, setAttribute } from '../../contract/hostile-tree.ts';
import { mountVolume, unmountVolume } from '../../contract/mounting.ts';
import { makePlace, type Place, soon } from '../../node/support.ts';
import { KERNEL_NFS, type KernelNfsCounts, kernelNfsCounts } from '../../support/harness/kernel-nfs.ts';
import { guestDriver, guestVolume } from './guest-support.ts';

/** Of the one file that cp asks the server to copy: it reads and writes those with holes. */
const DENSE_BYTES = 300_000;
const HOLE_BYTES = 4 * 1024 * 1024;

describe('nfs volumes on a server that copies by itself', function () {
  // Of Linux 7.2 it says of no copy when it is done; the client asks after three seconds.
  this.timeout(120_000);
  let place: Place;
  let driver: NfsDriver;

  before(async () => {
    place = await makePlace();
    driver = guestDriver(place.layer);
  });

  after(async () => {
    expect(await place?.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  const volumeAt = (path: string, name: string): DriverVolume =>
    guestVolume(name, { server: KERNEL_NFS.address, port: KERNEL_NFS.port, path });
  const mount = (volume: DriverVolume): Promise<string> => mountVolume(driver, place, volume);
  const unmount = (volume: DriverVolume): Promise<void> => unmountVolume(driver, place, volume);
  /** What the server has done meanwhile. */
  const during = async (work: () => Promise<unknown>): Promise<KernelNfsCounts> => {
    const was = kernelNfsCounts();
    await work();
    const is = kernelNfsCounts();
    return { copies: is.copies - was.copies, clones: is.clones - was.clones, written: is.written - was.written };
  };

  for (const [path, method] of [
    [KERNEL_NFS.copies, 'ServerSideCopy'],
    [KERNEL_NFS.clones, 'ReflinkTree'],
  ] as const) {
    it(`are kept, cloned and brought back without passing through the node: ${method}`, async () => {
      const expectCopied = ({ copies, clones, written }: KernelNfsCounts, what: string): void => {
        expect(copies + clones, `${what}: copies by the server`).to.be.above(0);
        expect(written, `${what}: bytes through the node`).to.be.below(DENSE_BYTES);
      };
      const volume = volumeAt(path, `origin-${method.toLowerCase()}`);
      await driver.provision(volume, soon());
      const tree = await mount(volume);
      fill(tree);
      const files = filesOf(tree, []);

      const id = `snap-${method.toLowerCase()}`;
      const snapshot = { uid: id, name: id, volume, consistency: undefined, freezeTimeoutMs: 10_000 };
      expectCopied(await during(() => driver.snapshots.take(snapshot, long())), 'snapshot');
      expect((await driver.snapshots.observe(snapshot, soon())).facts).to.deep.include({ method });

      const clone = madeFrom(snapshot, volumeAt(path, `clone-${method.toLowerCase()}`));
      expectCopied(await during(() => driver.fill(clone, long())), 'clone');
      expect(filesOf(await mount(clone), [])).to.deep.equal(files);

      writeFileSync(join(tree, 'dense'), 'newer');
      rmSync(join(tree, 'sparse'));
      await unmount(volume);
      const back = { uid: `back-${id}`, name: `back-${id}` };
      expectCopied(await during(() => driver.revert(volume, snapshot, back, long())), 'way back');
      expect(filesOf(await mount(volume), [])).to.deep.equal(files);

      await driver.snapshots.delete(snapshot, soon());
      for (const each of [volume, clone]) {
        await unmount(each);
        await driver.delete(each, soon());
      }
    });
  }
});

function madeFrom(snapshot: DriverSnapshot, volume: DriverVolume): DriverVolume {
  return { ...volume, content: { from: 'snapshot', snapshot } };
}

/** One file without holes, and what else a copy could lose. */
function fill(root: string): void {
  const at = (...names: readonly string[]): string => join(root, ...names);
  mkdirSync(at('deep'), { mode: 0o750 });
  writeFileSync(at('dense'), randomBytes(DENSE_BYTES), { mode: 0o640 });
  setAttribute(at('dense'), 'user.clawstore', Buffer.from('kept\0too'));
  linkSync(at('dense'), at('deep', 'link'));
  writeFileSync(at('sparse'), 'start');
  truncateSync(at('sparse'), HOLE_BYTES);
  writeFileSync(at('sparse'), 'end', { flag: 'a' });
  symlinkSync('nowhere', at('dangling'));
}
