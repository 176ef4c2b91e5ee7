import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { CrashPoint } from '../../../src/node/crash-points.ts';
import type { ClonedImage, CloneImage, ImageFilesystem } from '../../../src/node/images/operations.ts';
import type { TargetPath } from '../../../src/node/layer.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { DEFAULT_POOL, type Pool, Pools } from '../../../src/node/pools/pools.ts';
import { hold, makePlace, meet, type Place, rejection, soon, until } from '../support.ts';

const MIB = 1024n * 1024n;
/** Every step at which the helper can be killed while an image is cloned. */
const POINTS: readonly CrashPoint[] = [
  'clone.after-watchdog',
  'clone.after-freeze',
  'clone.after-clone',
  'clone.after-thaw',
  'clone.after-sync',
];

describe('the clone of an image', function () {
  this.timeout(120_000);
  let place: Place;
  let pool: Pool;
  let number = 0;
  let file: string;
  let target: TargetPath;
  let device = '';

  before(async () => {
    place = await makePlace();
    pool = await new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') }).open(
      DEFAULT_POOL,
      soon(),
    );
  });
  afterEach(async () => {
    expect(wasFrozen(), 'the filesystem was left frozen').to.equal(false);
    for (const path of [target, { root: target.root, path: `${target.path}-clone` }]) {
      const mountId = place.layer.table.at(join(path.root, path.path))?.id;
      expect(await place.layer.unmount({ target: path, mountId, scope: 'device' }, soon())).to.deep.equal({
        outcome: 'done',
      });
    }
    for (const name of readdirSync(pool.directory)) rmSync(join(pool.directory, name));
  });
  after(async () => {
    if (pool?.file !== undefined) {
      const mountId = place.layer.table.at(join(pool.file.target.root, pool.file.target.path))?.id;
      await place.layer.unmount({ target: pool.file.target, mountId, scope: 'device' }, soon());
    }
    expect(await place.dispose()).to.deep.equal([]);
  });

  const path = (): string => join(target.root, target.path);
  const clone = (): string => `${file}-clone`;
  const call: Place['layer']['call'] = (operation, params, options) => place.layer.call(operation, params, options);
  const mount = async (source: string, at: TargetPath, filesystem: ImageFilesystem): Promise<string> => {
    const request = { file: source, target: at, filesystem, options: [], discard: true, inside: null };
    return (await call('mountImage', request, { signal: soon() })).entry.device;
  };
  const setUp = async (filesystem: ImageFilesystem, allocation: CloneImage['allocation'] = 'sparse'): Promise<void> => {
    number += 1;
    file = join(pool.directory, `v${number}.img`);
    target = { root: place.layer.mountRoot, path: `.volumes/v${number}` };
    const sizeBytes = (filesystem === 'xfs' ? 320n : 64n) * MIB;
    await call('createImage', { file, sizeBytes, allocation, filesystem }, { signal: soon(), deadlineMs: 30_000 });
    device = await mount(file, target, filesystem);
    writeFileSync(join(path(), 'file'), 'before');
  };
  const requestOf = (changes: Partial<CloneImage> = {}): CloneImage => ({
    source: file,
    mounted: { target, device },
    file: clone(),
    by: 'clone',
    allocation: 'sparse',
    freezeTimeoutMs: 10_000,
    hold: 'try',
    ...changes,
  });
  const cloneIt = (changes: Partial<CloneImage> = {}): Promise<ClonedImage> =>
    call('cloneImage', requestOf(changes), { signal: soon(), deadlineMs: 30_000 });
  const name = (filesystemBytes: bigint | null = null): Promise<null> =>
    call('nameImage', { file: clone(), filesystemBytes }, { signal: soon() });
  const contentOfClone = async (filesystem: ImageFilesystem): Promise<string> => {
    await mount(clone(), { root: target.root, path: `${target.path}-clone` }, filesystem);
    return readFileSync(join(`${path()}-clone`, 'file'), 'utf8');
  };
  /** Thaws what a failed test left frozen, so that the tests after it can end. */
  const wasFrozen = (): boolean =>
    existsSync(join(path(), 'file')) && spawnSync('fsfreeze', ['--unfreeze', path()]).status === 0;

  for (const filesystem of ['xfs', 'ext4'] as const) {
    it(`of ${filesystem} has what was written before, without a sync, and is mounted beside its source`, async () => {
      await setUp(filesystem);
      const { writers, heldMs } = await cloneIt();
      writeFileSync(join(path(), 'file'), 'after');
      expect(writers).to.equal('held');
      expect(heldMs).to.be.greaterThan(0);
      expect(existsSync(clone()), 'it has no name before it is given one').to.equal(false);
      await name();
      await name();
      expect(await contentOfClone(filesystem)).to.equal('before');
      expect(readFileSync(join(path(), 'file'), 'utf8')).to.equal('after');
    });
  }

  it('of an image that is mounted nowhere is complete without holding anybody', async () => {
    await setUp('ext4');
    const mountId = place.layer.table.at(path())?.id;
    await place.layer.unmount({ target, mountId, scope: 'device' }, soon());
    expect(await cloneIt({ mounted: null, hold: 'must' })).to.include({ writers: 'idle', heldMs: 0 });
    await name();
    expect(await contentOfClone('ext4')).to.equal('before');
  });

  it('says that writers went on where it cannot hold them, and is refused when they must not', async () => {
    await setUp('ext4');
    // As if it were mounted somewhere else only.
    expect((await cloneIt({ mounted: null })).writers).to.equal('running');
    expect(await rejection(cloneIt({ mounted: null, hold: 'must' }))).to.include({ code: 'FreezeTimeout' });
    expect(readdirSync(pool.directory)).to.deep.equal([`v${number}.img`]);
  });

  it('does not hold writers for longer than allowed: by the number of extents, before it begins', async () => {
    await setUp('ext4');
    expect(await cloneIt({ freezeTimeoutMs: 0 })).to.include({ writers: 'running', heldMs: 0 });
    const error = await rejection(cloneIt({ freezeTimeoutMs: 0, hold: 'must' }));
    expect(error).to.be.instanceOf(NodeError).and.include({ code: 'FreezeTimeout', retryable: false });
    expect(existsSync(`${clone()}.new`)).to.equal(false);
  });

  it('makes those that wait for the same image in one hold, so that they are of one moment', async () => {
    await setUp('ext4');
    const files = Array.from({ length: 12 }, (_, index) => `${clone()}-${index}`);
    const gone = AbortSignal.abort();
    const [given, ...made] = await Promise.allSettled([
      call('cloneImage', requestOf({ file: `${clone()}-gone` }), { signal: gone, deadlineMs: 30_000 }),
      ...files.map((name) => cloneIt({ file: name })),
    ]);
    expect(given?.status).to.equal('rejected');
    const clones = made.map((end) => (end.status === 'fulfilled' ? end.value : undefined));
    expect(clones.map((one) => one?.writers)).to.deep.equal(files.map(() => 'held'));
    // Whoever comes while writers are held waits for the next hold.
    expect(new Set(clones.map((one) => one?.takenAt.getTime())).size).to.be.at.most(files.length / 2);
    for (const name of files) await call('nameImage', { file: name, filesystemBytes: null }, { signal: soon() });
    for (const name of files) expect(statSync(name).size).to.equal(statSync(file).size);
    expect(wasFrozen()).to.equal(false);
    for (const name of files) await call('removeImage', { file: name }, { signal: soon() });
  });

  it('holds nobody when that is not wanted', async () => {
    await setUp('ext4');
    expect(await cloneIt({ hold: 'never' })).to.include({ writers: 'running', heldMs: 0 });
    await name();
    expect(await contentOfClone('ext4')).to.equal('before');
  });

  it('by copying is as sparse and as complete, and refused while writers cannot be held', async () => {
    await setUp('ext4');
    expect((await cloneIt({ by: 'copy' })).writers).to.equal('held');
    await name();
    expect(statSync(clone()).size).to.equal(statSync(file).size);
    expect(statSync(clone()).blocks).to.be.lessThan(statSync(clone()).size / 512);
    expect(await contentOfClone('ext4')).to.equal('before');
    expect(await rejection(cloneIt({ by: 'copy', freezeTimeoutMs: 0 }))).to.include({ code: 'FreezeTimeout' });
  });

  it('leaves a filesystem frozen that somebody else had frozen', async () => {
    await setUp('xfs');
    await call('freeze', { target, device, frozen: true }, { signal: soon() });
    expect((await cloneIt()).writers).to.equal('held');
    expect(wasFrozen()).to.equal(true);
    await name();
    expect(await contentOfClone('xfs')).to.equal('before');
  });

  it('never freezes what is not the image: not the filesystem below, not another device', async () => {
    await setUp('ext4');
    const other = { root: target.root, path: '.volumes' };
    expect(await rejection(cloneIt({ mounted: { target: other, device } }))).to.include({ code: 'ForeignMount' });
    expect(await rejection(cloneIt({ mounted: { target, device: '7:9999' } }))).to.include({ code: 'ForeignMount' });
  });

  it('takes every block of its size when it is to be full, and shares those that its source has', async () => {
    await setUp('ext4');
    await cloneIt({ allocation: 'full' });
    await name();
    expect(statSync(clone()).blocks * 512).to.be.at.least(statSync(clone()).size);
    const use = await call('blockUse', { file: clone(), most: 10_000 }, { signal: soon() });
    const source = await call('blockUse', { file, most: 10_000 }, { signal: soon() });
    expect(use?.allocatedBytes).to.equal(64n * MIB);
    // What was allocated and never written is not shared.
    expect(Number(use?.sharedBytes)).to.be.greaterThan(0);
    expect(use?.sharedBytes).to.equal(source?.sharedBytes);
    expect(await call('blockUse', { file, most: 0 }, { signal: soon() })).to.equal(null);
  });

  describe('when its maker is killed', () => {
    for (const point of POINTS) {
      it(`${point}: the filesystem is thawed, and what is left has no name`, async () => {
        await setUp('xfs');
        await place.armHelper(point);
        expect(await rejection(cloneIt())).to.include({ code: 'HelperLost' });
        await until(() => watchdogs().length === 0);
        expect(wasFrozen()).to.equal(false);
        expect(existsSync(clone())).to.equal(false);
        writeFileSync(join(path(), 'file'), 'later');
        expect((await cloneIt()).writers).to.equal('held');
        await name();
        expect(await contentOfClone('xfs')).to.equal('later');
      });
    }

    it('clone.after-rename: it is complete', async () => {
      await setUp('xfs');
      await place.armHelper('clone.after-rename');
      await cloneIt();
      expect(await rejection(name())).to.include({ code: 'HelperLost' });
      await name();
      expect(await contentOfClone('xfs')).to.equal('before');
    });

    it('with its whole process group: the filesystem is thawed all the same', async () => {
      await setUp('xfs');
      await stoppedWhileFrozen(async (pid) => {
        const waiting = watchdogs().filter((one) => commandOf(one).startsWith('/bin/sh'));
        expect(waiting.map(groupOf)).to.deep.equal(waiting);
        // The helper is of the group of whoever started it; here that is this test's. What is its own goes with it.
        for (const one of [pid, ...childrenOf(pid)]) killQuietly(one);
        await until(() => watchdogs().length === 0);
        expect(wasFrozen()).to.equal(false);
      });
    });

    it('and when it hangs: the filesystem is thawed after the time that is allowed', async () => {
      await setUp('xfs');
      await stoppedWhileFrozen(async () => {
        await until(() => watchdogs().length === 0);
        expect(wasFrozen()).to.equal(false);
      });
    });
  });

  it('says so when its watchdog was killed: nobody would thaw if it hung', async () => {
    await setUp('xfs');
    // A copy takes long enough to be met.
    writeFileSync(join(path(), 'big'), Buffer.alloc(Number(200n * MIB), 1));
    const { running } = await meet(() => cloneIt({ by: 'copy' }), isCopying);
    for (const pid of watchdogs()) killQuietly(pid);
    expect(await rejection(running)).to.include({ code: 'FreezeTimeout', retryable: true });
    expect(wasFrozen()).to.equal(false);
  });

  /** Whether the copy of an image is under way, held still, so that it cannot be done before it is disturbed. */
  const isCopying = (): boolean =>
    watchdogs().length > 0 &&
    childrenOf(place.layer.helperPid ?? 0)
      .filter((child) => commandOf(child).startsWith('cp\0'))
      .some(hold);
  /** Holds the helper still while the filesystem is frozen, and ends it afterwards. */
  const stoppedWhileFrozen = async (then: (pid: number) => Promise<void>): Promise<void> => {
    writeFileSync(join(path(), 'big'), Buffer.alloc(Number(200n * MIB), 1));
    const pid = place.layer.helperPid ?? 0;
    const start = () => cloneIt({ by: 'copy', freezeTimeoutMs: 3000 }).catch((thrown: unknown) => thrown);
    const { running } = await meet<unknown>(start, isCopying);
    process.kill(pid, 'SIGSTOP');
    try {
      await then(pid);
    } finally {
      killQuietly(pid);
    }
    await running;
  };
});

/** Processes that wait to thaw, or do. */
function watchdogs(): readonly number[] {
  return processes().filter((pid) => {
    const command = commandOf(pid);
    return command.includes('clawstore-thaw') || command.includes('--unfreeze');
  });
}

function processes(): readonly number[] {
  return readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []));
}

/** Those that have not left for a session of their own with the watchdog. */
function childrenOf(parent: number): readonly number[] {
  const children = `/proc/${parent}/task/${parent}/children`;
  if (!existsSync(children)) return [];
  const direct = readFileSync(children, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  return direct.filter((pid) => !commandOf(pid).includes('clawstore-thaw')).flatMap((pid) => [pid, ...childrenOf(pid)]);
}

/** Process group, proc_pid_stat(5); the command may hold spaces. */
function groupOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
}

function commandOf(pid: number): string {
  try {
    for (let look = 0; look < 1_000; look += 1) {
      // A zombie has no executable any more.
      realpathSync(`/proc/${pid}/exe`);
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      // One that becomes another program has none for a moment.
      if (command !== '') return command;
    }
  } catch {
    // It has ended.
  }
  return '';
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
