import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { createNodeLayer, type RunningNodeLayer } from '../../../src/node/create-layer.ts';
import { backingFileOf, loopsOf } from '../../../src/node/images/loop-devices.ts';
import type { CreateImage, ImageFilesystem } from '../../../src/node/images/operations.ts';
import type { TargetPath } from '../../../src/node/layer.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { DEFAULT_POOL, type Pool, Pools } from '../../../src/node/pools/pools.ts';
import { until } from '../support.ts';

const MIB = 1024n * 1024n;
const never = new AbortController().signal;

describe('volume images', () => {
  let folder: string;
  let node: RunningNodeLayer;
  let pool: Pool;

  before(async function () {
    this.timeout(120_000);
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'clawstore-images-')));
    node = await createNodeLayer({ stateDir: join(folder, 'state'), mountRoot: join(folder, 'mounts') }, never);
    await node.prepareMountRoot(never);
    pool = await new Pools({ node, directory: join(folder, 'state/pools') }).open(DEFAULT_POOL, never);
  });

  after(async () => {
    if (pool?.file !== undefined) {
      const mountId = node.table.at(join(pool.file.target.root, pool.file.target.path))?.id;
      await node.unmount({ target: pool.file.target, mountId, scope: 'device' }, never);
    }
    await node.close();
    execFileSync('umount', [join(folder, 'mounts')]);
    rmSync(folder, { recursive: true });
  });

  let number = 0;
  let file: string;
  let target: TargetPath;
  beforeEach(() => {
    number += 1;
    file = join(pool.directory, `v${number}.img`);
    target = { root: node.mountRoot, path: `.volumes/v${number}` };
  });
  afterEach(async () => {
    await unmount();
    // Whoever else looks at a device, as udev does, holds it for a moment.
    await until(() => loopsOf(file).length === 0);
    await node.call('removeImage', { file }, { signal: never });
  });

  const path = (): string => join(target.root, target.path);
  const create = (filesystem: ImageFilesystem, mib: bigint, allocation: CreateImage['allocation'] = 'sparse') =>
    node.call(
      'createImage',
      { file, sizeBytes: mib * MIB, allocation, filesystem },
      { signal: never, deadlineMs: 30_000 },
    );
  const mount = (filesystem: ImageFilesystem, discard = true) =>
    node.call(
      'mountImage',
      { file, target, filesystem, options: ['nosuid', 'nodev'], discard, inside: { name: 'data', mode: 0o777 } },
      { signal: never },
    );
  const unmount = async (): Promise<void> => {
    const mountId = node.table.at(path())?.id;
    const { outcome } = await node.unmount({ target, mountId, scope: 'device' }, never);
    expect(outcome).to.equal('done');
  };

  it('live in a pool that can clone files', () => {
    expect(pool.cloneable).to.equal(true);
  });

  for (const [filesystem, mib] of [
    ['xfs', 320n],
    ['ext4', 64n],
  ] as const) {
    it(`of ${filesystem} are mounted once, with a world-writable directory inside, and stop writers at their size`, async () => {
      await create(filesystem, mib);
      const first = await mount(filesystem);
      const second = await mount(filesystem);
      expect(first.created).to.equal(true);
      expect(second.created).to.equal(false);
      expect(second.entry.id).to.equal(first.entry.id);
      expect(first.entry.options).to.include.members(['nosuid', 'nodev']);
      expect(backingFileOf(first.entry.device)).to.equal(file);
      expect(statSync(join(path(), 'data')).mode & 0o7777).to.equal(0o777);
      expect(() => writeFileSync(join(path(), 'data/big'), Buffer.alloc(Number((mib + 8n) * MIB)))).to.throw('ENOSPC');
    });

    it(`of ${filesystem} grow and keep their files`, async function () {
      await create(filesystem, mib);
      if (filesystem === 'xfs') await mount(filesystem);
      const before = filesystem === 'xfs' ? statfsSync(path()).blocks : 0;
      const grown = { file, sizeBytes: 2n * mib * MIB, allocation: 'sparse' as const, filesystem };
      await node.call('growImage', { ...grown, target: filesystem === 'xfs' ? target : null }, { signal: never });
      if (filesystem === 'ext4') await mount(filesystem);
      expect(statfsSync(path()).blocks).to.be.greaterThan(before);
      expect(BigInt(statfsSync(path()).blocks) * BigInt(statfsSync(path()).bsize) > (mib * 3n * MIB) / 2n).to.equal(
        true,
      );
      expect(statSync(join(path(), 'data')).isDirectory()).to.equal(true);
    });
  }

  it('leave no loop device behind when they are unmounted', async () => {
    await create('ext4', 16n);
    await mount('ext4');
    expect(loopsOf(file)).to.have.length(1);
    await unmount();
    await until(() => loopsOf(file).length === 0);
  });

  it('are not made a second time over the first', async () => {
    expect(await create('ext4', 16n)).to.deep.equal({ created: true });
    const before = readFileSync(file).subarray(0, 4096);
    expect(await create('ext4', 32n)).to.deep.equal({ created: false });
    expect(readFileSync(file).subarray(0, 4096).equals(before)).to.equal(true);
    expect(statSync(file).size).to.equal(Number(16n * MIB));
  });

  it('with full allocation take their whole size from the pool; sparse ones take little', async () => {
    await create('ext4', 64n, 'full');
    expect(BigInt(statSync(file).blocks) * 512n >= 64n * MIB).to.equal(true);
    await node.call('removeImage', { file }, { signal: never });
    await create('ext4', 64n, 'sparse');
    expect(BigInt(statSync(file).blocks) * 512n < 16n * MIB).to.equal(true);
  });

  it('with full allocation grow when the growth fits, although their whole size would not fit once more', async function () {
    this.timeout(120_000);
    await create('ext4', 128n, 'full');
    const filler = join(pool.directory, 'filler');
    const free = BigInt(statfsSync(pool.directory).bavail) * BigInt(statfsSync(pool.directory).bsize);
    execFileSync('fallocate', ['-l', String(free - 100n * MIB), filler]);
    try {
      const request = { file, sizeBytes: 192n * MIB, allocation: 'full', filesystem: 'ext4', target: null } as const;
      await node.call('growImage', request, { signal: never, deadlineMs: 30_000 });
    } finally {
      rmSync(filler);
    }
    expect(BigInt(statSync(file).blocks) * 512n >= 192n * MIB).to.equal(true);
  });

  it('keep their size, and take nothing more from the pool, when their growth does not fit', async () => {
    await create('ext4', 64n, 'full');
    const before = statfsSync(pool.directory).bavail;
    const request = { file, sizeBytes: 1n << 50n, allocation: 'full', filesystem: 'ext4', target: null } as const;
    const error = await node.call('growImage', request, { signal: never }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NodeError).with.property('code', 'NoSpace');
    expect(statSync(file).size).to.equal(Number(64n * MIB));
    // More may be free than before: what earlier images held is given back in the background.
    expect(statfsSync(pool.directory).bavail).to.be.at.least(before - 16);
  });

  it('that do not fit are refused and leave nothing behind', async () => {
    const error = await create('xfs', 64n * 1024n * 1024n, 'full').catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NodeError).with.property('code', 'NoSpace');
    expect(existsSync(file)).to.equal(false);
    expect(existsSync(`${file}.new`)).to.equal(false);
  });

  it('that are attached are not removed', async () => {
    await create('ext4', 16n);
    await mount('ext4');
    const error = await node.call('removeImage', { file }, { signal: never }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NodeError).with.property('code', 'Busy');
    expect(existsSync(file)).to.equal(true);
  });

  it('are told by the file, not by its name in some mount namespace', async () => {
    await create('ext4', 16n);
    const script = 'mount -t tmpfs none "$1" && truncate -s 32M "$2" && losetup --show --find "$2" && exec sleep 60';
    const apart = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', pool.directory, file];
    const holder = spawn('unshare', apart, { stdio: ['ignore', 'pipe', 'inherit'] });
    const foreign = String((await once(holder.stdout, 'data'))[0]).trim();
    try {
      expect(loopsOf(file)).to.have.length(1);
      const { entry } = await mount('ext4');
      expect(`/dev/loop${entry.device.split(':')[1]}`).to.not.equal(foreign);
      await unmount();
      await node.call('removeImage', { file }, { signal: never });
      expect(existsSync(file)).to.equal(false);
    } finally {
      execFileSync('losetup', ['--detach', foreign]);
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
  });

  it('that are attached under another name are not mounted a second time', async () => {
    await create('ext4', 16n);
    const other = join(folder, 'other.img');
    writeFileSync(other, '');
    execFileSync('mount', ['--bind', file, other]);
    const loop = execFileSync('losetup', ['--show', '--find', other], { encoding: 'utf8' }).trim();
    try {
      const error = await mount('ext4').catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(NodeError).with.property('code', 'Busy');
      expect((error as Error).message).to.include(loop);
    } finally {
      execFileSync('losetup', ['--detach', loop]);
      execFileSync('umount', [other]);
    }
  });

  it('are mounted again from the device that still shows them, when their mount went and a bind of it stays', async () => {
    await create('ext4', 16n);
    const { entry } = await mount('ext4');
    const bind = join(folder, 'bind');
    mkdirSync(bind);
    execFileSync('mount', ['--bind', join(path(), 'data'), bind]);
    try {
      execFileSync('umount', [path()]);
      const again = await mount('ext4');
      expect(again).to.have.nested.property('entry.device', entry.device);
      writeFileSync(join(path(), 'data/file'), 'seen');
      expect(readFileSync(join(bind, 'file'), 'utf8')).to.equal('seen');
      expect(loopsOf(file)).to.have.length(1);
    } finally {
      execFileSync('umount', [bind]);
    }
  });

  it('give freed blocks back to the pool when mounted with discard', async () => {
    await create('ext4', 128n);
    await mount('ext4');
    writeFileSync(join(path(), 'data/x'), Buffer.alloc(64 * 1024 * 1024, 1));
    execFileSync('sync', ['-f', path()]);
    const full = statSync(file).blocks;
    rmSync(join(path(), 'data/x'));
    execFileSync('sync', ['-f', path()]);
    // ext4 discards what a commit has freed in a work queue, after the commit.
    await until(() => statSync(file).blocks < full / 2);
  });

  it('freeze only where an image is mounted, never the filesystem below a bare directory', async () => {
    await create('ext4', 16n);
    const { entry } = await mount('ext4');
    const freeze = (frozen: boolean, device: string, at: TargetPath) =>
      node.call('freeze', { target: at, device, frozen }, { signal: never });
    await freeze(true, entry.device, target);
    await freeze(true, entry.device, target);
    await freeze(false, entry.device, target);
    await freeze(false, entry.device, target);
    const inside = { root: target.root, path: `${target.path}/data` };
    const error = await freeze(true, entry.device, inside).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NodeError).with.property('code', 'ForeignMount');
  });
});
