/**
 * What every driver with `revert` promises, run against each implementation with real mounts. That a kill leaves what the
 * next call goes on with is for the drivers' own tests: each has places of its own to be killed at.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type {
  Driver,
  DriverRestore,
  DriverSnapshot,
  DriverVolume,
  LongCall,
  SnapshotCalls,
} from '../../src/drivers/driver.ts';
import { makePlace, type Place, rejection, soon } from '../node/support.ts';
import type { SubjectContext } from './driver-contract.ts';
import { filesOf, makeHostileTree } from './hostile-tree.ts';
import { mountVolume, unmountVolume } from './mounting.ts';
import type { SnapshotSubject } from './snapshot-contract.ts';

export function describeReverts(
  name: string,
  make: (context: SubjectContext) => Promise<SnapshotSubject> | SnapshotSubject,
): void {
  describe(`revert contract: ${name}`, function () {
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
      if (driver.snapshots === undefined || driver.revert === undefined) throw new Error('the driver cannot go back');
      snapshots = driver.snapshots;
    });

    after(async () => {
      await subject?.dispose?.();
      expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
    });

    afterEach(async () => {
      for (const snapshot of taken.splice(0)) await snapshots.delete(snapshot, soon());
      for (const volume of volumes.splice(0)) {
        await unmount(volume);
        await driver.delete(volume, soon());
      }
      const notes = ['reverts', 'reverts-begun'].flatMap((folder) => namesIn(join(place.layer.stateDir, folder)));
      expect(notes, 'notes').to.deep.equal([]);
    });

    const mount = (volume: DriverVolume): Promise<string> => mountVolume(driver, place, volume);
    const unmount = (volume: DriverVolume): Promise<void> => unmountVolume(driver, place, volume);
    /** Does something with the files of a volume that is mounted nowhere. */
    const within = async <T>(volume: DriverVolume, work: (path: string) => T): Promise<T> => {
      const path = await mount(volume);
      const result = work(path);
      await unmount(volume);
      return result;
    };
    const named = (): DriverVolume => {
      count += 1;
      const volume = { ...subject.volume(`g${count}`), wasProvisioned: false };
      volumes.push(volume);
      return volume;
    };
    const restoreOf = ({ name: of }: DriverVolume, what = 'back'): DriverRestore => ({
      uid: `restore-${of}-${what}`,
      name: `${of}-${what}`,
    });
    const revert = async (volume: DriverVolume, snapshot: DriverSnapshot, restore = restoreOf(volume)): Promise<void> =>
      driver.revert?.(volume, snapshot, restore, long());

    /** A volume, mounted nowhere, and a snapshot of what `before` left in it; `after` was done since. */
    async function changed(before: (path: string) => void, afterwards: (path: string) => void) {
      const volume = named();
      await driver.provision(volume, soon());
      const path = await mount(volume);
      before(path);
      const snapshot = {
        uid: `snap-${volume.name}`,
        name: `snap-${volume.name}`,
        volume,
        consistency: undefined,
        freezeTimeoutMs: 10_000,
      };
      taken.push(snapshot);
      await snapshots.take(snapshot, long());
      afterwards(path);
      await unmount(volume);
      return { volume, snapshot };
    }

    it('brings back what was written over, added and removed, and leaves nothing of its own', async () => {
      const { volume, snapshot } = await changed(
        (path) => {
          writeFileSync(join(path, 'overwritten'), 'old');
          writeFileSync(join(path, 'removed'), 'kept');
        },
        (path) => {
          writeFileSync(join(path, 'overwritten'), 'newer and longer');
          writeFileSync(join(path, 'added'), 'added');
          rmSync(join(path, 'removed'));
        },
      );
      await revert(volume, snapshot);
      await within(volume, (path) => {
        expect(readdirSync(path).filter((entry) => entry !== 'lost+found')).to.deep.equal(['overwritten', 'removed']);
        expect(readFileSync(join(path, 'overwritten'), 'utf8')).to.equal('old');
        expect(readFileSync(join(path, 'removed'), 'utf8')).to.equal('kept');
      });
      const { provisioned, problem } = await driver.observeVolume(volume, soon());
      expect({ provisioned, problem }).to.deep.equal({ provisioned: true, problem: undefined });
    });

    it('brings back all that files can be, over all that they can be', async () => {
      let before: readonly string[] = [];
      const lacks = subject.lacks ?? [];
      const { volume, snapshot } = await changed(
        (path) => {
          makeHostileTree(path, lacks);
          before = filesOf(path, lacks);
        },
        (path) => writeFileSync(join(path, 'one more'), 'new'),
      );
      await revert(volume, snapshot);
      expect(await within(volume, (path) => filesOf(path, lacks))).to.deep.equal(before);
    });

    it('brings back a file in the place of a directory, and the other way round', async () => {
      const { volume, snapshot } = await changed(
        (path) => {
          writeFileSync(join(path, 'file'), 'file');
          mkdirSync(join(path, 'directory'));
          writeFileSync(join(path, 'directory', 'inner'), 'inner');
        },
        (path) => {
          rmSync(join(path, 'file'));
          mkdirSync(join(path, 'file'));
          writeFileSync(join(path, 'file', 'inner'), 'newer');
          rmSync(join(path, 'directory'), { recursive: true });
          writeFileSync(join(path, 'directory'), 'newer');
        },
      );
      await revert(volume, snapshot);
      await within(volume, (path) => {
        expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('file');
        expect(readFileSync(join(path, 'directory', 'inner'), 'utf8')).to.equal('inner');
      });
    });

    it('brings everything back where all was deleted', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'content'),
        (path) => rmSync(join(path, 'file')),
      );
      await revert(volume, snapshot);
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('content');
    });

    it('is done once for each Restore, whatever was written since', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'old'),
        (path) => writeFileSync(join(path, 'file'), 'newer'),
      );
      await revert(volume, snapshot);
      await within(volume, (path) => writeFileSync(join(path, 'file'), 'precious'));
      await revert(volume, snapshot);
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('precious');
      await revert(volume, snapshot, restoreOf(volume, 'later'));
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('old');
    });

    it('leaves the snapshot as it is: what is written afterwards is not in it', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'old'),
        (path) => writeFileSync(join(path, 'file'), 'newer'),
      );
      for (const what of ['once', 'again']) {
        await revert(volume, snapshot, restoreOf(volume, what));
        await within(volume, (path) => {
          expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('old');
          writeFileSync(join(path, 'file'), what);
        });
      }
      expect((await snapshots.observe(snapshot, soon())).facts).to.not.equal(undefined);
    });

    it('is refused for good while the volume is mounted, and nothing is touched', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'old'),
        (path) => writeFileSync(join(path, 'file'), 'newer'),
      );
      const path = await mount(volume);
      expect(await rejection(revert(volume, snapshot))).to.include({ reason: 'VolumeInUse', terminal: true });
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('newer');
    });

    it('is refused without the data of the snapshot, and nothing is touched', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'old'),
        (path) => writeFileSync(join(path, 'file'), 'newer'),
      );
      await snapshots.delete(snapshot, soon());
      await rejection(revert(volume, snapshot));
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('newer');
    });

    it('is given up before it begins, and goes on when it is asked for again', async () => {
      const { volume, snapshot } = await changed(
        (path) => writeFileSync(join(path, 'file'), 'old'),
        (path) => writeFileSync(join(path, 'file'), 'newer'),
      );
      const ended = { signal: AbortSignal.abort(), onProgress: () => undefined };
      await rejection(driver.revert?.(volume, snapshot, restoreOf(volume), ended) ?? Promise.resolve());
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('newer');
      await revert(volume, snapshot);
      expect(await within(volume, (path) => readFileSync(join(path, 'file'), 'utf8'))).to.equal('old');
    });
  });
}

/** As a job of the agent calls; ended by the patience of the test. */
function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
