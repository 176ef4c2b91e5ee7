import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, before, describe, it } from 'mocha';
import { CONFIG_MAPS, RESTORES, SECRETS, SNAPSHOTS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { Cgroup } from '../test/support/harness/cgroup.ts';
import { commandLine, Daemon, isRunning } from '../test/support/harness/daemon.ts';
import type { ExecResult } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, restore, snapshot, volume } from '../test/support/harness/manifests.ts';
import { mountIds, mountsAt } from '../test/support/harness/mounts.ts';
import { S3Server, type S3User } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('s3 volumes', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let serial = 0;
  let workload: Daemon | undefined;

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    server = await S3Server.start({ tls: true });
    await server.createBucket('data');
    machine = await Machine.start();
    ns = await machine.namespace('s3');
    await putSecret('keys', server.root);
    const data = { 'ca.crt': server.ca ?? '' };
    await machine.client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: ns, name: 'ca' },
      data,
    });
  });

  afterEach(async () => {
    // What a test has stopped it may not have started again.
    if (!server.isUp) await server.up();
    await machine.restartWhatEnded();
    await workload?.killGroup();
    workload = undefined;
    await machine.deleteAll();
  });

  const putSecret = async (name: string, { accessKeyId, secretAccessKey }: S3User): Promise<void> => {
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: ns, name },
      stringData: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    };
    await machine.client.patch(SECRETS, { namespace: ns, name }, secret, {
      type: 'apply',
      fieldManager: 'e2e',
      force: true,
    });
  };
  const s3 = (prefix: string, overrides: Partial<NonNullable<VolumeSpec['s3']>> = {}): VolumeSpec => ({
    s3: {
      bucket: 'data',
      prefix,
      endpoint: server.endpoint,
      credentialsSecretRef: { name: 'keys' },
      caBundleRef: { name: 'ca' },
      ...overrides,
    },
  });
  /** A volume with one mount, Ready; its files and its key in the API. */
  const mounted = async (spec: Partial<VolumeSpec> = {}, mountSpec: Parameters<typeof mount>[3] = {}) => {
    serial += 1;
    const name = `v${serial}`;
    const key = `${ns}/${name}`;
    await machine.create(volume(ns, name, { ...s3(name), ...spec }));
    await machine.create(mount(ns, name, name, mountSpec));
    await machine.waitReady(VOLUME_MOUNTS, key);
    return { name, key, prefix: `${name}/`, target: machine.target(ns, name) };
  };
  const arrives = (key: string, content: string) =>
    waitFor(async () => (await server.read('data', key)) === content, { message: `${key} to reach the server` });
  /** Events are gathered for a moment before they are written. */
  const eventsInclude = (...reasons: readonly string[]) =>
    waitFor(
      async () => {
        const seen = await machine.kubectl.run(['get', 'events', '-n', ns, '-o', 'custom-columns=R:.reason']);
        return reasons.every((reason) => seen.includes(reason));
      },
      { message: `events with ${reasons.join(', ')}` },
    );
  const pidOf = async (key: string): Promise<number> => {
    const { metadata } = await machine.get<Volume>(VOLUMES, key);
    const file = join(machine.settings.stateDir, 's3', metadata.uid ?? '', 'process');
    return Number(readFileSync(file, 'utf8').split(' ')[0]);
  };

  it('mounts a prefix with a Secret and a private authority, in both directions', async () => {
    const { key, prefix, target } = await mounted();
    const content = randomBytes(6_000_000).toString('base64');
    writeFileSync(join(target, 'file'), content);
    await arrives(`${prefix}file`, content);
    await server.put('data', `${prefix}sub/theirs`);
    await waitFor(() => readdirSync(target).includes('sub'), { message: 'the object to be listed' });
    expect(readFileSync(join(target, 'sub/theirs'), 'utf8')).to.equal(`${prefix}sub/theirs`);
    const { status } = await machine.get<VolumeMount>(VOLUME_MOUNTS, key);
    expect(status?.source).to.equal(`s3://data/${prefix}`);
    const described = () => machine.kubectl.run(['describe', 'cvol', '-n', ns]);
    await waitFor(async () => (await described()).includes('chmod and chown have no effect'), {
      message: 'the description to say what such a volume lacks',
      instead: described,
    });
    const seen = await machine.kubectl.run(['get', 'cvol,cmnt', '-n', ns, '-o', 'yaml']);
    expect(seen).to.not.include(server.root.secretAccessKey);
  });

  it('takes no writes where the mount is read-only', async () => {
    await server.put('data', 'ro/there');
    const { target } = await mounted({ ...s3('ro'), accessModes: ['ReadOnlyMany'] }, { readOnly: true });
    expect(readFileSync(join(target, 'there'), 'utf8')).to.equal('ro/there');
    expect(() => writeFileSync(join(target, 'new'), '')).to.throw('EROFS');
    expect(() => writeFileSync(join(target, 'there'), '')).to.throw('EROFS');
  });

  for (const [what, overrides, reason] of [
    ['a Secret that does not exist', { credentialsSecretRef: { name: 'none' } }, 'CredentialsNotFound'],
    ['wrong credentials', { credentialsSecretRef: { name: 'wrong' } }, 'CredentialsRejected'],
    ['a missing bucket', { bucket: 'no-such-bucket' }, 'BucketNotFound'],
    ['a wrong region', { region: 'eu-west-9' }, 'RegionMismatch'],
  ] as const) {
    it(`names ${what}`, async () => {
      await putSecret('wrong', { accessKeyId: 'nobody', secretAccessKey: 'nothing' });
      serial += 1;
      const key = `${ns}/v${serial}`;
      await machine.create(volume(ns, `v${serial}`, s3(`v${serial}`, overrides)));
      await machine.waitCondition(VOLUMES, key, 'Ready', 'False', reason);
    });
  }

  it('goes on once the Secret that it named is corrected, and then on a new one without a new mount', async () => {
    serial += 1;
    const name = `v${serial}`;
    await machine.create(volume(ns, name, s3(name, { credentialsSecretRef: { name: 'late' } })));
    await machine.waitCondition(VOLUMES, `${ns}/${name}`, 'Ready', 'False', 'CredentialsNotFound');
    const [first, second] = ['first', 'second'].map((user) => ({
      accessKeyId: user,
      secretAccessKey: `${user}-key`,
    })) as [S3User, S3User];
    await server.createUser(first, 'admin');
    await server.createUser(second, 'admin');
    await putSecret('late', first);
    await machine.create(mount(ns, name, name));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
    const target = machine.target(ns, name);
    const ids = mountIds(target);
    await putSecret('late', second);
    await server.deleteUser(first);
    await waitFor(() => (writeFileSync(join(target, 'after'), 'after'), true), { message: 'a write to work' });
    await arrives(`${name}/after`, 'after');
    expect(mountIds(target)).to.deep.equal(ids);
  });

  it('mounts anew at once when the process behind a mount dies, at every target', async () => {
    const { name, key, prefix, target } = await mounted({ accessModes: ['ReadWriteMany'] });
    await machine.create(mount(ns, `${name}-b`, name, { readOnly: true }));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}-b`);
    const second = machine.target(ns, `${name}-b`);
    writeFileSync(join(target, 'file'), 'kept');
    await arrives(`${prefix}file`, 'kept');
    const pid = await pidOf(key);
    const other = new Daemon({
      name: 'workload',
      command: 'unshare',
      args: ['--mount', '--propagation', 'private', 'sleep', '1000'],
      logFile: join(machine.directory, 'workload.log'),
    });
    workload = other;
    await waitFor(() => commandLine(other.pid).startsWith('sleep'), { message: 'the workload to have its copy' });
    process.kill(pid, 'SIGKILL');
    for (const one of [name, `${name}-b`]) {
      await machine.waitFor<VolumeMount>(
        VOLUME_MOUNTS,
        `${ns}/${one}`,
        ({ status }) => status?.restarts === 1 && status.phase === 'Mounted',
        'to be mounted again',
      );
    }
    expect(await pidOf(key)).to.not.equal(pid);
    expect([target, second].map((path) => mountsAt(path).length)).to.deep.equal([1, 1]);
    expect(readFileSync(join(second, 'file'), 'utf8')).to.equal('kept');
    expect(() => writeFileSync(join(second, 'new'), '')).to.throw('EROFS');
    writeFileSync(join(target, 'again'), 'again');
    await arrives(`${prefix}again`, 'again');
    await eventsInclude('MountUnresponsive', 'Remounted');
    const { message } = await machine.waitCondition(VOLUME_MOUNTS, key, 'Healthy', 'False', 'StaleInWorkload');
    expect(message).to.include(`sleep (pid ${other.pid})`);
    await other.killGroup();
    const annotations = { 'storage.clawbernetes.io/reconcile-at': 'now' };
    await machine.client.patch(
      VOLUME_MOUNTS,
      { namespace: ns, name },
      { metadata: { annotations } },
      { type: 'merge' },
    );
    await machine.waitCondition(VOLUME_MOUNTS, key, 'Healthy', 'True');
  });

  it('keeps its processes and its mounts when the whole cgroup of the agent is killed', async () => {
    // Before the mount is made: its process has to leave by itself.
    const cgroup = Cgroup.make('agent');
    for (const pid of [machine.node.pid, ...machine.node.children()]) cgroup?.add(pid);
    const { key, target } = await mounted();
    writeFileSync(join(target, 'file'), 'kept');
    const [pid, ids] = [await pidOf(key), mountIds(machine.settings.mountRoot)];
    await cgroup?.kill();
    await machine.node.killGroup();
    expect(isRunning(pid)).to.equal(true);
    expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('kept');
    await machine.startNode();
    await machine.waitReady(VOLUME_MOUNTS, key);
    expect(await pidOf(key)).to.equal(pid);
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(ids);
  });

  it('says that the server is away, sends later what was written, and unmounts only then', async () => {
    const { key, prefix, target } = await mounted();
    const fd = openSync(join(target, 'unsent'), 'w');
    await server.down();
    writeSync(fd, 'written meanwhile');
    closeSync(fd);
    await machine.waitCondition(VOLUMES, key, 'Ready', 'False', 'ServerUnreachable');
    await machine.delete(VOLUME_MOUNTS, key);
    const saysHowMuch = ({ status }: VolumeMount): boolean =>
      status?.conditions?.some(
        ({ type, reason, message }) =>
          type === 'DeletionBlocked' && reason === 'UploadPending' && message.includes('1 file (17 bytes)'),
      ) === true;
    await machine.waitFor<VolumeMount>(VOLUME_MOUNTS, key, saysHowMuch, 'to say what is not sent');
    await server.up();
    await machine.waitGone(VOLUME_MOUNTS, key);
    expect(await server.read('data', `${prefix}unsent`)).to.equal('written meanwhile');
    await machine.waitReady(VOLUMES, key);
  });

  it('drops what was not sent when a person permits it by the UID of the mount', async () => {
    const { key, prefix, target } = await mounted();
    const fd = openSync(join(target, 'dropped'), 'w');
    await server.down();
    writeSync(fd, 'dropped');
    closeSync(fd);
    await machine.delete(VOLUME_MOUNTS, key);
    const { metadata } = await machine.waitFor<VolumeMount>(
      VOLUME_MOUNTS,
      key,
      ({ status }) => status?.conditions?.some(({ reason }) => reason === 'UploadPending') === true,
      'to wait for the upload',
    );
    const annotations = { 'storage.clawbernetes.io/allow-data-loss': metadata.uid ?? '' };
    await machine.client.patch(
      VOLUME_MOUNTS,
      { namespace: ns, name: metadata.name },
      { metadata: { annotations } },
      { type: 'merge' },
    );
    await machine.waitGone(VOLUME_MOUNTS, key);
    const volumeUid = (await machine.get<Volume>(VOLUMES, key)).metadata.uid ?? '';
    await machine.client.patch(
      VOLUMES,
      { namespace: ns, name: metadata.name },
      { metadata: { annotations: { 'storage.clawbernetes.io/allow-data-loss': volumeUid } } },
      { type: 'merge' },
    );
    await machine.delete(VOLUMES, key);
    await machine.waitGone(VOLUMES, key);
    await server.up();
    expect(await server.read('data', `${prefix}dropped`)).to.equal(undefined);
  });

  it('deletes what it made, and only that', async () => {
    await server.put('data', 'own-2/theirs', 'adopted/theirs');
    const own = await mounted({ ...s3('own'), reclaimPolicy: 'Delete' });
    const adopted = await mounted({ ...s3('adopted'), reclaimPolicy: 'Delete' });
    const kept = await mounted({ ...s3('kept') });
    for (const { target } of [own, adopted, kept]) writeFileSync(join(target, 'file'), 'x');
    for (const { key } of [own, adopted, kept]) {
      await machine.delete(VOLUME_MOUNTS, key);
      await machine.delete(VOLUMES, key);
    }
    for (const { key } of [own, adopted, kept]) await machine.waitGone(VOLUMES, key);
    expect(await server.keys('data', 'own')).to.deep.equal(['own-2/theirs']);
    expect(await server.keys('data', 'adopted/')).to.include.members(['adopted/file', 'adopted/theirs']);
    expect(await server.keys('data', 'kept/')).to.include('kept/file');
    await eventsInclude('DataRetained');
  });

  it('keeps a moment of what was just written, makes another volume from it, and outlives its own', async () => {
    const origin = await mounted({ ...s3('origin'), reclaimPolicy: 'Delete' });
    for (const name of ['one', 'two']) writeFileSync(join(origin.target, name), name);
    const key = `${ns}/moment`;
    await machine.create(snapshot(ns, 'moment', origin.key.slice(ns.length + 1)));
    const taken = await machine.waitReady<Snapshot>(SNAPSHOTS, key);
    expect(taken.status).to.deep.include({ readyToUse: true, method: 'ServerSideCopy' });
    writeFileSync(join(origin.target, 'one'), 'later');
    await machine.delete(VOLUME_MOUNTS, origin.key);
    await machine.delete(VOLUMES, origin.key);
    await machine.waitGone(VOLUMES, origin.key);
    expect(await server.keys('data', 'origin/')).to.deep.equal([]);
    const copy = await mounted({
      ...s3('copied'),
      reclaimPolicy: 'Delete',
      dataSource: { snapshotRef: { name: 'moment' } },
    });
    expect(readFileSync(join(copy.target, 'one'), 'utf8')).to.equal('one');
    expect(readFileSync(join(copy.target, 'two'), 'utf8')).to.equal('two');
    // The Secret that only the gone volume named is still read for it.
    await machine.delete(SNAPSHOTS, key);
    await machine.waitGone(SNAPSHOTS, key);
    expect(await server.keys('data', '.clawstore-snapshots/')).to.deep.equal([]);
    expect(readFileSync(join(copy.target, 'one'), 'utf8')).to.equal('one');
  });

  it('goes back to a moment, also while it is mounted, and keeps what there was since', async () => {
    const origin = await mounted({ ...s3('back'), reclaimPolicy: 'Delete' });
    const name = origin.key.slice(ns.length + 1);
    const fileAt = (file: string): string => join(origin.target, file);
    for (const file of ['one', 'two']) writeFileSync(fileAt(file), file);
    await machine.create(snapshot(ns, 'back-then', name));
    await machine.waitReady(SNAPSHOTS, `${ns}/back-then`);
    writeFileSync(fileAt('one'), 'later');
    writeFileSync(fileAt('three'), 'later');
    await machine.create(restore(ns, 'back', 'back-then', { whenAttached: 'Remount' }));
    await machine.waitReady(RESTORES, `${ns}/back`);
    await machine.waitReady(VOLUME_MOUNTS, origin.key);
    expect(readdirSync(origin.target).toSorted()).to.deep.equal(['one', 'two']);
    expect(readFileSync(fileAt('one'), 'utf8')).to.equal('one');
    const kept = await mounted({
      ...s3('since'),
      reclaimPolicy: 'Delete',
      dataSource: { snapshotRef: { name: 'back-safety' } },
    });
    expect(readFileSync(join(kept.target, 'one'), 'utf8')).to.equal('later');
    expect(readFileSync(join(kept.target, 'three'), 'utf8')).to.equal('later');
    for (const moment of ['back-then', 'back-safety']) {
      await machine.delete(SNAPSHOTS, `${ns}/${moment}`);
      await machine.waitGone(SNAPSHOTS, `${ns}/${moment}`);
    }
  });

  it('answers volume.create, volume.mount and volume.unmount', async () => {
    const secret = { accessKeyId: 'invoked', secretAccessKey: 'invoked-key' };
    await server.createUser(secret, 'admin');
    const plain = await S3Server.start();
    await plain.createBucket('invoked');
    await plain.createUser(secret, 'admin');
    const args = ['--invoke-namespace', ns, '--timeout', '120'];
    await putSecret('invoked', secret);
    const params = {
      name: 'inv',
      type: 's3',
      bucket: 'invoked',
      endpoint: plain.endpoint,
      credentialsSecret: 'invoked',
    };
    const created = await machine.invoke('volume.create', params, ...args);
    expect(created.answer, created.stderr).to.deep.include({ name: 'inv', type: 's3', success: true });
    const request = { volumeId: 'inv', workloadId: 'w', mountPath: '/data' };
    const { answer, stderr } = await machine.invoke('volume.mount', request, ...args);
    expect(answer['success'], stderr).to.equal(true);
    writeFileSync(join(String(answer['hostPath']), 'file'), 'by command');
    const unmounted = await machine.invoke('volume.unmount', { volumeId: 'inv' }, ...args);
    expect(unmounted.answer, unmounted.stderr).to.deep.include({ unmounted: true });
    expect(await plain.read('invoked', 'file')).to.equal('by command');
    const lacking = await machine.invoke('volume.create', { name: 'x', type: 's3' }, ...args);
    expect(JSON.stringify(lacking)).to.include('is required for type s3').and.to.include('bucket');
  });

  it('waits with down for what has not reached the server, and says how much that is', async () => {
    const { key, prefix, target } = await mounted();
    const pid = await pidOf(key);
    const fd = openSync(join(target, 'unsent'), 'w');
    await server.down();
    writeSync(fd, 'unsent');
    closeSync(fd);
    const isTold = ({ stderr }: ExecResult): boolean => stderr.includes('1 file (6 bytes)');
    let refused = await machine.command(['down', '--timeout', '4']);
    // All of its time passes; a busy machine needs some of it to stop what runs.
    if (!isTold(refused)) refused = await machine.command(['down', '--timeout', '40']);
    expect(refused.code, refused.stderr).to.not.equal(0);
    expect(refused.stderr).to.include('1 file (6 bytes)').and.to.include('--drop-unsent');
    expect(isRunning(pid)).to.equal(true);
    await server.up();
    const done = await machine.command(['down']);
    expect(done.code, done.stderr).to.equal(0);
    expect(await server.read('data', `${prefix}unsent`)).to.equal('unsent');
    await waitFor(() => !isRunning(pid), { message: 'the process of the mount to end' });
    await machine.node.exited;
    await machine.startNode();
    await machine.waitReady(VOLUME_MOUNTS, key);
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
