/**
 * What every driver promises, run against each implementation with real mounts. A driver that lacks something declares
 * it in `DriverSubject`; nothing is skipped silently.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type {
  Driver,
  DriverError,
  DriverMount,
  DriverVolume,
  OpenedContent,
  UnmountOutcome,
  WritingCalls,
} from '../../src/drivers/driver.ts';
import type { RunningNodeLayer } from '../../src/node/create-layer.ts';
import {
  copyOfMounts,
  end,
  killHelper,
  makePlace,
  mountsAt,
  type Place,
  rejection,
  soon,
  startUntil,
  until,
} from '../node/support.ts';
import { skipBecause } from '../support/skip.ts';

/** One implementation, set up below a directory of its own. */
export interface DriverSubject {
  readonly driver: Driver;
  /** A volume of this type that does not exist yet. */
  volume(name: string): DriverVolume;
  /** Takes the storage away under a mount and puts another in its place; absent where that cannot happen. */
  replaceStorage?(volume: DriverVolume): void;
  /** Undoes what the subject itself set up. */
  dispose?(): Promise<void>;
}

export interface SubjectContext {
  readonly layer: RunningNodeLayer;
  /** Outside state directory and mount root. */
  readonly data: string;
}

/** Declares the suite for one driver. `make` is called once, with a node layer that has a mount root. */
export function describeDriver(
  name: string,
  make: (context: SubjectContext) => Promise<DriverSubject> | DriverSubject,
): void {
  describe(`driver contract: ${name}`, function () {
    this.timeout(120_000);
    let place: Place;
    let subject: DriverSubject;
    let driver: Driver;
    let count = 0;
    const used: { volume: DriverVolume; mounts: DriverMount[] }[] = [];

    before(async () => {
      place = await makePlace();
      subject = await make({ layer: place.layer, data: place.data });
      driver = subject.driver;
    });

    after(async () => {
      await subject?.dispose?.();
      const left = await place.dispose();
      expect(left, 'mounts that no call took down').to.deep.equal([]);
    });

    afterEach(async () => {
      for (const { volume, mounts } of used.splice(0)) {
        for (const mount of mounts)
          expect(await retrying(() => driver.unpublish(volume, mount, soon()))).to.deep.equal({ outcome: 'done' });
        expect(await retrying(() => driver.unstage(volume, soon()))).to.deep.equal({ outcome: 'done' });
        await retrying(() => driver.delete(volume, soon()));
      }
    });

    const mountOf = (volume: DriverVolume, mountName: string, readOnly = false): DriverMount => {
      return {
        uid: `uid-${volume.name}-${mountName}`,
        targetRoot: place.layer.mountRoot,
        targetPath: `ns/${volume.name}-${mountName}/data`,
        readOnly,
      };
    };
    const pathOf = (mount: DriverMount): string => join(mount.targetRoot, mount.targetPath);
    /** A staged volume with mounts that are to be made; cleaned up after the test. */
    const setUp = async (
      mounts: readonly { readonly name: string; readonly readOnly?: boolean }[] = [{ name: 'a' }],
    ) => {
      count += 1;
      const volume = subject.volume(`v${count}`);
      const made = mounts.map((mount) => mountOf(volume, mount.name, mount.readOnly));
      used.push({ volume, mounts: made });
      await driver.provision(volume, soon());
      await driver.stage(volume, soon());
      const [mount] = made;
      if (mount === undefined) throw new Error('a test needs a mount');
      return { volume, mount, mounts: made, target: pathOf(mount) };
    };
    const stateOf = async (volume: DriverVolume, mount: DriverMount) =>
      (await retrying(() => driver.observeMount(volume, mount, soon()))).state;

    it('sees nothing of a volume that was not provisioned', async () => {
      count += 1;
      const volume = subject.volume(`v${count}`);
      const seen = await driver.observeVolume(volume, soon());
      expect(seen.provisioned).to.equal(false);
      expect(seen.problem).to.equal(undefined);
      expect(await stateOf(volume, mountOf(volume, 'a'))).to.equal('absent');
    });

    it('provisions and stages twice as once', async () => {
      const { volume } = await setUp();
      const first = await driver.observeVolume(volume, soon());
      await driver.provision(volume, soon());
      await driver.stage(volume, soon());
      const second = await driver.observeVolume(volume, soon());
      expect(first).to.deep.include({ provisioned: true, staged: true, problem: undefined });
      expect(second).to.deep.equal(first);
    });

    it('publishes twice as one mount, which it then sees as mounted', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      const before = await driver.observeMount(volume, mount, soon());
      await driver.publish(volume, mount, soon());
      const again = await driver.observeMount(volume, mount, soon());
      expect(before.state).to.equal('mounted');
      expect(before.source).to.be.a('string').that.is.not.empty;
      expect(again.entry?.id).to.equal(before.entry?.id);
      expect(mountsAt(target)).to.equal(1);
    });

    it('publishes with nosuid and nodev', async () => {
      const { volume, mount } = await setUp();
      await driver.publish(volume, mount, soon());
      const { entry } = await driver.observeMount(volume, mount, soon());
      expect(entry?.options).to.include.members(['nosuid', 'nodev', 'rw']);
    });

    it('shows the same data at two targets, and takes writes at the writable one only', async () => {
      const { volume, mounts } = await setUp([{ name: 'rw' }, { name: 'ro', readOnly: true }]);
      for (const mount of mounts) await driver.publish(volume, mount, soon());
      const [writable, readOnly] = mounts.map(pathOf) as [string, string];
      writeFileSync(join(writable, 'file'), 'content');
      expect(readFileSync(join(readOnly, 'file'), 'utf8')).to.equal('content');
      expect(() => writeFileSync(join(readOnly, 'file'), 'other')).to.throw('EROFS');
      expect(() => writeFileSync(join(readOnly, 'new'), 'other')).to.throw('EROFS');
    });

    it('corrects a mount that should be read-only', async () => {
      const { volume, mounts } = await setUp([{ name: 'a', readOnly: true }]);
      const mount = mounts[0]!;
      await driver.publish(volume, mount, soon());
      execFileSync('mount', ['-o', 'remount,bind,rw', pathOf(mount)]);
      // The mount table learns of other options by an event.
      await until(async () => (await stateOf(volume, mount)) === 'wrong-options');
      await driver.publish(volume, mount, soon());
      expect(await stateOf(volume, mount)).to.equal('mounted');
      expect(() => writeFileSync(join(pathOf(mount), 'x'), '')).to.throw('EROFS');
    });

    it('unpublishes twice as once, and leaves no directory', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
      expect(await stateOf(volume, mount)).to.equal('absent');
      expect(existsSync(dirname(target))).to.equal(false);
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
    });

    it('removes only empty directories', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      const kept = join(dirname(target), 'somebody-elses');
      writeFileSync(kept, 'kept');
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
      expect(readFileSync(kept, 'utf8')).to.equal('kept');
      execFileSync('rm', [kept]);
    });

    it('keeps early writers out of the directory below the mount', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      execFileSync('umount', [target]);
      expect(() => writeFileSync(join(target, 'lost'), 'lost')).to.throw(/EPERM|ENOSPC/);
    });

    it('mounts again what someone unmounted', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      writeFileSync(join(target, 'file'), 'content');
      execFileSync('umount', [target]);
      expect(await stateOf(volume, mount)).to.equal('absent');
      await driver.publish(volume, mount, soon());
      expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('content');
    });

    it('names who holds a busy mount, and finishes once it is let go', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      const holder = await startUntil(['sleep', '300'], () => true, target);
      try {
        const seen = () => driver.unpublish(volume, mount, soon());
        let outcome = await seen();
        // Where looking at all processes takes longer than it may, nobody is named for now.
        for (const until = Date.now() + SERVER_MS; isUnnamed(outcome) && Date.now() < until; ) outcome = await seen();
        expect(outcome).to.deep.equal({ outcome: 'busy', holders: [{ pid: holder.pid, comm: 'sleep' }] });
        expect(await stateOf(volume, mount)).to.equal('mounted');
      } finally {
        await end(holder);
      }
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
    });

    it('does not call a mount gone that another namespace still shows', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      const copy = await copyOfMounts();
      try {
        const expected: UnmountOutcome = {
          outcome: 'in-use-by-other-namespace',
          holders: [{ pid: copy.pid ?? 0, comm: 'sleep' }],
        };
        expect(await driver.unpublish(volume, mount, soon())).to.deep.equal(expected);
        expect(await stateOf(volume, mount)).to.equal('absent');
        // Said again by a call that finds nothing mounted any more.
        expect(await driver.unpublish(volume, mount, soon())).to.deep.equal(expected);
        expect(existsSync(`/proc/${copy.pid}/root${target}`)).to.equal(true);
      } finally {
        await end(copy);
      }
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
    });

    it('does not touch a foreign mount at the target', async () => {
      const { volume, mount, target } = await setUp();
      mkdirSync(target, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', 'somebody-elses', target]);
      try {
        expect(await stateOf(volume, mount)).to.equal('foreign');
        await rejection(driver.publish(volume, mount, soon()));
        await rejection(driver.unpublish(volume, mount, soon()));
        expect(mountsAt(target)).to.equal(1);
      } finally {
        execFileSync('umount', [target]);
      }
    });

    it('sees that someone mounted over its mount, and goes on when that is gone', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      execFileSync('mount', ['-t', 'tmpfs', 'somebody-elses', target]);
      try {
        expect(await stateOf(volume, mount)).to.equal('overmounted');
        await rejection(driver.unpublish(volume, mount, soon()));
        expect(mountsAt(target)).to.equal(2);
      } finally {
        execFileSync('umount', [target]);
      }
      expect(await stateOf(volume, mount)).to.equal('mounted');
    });

    it('replaces a mount whose storage was removed', async function () {
      if (subject.replaceStorage === undefined)
        skipBecause(this, 'the storage of this driver cannot be replaced under a mount');
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      subject.replaceStorage(volume);
      expect(await stateOf(volume, mount)).to.equal('stale');
      await driver.publish(volume, mount, soon());
      expect(await stateOf(volume, mount)).to.equal('mounted');
      expect(mountsAt(target)).to.equal(1);
    });

    it('deletes nothing through a mount', async () => {
      const { volume, mount, target } = await setUp();
      await driver.publish(volume, mount, soon());
      writeFileSync(join(target, 'file'), 'content');
      await driver.delete(volume, soon()).catch(() => undefined);
      expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('content');
    });

    it('deletes twice as once, and lists nothing of it afterwards', async () => {
      const { volume, mount } = await setUp();
      await driver.publish(volume, mount, soon());
      await driver.unpublish(volume, mount, soon());
      expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
      await driver.delete(volume, soon());
      await driver.delete(volume, soon());
      const left = await driver.leftovers(soon());
      expect(left.map(({ volumeUID }) => volumeUID)).to.not.include(volume.uid);
    });

    it('goes on after its helper was killed between any two calls', async () => {
      const { volume, mount, target } = await setUp();
      const kill = () => killHelper(place.layer);
      kill();
      await retrying(() => driver.publish(volume, mount, soon()));
      kill();
      expect((await retrying(() => driver.observeMount(volume, mount, soon()))).state).to.equal('mounted');
      expect(mountsAt(target)).to.equal(1);
      kill();
      expect(await retrying(() => driver.unpublish(volume, mount, soon()))).to.deep.equal({ outcome: 'done' });
    });

    const writingOf = (): WritingCalls => {
      if (driver.writing === undefined) throw new Error('a driver writes');
      return driver.writing;
    };
    const openedPath = ({ directory }: OpenedContent): string =>
      'own' in directory ? join(directory.own.root, directory.own.path) : directory.user.path;

    it('opens a volume that nobody has mounted for writing, and keeps what was written and flushed', async () => {
      const { volume, mount, target } = await setUp();
      await driver.unstage(volume, soon());
      const writing = writingOf();
      const opened = await writing.open(volume, soon());
      expect([opened.names, opened.hasSnapshots]).to.deep.equal([[], false]);
      writeFileSync(join(openedPath(opened), 'file'), 'content');
      await writing.flush(volume, soon());
      expect((await writing.open(volume, soon())).names).to.deep.equal(['file']);
      expect(await retrying(() => driver.unstage(volume, soon()))).to.deep.equal({ outcome: 'done' });
      await driver.stage(volume, soon());
      await driver.publish(volume, mount, soon());
      expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('content');
    });

    it('opens no volume for writing that is mounted, but for a directory of the host, which anybody may use', async () => {
      const { volume, mount } = await setUp();
      await driver.publish(volume, mount, soon());
      const opening = writingOf().open(volume, soon());
      if (driver.type === 'hostPath') {
        expect((await opening).names).to.deep.equal([]);
        return;
      }
      expect(((await rejection(opening)) as DriverError).reason).to.equal('VolumeInUse');
    });

    it('does nothing once its signal is aborted', async () => {
      const { volume, mount, target } = await setUp();
      const error = await rejection(driver.publish(volume, mount, AbortSignal.abort()));
      expect(error).to.be.instanceOf(Error);
      expect(existsSync(target)).to.equal(false);
      await rejection(driver.observeMount(volume, mount, AbortSignal.abort()));
    });

    it('says of each thing it cannot do why', async () => {
      const { supported, features } = await driver.capabilities(soon());
      expect(supported).to.equal(true);
      for (const feature of features.filter(({ available }) => !available)) {
        expect(feature.reason, feature.name).to.match(/^[A-Z][A-Za-z]+$/);
        expect(feature.message, feature.name).to.not.equal('');
      }
    });
  });
}

function isUnnamed(outcome: UnmountOutcome): boolean {
  return outcome.outcome === 'busy' && outcome.holders.length === 0;
}

/** Tries again what failed only because the helper was just killed, or because it or a server was too slow to answer for now. */
export async function retrying<T>(call: () => Promise<T>): Promise<T> {
  const until = Date.now() + SERVER_MS;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      const { reason } = error as { readonly reason?: string };
      const isPassing = reason === 'HelperUnavailable' || reason === 'ServerUnreachable';
      if (!isPassing || Date.now() > until) throw error;
      if (attempt > 0 || reason === 'ServerUnreachable') await setTimeout(500);
    }
  }
}

/** A guest with one processor on a busy machine may need as long, in milliseconds. */
const SERVER_MS = 60_000;
