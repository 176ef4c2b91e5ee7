/** An nfs volume whose node is lost: who has it then, and what the node does with it when it is back. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { KubeEvent } from '../src/api/core.ts';
import { ANNOTATIONS } from '../src/api/group.ts';
import { EVENTS, type ResourceDescriptor, STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Orphan, StorageNode } from '../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { Ganesha } from '../test/support/harness/ganesha.ts';
import { GUEST_MOUNTS, GUEST_STATE, GuestNode, NFS_MODULES } from '../test/support/harness/guest-node.ts';
import { isReady, Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { nodeLost } from '../test/support/harness/nodes.ts';
import { GuestNetwork, makeDisk } from '../test/support/harness/uml.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const A = 'node-a';
const B = 'node-b';
/** Of a wait, in milliseconds: guests are slow on a busy machine, and an agent that is back waits for its next attempt. */
const LONG_MS = 120_000;
/** Its owner removes what it made. */
const DELETE = { reclaimPolicy: 'Delete' } as const;

describe('nfs volumes of a node that is lost, on two kernels with an NFS client and a real server', function () {
  this.timeout(300_000);
  let linkA: GuestNetwork;
  let linkB: GuestNetwork;
  let server: Ganesha;
  let machine: Machine;
  let bootA: () => Promise<GuestNode>;
  let a: GuestNode;
  let b: GuestNode;
  let ns: string;

  before(async () => {
    linkA = await GuestNetwork.create();
    linkB = await GuestNetwork.create();
    // At addresses of their own, so that a node can be cut off from the one and still have the other.
    server = await Ganesha.create(linkA.hostAddress);
    [machine] = await Promise.all([
      Machine.start({ nodeless: true, listen: linkB.hostAddress }),
      server.start([{ path: '/files' }]),
    ]);
    // What the agent knows survives the power cut.
    const disk = join(machine.directory, 'node-a.img');
    await makeDisk(disk, 64);
    const prepare = `mount -t ext4 /dev/ubda ${GUEST_STATE}`;
    const modules = NFS_MODULES;
    const kubeconfigs = await Promise.all([machine.kubeconfigOf('node', A), machine.kubeconfigOf('node', B)]);
    bootA = async () => {
      const [kubeconfig] = kubeconfigs;
      const node = await GuestNode.boot({ name: A, kubeconfig, network: linkA, modules, disks: [disk], prepare });
      await node.startAgent();
      return node;
    };
    const bootB = async () => {
      const node = await GuestNode.boot({ name: B, kubeconfig: kubeconfigs[1], network: linkB, modules });
      await node.startAgent();
      return node;
    };
    [a, b] = await Promise.all([bootA(), bootB()]);
    for (const name of [A, B]) await machine.waitReady(STORAGE_NODES, name, LONG_MS);
    await labelled(A, 'cut', 'off');
    ns = await machine.namespace('lost');
  });

  after(async () => {
    if (machine !== undefined) await machine.deleteAll();
    await a?.end();
    await b?.end();
    // Before the machine: its mount namespace keeps copies of what that has mounted.
    await server?.end();
    await machine?.end();
    await linkA?.end();
    await linkB?.end();
  });

  const key = (name: string): string => `${ns}/${name}`;
  const target = (name: string): string => `${GUEST_MOUNTS}/${ns}/${name}/data`;
  /** On the server. */
  const content = (file: string): string => readFileSync(join(server.data, 'files', file), 'utf8');
  const uidOf = async (resource: ResourceDescriptor, name: string): Promise<string | undefined> =>
    (await machine.get(resource, name)).metadata.uid;
  const create = (name: string, spec: VolumeSpec = {}, subPath = name): Promise<Volume> => {
    const nfs = { server: linkA.hostAddress, path: '/files', subPath };
    return machine.create(volume(ns, name, { nfs, mountOptions: [`port=${server.port}`], ...spec }));
  };
  const createMount = (name: string, volumeName: string, nodeName: string) =>
    machine.create(mount(ns, name, volumeName, { nodeName }));
  const mounted = (name: string) => machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key(name), LONG_MS);
  /** Makes a volume that node A owns and has mounted: no other node has the label. */
  const createOnA = async (label: string, name: string, spec: VolumeSpec = {}): Promise<Volume> => {
    await createMount(`${name}-a`, name, A);
    const made = await create(name, { ...spec, nodeSelector: { [label]: 'yes' } });
    await mounted(`${name}-a`);
    expect((await machine.get<Volume>(VOLUMES, key(name))).status?.nodeName).to.equal(A);
    return made;
  };
  const labelled = (name: string, ...labels: readonly string[]) =>
    machine.patch(STORAGE_NODES, name, {
      metadata: { labels: Object.fromEntries(labels.map((label) => [label, 'yes'])) },
    });
  const handedTo = (name: string, nodeName: string): Promise<Volume> =>
    machine.waitFor<Volume>(
      VOLUMES,
      key(name),
      (seen) => seen.status?.nodeName === nodeName && isReady(seen),
      `to be Ready on ${nodeName}`,
      LONG_MS,
    );
  const blocked = (resource: ResourceDescriptor, name: string, reason: string) =>
    machine.waitCondition(resource, key(name), 'DeletionBlocked', 'True', reason, LONG_MS);
  const gone = (resource: ResourceDescriptor, name: string) => machine.waitGone(resource, key(name), LONG_MS);
  // Not waited for: what is released by it may be gone at once.
  const annotate = (
    resource: ResourceDescriptor,
    ref: { name: string; namespace?: string },
    name: string,
    uid: string,
  ) => machine.client.patch(resource, ref, { metadata: { annotations: { [name]: uid } } }, { type: 'merge' });
  /** Says of a volume that is gone that its directory was kept, by a node that has not made it. */
  const toldOfKeeping = (name: string) =>
    waitFor(
      async () => {
        const { items } = await machine.client.list<KubeEvent>(EVENTS, { namespace: ns });
        return items.some(
          ({ involvedObject, reason, message }) =>
            involvedObject?.name === name && reason === 'DataRetained' && message.includes('no record of having made'),
        );
      },
      { deadline: LONG_MS, message: `an event that the directory of ${name} is kept` },
    );
  const listsOrphan = (isIt: (orphan: Orphan) => boolean): Promise<StorageNode> =>
    machine.waitFor<StorageNode>(
      STORAGE_NODES,
      A,
      (seen) => isReady(seen) && seen.status?.orphans?.some(isIt) === true,
      'to list what is left on it',
      LONG_MS,
    );

  it('hands one over when its owner is cut off, which keeps its mount and takes nothing back', async () => {
    const { metadata } = await createOnA('cut', 'shared', { ...DELETE, accessModes: ['ReadWriteMany'] });
    await createMount('shared-b', 'shared', B);
    await mounted('shared-b');
    await a.sh(`echo one >${target('shared-a')}/file`);
    expect(await b.sh(`cat ${target('shared-b')}/file`)).to.equal('one\n');
    const before = await a.mounts();

    await labelled(B, 'cut');
    await a.cutFrom(linkB.hostAddress);
    await nodeLost(machine, A);
    expect((await handedTo('shared', B)).metadata.uid).to.equal(metadata.uid);
    // It is cut off from those who say what to do, not from the server.
    await a.sh(`echo two >>${target('shared-a')}/file`);
    expect(await b.sh(`cat ${target('shared-b')}/file`)).to.equal('one\ntwo\n');

    // Deleted by the new owner, when somebody has said that the mount of the lost node may be let go.
    for (const name of ['shared-a', 'shared-b']) await machine.delete(VOLUME_MOUNTS, key(name));
    await machine.delete(VOLUMES, key('shared'));
    await gone(VOLUME_MOUNTS, 'shared-b');
    await blocked(VOLUMES, 'shared', 'VolumeInUse');
    await blocked(VOLUME_MOUNTS, 'shared-a', 'NodeLost');
    const uid = (await uidOf(VOLUME_MOUNTS, key('shared-a'))) ?? '';
    await annotate(VOLUME_MOUNTS, { namespace: ns, name: 'shared-a' }, ANNOTATIONS.forceDelete, uid);
    await gone(VOLUME_MOUNTS, 'shared-a');
    await gone(VOLUMES, 'shared');
    await toldOfKeeping('shared');
    expect(content('shared/file')).to.equal('one\ntwo\n');

    // Somebody else's now.
    await create('next', { ...DELETE, nodeName: B }, 'shared');
    await createMount('next', 'next', B);
    await mounted('next');
    await b.sh(`echo three >>${target('next')}/file`);
    await a.healTo(linkB.hostAddress);
    const back = await listsOrphan(({ uid }) => uid === metadata.uid);
    // The deletion of its mount may be told to it before the end of the object: then it does what was asked.
    const isMount = ({ kind, path }: Orphan): boolean => kind === 'VolumeMount' && path === target('shared-a');
    const end = await waitFor(
      async () => {
        const after = await a.mounts();
        if (!after.has(target('shared-a'))) return 'taken down';
        expect(after).to.deep.equal(before);
        const { status } = await machine.get<StorageNode>(STORAGE_NODES, back.metadata.name);
        return status?.orphans?.some(isMount) === true && 'listed';
      },
      { message: 'the mount that nobody wants to be listed, or taken down', deadline: LONG_MS },
    );
    if (end === 'listed') expect(await a.sh(`cat ${target('shared-a')}/file`)).to.equal('one\ntwo\nthree\n');
    expect(content('shared/file')).to.equal('one\ntwo\nthree\n');
    await mounted('next');
    for (const [resource, name] of [
      [VOLUME_MOUNTS, 'next'],
      [VOLUMES, 'next'],
    ] as const) {
      await machine.delete(resource, key(name));
      await gone(resource, name);
    }
    expect(content('shared/file')).to.equal('one\ntwo\nthree\n');
  });

  it('is read on another node when its owner has no power, which finds when it is back that it has it no more', async () => {
    await createOnA('off', 'moved', DELETE);
    const doomed = await createOnA('off', 'doomed', DELETE);
    const idle = await createOnA('off', 'idle', DELETE);
    await a.sh(`for name in moved doomed idle; do echo $name >${GUEST_MOUNTS}/${ns}/$name-a/data/file; done; sync`);
    for (const name of ['doomed-a', 'idle-a']) {
      await machine.delete(VOLUME_MOUNTS, key(name));
      await gone(VOLUME_MOUNTS, name);
    }
    await labelled(B, 'off');
    await a.guest.cutPower();
    await machine.delete(VOLUMES, key('doomed'));
    await nodeLost(machine, A);
    for (const name of ['moved', 'idle']) await handedTo(name, B);
    // Its owner may have heard of it, for all that is known.
    expect((await blocked(VOLUMES, 'doomed', 'NodeLost')).message).to.include(ANNOTATIONS.nodeFenced);
    expect((await machine.get<Volume>(VOLUMES, key('doomed'))).status?.nodeName).to.equal(A);
    // A mount that cannot be asked may be writing.
    await createMount('moved-b', 'moved', B);
    await machine.waitCondition(VOLUME_MOUNTS, key('moved-b'), 'Ready', 'False', 'AccessModeConflict', LONG_MS);

    await annotate(STORAGE_NODES, { name: A }, ANNOTATIONS.nodeFenced, (await uidOf(STORAGE_NODES, A)) ?? '');
    await mounted('moved-b');
    expect(await b.sh(`cat ${target('moved-b')}/file`)).to.equal('moved\n');
    await b.sh(`echo more >>${target('moved-b')}/file`);
    await gone(VOLUMES, 'doomed');
    await toldOfKeeping('doomed');
    expect(content('doomed/file')).to.equal('doomed\n');

    const before = (await b.mounts()).get(target('moved-b'));
    await a.end();
    a = await bootA();
    const { status } = await listsOrphan(({ uid }) => uid === doomed.metadata.uid);
    expect(status?.orphans?.map(({ uid }) => uid)).to.not.include(idle.metadata.uid);
    await machine.waitCondition(VOLUME_MOUNTS, key('moved-a'), 'Mounted', 'False', 'WaitingForGrant', LONG_MS);
    expect([...(await a.mounts()).keys()]).to.deep.equal([]);
    for (const name of ['moved', 'idle']) await handedTo(name, B);
    expect((await b.mounts()).get(target('moved-b')))
      .to.equal(before)
      .and.not.equal(undefined);
    expect(await b.sh(`cat ${target('moved-b')}/file`)).to.equal('moved\nmore\n');
    for (const name of ['doomed', 'idle']) expect(content(`${name}/file`)).to.equal(`${name}\n`);

    for (const name of ['moved-a', 'moved-b']) await machine.delete(VOLUME_MOUNTS, key(name));
    for (const name of ['moved', 'idle']) await machine.delete(VOLUMES, key(name));
    for (const name of ['moved', 'idle']) await gone(VOLUMES, name);
    for (const name of ['moved', 'idle']) await toldOfKeeping(name);
    expect(content('moved/file')).to.equal('moved\nmore\n');
    expect(existsSync(join(server.data, 'files/idle/file'))).to.equal(true);
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
