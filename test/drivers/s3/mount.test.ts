import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverMount, DriverVolume, UnmountOutcome } from '../../../src/drivers/driver.ts';
import type { S3Driver } from '../../../src/drivers/s3/driver.ts';
import { writeSecrets } from '../../../src/drivers/s3/engine.ts';
import { createNodeLayer, type RunningNodeLayer } from '../../../src/node/create-layer.ts';
import { forkHelper } from '../../../src/node/fork-helper.ts';
import type { S3Location } from '../../../src/s3/location.ts';
import { copyOfMounts, end, makePlace, mountsBelow, type Place, rejection, soon } from '../../node/support.ts';
import { commandLine, isRunning } from '../../support/harness/daemon.ts';
import { run } from '../../support/harness/exec.ts';
import { mountTable } from '../../support/harness/mounts.ts';
import { S3Proxy } from '../../support/harness/s3-proxy.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { hasEnded, s3Driver, s3Volume } from './support.ts';

const HUNG_MS = 1_000;

describe('mounts of S3 volumes', function () {
  this.timeout(120_000);
  let place: Place;
  let layer: RunningNodeLayer;
  let server: S3Server;
  let proxy: S3Proxy;
  let driver: S3Driver;
  let serial = 0;
  const used: { volume: DriverVolume; mount: DriverMount }[] = [];

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    place = await makePlace();
    layer = place.layer;
    server = await S3Server.start();
    proxy = await S3Proxy.start(server);
    await server.createBucket('data');
    driver = s3Driver(layer);
  });

  afterEach(async () => {
    proxy.heal();
    if (!server.isUp) await server.up();
    for (const { volume, mount } of used.splice(0)) {
      const dropping = { ...volume, mayLoseData: true };
      expect(await driver.unpublish(dropping, mount, soon())).to.deep.equal({ outcome: 'done' });
      expect(await driver.unstage(dropping, soon())).to.deep.equal({ outcome: 'done' });
    }
  });

  after(async () => {
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  const setUp = async (overrides: Partial<S3Location> = {}) => {
    serial += 1;
    const volume = s3Volume(`m${serial}`, server.location('data', `m${serial}/`, overrides));
    const mount = {
      uid: `uid-${serial}`,
      targetRoot: layer.mountRoot,
      targetPath: `ns/m${serial}/data`,
      readOnly: false,
    };
    used.push({ volume, mount });
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    return { volume, mount, target: join(layer.mountRoot, mount.targetPath), prefix: `m${serial}/` };
  };
  const pidOf = ({ uid }: DriverVolume): number =>
    Number(readFileSync(join(layer.stateDir, 's3', uid, 'process'), 'utf8').split(' ')[0]);
  const kill = async (volume: DriverVolume): Promise<void> => {
    const pid = pidOf(volume);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => hasEnded(pid), { message: 'the process of the mount to end' });
  };
  const arrives = (key: string, content: string) =>
    waitFor(async () => (await server.read('data', key)) === content, { message: `${key} to reach the server` });
  /** Files that were opened in time: the names of new ones would have to be looked for at the server. */
  const writtenWhileAway = async (target: string, files: Readonly<Record<string, string>>): Promise<void> => {
    const opened = Object.entries(files).map(
      ([name, content]) => [openSync(join(target, name), 'w'), content] as const,
    );
    await server.down();
    for (const [fd, content] of opened) {
      writeSync(fd, content);
      closeSync(fd);
    }
  };
  const unmount = (volume: DriverVolume, mount: DriverMount) => driver.unpublish(volume, mount, soon());

  it('brings what is written to the server, and shows what is put there', async () => {
    const { volume, mount, target, prefix } = await setUp();
    expect(readdirSync(target), 'the marker of the prefix').to.deep.equal([]);
    const content = randomBytes(9_000_000).toString('base64');
    writeFileSync(join(target, 'big'), content);
    await server.put('data', `${prefix}theirs`);
    await waitFor(() => readdirSync(target).includes('theirs'), { message: 'the object to be listed' });
    expect(readFileSync(join(target, 'theirs'), 'utf8')).to.equal(`${prefix}theirs`);
    // A finished unmount means that the server has it.
    await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
    expect(await server.read('data', `${prefix}big`)).to.equal(content);
  });

  it('gives the secret to nobody but the process, in files that only root can read', async () => {
    const { volume } = await setUp();
    const pid = pidOf(volume);
    const { secretAccessKey } = server.root;
    expect(commandLine(pid)).to.include('rclone').and.not.include(secretAccessKey);
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).to.not.include(secretAccessKey);
    const directory = join(layer.stateDir, 's3', volume.uid);
    const holding = readdirSync(directory)
      .map((name) => join(directory, name))
      .filter((path) => statSync(path).isFile() && readFileSync(path, 'utf8').includes(secretAccessKey));
    expect(holding).to.have.lengthOf(1);
    expect(holding.map((path) => statSync(path).mode & 0o777)).to.deep.equal([0o600]);
    expect(statSync(directory).mode & 0o777).to.equal(0o700);
  });

  it('takes the secret from a volume that nobody here has a use for, never from one that is mounted', async () => {
    const { volume, mount, target } = await setUp();
    const directory = join(layer.stateDir, 's3', volume.uid);
    const kept = () =>
      ['credentials', 'credentials.sh', 'aws-config'].filter((name) => existsSync(join(directory, name)));
    await driver.dropSecrets(volume.uid, () => true, soon());
    expect(kept()).to.have.lengthOf(3);
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('mounted');
    writeFileSync(join(target, 'file'), 'x');
    await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    writeSecrets(directory, server.location('data', 'orphan/'));
    writeFileSync(join(directory, 'unsent'), 'stays');
    await driver.dropSecrets(volume.uid, () => false, soon());
    expect(kept()).to.have.lengthOf(3);
    await driver.dropSecrets(volume.uid, () => true, soon());
    expect(readdirSync(directory)).to.deep.equal(['unsent']);
  });

  it('lives in a session of its own, and is found again by the next agent without a mount call', async () => {
    const { volume, mount, target } = await setUp();
    writeFileSync(join(target, 'file'), 'before');
    const pid = pidOf(volume);
    const session = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[3];
    expect(Number(session)).to.not.equal(process.pid);
    const cgroupOf = (process: number | 'self'): string | undefined =>
      /^0::(.*)$/m.exec(readFileSync(`/proc/${process}/cgroup`, 'utf8'))?.[1];
    // Where there is no cgroup v2 both are undefined.
    if (cgroupOf('self') !== undefined && mountTable().some(({ fsType }) => fsType === 'cgroup2')) {
      expect(cgroupOf(pid)).to.not.equal(cgroupOf('self'));
    }
    const ids = layer.table.below(layer.mountRoot).map(({ id }) => id);
    const before = layer.helperPid ?? 0;
    process.kill(before, 'SIGKILL');
    const options = { stateDir: layer.stateDir, mountRoot: layer.mountRoot };
    const next = await createNodeLayer(options, soon());
    try {
      const other = s3Driver(next);
      expect(await other.observeVolume(volume, soon())).to.deep.include({ staged: true, problem: undefined });
      await other.stage(volume, soon());
      expect((await other.observeMount(volume, mount, soon())).state).to.equal('mounted');
      expect(next.table.below(next.mountRoot).map(({ id }) => id)).to.deep.equal(ids);
    } finally {
      await next.close();
    }
    expect(pidOf(volume)).to.equal(pid);
    expect(isRunning(pid)).to.equal(true);
    await waitFor(() => layer.helperPid !== undefined && layer.helperPid !== before, { message: 'another helper' });
    expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('before');
  });

  it('takes over a process whose start a kill of the helper cut off', async () => {
    const dying = await makePlace({
      fork: (environment) => forkHelper({ CLAWSTORE_CRASH_AT: 'daemon.after-start', ...environment }),
    });
    try {
      const volume = s3Volume('cut', server.location('data', 'cut/'));
      const other = s3Driver(dying.layer);
      await other.provision(volume, soon());
      expect((await rejection(other.stage(volume, soon()))).reason).to.equal('HelperUnavailable');
      await other.stage(volume, soon());
      const rcloneProcesses = readdirSync('/proc').filter((pid) =>
        commandLine(Number(pid)).includes('clawstore-s3-uid-cut'),
      );
      expect(rcloneProcesses).to.have.lengthOf(1);
      expect(await other.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    } finally {
      expect(await dying.dispose()).to.deep.equal([]);
    }
  });

  it('tells at once when the process dies, and mounts again with what it had not sent', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { unsent: 'written while the server was away' });
    const told = new Promise<string>((resolve) => {
      driver.onChange(resolve);
    });
    process.kill(pidOf(volume), 'SIGKILL');
    expect(await told).to.equal(volume.uid);
    expect(() => readdirSync(target)).to.throw('ENOTCONN');
    expect((await driver.observeVolume({ ...volume, wasProvisioned: true }, soon())).staged).to.equal(false);
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('stale');
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('mounted');
    await server.up();
    await arrives(`${prefix}unsent`, 'written while the server was away');
    expect(readFileSync(join(target, 'unsent'), 'utf8')).to.equal('written while the server was away');
  });

  it('mounts again under a process that still has the dead mount open', async () => {
    const { volume, mount, target } = await setUp();
    writeFileSync(join(target, 'file'), 'x');
    const handle = await open(join(target, 'file'));
    try {
      await kill(volume);
      await driver.publish(volume, mount, soon());
      expect((await driver.observeMount(volume, mount, soon())).state).to.equal('mounted');
      expect(mountsBelow(dirname(target))).to.deep.equal([target]);
    } finally {
      await handle.close().catch(() => undefined);
    }
  });

  it('mounts again while the last threads of the dead process still hold its lock', async () => {
    const { volume, mount } = await setUp();
    process.kill(pidOf(volume), 'SIGKILL');
    const lock = join(layer.stateDir, 's3', volume.uid, 'lock');
    const held = spawn('flock', [lock, 'sh', '-c', 'echo held; exec sleep 1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(held.stdout, 'data');
    await driver.publish(volume, mount, soon());
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('mounted');
  });

  it('names workloads that still see the older mount, until they are gone', async () => {
    const { volume, mount } = await setUp();
    const copy = await copyOfMounts();
    const remounted = { ...mount, remounted: true };
    try {
      expect((await driver.observeMount(volume, remounted, soon())).reason).to.equal(undefined);
      await kill(volume);
      await driver.publish(volume, mount, soon());
      // Where looking at all processes takes longer than it may, nobody is named for now.
      const seen = await waitFor(
        async () => {
          const state = await driver.observeMount(volume, remounted, soon());
          return state.reason !== undefined && state;
        },
        { message: 'the workload to be named' },
      );
      expect(seen).to.deep.include({ state: 'mounted', reason: 'StaleInWorkload' });
      expect(seen.message).to.include(`sleep (pid ${copy.pid})`);
    } finally {
      await end(copy);
    }
    await waitFor(async () => (await driver.observeMount(volume, remounted, soon())).reason === undefined, {
      message: 'nobody to be named',
    });
  });

  it('ends a process that hangs, and never waits on its mount', async () => {
    const { volume, mount } = await setUp();
    const pid = pidOf(volume);
    // On a busy machine a process in good health may be silent for as long as that: only here is it so short.
    const hasty = s3Driver(layer, { hungMs: HUNG_MS });
    process.kill(pid, 'SIGSTOP');
    await waitFor(async () => !(await hasty.observeVolume(volume, soon())).staged, { message: 'it to be given up' });
    await waitFor(() => hasEnded(pid), { message: 'the process of the mount to end' });
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('mounted');
  });

  it('does not call an unmount done while files have not reached the server, and says how much is left', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { a: '12345', b: '123' });
    // A process that has not had its turn yet does not know of both.
    const saysAll = async (end: () => Promise<UnmountOutcome>): Promise<void> => {
      await waitFor(
        async () => {
          const outcome = await end();
          expect(outcome.outcome).to.equal('upload-pending');
          return isDeepStrictEqual(outcome, { outcome: 'upload-pending', files: 2, bytes: 8n });
        },
        { message: 'both files to be told of' },
      );
    };
    await saysAll(() => unmount(volume, mount));
    expect((await driver.observeMount(volume, mount, soon())).state).to.equal('absent');
    await saysAll(() => driver.unstage(volume, soon()));
    await server.up();
    await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    expect(await server.read('data', `${prefix}a`)).to.equal('12345');
    expect(await server.read('data', `${prefix}b`)).to.equal('123');
  });

  it('sends what a dead process left before it gives the storage back', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { left: 'left' });
    await kill(volume);
    // How much of it had been noted before the kill is a matter of luck.
    expect(await unmount(volume, mount)).to.deep.include({ outcome: 'upload-pending', files: 1 });
    await kill(volume);
    expect(await driver.unstage(volume, soon())).to.deep.include({ outcome: 'upload-pending', files: 1 });
    await server.up();
    await waitFor(async () => (await driver.unstage(volume, soon())).outcome === 'done', { message: 'the upload' });
    expect(await server.read('data', `${prefix}left`)).to.equal('left');
  });

  it('sends what a machine without power left before it calls an unmount done', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { left: 'left' });
    await kill(volume);
    // As after a boot: nothing is mounted, and nobody will mount it again.
    for (const path of [target, join(layer.mountRoot, '.volumes', volume.uid)]) await run('umount', ['-l', path]);
    await waitFor(() => layer.table.below(layer.mountRoot).every(({ target: at }) => !at.includes(volume.uid)), {
      message: 'the table to show it',
    });
    expect(await unmount(volume, mount)).to.deep.include({ outcome: 'upload-pending', files: 1 });
    await server.up();
    await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
    expect(await server.read('data', `${prefix}left`)).to.equal('left');
  });

  it('lets a mount go whose files nobody can send, because the credentials are gone', async () => {
    const { volume, mount, target } = await setUp();
    await writtenWhileAway(target, { left: 'left' });
    await kill(volume);
    const source = { ...volume.source, missing: { message: 'the Secret is gone', confirmed: true } };
    const gone = { ...volume, source } as DriverVolume;
    expect(await driver.unpublish(gone, mount, soon())).to.deep.equal({ outcome: 'done' });
    expect((await driver.leftovers()).map(({ volumeUID }) => volumeUID)).to.include(volume.uid);
  });

  it('sends a file whose note a kill left empty, and sets one aside of which parts may be missing', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { whole: 'whole', holed: 'x' });
    await kill(volume);
    const cache = join(layer.stateDir, 's3', volume.uid, 'cache');
    for (const path of readdirSync(cache, { recursive: true }).map(String)) {
      if (/^vfsMeta.*(whole|holed)$/.test(path)) truncateSync(join(cache, path));
      if (/^vfs\/.*holed$/.test(path)) truncateSync(join(cache, path), 1_000_000);
    }
    await server.up();
    await driver.publish(volume, mount, soon());
    await arrives(`${prefix}whole`, 'whole');
    const rescued = readdirSync(join(layer.stateDir, 's3-rescued', volume.uid), { recursive: true }).map(String);
    expect(rescued.filter((path) => path.endsWith('holed'))).to.have.lengthOf(1);
    expect(await server.read('data', `${prefix}holed`)).to.equal(undefined);
  });

  it('tells what was sent from what was not, whatever bytes its name has', async () => {
    const { volume, mount, target } = await setUp();
    writeFileSync(Buffer.concat([Buffer.from(`${target}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'no text');
    await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
  });

  it('drops what was not sent only when a person permits it', async () => {
    const { volume, mount, target, prefix } = await setUp();
    await writtenWhileAway(target, { dropped: 'dropped' });
    const dropping = { ...volume, mayLoseData: true };
    expect(await unmount(dropping, mount)).to.deep.equal({ outcome: 'done' });
    expect(await driver.unstage(dropping, soon())).to.deep.equal({ outcome: 'done' });
    await server.up();
    expect(await server.read('data', `${prefix}dropped`)).to.equal(undefined);
    expect((await driver.leftovers()).map(({ volumeUID }) => volumeUID)).to.not.include(volume.uid);
  });

  it('lets no write succeed for which its disk has no room, and makes room by what the server has', async () => {
    const small = await makePlace();
    const cache = join(small.layer.stateDir, 's3');
    mkdirSync(cache, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'clawstore-test', cache]);
    try {
      const volume = s3Volume('small', server.location('data', 'small/'));
      const mount = { uid: 'small', targetRoot: small.layer.mountRoot, targetPath: 'ns/small/data', readOnly: false };
      const other = s3Driver(small.layer);
      await other.provision(volume, soon());
      await other.publish(volume, mount, soon());
      const at = (name: string): string => join(mount.targetRoot, mount.targetPath, name);
      const full = await writeFile(at('large'), randomBytes(30_000_000)).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      // All that rclone says of a full cache.
      expect(full).to.equal('EIO');
      const content = randomBytes(20_000_000);
      const write = () =>
        writeFile(at('small'), content).then(
          () => true,
          () => false,
        );
      await waitFor(write, { message: 'room for another file', deadline: 60_000 });
      await waitFor(async () => (await other.unpublish(volume, mount, soon())).outcome === 'done', {
        message: 'the upload',
      });
      expect(await other.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
      const hash = createHash('sha256').update(content).digest('hex');
      expect(await server.sha256('data', 'small/small')).to.equal(hash);
    } finally {
      await small.dispose();
    }
  });

  it('goes on with new credentials on the same mount', async () => {
    const [old, fresh] = ['old', 'fresh'].map((name) => ({ accessKeyId: name, secretAccessKey: `${name}-secret` }));
    if (old === undefined || fresh === undefined) throw new Error('unreachable');
    await server.createUser(old, 'admin');
    await server.createUser(fresh, 'admin');
    const { volume, mount, target, prefix } = await setUp({ credentials: { ...old, sessionToken: undefined } });
    const { id } = (await driver.observeMount(volume, mount, soon())).entry ?? {};
    await server.deleteUser(old);
    const location = server.location('data', prefix, { credentials: { ...fresh, sessionToken: undefined } });
    const rotated = { ...volume, source: { type: 's3' as const, location, missing: undefined } };
    expect((await driver.observeVolume(rotated, soon())).problem).to.equal(undefined);
    // The old ones are in use until they run out; what is done meanwhile fails.
    await waitFor(() => (writeFileSync(join(target, 'after'), 'after'), true), { message: 'a write to work' });
    await arrives(`${prefix}after`, 'after');
    expect((await driver.observeMount(rotated, mount, soon())).entry?.id).to.equal(id);
  });

  it('mounts from a server whose certificate a private authority signed', async () => {
    const secure = await S3Server.start({ tls: true });
    await secure.createBucket('data');
    const { target, prefix } = await setUp({ endpoint: secure.endpoint, caBundle: secure.ca });
    writeFileSync(join(target, 'file'), 'over TLS');
    await waitFor(async () => (await secure.read('data', `${prefix}file`)) === 'over TLS', { message: 'the upload' });
  });

  describe('through a network that fails', () => {
    for (const [title, fault] of [
      ['500', { kind: 'answer', status: 500 }],
      ['503', { kind: 'answer', status: 503 }],
      ['a reset in the body', { kind: 'reset-upload', afterBytes: 40_000 }],
      ['a lost answer', { kind: 'lose-answer' }],
      ['200 with an error inside', { kind: 'answer', status: 200, body: '<Error><Code>InternalError</Code></Error>' }],
    ] as const) {
      it(`brings a file whole to the server after ${title}`, async () => {
        const { volume, mount, target, prefix } = await setUp({ endpoint: proxy.endpoint });
        let faults = 2;
        proxy.fault(({ method, url }) =>
          method === 'PUT' && url.includes('/file') && faults-- > 0 ? fault : undefined,
        );
        const content = randomBytes(100_000);
        // Not synchronously: the proxy lives in this process.
        await writeFile(join(target, 'file'), content);
        await waitFor(async () => (await unmount(volume, mount)).outcome === 'done', { message: 'the upload' });
        const arrived = await server.read('data', `${prefix}file`);
        expect(arrived?.length, 'size at the server').to.be.greaterThan(0);
        expect(await server.sha256('data', `${prefix}file`)).to.equal(
          createHash('sha256').update(content).digest('hex'),
        );
      });
    }

    it('gives an error or the whole file, never a part of it, when answers break off', async () => {
      const { target, prefix } = await setUp({ endpoint: proxy.endpoint });
      const key = `${prefix}long`;
      await server.put('data', key, key);
      const content = key;
      await waitFor(async () => (await readdir(target)).includes('long'), { message: 'the object to be listed' });
      let faults = 3;
      proxy.fault(({ method, url }) =>
        method === 'GET' && url.includes('/long') && faults-- > 0 ? { kind: 'truncate-answer' } : undefined,
      );
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const read = await readFile(join(target, 'long'), 'utf8').catch((error: NodeJS.ErrnoException) => error.code);
        expect(read).to.be.oneOf([content, 'EIO']);
      }
      proxy.heal();
      await waitFor(async () => (await readFile(join(target, 'long'), 'utf8')) === content, {
        message: 'the whole file',
      });
    });
  });
});
