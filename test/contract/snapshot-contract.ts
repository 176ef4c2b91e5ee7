/**
 * What every driver with `snapshots` promises of them, and of `fill`, run against each implementation with real mounts. What
 * a driver lacks it declares in `SnapshotSubject`; nothing is skipped silently. That a kill leaves a whole snapshot or none
 * is for the drivers' own tests: each has places of its own to be killed at.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type {
  Driver,
  DriverMount,
  DriverSnapshot,
  DriverVolume,
  LongCall,
  Progress,
  SnapshotCalls,
} from '../../src/drivers/driver.ts';
import { makePlace, type Place, rejection, soon } from '../node/support.ts';
import type { SubjectContext } from './driver-contract.ts';
import { filesOf, makeHostileTree } from './hostile-tree.ts';

/** Things of a tree that a kind of storage cannot have. */
export type TreeFeature =
  | 'hardLinks'
  | 'holes'
  | 'xattrs'
  | 'owners'
  | 'modes'
  | 'symlinks'
  | 'fifos'
  | 'times'
  /** Times of symbolic links themselves. */
  | 'linkTimes'
  | 'emptyDirectories'
  /** Line breaks in names. */
  | 'newlines';

export interface SnapshotSubject {
  readonly driver: Driver;
  /** A volume of this type that does not exist yet. */
  volume(name: string): DriverVolume;
  /** What storage of this type cannot keep, in the volume itself. */
  readonly lacks?: readonly TreeFeature[];
  /** The size of a volume is enforced, so that a clone can be larger. */
  readonly hasSize: boolean;
  /** A snapshot of a volume that nobody writes to is of one moment, and said to be. */
  readonly consistentReason: string;
  /** The data of a snapshot is not on this node, so that its path leads nowhere here. */
  readonly isElsewhere?: true;
  dispose?(): Promise<void>;
}

export function describeSnapshots(
  name: string,
  make: (context: SubjectContext) => Promise<SnapshotSubject> | SnapshotSubject,
): void {
  describe(`snapshot contract: ${name}`, function () {
    this.timeout(120_000);
    let place: Place;
    let subject: SnapshotSubject;
    let driver: Driver;
    let snapshots: SnapshotCalls;
    let count = 0;
    const volumes: DriverVolume[] = [];
    const taken: DriverSnapshot[] = [];

    before(async () => {
      place = await makePlace();
      subject = await make({ layer: place.layer, data: place.data });
      driver = subject.driver;
      if (driver.snapshots === undefined) throw new Error('the driver has no snapshots');
      snapshots = driver.snapshots;
    });

    after(async () => {
      await subject?.dispose?.();
      const left = await place.dispose();
      expect(left, 'mounts that no call took down').to.deep.equal([]);
    });

    afterEach(async () => {
      for (const snapshot of taken.splice(0)) await snapshots.delete(snapshot, soon());
      for (const volume of volumes.splice(0)) await remove(volume);
      expect(await snapshots.leftovers(soon())).to.deep.equal([]);
    });

    const mountOf = (volume: DriverVolume): DriverMount => ({
      uid: `mount-${volume.uid}`,
      targetRoot: place.layer.mountRoot,
      targetPath: `ns/${volume.name}/data`,
      readOnly: false,
    });
    const pathOf = ({ targetRoot, targetPath }: DriverMount): string => join(targetRoot, targetPath);
    const named = (suffix = ''): DriverVolume => {
      count += 1;
      const volume = subject.volume(`s${count}${suffix}`);
      volumes.push(volume);
      return volume;
    };
    const publish = async (volume: DriverVolume): Promise<string> => {
      await driver.stage(volume, soon());
      await driver.publish(volume, mountOf(volume), soon());
      return pathOf(mountOf(volume));
    };
    /** A volume that is in use, and the path at which it is. */
    const inUse = async (): Promise<{ readonly volume: DriverVolume; readonly path: string }> => {
      const volume = named();
      await driver.provision(volume, soon());
      return { volume, path: await publish(volume) };
    };
    const remove = async (volume: DriverVolume): Promise<void> => {
      expect(await driver.unpublish(volume, mountOf(volume), soon())).to.deep.equal({ outcome: 'done' });
      expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
      await driver.delete(volume, soon());
    };
    const snapshotOf = (volume: DriverVolume, changes: Partial<DriverSnapshot> = {}): DriverSnapshot => {
      count += 1;
      const snapshot = {
        uid: `snap-${count}`,
        name: `snap-${count}`,
        volume,
        consistency: undefined,
        freezeTimeoutMs: 10_000,
        ...changes,
      };
      taken.push(snapshot);
      return snapshot;
    };
    const take = async (volume: DriverVolume, changes: Partial<DriverSnapshot> = {}): Promise<DriverSnapshot> => {
      const snapshot = snapshotOf(volume, changes);
      await snapshots.take(snapshot, long());
      return snapshot;
    };
    const restore = async (
      snapshot: DriverSnapshot,
      changes: Partial<DriverVolume> = {},
    ): Promise<{ readonly volume: DriverVolume; readonly path: string }> => {
      const volume = { ...named('r'), content: { from: 'snapshot', snapshot } as const, ...changes };
      await driver.fill?.(volume, long());
      return { volume, path: await publish(volume) };
    };
    const factsOf = async (snapshot: DriverSnapshot) => (await snapshots.observe(snapshot, soon())).facts;

    it('sees nothing of a snapshot that was not taken, and deletes it as if it had been', async () => {
      const { volume } = await inUse();
      const snapshot = snapshotOf(volume);
      expect(await factsOf(snapshot)).to.equal(undefined);
      await snapshots.delete(snapshot, soon());
      expect(await snapshots.leftovers(soon())).to.deep.equal([]);
    });

    it('is whole and described once it is taken, and taken twice as once', async () => {
      const before = Date.now();
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'content');
      const snapshot = await take(volume);
      const facts = await factsOf(snapshot);
      expect(facts?.consistent).to.deep.include({ consistent: true, reason: subject.consistentReason });
      expect(facts?.takenAt.getTime()).to.be.within(before, Date.now());
      if (subject.hasSize) expect(facts?.restoreBytes).to.equal(volume.capacityBytes);
      writeFileSync(join(path, 'file'), 'later');
      await snapshots.take(snapshot, long());
      expect(await factsOf(snapshot)).to.deep.equal(facts);
      expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
    });

    it('has what was there, whatever is written and deleted in the volume afterwards', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'overwritten'), 'before'.repeat(10_000));
      writeFileSync(join(path, 'deleted'), 'kept');
      const snapshot = await take(volume);
      writeFileSync(join(path, 'overwritten'), 'afterwards'.repeat(10_000));
      writeFileSync(join(path, 'new'), 'new');
      rmSync(join(path, 'deleted'));
      const restored = (await restore(snapshot)).path;
      expect(readFileSync(join(restored, 'overwritten'), 'utf8')).to.equal('before'.repeat(10_000));
      expect(readFileSync(join(restored, 'deleted'), 'utf8')).to.equal('kept');
      expect(existsSync(join(restored, 'new'))).to.equal(false);
    });

    it('keeps all that files can be: names, links, holes, attributes, owners, modes, times', async () => {
      const { volume, path } = await inUse();
      makeHostileTree(path, subject.lacks ?? []);
      const before = filesOf(path, subject.lacks ?? []);
      const snapshot = await take(volume);
      execFileSync('find', [path, '-mindepth', '1', '-delete']);
      const restored = (await restore(snapshot)).path;
      expect(filesOf(restored, subject.lacks ?? [])).to.deep.equal(before);
    });

    it('fills a volume that is independent of it, and of the other that it fills', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'original');
      const snapshot = await take(volume);
      const [first, second] = [(await restore(snapshot)).path, (await restore(snapshot)).path];
      writeFileSync(join(first, 'file'), 'first');
      expect(readFileSync(join(second, 'file'), 'utf8')).to.equal('original');
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('original');
      expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('original');
    });

    it('fills twice as once: what is there already is not overwritten', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'original');
      const snapshot = await take(volume);
      const { volume: copy, path: copied } = await restore(snapshot);
      writeFileSync(join(copied, 'file'), 'changed');
      await driver.fill?.(copy, long());
      expect(readFileSync(join(copied, 'file'), 'utf8')).to.equal('changed');
      expect((await driver.observeVolume(copy, soon())).provisioned).to.equal(true);
    });

    it('fills a volume from another one that is in use', async () => {
      const { volume, path } = await inUse();
      makeHostileTree(path, subject.lacks ?? []);
      const copy: DriverVolume = { ...named('c'), content: { from: 'volume', volume } };
      await driver.fill?.(copy, long());
      const copied = await publish(copy);
      expect(filesOf(copied, subject.lacks ?? [])).to.deep.equal(filesOf(path, subject.lacks ?? []));
      writeFileSync(join(copied, 'only here'), '');
      expect(existsSync(join(path, 'only here'))).to.equal(false);
    });

    it('fills a volume that is larger, and none that is smaller where a size is enforced', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'content');
      const snapshot = await take(volume);
      const capacityBytes = (volume.capacityBytes ?? 0n) * 2n;
      const larger = await restore(snapshot, { capacityBytes });
      const { enforcedBytes } = await driver.observeVolume(larger.volume, soon());
      expect(enforcedBytes).to.equal(subject.hasSize ? capacityBytes : undefined);
      expect(readFileSync(join(larger.path, 'file'), 'utf8')).to.equal('content');
      const content = { from: 'snapshot', snapshot } as const;
      const smaller: DriverVolume = { ...named('small'), content, capacityBytes: (volume.capacityBytes ?? 0n) / 2n };
      if (!subject.hasSize) return await driver.fill?.(smaller, long());
      expect(await rejection(driver.fill?.(smaller, long()) ?? Promise.resolve())).to.include({
        reason: 'CapacityTooSmall',
        terminal: true,
      });
      expect((await driver.observeVolume(smaller, soon())).provisioned).to.equal(false);
    });

    it('stays usable when its volume is gone', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'content');
      const snapshot = await take(volume);
      volumes.splice(volumes.indexOf(volume), 1);
      await remove(volume);
      expect(await factsOf(snapshot)).to.not.equal(undefined);
      expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
    });

    it('is gone once it is deleted, twice as once, and what was filled from it is not', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), 'content');
      const snapshot = await take(volume);
      const { path: copied } = await restore(snapshot);
      const [found] = await snapshots.leftovers(soon());
      await snapshots.delete(snapshot, soon());
      await snapshots.delete(snapshot, soon());
      expect(await factsOf(snapshot)).to.equal(undefined);
      expect(found === undefined || existsSync(found.path)).to.equal(false);
      expect(readFileSync(join(copied, 'file'), 'utf8')).to.equal('content');
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('content');
      const { volume: missing } = { volume: named('x') };
      const content = { from: 'snapshot', snapshot } as const;
      await rejection(driver.fill?.({ ...missing, content }, long()) ?? Promise.resolve());
      expect((await driver.observeVolume(missing, soon())).provisioned).to.equal(false);
    });

    it('is listed by the UID of its object, and never as a volume', async () => {
      const { volume } = await inUse();
      const volumesBefore = await driver.leftovers(soon());
      const snapshot = await take(volume);
      const listed = await snapshots.leftovers(soon());
      expect(listed.map(({ snapshotUID }) => snapshotUID)).to.deep.equal([snapshot.uid]);
      if (subject.isElsewhere === true) expect(listed[0]?.path).to.include(snapshot.uid);
      else
        expect(statSync(listed[0]?.path ?? '').isFile() || statSync(listed[0]?.path ?? '').isDirectory()).to.equal(
          true,
        );
      expect(await driver.leftovers(soon())).to.deep.equal(volumesBefore);
    });

    it('leaves nothing when it is given up before it begins', async () => {
      const { volume } = await inUse();
      const snapshot = snapshotOf(volume);
      await rejection(snapshots.take(snapshot, { signal: AbortSignal.abort(), onProgress: () => undefined }));
      expect(await factsOf(snapshot)).to.equal(undefined);
      expect(await snapshots.leftovers(soon())).to.deep.equal([]);
      await snapshots.take(snapshot, long());
      expect(await factsOf(snapshot)).to.not.equal(undefined);
    });

    it('never says that more is done than there is', async () => {
      const { volume, path } = await inUse();
      writeFileSync(join(path, 'file'), Buffer.alloc(2 ** 20, 1));
      const told: Progress[] = [];
      await snapshots.take(snapshotOf(volume), { signal: soon(), onProgress: (progress) => told.push(progress) });
      for (const { bytesDone, bytesTotal } of told) expect(bytesDone <= bytesTotal).to.equal(true);
    });
  });
}

/** As a job of the agent calls; ended by the patience of the test. */
function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}
