import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { createNodeLayer, type RunningNodeLayer } from '../../../src/node/create-layer.ts';
import type { TargetPath } from '../../../src/node/layer.ts';
import { DEFAULT_POOL, type Pool, Pools } from '../../../src/node/pools/pools.ts';
import { SpaceGuard } from '../../../src/node/pools/space-guard.ts';
import { soon, until } from '../support.ts';

const MIB = 1024 * 1024;
const HOST_MIB = 1024;
/** What the ballast leaves the host: less than a step of growth above the host's reserve. */
const LEFT_MIB = 110;
const WRITE_MIB = 560;

describe('the space guard on a full host', function () {
  this.timeout(120_000);
  let folder: string;
  let host: string;
  let node: RunningNodeLayer;
  let pools: Pools;
  let pool: Pool;
  let file: string;
  let target: TargetPath;
  let device: string;
  let writer: ChildProcess;
  let isWriting = false;
  let recordFile: string;

  before(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'clawstore-guard-')));
    host = join(folder, 'host');
    mkdirSync(host);
    const disk = join(folder, 'disk');
    writeFileSync(disk, '');
    truncateSync(disk, HOST_MIB * MIB);
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', disk]);
    execFileSync('mount', ['-o', 'loop', disk, host]);
    node = await createNodeLayer({ stateDir: join(host, 'state'), mountRoot: join(folder, 'mounts') }, soon());
    await node.prepareMountRoot(soon());
    pools = new Pools({ node, directory: join(host, 'state/pools') });
    pool = await pools.open(DEFAULT_POOL, soon());
    file = join(pool.directory, 'thin.img');
    target = { root: node.mountRoot, path: '.volumes/thin' };
    const sizeBytes = BigInt(2048 * MIB);
    await node.call('createImage', { file, sizeBytes, allocation: 'sparse', filesystem: 'xfs' }, { signal: soon() });
    const request = { file, target, filesystem: 'xfs', options: [], discard: true, inside: null } as const;
    device = (await node.call('mountImage', request, { signal: soon() })).entry.device;
    recordFile = join(host, 'state/held');
  });

  after(async () => {
    writer?.kill('SIGKILL');
    await node.call('freeze', { target, device, frozen: false }, { signal: soon() });
    for (const mounted of [target, pool.file?.target]) {
      if (mounted === undefined) continue;
      // What a writer that was killed had started goes on for a moment.
      await until(async () => {
        const mountId = node.table.at(join(mounted.root, mounted.path))?.id;
        return (await node.unmount({ target: mounted, mountId, scope: 'device' }, soon())).outcome === 'done';
      });
    }
    await node.close();
    execFileSync('umount', [join(folder, 'mounts')]);
    execFileSync('umount', [host]);
    rmSync(folder, { recursive: true });
  });

  const makeGuard = (): SpaceGuard => {
    const options = {
      node,
      pools,
      recordFile,
      thinMounts: () => [{ target, device }],
      thickMounts: () => [],
      reservedBytes: () => Promise.resolve(0n),
    };
    return new SpaceGuard({
      ...options,
      onError: (thrown) => {
        throw thrown;
      },
    });
  };
  /** One look of the guard between any two steps of the writer. */
  const lookAndWrite = async (guard: SpaceGuard): Promise<void> => {
    await guard.look(soon());
    if (isWriting || guard.held) return;
    isWriting = true;
    writer.stdin?.write('\n');
  };
  const written = join('written');
  const path = (): string => join(target.root, target.path, written);
  const waitUntil = async (holds: () => boolean | Promise<boolean>, what: string): Promise<void> => {
    const deadline = performance.now() + 100_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`not reached in time: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('makes writers of a Thin volume wait before the pool is full, and writes down that it does', async () => {
    const ballast = HOST_MIB - Math.ceil(statSync(pool.file?.path ?? '').size / MIB) - LEFT_MIB;
    execFileSync('fallocate', ['-l', `${ballast}M`, join(host, 'ballast')]);
    const guard = makeGuard();
    // A step when it is told to, however busy the machine; direct, so that what is written has reached the pool.
    const script = `for i in $(seq 1 ${WRITE_MIB / 4}); do read -r _ || exit 8; dd if=/dev/urandom of=${path()} bs=4M count=1 seek=$((i-1)) conv=notrunc oflag=direct status=none || exit 9; echo; done`;
    writer = spawn('bash', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    writer.stdin?.on('error', () => undefined);
    writer.stdout?.on('data', () => {
      isWriting = false;
    });
    await waitUntil(async () => {
      await lookAndWrite(guard);
      return guard.held;
    }, 'the writers are held');
    expect(existsSync(recordFile)).to.equal(true);
    expect((await pools.space(pool, soon())).freeBytes > 0n).to.equal(true);
    const before = statSync(path()).size;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(statSync(path()).size - before).to.be.lessThan(8 * MIB);
    expect(writer.exitCode).to.equal(null);
  });

  it('keeps holding them after a restart, as the record says', async () => {
    const guard = makeGuard();
    expect(guard.held).to.equal(true);
    await guard.look(soon());
    expect(guard.held).to.equal(true);
  });

  it('lets them go when the host has room again: nothing they wrote is lost, no write has failed', async () => {
    rmSync(join(host, 'ballast'));
    const guard = makeGuard();
    await waitUntil(async () => {
      await lookAndWrite(guard);
      return writer.exitCode !== null;
    }, 'the writer ends');
    expect(writer.exitCode).to.equal(0);
    expect(guard.held).to.equal(false);
    expect(existsSync(recordFile)).to.equal(false);
    expect(statSync(path()).size).to.equal(WRITE_MIB * MIB);
    execFileSync('sync', ['-f', path()]);
  });
});
