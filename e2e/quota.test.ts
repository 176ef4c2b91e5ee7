import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { findCondition } from '../src/api/conditions.ts';
import { ANNOTATIONS } from '../src/api/group.ts';
import { STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { projectsOf } from '../src/drivers/hostpath/project.ts';
import { CLAWSTORE } from '../test/support/harness/clawstore.ts';
import { GUEST_DATA, GUEST_MOUNTS, GUEST_STATE, GuestNode } from '../test/support/harness/guest-node.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, openClass, volume } from '../test/support/harness/manifests.ts';
import { makeDirectory } from '../test/support/harness/run.ts';
import { GuestNetwork, makeDisk } from '../test/support/harness/uml.ts';

const GUEST = 'guest';
/** Of a wait, in milliseconds: a guest is slow on a busy machine. */
const LONG_MS = 120_000;
/** In the guest: XFS with project quota, on a disk of 512 MiB. */
const XFS = `${GUEST_DATA}/xfs`;

describe('size limits of directories, on a kernel with project quota', function () {
  this.timeout(300_000);
  let directory: string;
  let network: GuestNetwork;
  let machine: Machine;
  let node: GuestNode;
  let namespace: string;

  before(async () => {
    directory = makeDirectory('quota');
    const disk = join(directory, 'disk.img');
    network = await GuestNetwork.create();
    [machine] = await Promise.all([
      Machine.start({ separate: true, listen: network.hostAddress }),
      makeDisk(disk, 512, 'xfs'),
    ]);
    const { kubeconfig } = machine.settings;
    const prepare = `mkdir ${XFS}; mount -t xfs -o prjquota /dev/ubda ${XFS}`;
    node = await GuestNode.boot({ name: GUEST, kubeconfig, network, modules: [], disks: [disk], prepare });
    await machine.apply(openClass([GUEST_DATA]));
    await node.startAgent();
    await machine.waitReady<StorageNode>(STORAGE_NODES, GUEST, LONG_MS);
    namespace = await machine.namespace('quota');
  });

  after(async () => {
    if (machine !== undefined) await machine.deleteAll();
    await node?.end();
    await machine?.end();
    await network?.end();
    rmSync(directory, { recursive: true, force: true });
  });

  const key = (name: string): string => `${namespace}/${name}`;
  const target = (name: string): string => `${GUEST_MOUNTS}/${namespace}/${name}/data`;
  const create = async (name: string, spec: VolumeSpec = {}, annotations: Readonly<Record<string, string>> = {}) => {
    const hostPath = { path: `${XFS}/${name}`, type: 'DirectoryOrCreate' } as const;
    const made = volume(namespace, name, { hostPath, capacity: '8Mi', nodeName: GUEST, ...spec });
    await machine.create({ ...made, metadata: { ...made.metadata, annotations } });
  };
  const createMounted = async (name: string, spec: VolumeSpec = {}): Promise<void> => {
    await create(name, spec);
    await machine.create(mount(namespace, name, name));
    await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key(name), LONG_MS);
  };
  const limited = (name: string, capacity: string) =>
    machine.waitFor<Volume>(
      VOLUMES,
      key(name),
      ({ status }) =>
        status?.capacity === capacity && findCondition(status.conditions, 'CapacityEnforced')?.status === 'True',
      `to be limited to ${capacity}`,
      LONG_MS,
    );
  const says = (name: string, type: string, reason: string) =>
    machine.waitCondition(VOLUMES, key(name), type, 'False', reason, LONG_MS);
  /** Writes so many MiB to a file of the directory; says how that ended. */
  const write = async (file: string, mebibytes: number): Promise<string> => {
    const { stderr } = await node.exec(['dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', `count=${mebibytes}`], LONG_MS);
    return stderr;
  };
  /** `PROJECT FLAGS` of a file, as lsattr(1) shows them. */
  const projectAt = async (path: string): Promise<{ readonly id: number; readonly inherited: boolean }> => {
    const [id = '', flags = ''] = (await node.sh(`lsattr -pd ${path}`)).trim().split(/\s+/);
    return { id: Number(id), inherited: flags.includes('P') };
  };

  it('says where directories can be limited, and what the other node lacks', async () => {
    const feature = async (name: string) => {
      const { status } = await machine.get<StorageNode>(STORAGE_NODES, name);
      return status?.features?.find((each) => each.name === 'ProjectQuota');
    };
    expect(await feature(GUEST)).to.deep.include({ available: true, message: `directories can be limited on ${XFS}` });
    expect(await feature(machine.settings.nodeName)).to.deep.include({ available: false });
    const doctor = await node.sh(`${CLAWSTORE} doctor --state-dir ${GUEST_STATE} | grep 'XFS project quota'`, LONG_MS);
    expect(doctor).to.match(/^XFS project quota +ok/);
  });

  it('stops writers at the capacity, with what was there before counted', async () => {
    await node.sh(`mkdir -p ${XFS}/data/old; dd if=/dev/zero of=${XFS}/data/old/f bs=1M count=4`);
    await createMounted('data', { capacityPolicy: 'Enforce' });
    await limited('data', '8Mi');
    expect(await write(`${target('data')}/big`, 20)).to.include('No space left on device');
    const [size, used] = (await node.sh(`df --output=size,used -k ${target('data')} | tail -1`)).trim().split(/\s+/);
    expect(Number(size)).to.equal(8192);
    expect(Number(used)).to.be.within(7168, 8192);
    expect(await write(`${XFS}/beside`, 12)).to.not.include('No space');
    const { id } = await projectAt(`${XFS}/data/old/f`);
    expect(await projectAt(`${XFS}/data`)).to.deep.equal({ id, inherited: true });
    expect(id).to.be.greaterThan(0);
  });

  it('grows under a writer, without a new mount, and says how much is used', async () => {
    const before = await node.mounts();
    await machine.patch(VOLUMES, key('data'), { spec: { capacity: '32Mi' } });
    await limited('data', '32Mi');
    expect(await write(`${target('data')}/more`, 20)).to.not.include('No space');
    expect(await node.mounts()).to.deep.equal(before);
    await machine.patch(VOLUMES, key('data'), { metadata: { annotations: { [ANNOTATIONS.reconcileAt]: 'now' } } });
    const isCounted = ({ status }: Volume) => (status?.usage?.usedBytes ?? 0) >= 24 * 2 ** 20;
    await machine.waitFor<Volume>(VOLUMES, key('data'), isCounted, 'to say what is used', LONG_MS);
  });

  it('goes on where a kill ended it, and finds its own again without a record of it', async () => {
    await node.sh(`mkdir -p ${XFS}/half/d; echo x >${XFS}/half/d/f`);
    await create('half', {}, { [ANNOTATIONS.paused]: 'true' });
    const { uid = '' } = (await machine.get<Volume>(VOLUMES, key('half'))).metadata;
    const [project = 0] = projectsOf(uid);
    // As far as it had come: the directory alone, and no limit.
    await node.sh(`xfs_io -c 'chproj ${project}' -c 'chattr +P' ${XFS}/half`);
    await node.killAgent();
    await node.sh(`rm -r ${GUEST_STATE}/projects`);
    await node.startAgent();
    await machine.patch(VOLUMES, key('half'), { metadata: { annotations: { [ANNOTATIONS.paused]: null } } });
    await limited('half', '8Mi');
    expect((await projectAt(`${XFS}/half/d/f`)).id).to.equal(project);
    await limited('data', '32Mi');
    await machine.patch(VOLUMES, key('data'), { spec: { capacity: '40Mi' } });
    await limited('data', '40Mi');
    expect((await node.sh(`ls ${GUEST_STATE}/projects`)).trim().split('\n')).to.have.length(2);
  });

  it('leaves a directory alone that belongs to the project of somebody else', async () => {
    await node.sh(`mkdir -p ${XFS}/taken/d; xfs_quota -x -c 'project -s -p ${XFS}/taken 42' ${XFS}`);
    await create('taken');
    await says('taken', 'CapacityEnforced', 'CapacityAdvisory');
    const { status } = await machine.waitReady<Volume>(VOLUMES, key('taken'), LONG_MS);
    expect(findCondition(status?.conditions, 'CapacityEnforced')?.message).to.include('belongs to project 42');
    const enforce = { capacityPolicy: 'Enforce' } as const;
    await create('demanded', { ...enforce, hostPath: { path: `${XFS}/taken/d` } });
    await says('demanded', 'Ready', 'CapacityNotEnforceable');
    // What lies below and belongs to somebody else stays as it is, and is counted by that project.
    await node.sh(`mkdir -p ${XFS}/outer/inner; xfs_io -c 'chproj 43' ${XFS}/outer/inner`);
    await create('outer', enforce);
    await limited('outer', '8Mi');
    expect(await projectAt(`${XFS}/outer/inner`)).to.deep.equal({ id: 43, inherited: false });
    for (const path of ['taken', 'taken/d']) expect((await projectAt(`${XFS}/${path}`)).id).to.equal(42);
  });

  it('stalls where a limit is demanded and there can be none, and makes nothing there', async () => {
    await create('nowhere', {
      capacityPolicy: 'Enforce',
      hostPath: { path: `${GUEST_DATA}/n`, type: 'DirectoryOrCreate' },
    });
    await machine.waitCondition(VOLUMES, key('nowhere'), 'Stalled', 'True', 'CapacityNotEnforceable', LONG_MS);
    await node.sh(`test ! -e ${GUEST_DATA}/n`);
  });

  it('takes the limit off and keeps the data when it is not wanted any more, and when the volume goes', async () => {
    await machine.patch(VOLUMES, key('half'), { spec: { capacityPolicy: 'Advisory' } });
    await says('half', 'CapacityEnforced', 'CapacityAdvisory');
    await machine.delete(VOLUME_MOUNTS, key('data'));
    await machine.delete(VOLUMES, key('data'));
    await machine.waitGone(VOLUMES, key('data'), LONG_MS);
    for (const path of ['half', 'half/d/f', 'data', 'data/old', 'data/old/f', 'data/more']) {
      expect(await projectAt(`${XFS}/${path}`), path).to.deep.equal({ id: 0, inherited: false });
    }
    expect(await write(`${XFS}/data/past`, 50)).to.not.include('No space');
    expect(await node.sh(`xfs_quota -x -c 'report -p -n -N -b' ${XFS}`)).to.not.match(/40960|32768/);
    expect((await node.sh(`ls ${GUEST_STATE}/projects`)).trim().split('\n')).to.have.length(1);
  });

  it('takes every limit off with down --purge, before it is forgotten whose it was', async () => {
    expect((await projectAt(`${XFS}/outer`)).id).to.be.greaterThan(0);
    await node.killAgent();
    const flags = `--state-dir ${GUEST_STATE} --mount-root ${GUEST_MOUNTS} --node-name ${GUEST}`;
    await node.sh(`${CLAWSTORE} down --purge --yes ${flags} --kubeconfig ${machine.settings.kubeconfig}`, LONG_MS);
    expect(await projectAt(`${XFS}/outer`)).to.deep.equal({ id: 0, inherited: false });
    expect((await projectAt(`${XFS}/taken`)).id).to.equal(42);
    await node.startAgent();
  });
});
