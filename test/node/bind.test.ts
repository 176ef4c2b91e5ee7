import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { createNodeLayer } from '../../src/node/create-layer.ts';
import type { BindUserPath } from '../../src/node/layer.ts';
import { end, makePlace, mountsAt, mountsBelow, type Place, rejection, soon, until } from './support.ts';

describe('binding a user path', function () {
  this.timeout(120_000);
  let place: Place;
  let count = 0;

  before(async () => {
    place = await makePlace();
  });

  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  const request = (path: string, overrides: Partial<BindUserPath> = {}): BindUserPath => {
    count += 1;
    return {
      prefix: place.data,
      path,
      target: { root: place.layer.mountRoot, path: `ns/m${count}/data` },
      readOnly: false,
      options: ['nosuid', 'nodev'],
      create: false,
      ...overrides,
    };
  };
  /** Every refusal leaves nothing mounted. */
  const refusal = async (bind: BindUserPath) => {
    const error = await rejection(place.layer.bindUserPath(bind, soon()));
    expect(mountsBelow(place.layer.mountRoot)).to.deep.equal([]);
    return error;
  };
  const takeDown = async ({ target }: BindUserPath) => {
    const mountId = place.layer.table.at(join(target.root, target.path))?.id;
    expect(await place.layer.unmount({ target, mountId, scope: 'copies' }, soon())).to.deep.equal({ outcome: 'done' });
  };

  it('shows the mount in the table by the time it answers', async () => {
    mkdirSync(join(place.data, 'shown'));
    const bind = request(join(place.data, 'shown'));
    const { entry, created, immutableTarget } = await place.layer.bindUserPath(bind, soon());
    const path = join(bind.target.root, bind.target.path);
    expect([created, immutableTarget]).to.deep.equal([true, true]);
    expect(place.layer.table.at(path)).to.deep.include({ id: entry.id, options: entry.options, root: entry.root });
    const kernel = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.includes(path));
    expect(kernel).to.include(
      `${entry.id} ${entry.parentId} ${entry.device} ${entry.root} ${path} ${entry.options.join(',')} `,
    );
    await takeDown(bind);
    expect(place.layer.table.at(path)).to.equal(undefined);
  });

  it('makes missing directories when told to, and only then', async () => {
    const path = join(place.data, 'made/deep/er');
    expect(await refusal(request(path))).to.include({ code: 'HostPathNotFound' });
    expect(existsSync(join(place.data, 'made'))).to.equal(false);
    const bind = request(path, { create: true });
    await place.layer.bindUserPath(bind, soon());
    expect(statSync(path).mode & 0o777).to.equal(0o755);
    await takeDown(bind);
  });

  it('follows no symbolic link, in the middle or at the end', async () => {
    mkdirSync(join(place.data, 'real/inner'), { recursive: true });
    symlinkSync(join(place.data, 'real'), join(place.data, 'link'));
    symlinkSync('/etc', join(place.data, 'out'));
    for (const path of ['link', 'link/inner', 'out', 'out/ssl']) {
      expect(await refusal(request(join(place.data, path))), path).to.include({
        code: 'SymlinkInPath',
        retryable: false,
      });
      expect(await refusal(request(join(place.data, path), { create: true })), path).to.include({
        code: 'SymlinkInPath',
      });
    }
  });

  it('takes a prefix that is itself a symbolic link, since an administrator wrote it', async () => {
    mkdirSync(join(place.dir, 'disk/sub'), { recursive: true });
    symlinkSync(join(place.dir, 'disk'), join(place.dir, 'prefix'));
    const bind = request(join(place.dir, 'prefix/sub'), { prefix: join(place.dir, 'prefix') });
    const { entry } = await place.layer.bindUserPath(bind, soon());
    expect(entry.root.endsWith('/disk/sub')).to.equal(true);
    await takeDown(bind);
  });

  it('refuses a file, and a path through a file', async () => {
    writeFileSync(join(place.data, 'file'), '');
    expect(await refusal(request(join(place.data, 'file')))).to.include({
      code: 'HostPathNotADirectory',
      retryable: false,
    });
    expect(await refusal(request(join(place.data, 'file/sub'), { create: true }))).to.include({
      code: 'HostPathNotADirectory',
    });
  });

  it('refuses traversal, NUL, names and paths that are too long', async () => {
    const long = 'x'.repeat(300);
    for (const path of [
      `${place.data}/../mounts`,
      `${place.data}/./a`,
      `${place.data}//a`,
      `${place.data}/a/`,
      `${place.data}/a\0b`,
      `${place.data}/${long}`,
      `${place.data}/${'deep/'.repeat(1000)}x`,
      'relative',
      '',
    ]) {
      expect(await refusal(request(path, { create: true })), path.slice(0, 80)).to.include({
        code: 'InvalidPath',
        retryable: false,
      });
    }
    expect(await refusal(request(`${place.data}x`))).to.include({ code: 'HostPathNotAllowed', retryable: false });
  });

  it('refuses a target that leaves its root', async () => {
    mkdirSync(join(place.data, 'ok'), { recursive: true });
    symlinkSync(place.data, join(place.layer.mountRoot, 'escape'));
    const error = await refusal(
      request(join(place.data, 'ok'), { target: { root: place.layer.mountRoot, path: 'escape/data' } }),
    );
    expect(error).to.include({ code: 'SymlinkInPath' });
    for (const path of ['../data', 'ns/../../x', '/etc', '']) {
      const target = { root: place.layer.mountRoot, path };
      expect(await refusal(request(join(place.data, 'ok'), { target })), path).to.include({ code: 'InvalidPath' });
    }
    execFileSync('rm', [join(place.layer.mountRoot, 'escape')]);
  });

  it('refuses the root, system directories and whatever overlaps our own, under any prefix', async () => {
    const { stateDir, mountRoot } = place.layer;
    for (const path of [
      '/',
      '/etc',
      '/etc/ssl',
      '/usr/lib',
      '/proc',
      '/var',
      '/var/lib/kubelet/pods',
      '/run/lock',
      place.dir,
      stateDir,
      mountRoot,
    ]) {
      expect(await refusal(request(path, { prefix: '/', create: true })), path).to.include({
        code: 'HostPathNotAllowed',
      });
    }
    expect(existsSync('/var/lib/kubelet/pods')).to.equal(false);
  });

  it('refuses another name of a system directory or of the state directory', async () => {
    const { stateDir } = place.layer;
    mkdirSync(join(stateDir, 'secret'), { recursive: true });
    for (const source of ['/etc', stateDir, join(stateDir, 'secret')]) {
      const alias = join(place.data, 'alias');
      mkdirSync(alias, { recursive: true });
      execFileSync('mount', ['--bind', source, alias]);
      try {
        expect(await refusal(request(alias)), source).to.include({ code: 'HostPathNotAllowed' });
      } finally {
        execFileSync('umount', [alias]);
      }
    }
  });

  it('mounts only the directory that it checked, however fast a link is swapped in', async () => {
    const victim = join(place.data, 'race');
    mkdirSync(victim);
    writeFileSync(join(victim, 'own'), '');
    symlinkSync('/etc', join(place.data, 'evil'));
    const swap = `
      const { renameSync } = require('node:fs');
      const [dir, link, away] = process.argv.slice(1);
      for (;;) { renameSync(dir, away); renameSync(link, dir); renameSync(dir, link); renameSync(away, dir); }`;
    const attacker = spawn(process.execPath, ['-e', swap, victim, join(place.data, 'evil'), join(place.data, 'away')], {
      stdio: 'ignore',
    });
    const outcomes = new Set<string>();
    try {
      const limit = performance.now() + 40_000;
      for (let attempt = 0; attempt < 300 || (outcomes.size < 2 && performance.now() < limit); attempt += 1) {
        const bind = request(victim);
        const path = join(bind.target.root, bind.target.path);
        try {
          await place.layer.bindUserPath(bind, soon());
          outcomes.add('mounted');
          expect(existsSync(join(path, 'own'))).to.equal(true);
          expect(existsSync(join(path, 'passwd'))).to.equal(false);
          await takeDown(bind);
        } catch (error) {
          const { code } = error as { code?: string };
          expect(code).to.be.oneOf(['SymlinkInPath', 'HostPathNotFound', 'HostPathNotADirectory', 'NotFound']);
          outcomes.add('refused');
          expect(mountsAt(path)).to.equal(0);
        }
      }
    } finally {
      await end(attacker);
    }
    expect([...outcomes].sort()).to.deep.equal(['mounted', 'refused']);
  });

  it('brings the mounts below the source along, with the same attributes, and nothing later', async () => {
    const source = join(place.data, 'nested');
    mkdirSync(join(source, 'disk'), { recursive: true });
    mkdirSync(join(source, 'later'));
    // As on a host where everything is shared, so that a clone would receive what is mounted below later.
    execFileSync('mount', ['--bind', '--make-shared', source, source]);
    execFileSync('mount', ['-t', 'tmpfs', 'disk', join(source, 'disk')]);
    writeFileSync(join(source, 'disk/file'), 'content');
    const bind = request(source, { readOnly: true });
    const path = join(bind.target.root, bind.target.path);
    await place.layer.bindUserPath(bind, soon());
    expect(readFileSync(join(path, 'disk/file'), 'utf8')).to.equal('content');
    expect(() => writeFileSync(join(path, 'disk/file'), 'other')).to.throw('EROFS');
    // The table learns of what came along by an event, when it had not heard of it below the source yet.
    await until(() => place.layer.table.at(join(path, 'disk')) !== undefined);
    expect(place.layer.table.at(join(path, 'disk'))?.options).to.include.members(['ro', 'nosuid', 'nodev']);
    execFileSync('mount', ['-t', 'tmpfs', 'later', join(source, 'later')]);
    expect(mountsAt(join(path, 'later'))).to.equal(0);
    await takeDown(bind);
    expect(readFileSync(join(source, 'disk/file'), 'utf8')).to.equal('content');
    execFileSync('umount', [join(source, 'disk'), join(source, 'later'), source]);
  });

  it('makes no mount root over files of others', async () => {
    const mountRoot = join(place.dir, 'theirs');
    mkdirSync(mountRoot);
    writeFileSync(join(mountRoot, 'file'), 'content');
    const layer = await createNodeLayer({ stateDir: join(place.dir, 'other-state'), mountRoot }, soon());
    try {
      expect(await rejection(layer.prepareMountRoot(soon()))).to.include({ code: 'TargetNotEmpty' });
      expect(readFileSync(join(mountRoot, 'file'), 'utf8')).to.equal('content');
    } finally {
      await layer.close();
    }
  });

  it('hides no files of others below a mount', async () => {
    mkdirSync(join(place.data, 'src'), { recursive: true });
    const bind = request(join(place.data, 'src'));
    const path = join(bind.target.root, bind.target.path);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'theirs'), '');
    expect(await refusal(bind)).to.include({ code: 'TargetNotEmpty' });
    execFileSync('rm', ['-r', join(bind.target.root, 'ns')]);
  });

  it('leaves alone an empty target directory outside the mount root that it did not make', async () => {
    mkdirSync(join(place.data, 'src2'));
    mkdirSync(join(place.data, 'exact/theirs'), { recursive: true });
    for (const [name, stays] of [
      ['theirs', true],
      ['ours', false],
    ] as const) {
      const target = { root: join(place.data, 'exact'), path: name };
      const bind = request(join(place.data, 'src2'), { target });
      await place.layer.bindUserPath(bind, soon());
      await takeDown(bind);
      expect(existsSync(join(place.data, 'exact', name)), name).to.equal(stays);
    }
  });

  it('refuses options that are not attributes of a bind mount', async () => {
    mkdirSync(join(place.data, 'opt'));
    for (const option of ['suid', 'remount', 'uid=0', '']) {
      expect(await refusal(request(join(place.data, 'opt'), { options: [option] })), option).to.include({
        code: 'InvalidRequest',
      });
    }
  });

  it('limits a tmpfs to its size', async () => {
    const target = { root: place.layer.mountRoot, path: 'ns/tmp/data' };
    const wanted = {
      target,
      sizeBytes: 1_048_576n,
      mode: 0o777,
      readOnly: false,
      options: ['nosuid', 'nodev'],
      name: 'tmpfs-1',
    };
    const first = await place.layer.tmpfs(wanted, soon());
    const second = await place.layer.tmpfs(wanted, soon());
    const path = join(target.root, target.path);
    expect([first.created, second.created, mountsAt(path)]).to.deep.equal([true, false, 1]);
    expect((await place.layer.statfs(path, soon())).totalBytes).to.equal(1_048_576n);
    expect(statSync(path).mode & 0o7777).to.equal(0o777);
    expect(() => writeFileSync(join(path, 'big'), Buffer.alloc(2_000_000))).to.throw('ENOSPC');
    expect(await place.layer.unmount({ target, mountId: first.entry.id, scope: 'device' }, soon())).to.deep.equal({
      outcome: 'done',
    });
  });
});
