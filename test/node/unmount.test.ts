import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { MountTableChange, TargetPath } from '../../src/node/layer.ts';
import { parseMountinfo } from '../../src/node/mount-entry.ts';
import { copyOfMounts, end, makePlace, mountsAt, type Place, rejection, soon, until } from './support.ts';

describe('unmounting and watching', function () {
  this.timeout(120_000);
  let place: Place;

  beforeEach(async () => {
    place = await makePlace();
  });

  afterEach(async () => {
    await place.dispose();
  });

  const bind = async (
    name: string,
    target = `ns/${name}/data`,
  ): Promise<{ target: TargetPath; path: string; source: string; mountId: number }> => {
    const source = join(place.data, name);
    mkdirSync(source, { recursive: true });
    const at = { root: place.layer.mountRoot, path: target };
    const { entry } = await place.layer.bindUserPath(
      { prefix: place.data, path: source, target: at, readOnly: false, options: ['nosuid', 'nodev'], create: false },
      soon(),
    );
    return { target: at, path: join(at.root, at.path), source, mountId: entry.id };
  };

  it('takes down only the mount that was meant', async () => {
    const { target, path, mountId } = await bind('a');
    const error = await rejection(
      place.layer.unmount({ target, mountId: mountId + 1_000_000, scope: 'copies' }, soon()),
    );
    expect(error).to.include({ code: 'ForeignMount' });
    const nothing = await rejection(place.layer.unmount({ target, mountId: undefined, scope: 'copies' }, soon()));
    expect(nothing).to.include({ code: 'ForeignMount' });
    expect(mountsAt(path)).to.equal(1);
  });

  it('takes idle mounts below down with it, but not the only mount of a filesystem in memory', async () => {
    const { target, path, mountId } = await bind('a');
    mkdirSync(join(path, 'sub'));
    execFileSync('mount', ['-t', 'tmpfs', 'theirs', join(path, 'sub')]);
    writeFileSync(join(path, 'sub/file'), 'content');
    expect(await place.layer.unmount({ target, mountId, scope: 'copies' }, soon())).to.deep.include({
      outcome: 'busy',
    });
    expect(readFileSync(join(path, 'sub/file'), 'utf8')).to.equal('content');
    mkdirSync(join(place.data, 'elsewhere'));
    execFileSync('mount', ['--bind', join(path, 'sub'), join(place.data, 'elsewhere')]);
    expect(await place.layer.unmount({ target, mountId, scope: 'copies' }, soon())).to.deep.equal({ outcome: 'done' });
    expect(readFileSync(join(place.data, 'elsewhere/file'), 'utf8')).to.equal('content');
  });

  it('keeps the mount of a filesystem that is ours alone while this namespace shows it elsewhere', async () => {
    const target = { root: place.layer.mountRoot, path: '.volumes/uid' };
    const { entry } = await place.layer.tmpfs(
      { target, sizeBytes: 1n << 20n, mode: 0o755, readOnly: false, options: ['nosuid', 'nodev'], name: 'uid' },
      soon(),
    );
    const other = join(place.data, 'elsewhere');
    mkdirSync(other);
    execFileSync('mount', ['--bind', entry.target, other]);
    const request = { target, mountId: entry.id, scope: 'device' } as const;
    expect(await place.layer.unmount(request, soon())).to.deep.equal({ outcome: 'busy', holders: [], mounts: [other] });
    expect(mountsAt(entry.target)).to.equal(1);
    execFileSync('umount', [entry.target]);
    const was = { device: entry.device, root: '/', options: [] };
    expect(await place.layer.unmount({ target, mountId: undefined, scope: 'device', was }, soon())).to.deep.include({
      outcome: 'busy',
      mounts: [other],
    });
    execFileSync('umount', [other]);
    expect(await place.layer.unmount({ target, mountId: undefined, scope: 'device', was }, soon())).to.deep.equal({
      outcome: 'done',
    });
  });

  it('names a process by its open file as well as by its directory', async () => {
    const { target, path, mountId } = await bind('a');
    writeFileSync(join(path, 'log'), '');
    const tail = spawn('tail', ['-f', join(path, 'log')], { stdio: 'ignore' });
    try {
      await until(() => openFiles(tail.pid).includes(join(path, 'log')));
      expect(await place.layer.unmount({ target, mountId, scope: 'copies' }, soon())).to.deep.equal({
        outcome: 'busy',
        holders: [{ pid: tail.pid, comm: 'tail' }],
      });
    } finally {
      await end(tail);
    }
  });

  it('detaches a busy mount only by force', async () => {
    const { target, path, mountId } = await bind('a');
    const holder = spawn('sleep', ['300'], { cwd: path, stdio: 'ignore' });
    try {
      expect(await place.layer.unmount({ target, mountId, scope: 'copies' }, soon())).to.deep.include({
        outcome: 'busy',
      });
      const forced = await place.layer.unmount({ target, mountId, scope: 'copies', force: true }, soon());
      expect(forced).to.deep.equal({ outcome: 'done' });
      expect(mountsAt(path)).to.equal(0);
    } finally {
      await end(holder);
    }
  });

  it('finds a private copy under another name: a bind of the parent directory', async () => {
    const { target, path, mountId } = await bind('a');
    mkdirSync(join(place.dir, 'workspace'));
    const script = `mount --rbind ${dirname(path)} ${place.dir}/workspace && umount ${path} && exec sleep 300`;
    const container = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
      stdio: 'ignore',
    });
    try {
      await until(() => commOf(container.pid) === 'sleep');
      const outcome = await place.layer.unmount({ target, mountId, scope: 'copies' }, soon());
      expect(outcome).to.deep.equal({
        outcome: 'in-use-by-other-namespace',
        holders: [{ pid: container.pid, comm: 'sleep' }],
      });
    } finally {
      await end(container);
    }
  });

  it('finds a private bind of the target itself, but not a mount of the source that someone else made', async () => {
    const { target, path, source, mountId } = await bind('a');
    mkdirSync(join(place.dir, 'w1'));
    const keep = (from: string) =>
      spawn(
        'unshare',
        [
          '--mount',
          '--propagation',
          'private',
          'sh',
          '-c',
          `mount --bind ${from} ${place.dir}/w1 && umount ${path} && exec sleep 300`,
        ],
        { stdio: 'ignore' },
      );
    const stranger = keep(source);
    const copier = keep(path);
    try {
      await until(() => commOf(stranger.pid) === 'sleep' && commOf(copier.pid) === 'sleep');
      const outcome = await place.layer.unmount({ target, mountId, scope: 'copies' }, soon());
      expect(outcome).to.deep.equal({
        outcome: 'in-use-by-other-namespace',
        holders: [{ pid: copier.pid, comm: 'sleep' }],
      });
    } finally {
      await end(stranger);
      await end(copier);
    }
  });

  it('does not hold a mount of the same source at another target against this one', async () => {
    const first = await bind('a', 'ns/m1/data');
    await bind('a', 'ns/m2/data');
    const copy = await copyOfMounts();
    try {
      // The copy has both; within it, the first is given up.
      execFileSync('nsenter', [`--mount=/proc/${copy.pid}/ns/mnt`, 'umount', first.path]);
      const outcome = await place.layer.unmount(
        { target: first.target, mountId: first.mountId, scope: 'copies' },
        soon(),
      );
      expect(outcome).to.deep.equal({ outcome: 'done' });
    } finally {
      await end(copy);
    }
  });

  it('looks for the whole filesystem when told to', async () => {
    const target = { root: place.layer.mountRoot, path: 'ns/t/data' };
    const { entry } = await place.layer.tmpfs(
      { target, sizeBytes: 1_048_576n, mode: 0o755, readOnly: false, options: [], name: 'tmpfs-x' },
      soon(),
    );
    mkdirSync(join(place.dir, 'w'));
    const script = `mount --bind ${join(target.root, target.path)} ${place.dir}/w && umount ${join(target.root, target.path)} && exec sleep 300`;
    const other = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], { stdio: 'ignore' });
    try {
      await until(() => commOf(other.pid) === 'sleep');
      const outcome = await place.layer.unmount({ target, mountId: entry.id, scope: 'device' }, soon());
      expect(outcome).to.deep.include({ outcome: 'in-use-by-other-namespace' });
      const was = { device: entry.device, root: '/', options: [] };
      const again = await place.layer.unmount({ target, mountId: undefined, scope: 'device', was }, soon());
      expect(again).to.deep.include({ outcome: 'in-use-by-other-namespace' });
    } finally {
      await end(other);
    }
  });

  it('heals into a workload that binds the parent directory as a slave', async () => {
    const { path, target, source } = await bind('a');
    mkdirSync(join(place.dir, 'ws'));
    const script = `mount --rbind ${dirname(path)} ${place.dir}/ws && mount --make-rslave ${place.dir}/ws && exec sleep 300`;
    const workload = spawn('unshare', ['--mount', '--propagation', 'unchanged', 'sh', '-c', script], {
      stdio: 'ignore',
    });
    try {
      await until(() => commOf(workload.pid) === 'sleep');
      const inside = (): number => {
        return parseMountinfo(readFileSync(`/proc/${workload.pid}/mountinfo`, 'utf8')).filter(
          (entry) => entry.target === `${place.dir}/ws/data`,
        ).length;
      };
      expect(inside()).to.equal(1);
      execFileSync('umount', [path]);
      await until(() => inside() === 0);
      await place.layer.bindUserPath(
        { prefix: place.data, path: source, target, readOnly: false, options: ['nosuid', 'nodev'], create: false },
        soon(),
      );
      expect(inside()).to.equal(1);
    } finally {
      await end(workload);
    }
  });

  it('tells of mounts that others make, change and take down', async () => {
    const { path } = await bind('a');
    const changes: MountTableChange[] = [];
    place.layer.table.onChange((change) => changes.push(change));
    execFileSync('mount', ['-o', 'remount,bind,ro', path]);
    await until(() =>
      changes.some(({ changed }) => changed.some(({ after }) => after.target === path && after.options.includes('ro'))),
    );
    execFileSync('umount', [path]);
    await until(() => changes.some(({ removed }) => removed.some(({ target }) => target === path)));
    expect(place.layer.table.at(path)).to.equal(undefined);
  });

  it('adopts a mount root and the mounts below it without changing any', async () => {
    const { path } = await bind('a');
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    expect((await place.layer.prepareMountRoot(soon())).target).to.equal(place.layer.mountRoot);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).to.equal(before);
    expect(place.layer.table.at(path)).to.not.equal(undefined);
  });

  it('removes a tree, but nothing beneath a mount and nothing through a link', async () => {
    const { stateDir } = place.layer;
    const tree = join(stateDir, 'volumes/u1');
    mkdirSync(join(tree, 'a/b/mounted'), { recursive: true });
    mkdirSync(join(place.data, 'theirs'));
    writeFileSync(join(place.data, 'theirs/file'), 'content');
    execFileSync('ln', ['-s', join(place.data, 'theirs'), join(tree, 'a/link')]);
    writeFileSync(join(tree, 'a/file'), '');
    execFileSync('mount', ['--bind', join(place.data, 'theirs'), join(tree, 'a/b/mounted')]);
    const target = { root: stateDir, path: 'volumes/u1' };
    expect(await rejection(place.layer.removeTree(target, soon()))).to.include({ code: 'MountBelow' });
    expect(existsSync(join(tree, 'a/file'))).to.equal(true);
    execFileSync('umount', [join(tree, 'a/b/mounted')]);
    await place.layer.removeTree(target, soon());
    expect(existsSync(tree)).to.equal(false);
    expect(existsSync(join(stateDir, 'volumes'))).to.equal(true);
    expect(readFileSync(join(place.data, 'theirs/file'), 'utf8')).to.equal('content');
    await place.layer.removeTree(target, soon());
  });
});

function commOf(pid: number | undefined): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

function openFiles(pid: number | undefined): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
}
