import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Driver, DriverRestore, DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import { HIDDEN } from '../../../src/drivers/trees/snapshots.ts';
import type { CrashPoint } from '../../../src/node/crash-points.ts';
import { makePlace, type Place, rejection, soon, until } from '../../node/support.ts';
import { full, shareOf } from '../../support/harness/run.ts';
import { runKilledAgent } from '../killed-agent.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

const REVERT = join(import.meta.dirname, 'revert-volume.ts');

/** Nothing has been moved yet. */
const BEFORE = [
  ['tree.after-mkdir', 'newer'],
  ['tree.after-copy', 'newer'],
  ['tree.before-rename', 'newer'],
] as const;
/** Where a helper is killed, and what the directory has then: all of the newer, all of the older, or a part of each. */
const HELPER_POINTS: readonly (readonly [point: CrashPoint, then: 'newer' | 'older' | 'half'])[] = [
  ...(full ? BEFORE : []),
  ['tree.after-rename', 'newer'],
  ['tree.after-aside', 'half'],
  ['tree.after-all-aside', 'half'],
  ['tree.after-up', 'half'],
  ['remove-tree.first-entry', 'older'],
];
const AGENT_POINTS: readonly (readonly [point: CrashPoint, then: 'newer' | 'older'])[] = [
  ['revert.after-clone', 'newer'],
  ['revert.after-record', 'newer'],
  ['revert.after-name', 'older'],
  ['revert.after-done', 'older'],
];
const OLD = { 'a/deep': 'old', b: 'old', removed: 'old' };
const NEW = { 'a/deep': 'new', b: 'newer', added: 'new' };

describe('hostPath volumes that go back to a snapshot', function () {
  this.timeout(120_000);
  let place: Place;
  let driver: Driver;
  let count = 0;

  before(async () => {
    place = await makePlace();
    driver = hostPathDriver(place.layer);
  });

  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  interface Case {
    readonly volume: DriverVolume;
    readonly path: string;
    readonly snapshot: DriverSnapshot;
    readonly restore: DriverRestore;
  }

  /** A directory with `NEW` in it, and a snapshot of the time when it had `OLD`. */
  async function changed(): Promise<Case> {
    count += 1;
    const name = `v${count}`;
    const path = join(place.data, name);
    const volume = hostPathVolume(name, path, [place.data]);
    await driver.provision(volume, soon());
    write(path, OLD);
    const snapshot = { uid: `snap-${name}`, name, volume, consistency: undefined, freezeTimeoutMs: 10_000 };
    await driver.snapshots?.take(snapshot, long());
    rmSync(join(path, 'removed'));
    write(path, NEW);
    return { volume, path, snapshot, restore: { uid: `restore-${name}`, name: `back-${name}` } };
  }
  const revert = async ({ volume, snapshot, restore }: Case): Promise<void> =>
    driver.revert?.(volume, snapshot, restore, long());
  const problemOf = async ({ volume }: Case) => (await driver.observeVolume(volume, soon())).problem?.reason;

  it('stay the directory that they are', async () => {
    const one = await changed();
    const { ino } = statSync(one.path);
    chmodSync(one.path, 0o711);
    await revert(one);
    const { ino: now, mode } = statSync(one.path);
    expect(now).to.equal(ino);
    expect(mode & 0o777).to.equal(0o755);
    expect(contentOf(one.path)).to.deep.equal(OLD);
  });

  it('are not touched where something is mounted in them', async () => {
    const one = await changed();
    execFileSync('mount', ['-t', 'tmpfs', 'other', join(one.path, 'a')]);
    try {
      writeFileSync(join(one.path, 'a', 'foreign'), 'foreign');
      expect(await rejection(revert(one))).to.include({ reason: 'RevertFailed', terminal: true });
      expect(readFileSync(join(one.path, 'a', 'foreign'), 'utf8')).to.equal('foreign');
    } finally {
      execFileSync('umount', [join(one.path, 'a')]);
    }
    expect(contentOf(one.path)).to.deep.equal(NEW);
    expect(await problemOf(one)).to.equal(undefined);
  });

  it('are not touched where a name in them cannot be moved', async () => {
    const one = await changed();
    execFileSync('chattr', ['+i', join(one.path, 'b')]);
    try {
      await rejection(revert(one));
    } finally {
      execFileSync('chattr', ['-i', join(one.path, 'b')]);
    }
    expect(contentOf(one.path)).to.deep.equal(NEW);
    expect(await problemOf(one)).to.equal(undefined);
    await revert(one);
    expect(contentOf(one.path)).to.deep.equal(OLD);
  });

  it('are never written outside of themselves, whatever link lies at the name of our directory', async () => {
    const one = await changed();
    const outside = join(place.data, `${one.volume.name}-outside`);
    mkdirSync(outside);
    symlinkSync(outside, join(one.path, HIDDEN));
    await rejection(revert(one));
    expect(readdirSync(outside)).to.deep.equal([]);
    rmSync(join(one.path, HIDDEN));
    expect(contentOf(one.path)).to.deep.equal(NEW);
  });

  describe('when the helper is killed', () => {
    for (const [point, then] of HELPER_POINTS) {
      it(`${point}: have ${then === 'half' ? 'a part, and say so' : `all of the ${then}`}; the next try ends it`, async () => {
        const one = await changed();
        const restarts = await place.armHelper(point);
        // What the helper did before it died is not asked again by the layer, or is, and ends well.
        await revert(one).catch(() => undefined);
        await until(() => place.layer.helperRestarts > restarts);
        const seen = contentOf(one.path);
        if (then === 'half') expect(await problemOf(one)).to.equal('RevertIncomplete');
        else expect(seen).to.deep.equal(then === 'newer' ? NEW : OLD);
        await revert(one);
        expect(contentOf(one.path)).to.deep.equal(OLD);
        expect(readdirSync(one.path)).to.not.include(HIDDEN);
        expect(await problemOf(one)).to.equal(undefined);
      });
    }
  });

  describe('when the agent is killed', () => {
    for (const [point, then] of shareOf('agent', AGENT_POINTS)) {
      it(`${point}: have all of the ${then}, and go back once`, async () => {
        const one = await changed();
        expect(
          await runKilledAgent(REVERT, place.layer, { snapshot: one.snapshot, restore: one.restore }, point),
        ).to.equal('SIGKILL');
        expect(contentOf(one.path)).to.deep.equal(then === 'newer' ? NEW : OLD);
        if (then === 'older') writeFileSync(join(one.path, 'b'), 'precious');
        await revert(one);
        expect(readFileSync(join(one.path, 'b'), 'utf8')).to.equal(then === 'older' ? 'precious' : 'old');
        expect(readdirSync(one.path)).to.not.include(HIDDEN);
      });
    }
  });

  it('are ended by the next Restore where the one that was killed is gone', async () => {
    const one = await changed();
    const restarts = await place.armHelper('tree.after-aside');
    await revert(one).catch(() => undefined);
    await until(() => place.layer.helperRestarts > restarts);
    expect(await problemOf(one)).to.equal('RevertIncomplete');
    const reading = { uid: 'reading', elsewhere: [], most: 1 };
    const read = driver.reading?.read(one.volume, reading, () => Promise.resolve(), soon());
    expect(await rejection(read ?? Promise.resolve())).to.have.property('reason', 'RevertIncomplete');
    await driver.revert?.(one.volume, one.snapshot, { uid: 'another', name: 'another' }, long());
    expect(contentOf(one.path)).to.deep.equal(OLD);
    expect(readdirSync(one.path)).to.not.include(HIDDEN);
    expect(await problemOf(one)).to.equal(undefined);
  });

  describe('for a Restore that is gone before anything was moved', () => {
    const hiddenOf = ({ path }: Case) => (existsSync(join(path, HIDDEN)) ? readdirSync(join(path, HIDDEN)) : []);
    const copyOf = async ({ volume }: Case) => (await driver.observeVolume(volume, soon())).copyFor;
    const cases = [
      ['while the copy was made', 'tree.after-copy', (uid: string) => `revert-${uid}.new`],
      ['when the copy had its name', 'tree.after-rename', (uid: string) => `revert-${uid}`],
    ] as const;

    async function givenUp(point: CrashPoint): Promise<Case> {
      const one = await changed();
      const restarts = await place.armHelper(point);
      await revert(one).catch(() => undefined);
      await until(() => place.layer.helperRestarts > restarts);
      return one;
    }

    for (const [when, point, name] of cases) {
      it(`${when}: say what lies beside their content, and have nothing of it any more once that is tidied`, async () => {
        const one = await givenUp(point);
        expect(hiddenOf(one)).to.deep.equal([name(one.restore.uid)]);
        expect(await copyOf(one)).to.equal(one.restore.uid);
        await driver.tidy?.(one.volume, soon());
        expect(existsSync(join(one.path, HIDDEN))).to.equal(false);
        expect(await copyOf(one)).to.equal(undefined);
        expect(contentOf(one.path)).to.deep.equal(NEW);
        await driver.tidy?.(one.volume, soon());
      });
    }

    it('are cleaned by the next Restore, and by their deletion', async () => {
      const next = await givenUp('tree.after-copy');
      await driver.revert?.(next.volume, next.snapshot, { uid: 'yet-another', name: 'yet-another' }, long());
      expect(contentOf(next.path)).to.deep.equal(OLD);
      expect(existsSync(join(next.path, HIDDEN))).to.equal(false);
      const deleted = await givenUp('tree.after-copy');
      await driver.delete(deleted.volume, soon());
      expect(existsSync(join(deleted.path, HIDDEN))).to.equal(false);
      expect(contentOf(deleted.path)).to.deep.equal(NEW);
    });

    for (const [what, end] of [
      ['tidied', (one: Case) => driver.tidy?.(one.volume, soon())],
      ['deleted', (one: Case) => driver.delete(one.volume, soon())],
    ] as const) {
      it(`although it was noted that they begin: stay as they are when they are ${what}`, async () => {
        const one = await changed();
        const killed = { snapshot: one.snapshot, restore: one.restore };
        await runKilledAgent(REVERT, place.layer, killed, 'revert.after-record');
        expect(await problemOf(one)).to.equal('RevertIncomplete');
        await end(one);
        expect(contentOf(one.path)).to.deep.equal(NEW);
        expect(await problemOf(one)).to.equal(undefined);
        expect(existsSync(join(one.path, HIDDEN))).to.equal(false);
      });
    }

    it('are not tidied where a part was moved: that is for a Restore to end', async () => {
      const one = await givenUp('tree.after-aside');
      await driver.tidy?.(one.volume, soon());
      expect(await problemOf(one)).to.equal('RevertIncomplete');
      await driver.revert?.(one.volume, one.snapshot, { uid: 'the-last', name: 'the-last' }, long());
      expect(contentOf(one.path)).to.deep.equal(OLD);
    });
  });

  it('are ended by their deletion too, and nothing of ours stays in the directory', async () => {
    const one = await changed();
    const restarts = await place.armHelper('tree.after-aside');
    await revert(one).catch(() => undefined);
    await until(() => place.layer.helperRestarts > restarts);
    await driver.delete(one.volume, soon());
    expect(contentOf(one.path)).to.deep.equal(OLD);
    expect(existsSync(join(one.path, HIDDEN))).to.equal(false);
  });
});

function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}

function write(path: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(path, 'a'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
}

/** Its files with their content; our directory is none of them. */
function contentOf(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes(HIDDEN))
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(files.map((file) => [file.slice(path.length + 1), readFileSync(file, 'utf8')]));
}
