/** Volumes on several nodes: where they go, who has them when a node is lost, and what is left on one that comes back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { findCondition } from '../src/api/conditions.ts';
import type { KubeEvent } from '../src/api/core.ts';
import { ANNOTATIONS, LABELS } from '../src/api/group.ts';
import { EVENTS, RESTORES, SECRETS, SNAPSHOTS, STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import type { Machine } from '../test/support/harness/machine.ts';
import { mount, openClass, restore, snapshot, volume } from '../test/support/harness/manifests.ts';
import { type NodeHost, Nodes, readsOn } from '../test/support/harness/nodes.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MEMORY = { emptyDir: { medium: 'Memory' }, capacity: '1Mi' } as const;
const SHARED = { accessModes: ['ReadWriteMany'] as const };
const refOf = (key: string): { readonly namespace?: string; readonly name: string } => {
  const [namespace = '', name] = key.split('/');
  return name === undefined ? { name: namespace } : { namespace, name };
};
/** What is done only when an agent is back may wait for its next attempt to reach the API server. */
const BACK_MS = 120_000;

describe('volumes on three nodes, real API server', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let a: NodeHost;
  let b: NodeHost;
  let c: NodeHost;

  before(async () => {
    const plain = process.env['PATH'] ?? '';
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${plain}`;
    const nodes = await Nodes.shared();
    ({ machine } = nodes);
    [a, b] = (await nodes.running('node-a', 'node-b')) as [NodeHost, NodeHost];
    c = await nodes.add('node-c');
    // Without what s3 needs.
    await c.restart({ env: { PATH: plain } });
    server = await S3Server.start({ address: nodes.address });
    await server.createBucket('shared');
    ns = await machine.namespace('nodes');
    const stringData = {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'keys' }, stringData };
    await machine.client.create(SECRETS, secret);
  });

  // What a test has cut or killed it may not have mended; other files use these nodes, too.
  afterEach(async () => {
    for (const node of [a, b, c]) {
      await node.heal();
      if (!node.isRunning) await node.restart();
    }
  });

  after(async () => {
    await machine?.deleteAll();
  });

  const key = (name: string): string => `${ns}/${name}`;
  const onServer = (prefix: string): Partial<VolumeSpec> => ({
    s3: { bucket: 'shared', prefix, endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } },
  });
  const placed = async (name: string, spec: VolumeSpec): Promise<string | undefined> => {
    await machine.create(volume(ns, name, spec));
    const has = ({ status }: Volume): boolean => status?.nodeName !== undefined;
    return (await machine.waitFor<Volume>(VOLUMES, key(name), has, 'to have a node')).status?.nodeName;
  };
  const ownedBy = (name: string, node: NodeHost, deadline?: number): Promise<Volume> =>
    machine.waitFor<Volume>(
      VOLUMES,
      key(name),
      ({ status }) => status?.nodeName === node.name,
      `to be ${node.name}'s`,
      deadline,
    );
  const cordon = (node: NodeHost, unschedulable: boolean) =>
    machine.patch<StorageNode>(STORAGE_NODES, node.name, { spec: { unschedulable } });
  /** The controller hears of nodes and of volumes by watches of their own: the one may be behind the other. */
  const isKnownCordoned = async (node: NodeHost): Promise<void> => {
    const nodeSelector = { [LABELS.hostname]: node.name };
    let asked = 0;
    await waitFor(
      async () => {
        const name = `asks-${(asked += 1)}`;
        await machine.create(volume(ns, name, { ...MEMORY, nodeSelector }));
        const isDecided = ({ status }: Volume): boolean =>
          status?.nodeName !== undefined || findCondition(status?.conditions, 'Ready')?.reason === 'NoMatchingNode';
        const { status } = await machine.waitFor<Volume>(VOLUMES, key(name), isDecided, 'to be placed or refused');
        return status?.nodeName === undefined;
      },
      { message: `the controller to know that ${node.name} is cordoned` },
    );
  };
  const annotate = (resource: typeof VOLUMES, name: string, annotation: string, uid: string | undefined) =>
    // Not waited for: what is released by it may be gone at once.
    machine.client.patch(
      resource,
      refOf(name),
      { metadata: { annotations: { [annotation]: uid } } },
      { type: 'merge' },
    );
  const reads = (file: string, content: string) =>
    waitFor(() => readFileSync(file, 'utf8') === content, { message: `${content} in ${file}` });

  it('places a volume that names no node where it fits and least is', async () => {
    const nodes: string[] = [];
    for (let index = 0; index < 6; index += 1) nodes.push((await placed(`spread-${index}`, MEMORY)) ?? '');
    expect(nodes.toSorted()).to.deep.equal(['node-a', 'node-a', 'node-b', 'node-b', 'node-c', 'node-c']);

    await machine.patch(STORAGE_NODES, c.name, { metadata: { labels: { disk: 'fast' } } });
    const fast = { nodeSelector: { disk: 'fast' } };
    for (let index = 0; index < 2; index += 1)
      expect(await placed(`fast-${index}`, { ...MEMORY, ...fast })).to.equal(c.name);
    await machine.create(volume(ns, 'slow', { ...MEMORY, nodeSelector: { disk: 'slow' } }));
    const none = await machine.waitCondition(VOLUMES, key('slow'), 'Ready', 'False', 'NoMatchingNode');
    expect(none.message).to.include('None of 3 nodes').and.include('disk=slow');
    await machine.patch(STORAGE_NODES, b.name, { metadata: { labels: { disk: 'slow' } } });
    await ownedBy('slow', b);
  });

  it('places a volume only where its type is supported and its size fits, and when that changes', async () => {
    for (let index = 0; index < 3; index += 1) {
      expect(await placed(`typed-${index}`, onServer(`typed-${index}`))).to.be.oneOf([a.name, b.name]);
    }
    await machine.create(volume(ns, 'typed', { ...onServer('typed'), nodeSelector: { disk: 'fast' } }));
    const lacks = await machine.waitCondition(VOLUMES, key('typed'), 'Ready', 'False', 'NoMatchingNode');
    expect(lacks.message).to.include('1 TypeNotSupported');
    await c.agent.stop();
    await c.restart();
    await ownedBy('typed', c);

    const thick = openClass(machine.settings.hostPathAllow);
    const spec = { ...thick.spec, defaults: { provisioning: 'Thick' } };
    await machine.apply({ ...thick, metadata: { name: 'thick' }, spec } as typeof thick);
    await machine.create(volume(ns, 'huge', { emptyDir: {}, capacity: '15Pi', volumeClassName: 'thick' }));
    const full = await machine.waitCondition(VOLUMES, key('huge'), 'Ready', 'False', 'InsufficientCapacity');
    expect(full.message).to.include('None of 3 nodes');
  });

  it('places nothing new on a node that is drained, and leaves what is there', async () => {
    await machine.create(volume(ns, 'stays', { ...MEMORY, nodeName: a.name }));
    await machine.create(mount(ns, 'stays', 'stays'));
    await machine.waitReady(VOLUME_MOUNTS, key('stays'));
    await machine.create(mount(ns, 'of-drained', 'of-drained', { nodeName: a.name }));
    await machine.create(volume(ns, 'of-drained', { ...onServer('of-drained'), ...SHARED }));
    await machine.waitReady(VOLUME_MOUNTS, key('of-drained'));
    await ownedBy('of-drained', a);
    const before = a.mountIds();
    await cordon(a, true);
    await isKnownCordoned(a);
    for (let index = 0; index < 4; index += 1) expect(await placed(`drained-${index}`, MEMORY)).to.not.equal(a.name);
    expect(await placed('named', { ...MEMORY, nodeName: a.name })).to.equal(a.name);
    await machine.create(mount(ns, 'elsewhere', 'of-drained'));
    const { status } = await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key('elsewhere'));
    expect(status?.nodeName).to.be.oneOf([b.name, c.name]);
    expect(a.mountIds()).to.include.members([...before]);
    await machine.waitReady(VOLUME_MOUNTS, key('stays'));
    await machine.create(volume(ns, 'back', { ...MEMORY, nodeSelector: { [LABELS.hostname]: a.name } }));
    const waits = await machine.waitCondition(VOLUMES, key('back'), 'Ready', 'False', 'NoMatchingNode');
    expect(waits.message).to.include('1 NodeUnschedulable');
    await cordon(a, false);
    await ownedBy('back', a);
    await machine.deleteAll();
  });

  it('hands a shared volume over when its owner is cut off, which keeps its mounts and takes nothing back', async () => {
    const everywhere = [a, b, c];
    // Mounted there first: that is where it goes.
    await machine.create(mount(ns, 'on-node-a', 'owned', { nodeName: a.name }));
    const spec = { ...onServer('owned'), ...SHARED, reclaimPolicy: 'Delete' } as const;
    const { metadata } = await machine.create<Volume>(volume(ns, 'owned', spec));
    await machine.waitReady(VOLUME_MOUNTS, key('on-node-a'));
    for (const node of [b, c]) await machine.create(mount(ns, `on-${node.name}`, 'owned', { nodeName: node.name }));
    for (const node of everywhere) await machine.waitReady(VOLUME_MOUNTS, key(`on-${node.name}`));
    await ownedBy('owned', a);
    writeFileSync(join(a.target(ns, 'on-node-a'), 'file'), 'from a');
    for (const node of everywhere) await reads(join(node.target(ns, `on-${node.name}`), 'file'), 'from a');
    await machine.create(volume(ns, 'local', { hostPath: { path: machine.hostDirectory('local') }, nodeName: a.name }));
    await machine.create(mount(ns, 'local', 'local'));
    await machine.waitReady(VOLUME_MOUNTS, key('local'));
    writeFileSync(join(a.target(ns, 'local'), 'file'), 'local');
    const reader = a.reader(join(a.settings.mountRoot, ns, 'local/data/file'));
    await readsOn(reader);
    const before = a.mountIds();

    await a.cut();
    await a.waitLost();
    const handed = await machine.waitFor<Volume>(
      VOLUMES,
      key('owned'),
      ({ status }) =>
        status?.nodeName !== a.name &&
        status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true,
      'to be Ready on another node',
    );
    expect(handed.status?.nodeName).to.be.oneOf([b.name, c.name]);
    expect(handed.metadata.uid).to.equal(metadata.uid);
    for (const node of [b, c]) await machine.waitReady(VOLUME_MOUNTS, key(`on-${node.name}`));
    await machine.waitCondition(VOLUMES, key('local'), 'Ready', 'Unknown', 'NodeLost');
    expect((await machine.get<Volume>(VOLUMES, key('local'))).status?.nodeName).to.equal(a.name);
    a.agent.assertRunning();
    expect(a.mountIds(), 'mounts of the node that is cut off').to.deep.equal(before);
    await readsOn(reader);

    // Deleted by its new owner, when somebody has said that the mount of the lost node may be let go.
    for (const node of everywhere) await machine.delete(VOLUME_MOUNTS, key(`on-${node.name}`));
    await machine.delete(VOLUMES, key('owned'));
    for (const node of [b, c]) await machine.waitGone(VOLUME_MOUNTS, key(`on-${node.name}`));
    await machine.waitCondition(VOLUMES, key('owned'), 'DeletionBlocked', 'True', 'VolumeInUse');
    await machine.waitCondition(VOLUME_MOUNTS, key('on-node-a'), 'DeletionBlocked', 'True', 'NodeLost');
    const { uid } = (await machine.get(VOLUME_MOUNTS, key('on-node-a'))).metadata;
    await annotate(VOLUME_MOUNTS, key('on-node-a'), ANNOTATIONS.forceDelete, uid);
    await machine.waitGone(VOLUME_MOUNTS, key('on-node-a'));
    await machine.waitGone(VOLUMES, key('owned'));
    expect(await server.keys('shared', 'owned/')).to.deep.equal([]);
    // Somebody else's now.
    await machine.create(volume(ns, 'next', { ...onServer('owned'), nodeName: b.name }));
    await machine.create(mount(ns, 'next', 'next'));
    await machine.waitReady(VOLUME_MOUNTS, key('next'));
    writeFileSync(join(b.target(ns, 'next'), 'theirs'), 'theirs');
    await waitFor(async () => (await server.read('shared', 'owned/theirs')) === 'theirs', { message: 'their file' });

    await waitFor(() => a.agent.output().includes('The Lease of this node could not be renewed'), {
      message: 'the agent to notice that it is cut off',
    });
    await a.heal();
    await machine.waitReady(STORAGE_NODES, a.name, BACK_MS);
    await machine.waitReady(VOLUME_MOUNTS, key('local'), BACK_MS);
    const kinds = ['Volume', 'VolumeMount'];
    const { status } = await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      a.name,
      ({ status: seen }) => kinds.every((kind) => seen?.orphans?.some((orphan) => orphan.kind === kind) === true),
      'to list what is left of the volume that it had',
      BACK_MS,
    );
    expect(status?.orphans?.find(({ kind }) => kind === 'Volume')?.uid).to.equal(metadata.uid);
    expect(a.mountIds(), 'mounts afterwards').to.deep.equal(before);
    await readsOn(reader);
    await reader.killGroup();
    expect(await server.read('shared', 'owned/theirs')).to.equal('theirs');
    expect((await machine.get<Volume>(VOLUMES, key('next'))).status?.nodeName).to.equal(b.name);
    await waitFor(
      async () => {
        const { items } = await machine.client.list<KubeEvent>(EVENTS, { namespace: 'default' });
        const reasons = items.filter((event) => event.involvedObject?.name === a.name).map(({ reason }) => reason);
        return ['NodeLost', 'AgentReady', 'Reconnected', 'OrphansFound'].every((reason) => reasons.includes(reason));
      },
      { message: 'events that tell of the outage' },
    );
    await machine.deleteAll();
  });

  it('lets a volume of a dead node go by force, and leaves its data when the node is back', async () => {
    const spec = { emptyDir: {}, capacity: '32Mi' };
    const { metadata } = await machine.create<Volume>(volume(ns, 'dead', { ...spec, nodeName: b.name }));
    const made = await machine.create<VolumeMount>(mount(ns, 'dead', 'dead'));
    await machine.waitReady(VOLUME_MOUNTS, key('dead'));
    const file = join(b.target(ns, 'dead'), 'file');
    writeFileSync(file, 'old');
    // One that others may have when this node is known to be off.
    await machine.create(mount(ns, 'once-b', 'once', { nodeName: b.name }));
    await machine.create(volume(ns, 'once', onServer('once')));
    await machine.waitReady(VOLUME_MOUNTS, key('once-b'));
    const before = b.mountIds();
    await b.kill();
    await b.waitLost();
    await machine.waitCondition(VOLUMES, key('dead'), 'Ready', 'Unknown', 'NodeLost');
    await machine.delete(VOLUME_MOUNTS, key('dead'));
    await machine.delete(VOLUMES, key('dead'));
    const blocked = await machine.waitCondition(VOLUMES, key('dead'), 'DeletionBlocked', 'True', 'NodeLost');
    expect(blocked.message).to.include('force-delete');
    // Copied along with a manifest it means nothing.
    await annotate(VOLUMES, key('dead'), ANNOTATIONS.forceDelete, made.metadata.uid);
    await annotate(VOLUME_MOUNTS, key('dead'), ANNOTATIONS.forceDelete, made.metadata.uid);
    await machine.waitGone(VOLUME_MOUNTS, key('dead'));
    expect((await machine.get<Volume>(VOLUMES, key('dead'))).metadata.finalizers).to.have.length(1);
    await annotate(VOLUMES, key('dead'), ANNOTATIONS.forceDelete, metadata.uid);
    await machine.waitGone(VOLUMES, key('dead'));

    await machine.create(mount(ns, 'once-c', 'once', { nodeName: c.name }));
    await machine.waitCondition(VOLUME_MOUNTS, key('once-c'), 'Ready', 'False', 'AccessModeConflict');
    const lost = await machine.get<StorageNode>(STORAGE_NODES, b.name);
    await annotate(STORAGE_NODES, b.name, ANNOTATIONS.nodeFenced, lost.metadata.uid);
    await machine.waitReady(VOLUME_MOUNTS, key('once-c'));
    expect((await machine.get<Volume>(VOLUMES, key('once'))).status?.attachments).to.have.length(1);

    expect(await placed('dead', spec), 'one of the same name').to.be.oneOf([a.name, c.name]);
    await b.restart();
    await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      b.name,
      ({ status }) =>
        status?.orphans?.some(({ uid }) => uid === metadata.uid) === true &&
        status.orphans.some(({ kind }) => kind === 'VolumeMount'),
      'to list the image and its mount',
      BACK_MS,
    );
    expect(b.mountIds()).to.deep.equal(before);
    expect(readFileSync(file, 'utf8')).to.equal('old');
    await machine.create(volume(ns, 'new', { ...spec, nodeName: b.name }));
    await machine.create(mount(ns, 'new', 'new'));
    await machine.waitReady(VOLUME_MOUNTS, key('new'));
    expect(() => readFileSync(join(b.target(ns, 'new'), 'file'))).to.throw('ENOENT');
    expect(readFileSync(file, 'utf8')).to.equal('old');
    await machine.deleteAll();
    expect(readFileSync(file, 'utf8'), 'when all objects are gone').to.equal('old');
  });

  it('hands over what its dead owner has left half reverted, which nobody mounts before a Restore has ended it', async () => {
    await machine.create(mount(ns, 'half-c', 'half', { nodeName: c.name }));
    await machine.create(volume(ns, 'half', { ...onServer('half'), ...SHARED }));
    await machine.waitReady(VOLUME_MOUNTS, key('half-c'));
    await ownedBy('half', c);
    const file = join(c.target(ns, 'half-c'), 'file');
    writeFileSync(file, 'old');
    await machine.create(snapshot(ns, 'half-then', 'half'));
    await machine.waitReady(SNAPSHOTS, key('half-then'));
    writeFileSync(file, 'newer');
    await machine.delete(VOLUME_MOUNTS, key('half-c'));
    await machine.waitGone(VOLUME_MOUNTS, key('half-c'));
    await c.agent.stop();
    await c.restart({ env: { CLAWSTORE_CRASH_AT: 'revert.after-clone' } });
    await machine.create(restore(ns, 'half-back', 'half-then', { safetySnapshot: false }));
    await waitFor(() => c.agent.exit !== undefined, { message: 'the agent to be killed', deadline: BACK_MS });
    await c.kill();
    await c.waitLost();
    const lost = await machine.get<StorageNode>(STORAGE_NODES, c.name);
    await annotate(STORAGE_NODES, c.name, ANNOTATIONS.nodeFenced, lost.metadata.uid);
    await machine.delete(RESTORES, key('half-back'));

    await machine.waitFor<Volume>(
      VOLUMES,
      key('half'),
      ({ status }) =>
        status?.nodeName !== c.name &&
        status?.conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'RevertIncomplete') === true,
      'to be half reverted for its next owner',
      BACK_MS,
    );
    const others = [a, b];
    for (const node of others) await machine.create(mount(ns, `half-${node.name}`, 'half', { nodeName: node.name }));
    for (const node of others) {
      await machine.waitCondition(VOLUME_MOUNTS, key(`half-${node.name}`), 'Ready', 'False', 'RevertIncomplete');
    }
    for (const node of others) await machine.delete(VOLUME_MOUNTS, key(`half-${node.name}`));
    for (const node of others) await machine.waitGone(VOLUME_MOUNTS, key(`half-${node.name}`));
    await machine.create(snapshot(ns, 'half-now', 'half'));
    await machine.waitReady(SNAPSHOTS, key('half-now'));
    await machine.create(restore(ns, 'half-on', 'half-now', { safetySnapshot: false }));
    await machine.waitReady(RESTORES, key('half-on'), BACK_MS);
    await machine.waitReady(VOLUMES, key('half'), BACK_MS);
    await machine.create(mount(ns, 'half-a', 'half', { nodeName: a.name }));
    await machine.waitReady(VOLUME_MOUNTS, key('half-a'));
    expect(readFileSync(join(a.target(ns, 'half-a'), 'file'), 'utf8')).to.equal('old');
    await c.restart();
    await machine.deleteAll();
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
