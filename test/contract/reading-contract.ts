/**
 * What every driver with `reading` promises of it, run against each implementation with real mounts: that all of a volume is
 * there to be read, that it is said when it was not of one moment, and that nothing is left, also of a reader that was killed.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Driver, DriverMount, DriverVolume, OpenedForReading, ReadingCalls } from '../../src/drivers/driver.ts';
import { copyOfMounts, end, makePlace, mountsBelow, type Place, rejection, soon } from '../node/support.ts';
import type { SubjectContext } from './driver-contract.ts';
import { filesOf, makeHostileTree } from './hostile-tree.ts';
import type { SnapshotSubject } from './snapshot-contract.ts';

export interface ReadingSubject extends SnapshotSubject {
  readonly method: OpenedForReading['method'];
}

export function describeReading(
  name: string,
  make: (context: SubjectContext) => Promise<ReadingSubject> | ReadingSubject,
): void {
  describe(`reading contract: ${name}`, function () {
    this.timeout(120_000);
    let place: Place;
    let subject: ReadingSubject;
    let driver: Driver;
    let reading: ReadingCalls;
    let count = 0;
    let mountsBefore: readonly string[] = [];
    const volumes: DriverVolume[] = [];

    before(async () => {
      place = await makePlace();
      subject = await make({ layer: place.layer, data: place.data });
      driver = subject.driver;
      if (driver.reading === undefined) throw new Error('the driver cannot read');
      reading = driver.reading;
    });

    after(async () => {
      await subject?.dispose?.();
      const left = await place.dispose();
      expect(left, 'mounts that no call took down').to.deep.equal([]);
    });

    afterEach(async () => {
      for (const volume of volumes.splice(0)) {
        expect(await driver.unpublish(volume, mountOf(volume), soon())).to.deep.equal({ outcome: 'done' });
        expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
        await driver.delete(volume, soon());
      }
      expect(await driver.snapshots?.leftovers(soon())).to.deep.equal([]);
      expect(await driver.leftovers(soon())).to.deep.equal([]);
    });

    const mountOf = (volume: DriverVolume): DriverMount => ({
      uid: `mount-${volume.uid}`,
      targetRoot: place.layer.mountRoot,
      targetPath: `ns/${volume.name}/data`,
      readOnly: false,
    });
    const inUse = async (): Promise<{ readonly volume: DriverVolume; readonly path: string }> => {
      count += 1;
      const volume = subject.volume(`r${count}`);
      volumes.push(volume);
      await driver.provision(volume, soon());
      await driver.stage(volume, soon());
      await driver.publish(volume, mountOf(volume), soon());
      mountsBefore = mountsBelow(place.layer.mountRoot);
      const { targetRoot, targetPath } = mountOf(volume);
      return { volume, path: join(targetRoot, targetPath) };
    };
    const read = <T>(
      volume: DriverVolume,
      work: (opened: OpenedForReading) => Promise<T>,
      uid = 'reader',
    ): Promise<T> => reading.read(volume, { uid, elsewhere: [], most: 20 }, work, AbortSignal.timeout(50_000));
    const pathOf = ({ directory }: OpenedForReading): string =>
      'own' in directory ? join(directory.own.root, directory.own.path) : directory.user.path;
    const nothingIsLeft = (): void => {
      expect(mountsBelow(place.layer.mountRoot)).to.deep.equal(mountsBefore);
    };

    it('shows all that is in the volume, and leaves nothing', async () => {
      const { volume, path } = await inUse();
      makeHostileTree(path, subject.lacks ?? []);
      const seen = await read(volume, async (opened) => {
        expect([opened.method, opened.lacking]).to.deep.equal([subject.method, []]);
        const files = filesOf(pathOf(opened), subject.lacks ?? []);
        if (subject.method === 'InPlace') expect(opened.content?.files).to.be.greaterThan(0);
        expect((await opened.consistency(soon())).consistent).to.equal(true);
        return files;
      });
      expect(seen).to.deep.equal(filesOf(path, subject.lacks ?? []));
      nothingIsLeft();
    });

    it('shows a volume that is mounted nowhere', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'kept'), 'content');
      await driver.unpublish(volume, mountOf(volume), soon());
      // Memory that nobody has mounted is still memory that is mounted once.
      const content = await read(volume, (opened) =>
        Promise.resolve(readFileSync(join(pathOf(opened), 'kept'), 'utf8')),
      );
      expect(content).to.equal('content');
    });

    it('shows a volume that was never mounted as what it is: empty', async () => {
      count += 1;
      const volume = subject.volume(`r${count}`);
      volumes.push(volume);
      await driver.provision(volume, soon());
      expect(await read(volume, (opened) => Promise.resolve(opened.isEmpty))).to.equal(true);
    });

    it('says what was written while it was read, or has a moment of its own', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'kept'), 'before');
      writeFileSync(join(path, 'other'), 'before');
      const [content, consistency] = await read(volume, async (opened) => {
        writeFileSync(join(path, 'kept'), 'after, and longer');
        const said = readFileSync(join(pathOf(opened), 'kept'), 'utf8');
        return [said, await settled(() => opened.consistency(soon()))] as const;
      });
      if (subject.method === 'Snapshot') {
        expect([content, consistency.consistent]).to.deep.equal(['before', true]);
        return;
      }
      expect([consistency.consistent, consistency.reason]).to.deep.equal([false, 'ChangedDuringRead']);
      expect(consistency.changes.examples.join()).to.contain('kept');
      expect(consistency.changes.examples.join()).not.to.contain('other');
    });

    /** What was written may be on its way to a server. */
    const settled = async (ask: () => ReturnType<OpenedForReading['consistency']>) => {
      const until = performance.now() + 60_000;
      let answer = await ask();
      while (subject.method === 'Bucket' && answer.consistent && performance.now() < until) answer = await ask();
      return answer;
    };

    it('leaves nothing when the reader fails', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'kept'), 'content');
      const failure = await rejection(read(volume, () => Promise.reject(new Error('the reader failed'))));
      expect(failure.message).to.equal('the reader failed');
      nothingIsLeft();
    });

    it('removes what a killed reader has left, by its UID alone, and what was never there', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'kept'), 'content');
      await reading.close('never', soon());
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      let opened = (): void => undefined;
      const isOpen = new Promise<void>((resolve) => {
        opened = resolve;
      });
      const first = read(volume, () => {
        opened();
        return held;
      });
      await isOpen;
      await reading.close('reader', soon());
      nothingIsLeft();
      expect(await driver.snapshots?.leftovers(soon())).to.deep.equal([]);
      release();
      await first;
      // The next one of the same UID begins anew.
      await read(volume, (again) =>
        Promise.resolve(expect(readFileSync(join(pathOf(again), 'kept'), 'utf8')).to.equal('content')),
      );
      nothingIsLeft();
      rmSync(join(path, 'kept'));
    });

    it('leaves no directory of a killed reader either, whose mount another namespace showed for a while', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'kept'), 'content');
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      let opened = (): void => undefined;
      const isOpen = new Promise<void>((resolve) => {
        opened = resolve;
      });
      const first = read(volume, () => {
        opened();
        return held;
      });
      await isOpen;
      const copy = await copyOfMounts();
      // Drivers that mount nothing for it have nothing to wait for.
      await reading.close('reader', soon()).catch(() => undefined);
      await end(copy);
      await reading.close('reader', soon());
      nothingIsLeft();
      expect(existsSync(join(place.layer.mountRoot, '.volumes/reader'))).to.equal(false);
      release();
      await first;
      rmSync(join(path, 'kept'));
    });
  });
}
