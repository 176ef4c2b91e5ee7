import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { VolumeBackup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { ANNOTATIONS } from '../src/api/group.ts';
import {
  type ResourceDescriptor,
  SNAPSHOTS,
  STORAGE_NODES,
  VOLUME_BACKUPS,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { NfsSource, Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { backup, ended } from '../test/support/harness/backups.ts';
import { type Export, Ganesha } from '../test/support/harness/ganesha.ts';
import { GUEST_DATA, GUEST_MOUNTS, GuestNode, NFS_MODULES } from '../test/support/harness/guest-node.ts';
import { KERNEL_NFS, KERNEL_NFS_MODULES, serveByKernel } from '../test/support/harness/kernel-nfs.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, openClass, snapshot, volume } from '../test/support/harness/manifests.ts';
import { full, makeDirectory } from '../test/support/harness/run.ts';
import { GuestNetwork, makeDisk } from '../test/support/harness/uml.ts';

const GUEST = 'guest';
/** Of a wait, in milliseconds: a server is looked at every few seconds, and a guest is slow on a busy machine. */
const LONG_MS = 120_000;
/** Enough for an XFS. */
const DISK_MIB = 320;
const EXPORTS: readonly Export[] = [
  { path: '/files' },
  { path: '/other' },
  { path: '/squashed', squash: 'root' },
  { path: '/exports/datasets' },
];
/** The server's name in the examples for agents. */
const SERVER_NAME = 'nfs.internal';

describe('nfs volumes, on a kernel with an NFS client and a real server', function () {
  this.timeout(300_000);
  let directory: string;
  let network: GuestNetwork;
  let server: Ganesha;
  let machine: Machine;
  let node: GuestNode;
  let namespace: string;

  before(async () => {
    network = await GuestNetwork.create();
    server = await Ganesha.create(network.hostAddress);
    directory = makeDirectory('nfs');
    const disk = join(directory, 'disk.img');
    [machine] = await Promise.all([
      Machine.start({ separate: true, listen: network.hostAddress }),
      server.start(EXPORTS),
      makeDisk(disk, DISK_MIB, 'xfs'),
    ]);
    const { kubeconfig } = machine.settings;
    const prepare = `
{ cat /etc/hosts; echo '${network.hostAddress} ${SERVER_NAME}'; } >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
export PATH='${dirname(process.env['RESTIC_0_19'] ?? '')}':$PATH
${serveByKernel('/dev/ubda')}`;
    const modules = [...NFS_MODULES, ...KERNEL_NFS_MODULES];
    node = await GuestNode.boot({ name: GUEST, kubeconfig, network, modules, disks: [disk], prepare });
    await machine.apply(openClass([GUEST_DATA]));
    await node.startAgent();
    await machine.waitReady<StorageNode>(STORAGE_NODES, GUEST, LONG_MS);
    namespace = await machine.namespace('nfs');
  });

  // What a test has ended it may not have started again.
  afterEach(async () => {
    if (!server.isUp) await server.start();
  });

  after(async () => {
    if (machine !== undefined) await machine.deleteAll();
    await node?.end();
    // Before the machine: its mount namespace keeps copies of what that has mounted.
    await server?.end();
    await machine?.end();
    await network?.end();
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  const key = (name: string): string => `${namespace}/${name}`;
  const target = (name: string): string => `${GUEST_MOUNTS}/${namespace}/${name}/data`;
  const create = async (name: string, source: Partial<NfsSource> = {}, spec: VolumeSpec = {}): Promise<void> => {
    const nfs = { server: network.hostAddress, path: '/files', ...source };
    const mountOptions = [`port=${server.port}`];
    await machine.create(volume(namespace, name, { nfs, mountOptions, ...spec }));
  };
  /** Without an rpcbind to ask, each port is said; locks are the node's own. */
  const version3 = (): readonly string[] => [
    'vers=3',
    'proto=tcp',
    `port=${server.port}`,
    `mountport=${server.mountPort}`,
    'nolock',
  ];
  const createMounted = async (name: string, source: Partial<NfsSource> = {}, spec: VolumeSpec = {}) => {
    await create(name, source, spec);
    await machine.create(mount(namespace, name, name));
  };
  const mounted = (name: string) => machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key(name), LONG_MS);
  const provisioned = (name: string) => machine.waitReady<Volume>(VOLUMES, key(name), LONG_MS);
  const says = (resource: ResourceDescriptor, name: string, type: string, reason: string) =>
    machine.waitCondition(resource, key(name), type, type === 'DeletionBlocked' ? 'True' : 'False', reason, LONG_MS);
  const gone = (resource: ResourceDescriptor, name: string) => machine.waitGone(resource, key(name), LONG_MS);

  it('says which node can have them, and what the other lacks', async () => {
    const types = async (name: string) =>
      (await machine.get<StorageNode>(STORAGE_NODES, name)).status?.types?.find((type) => type.name === 'nfs');
    expect(await types(GUEST)).to.deep.include({ supported: true });
    expect(await types(machine.settings.nodeName)).to.deep.include({
      supported: false,
      reason: 'KernelFeatureMissing',
    });
  });

  it('takes the example of training data as it stands', async () => {
    const file = join(import.meta.dirname, '../manifests/examples/training-data.yaml');
    const said = await machine.kubectl.run(['apply', '--dry-run=server', '--validate=strict', '-f', file]);
    expect(said.trim().split('\n')).to.have.length(5);
  });

  it("makes and mounts the seed's training data, as agents ask for it", async () => {
    // Words for the port of the server are all that the example lacks here.
    const { spec, ...rest } = openClass([GUEST_DATA]);
    await machine.apply({ ...rest, spec: { ...spec, defaults: { mountOptions: [`port=${server.port}`] } } });
    writeFileSync(join(server.place('exports/datasets'), 'train.bin'), 'data');
    const invoke = (command: string, params: unknown) =>
      machine.invoke(command, params, '--invoke-namespace', namespace, '--node-name', GUEST, '--timeout', '120');
    const datasets = {
      name: 'datasets',
      type: 'nfs',
      sizeGb: 500,
      accessMode: 'ReadOnlyMany',
      server: SERVER_NAME,
      path: '/exports/datasets',
    };
    const { answer } = await invoke('volume.create', datasets);
    expect(answer).to.deep.equal({
      name: 'datasets',
      type: 'nfs',
      sizeGb: 500,
      accessMode: 'ReadOnlyMany',
      success: true,
    });
    const request = { volumeId: 'datasets', workloadId: 'train-job-abc', mountPath: '/datasets' };
    const { answer: mounted } = await invoke('volume.mount', request);
    expect(mounted, JSON.stringify(mounted)).to.deep.include({ ...request, success: true });
    const hostPath = String(mounted['hostPath']);
    expect(await node.sh(`cat ${hostPath}/train.bin`)).to.equal('data');
    expect(await node.sh(`grep ' ${hostPath} ' /proc/self/mountinfo`)).to.match(/ ro,.* - nfs4 nfs\.internal:/);
    const gone = await invoke('volume.unmount', { volumeId: 'datasets' });
    expect(gone.answer).to.deep.equal({ volumeId: 'datasets', unmounted: true });
    await invoke('volume.delete', { volumeId: 'datasets' });
    await machine.apply(openClass([GUEST_DATA]));
  });

  it('mounts a directory of its own, where the workload writes to the server', async () => {
    await createMounted('data', { subPath: 'teams/a' }, { capacity: '1Gi' });
    const { status } = await mounted('data');
    expect(status).to.deep.include({ nodeName: GUEST, source: `${network.hostAddress}:/files/teams/a` });
    await node.sh(`echo hello >${target('data')}/f`);
    expect(readFileSync(join(server.data, 'files/teams/a/f'), 'utf8')).to.equal('hello\n');
    const row = await node.sh(`grep ' ${target('data')} ' /proc/self/mountinfo`);
    expect(row).to.match(/nosuid,nodev.* - nfs4 .*vers=4\.2/);
    const capacity = findCondition((await provisioned('data')).status?.conditions, 'CapacityEnforced');
    expect(capacity).to.deep.include({ status: 'False', reason: 'NotEnforceable' });
    expect(capacity?.message).to.include('64Mi');
  });

  it('mounts with version 3 where the volume asks for it', async () => {
    await createMounted('three', { subPath: 'teams/three' }, { mountOptions: version3() });
    const { status } = await mounted('three');
    expect(status).to.deep.include({ source: `${network.hostAddress}:/files/teams/three` });
    const row = await node.sh(`grep ' ${target('three')} ' /proc/self/mountinfo`);
    expect(row).to.match(/nosuid,nodev.* - nfs .*vers=3,.*local_lock=all/);
    await node.sh(`cd ${target('three')}; echo hello >f; flock f cat f; mkdir d; mv f d/g`);
    expect(readFileSync(join(server.data, 'files/teams/three/d/g'), 'utf8')).to.equal('hello\n');
    expect(await node.sh(`cat ${target('three')}/d/g`)).to.equal('hello\n');
  });

  it('leaves a mount alone whose server is silent, holds up nothing else, and goes on when it answers', async () => {
    const before = await node.mounts();
    server.freeze();
    try {
      await says(VOLUME_MOUNTS, 'data', 'Healthy', 'ServerUnreachable');
      await says(VOLUME_MOUNTS, 'three', 'Healthy', 'ServerUnreachable');
      await says(VOLUMES, 'data', 'Ready', 'ServerUnreachable');
      await create('late', { subPath: 'late' });
      await machine.create(
        volume(namespace, 'local', {
          hostPath: { path: `${GUEST_DATA}/l`, type: 'DirectoryOrCreate' },
          nodeName: GUEST,
        }),
      );
      await machine.create(mount(namespace, 'local', 'local'));
      await mounted('local');
      await says(VOLUMES, 'late', 'Ready', 'ServerUnreachable');
      expect((await machine.get<VolumeMount>(VOLUME_MOUNTS, key('data'))).status?.phase).to.equal('Mounted');
    } finally {
      server.thaw();
    }
    await Promise.all([mounted('data'), mounted('three'), provisioned('data'), provisioned('late')]);
    const after = await node.mounts();
    for (const name of ['data', 'three']) expect(after.get(target(name))).to.equal(before.get(target(name)));
    expect(existsSync(join(server.data, 'files/late'))).to.equal(true);
  });

  it('says what each server objects to, and goes on by itself when it is put right', async () => {
    mkdirSync(join(server.data, 'squashed'), { mode: 0o755, recursive: true });
    await Promise.all([
      createMounted('nowhere', { path: '/later' }),
      create('nobody', { server: 'nosuch.invalid' }),
      create('denied', { path: '/squashed', subPath: 'mine' }),
      create('old', { path: '/other' }, { mountOptions: ['vers=4.0', `port=${server.port}`] }),
      // Each attempt takes all of its time; what is said of one that does not answer is seen of the frozen one, too.
      ...(full ? [create('elsewhere', { server: '198.18.1.77' })] : []),
    ]);
    const reason = (name: string, word: string) => says(VOLUMES, name, 'Ready', word);
    await Promise.all([
      reason('nowhere', 'ExportNotFound'),
      reason('nobody', 'ServerNameNotResolved'),
      reason('denied', 'AccessDenied'),
      reason('old', 'ProtocolNotSupported'),
      ...(full ? [reason('elsewhere', 'ServerUnreachable')] : []),
    ]);
    await server.restart([...EXPORTS, { path: '/later' }]);
    await provisioned('nowhere');
    await mounted('nowhere');
    const others = ['nobody', 'denied', 'old', ...(full ? ['elsewhere'] : [])];
    for (const name of others) await machine.delete(VOLUMES, key(name));
    for (const name of others) await gone(VOLUMES, name);
  });

  it('says what a server of version 3 objects to, whose mounts are asked for at a port of their own', async () => {
    await Promise.all([
      create('absent3', { path: '/absent' }, { mountOptions: version3() }),
      create('mountd3', { path: '/other' }, { mountOptions: [...version3(), 'mountport=9'] }),
    ]);
    // What this server says of a path that it does not export.
    await says(VOLUMES, 'absent3', 'Ready', 'AccessDenied');
    await says(VOLUMES, 'mountd3', 'Ready', 'ServerUnreachable');
    for (const name of ['absent3', 'mountd3']) await machine.delete(VOLUMES, key(name));
    for (const name of ['absent3', 'mountd3']) await gone(VOLUMES, name);
  });

  it('mounts anew what the server does not know any more, once it exports it again', async () => {
    await node.sh(`echo there >${target('nowhere')}/f`);
    await server.restart(EXPORTS);
    await says(VOLUME_MOUNTS, 'nowhere', 'Ready', 'ExportNotFound');
    await mounted('data');
    await server.restart([...EXPORTS, { path: '/later' }]);
    await mounted('nowhere');
    expect(await node.sh(`cat ${target('nowhere')}/f`)).to.equal('there\n');
  });

  it('makes nothing anew in the place of a directory that somebody removed', async () => {
    // What a client believes of a directory for half a minute by itself is asked again at once with this option.
    const asking = { mountOptions: [`port=${server.port}`, 'actimeo=1'] };
    await createMounted('gone', { path: '/other', subPath: 'gone' }, asking);
    await mounted('gone');
    // By another client: the server does not notice what is done below it.
    const options = `port=${server.port},nosharecache`;
    await node.sh(`mkdir /mnt/byhand; mount -t nfs -o ${options} ${network.hostAddress}:/other /mnt/byhand`);
    await node.sh('rmdir /mnt/byhand/gone');
    await says(VOLUMES, 'gone', 'Ready', 'DataMissing');
    expect(existsSync(join(server.data, 'other/gone'))).to.equal(false);
    await node.sh('mkdir /mnt/byhand/gone; umount /mnt/byhand');
    // What waits for a person is looked at every half minute, or when that person says so.
    await machine.patch(VOLUMES, key('gone'), { metadata: { annotations: { [ANNOTATIONS.reconcileAt]: 'now' } } });
    await mounted('gone');
    await provisioned('gone');
  });

  it('says of a snapshot whether the server has copied by itself, and fills a volume from it', async () => {
    const { address: kernel, port, copies: path } = KERNEL_NFS;
    const byKernel = [{ server: kernel, path }, { mountOptions: [`port=${port}`] }] as const;
    const methodOf = async (name: string, source: Partial<NfsSource> = {}, spec: VolumeSpec = {}) => {
      await createMounted(name, { ...source, subPath: name }, spec);
      await mounted(name);
      await node.sh(`head -c 300000 /dev/urandom >${target(name)}/f`);
      await machine.create(snapshot(namespace, `${name}-then`, name));
      const { status } = await machine.waitReady<Snapshot>(SNAPSHOTS, key(`${name}-then`), LONG_MS);
      return status?.method;
    };
    const methods = await Promise.all([methodOf('plain'), methodOf('copied', ...byKernel)]);
    expect(methods).to.deep.equal(['Copy', 'ServerSideCopy']);
    const [source, spec] = byKernel;
    const dataSource = { snapshotRef: { name: 'copied-then' } };
    await createMounted('again', { ...source, subPath: 'again' }, { ...spec, dataSource });
    await mounted('again');
    await node.sh(`cmp ${target('copied')}/f ${target('again')}/f`);
  });

  it('adopts everything after a kill of the agent', async () => {
    const before = await node.mounts();
    await node.killAgent();
    await node.startAgent();
    await machine.patch(VOLUMES, key('data'), { spec: { capacity: '2Gi' } });
    await machine.waitFor<Volume>(VOLUMES, key('data'), ({ status }) => status?.capacity === '2Gi', 'to be looked at');
    expect(await node.mounts()).to.deep.equal(before);
  });

  it('deletes only the directory that it made, and only where the volume says so', async () => {
    mkdirSync(join(server.data, 'other/old'));
    const spec = { reclaimPolicy: 'Delete' } as const;
    await Promise.all([
      createMounted('made', { path: '/other', subPath: 'made' }, spec),
      createMounted('found', { path: '/other', subPath: 'old' }, spec),
      createMounted('kept', { path: '/other', subPath: 'kept' }),
    ]);
    for (const name of ['made', 'found', 'kept']) {
      await mounted(name);
      await node.sh(`mkdir ${target(name)}/d; echo x >${target(name)}/d/f`);
      await machine.delete(VOLUME_MOUNTS, key(name));
      await machine.delete(VOLUMES, key(name));
    }
    for (const name of ['made', 'found', 'kept']) await gone(VOLUMES, name);
    expect(readdirSync(join(server.data, 'other')).sort())
      .to.include.members(['kept', 'old'])
      .and.not.include('made');
    expect(readFileSync(join(server.data, 'other/old/d/f'), 'utf8')).to.equal('x\n');
  });

  it('takes a mount down while its server is dead, and gives the volume up when that has everything', async () => {
    await node.sh(`echo last >${target('data')}/last; echo last >${target('three')}/last`);
    const before = (await node.mounts()).get(target('gone'));
    await server.kill();
    for (const name of ['data', 'three']) {
      await says(VOLUME_MOUNTS, name, 'Ready', 'ServerUnreachable');
      await machine.delete(VOLUME_MOUNTS, key(name));
      await gone(VOLUME_MOUNTS, name);
      await machine.delete(VOLUMES, key(name));
      await says(VOLUMES, name, 'DeletionBlocked', 'ServerUnreachable');
    }
    await machine.delete(VOLUME_MOUNTS, key('nowhere'));
    await machine.delete(VOLUMES, key('nowhere'));
    await gone(VOLUME_MOUNTS, 'nowhere');
    const { uid } = (await machine.get(VOLUMES, key('nowhere'))).metadata;
    await machine.patch(VOLUMES, key('nowhere'), { metadata: { annotations: { [ANNOTATIONS.allowDataLoss]: uid } } });
    await gone(VOLUMES, 'nowhere');
    await server.start();
    await gone(VOLUMES, 'data');
    await gone(VOLUMES, 'three');
    expect(readFileSync(join(server.data, 'files/teams/three/last'), 'utf8')).to.equal('last\n');
    expect(readFileSync(join(server.data, 'files/teams/a/last'), 'utf8')).to.equal('last\n');
    // What was not taken down has outlived the crash.
    await mounted('gone');
    expect((await node.mounts()).get(target('gone'))).to.equal(before);
  });

  if (!full) return;

  it('lets a second node mount what the first one owns', async () => {
    const link = await GuestNetwork.create();
    const { kubeconfig } = machine.settings;
    const second = await GuestNode.boot({ name: 'second', kubeconfig, network: link, modules: NFS_MODULES });
    try {
      await second.startAgent();
      await machine.waitReady<StorageNode>(STORAGE_NODES, 'second', LONG_MS);
      await createMounted('shared', { subPath: 'shared' }, { accessModes: ['ReadWriteMany'], nodeName: GUEST });
      await machine.create(mount(namespace, 'far', 'shared', { nodeName: 'second' }));
      await Promise.all([mounted('shared'), machine.waitReady(VOLUME_MOUNTS, key('far'), LONG_MS)]);
      await second.sh(`echo far >${target('far')}/f`);
      expect(await node.sh(`cat ${target('shared')}/f`)).to.equal('far\n');
      await machine.delete(VOLUME_MOUNTS, key('far'));
      await gone(VOLUME_MOUNTS, 'far');
      expect([...(await second.mounts()).keys()]).to.deep.equal([]);
    } finally {
      await second.end();
      await link.end();
      // Nothing of the tests to come is to be placed on it.
      await machine.delete(STORAGE_NODES, 'second').catch(() => undefined);
    }
  });

  it('is read for a backup, and filled from one', async () => {
    await createMounted('source', { subPath: 'teams/source' });
    await mounted('source');
    const script = `cd ${target('source')}
mkdir d
echo one >d/one
head -c 300000 /dev/urandom >big
ln big linked
chmod 640 d/one
chown 12:34 d/one
touch -d @1000000000 d/one`;
    await node.sh(script);
    const destination = `${GUEST_DATA}/kept`;
    await machine.create(backup(namespace, 'b', { destination, volumeRefs: [{ name: 'source' }] }));
    const made = await ended(machine, key('b'), LONG_MS * 2);
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    const { items } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace });
    expect(items.map(({ status }) => [status?.method, status?.files])).to.deep.equal([['InPlace', 3]]);
    const dataSource = { backupRef: { name: 'b', volumeName: 'source' } };
    await createMounted('filled', { subPath: 'teams/filled' }, { dataSource });
    await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key('filled'), LONG_MS * 2);
    const filesOf = (name: string): Promise<string> =>
      node.sh(`cd ${target(name)}
find . -printf '%P %y %m %U %G %T@\\n' | sort
find . -type f -printf '%P %n\\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum`);
    expect(await filesOf('filled')).to.equal(await filesOf('source'));
  }).timeout(600_000);

  for (const [what, file] of [
    ['drivers', 'test/drivers/nfs/contract.guest.ts'],
    ['snapshots', 'test/drivers/nfs/snapshots.guest.ts'],
    ['snapshots on a server that copies by itself', 'test/drivers/nfs/server-copies.guest.ts'],
    ['repositories of backups', 'test/contract/engine/nfs.guest.ts'],
  ] as const) {
    it(`keeps the contract of ${what}`, async () => {
      await server.restart([...EXPORTS, { path: '/contract' }]);
      const restic = process.env['RESTIC_0_19'] ?? '';
      const environment = `TMPDIR=/mnt NFS_ADDRESS=${network.hostAddress} NFS_PORT=${server.port} RESTIC_0_19='${restic}'`;
      const mocha = 'node node_modules/mocha/bin/mocha.js --no-config --no-package --reporter spec';
      const checkout = join(import.meta.dirname, '..');
      const nodeBin = dirname(process.execPath);
      const script = `cd '${checkout}'; PATH='${nodeBin}':$PATH ${environment} ${mocha} ${file}`;
      const { code, stdout, stderr } = await node.exec(['sh', '-ec', script], 600_000);
      expect(code, `${stdout}${stderr}`).to.equal(0);
      expect(stdout).to.match(/[1-9]\d* passing/);
    }).timeout(700_000);
  }
});
