import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { findCondition, isTrue } from '../../src/api/conditions.ts';
import { API_VERSION } from '../../src/api/group.ts';
import { NAMESPACES, SNAPSHOTS, STORAGE_NODES, VOLUME_CLASSES, VOLUME_MOUNTS, VOLUMES } from '../../src/api/meta.ts';
import type { Snapshot } from '../../src/api/snapshot.ts';
import type { StorageNode } from '../../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../../src/api/volume.ts';
import type { VolumeMount, VolumeMountSpec } from '../../src/api/volume-mount.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { loadConfig } from '../../src/kube/config.ts';
import { connect } from '../../src/kube/rest-client.ts';
import type { Live, Write } from '../controllers/support/live.ts';
import { counting, eventually, gone, startLive } from '../controllers/support/live.ts';
import type { Place } from '../node/support.ts';
import { makePlace, mountsAt } from '../node/support.ts';
import { waitFor } from '../support/harness/wait.ts';
import { sharedPlane } from './shared-planes.ts';

const namespace = 'team';
const NODE = 'node-a';
const MIB = 1024 ** 2;

describe('controllers and agent, on a real kube-apiserver with real mounts', function () {
  this.timeout(120_000);
  let admin: KubeClient;
  let place: Place;
  let live: Live;
  let writes: Write[];
  let client: KubeClient;

  before(async () => {
    const [{ kubeconfig }, made] = await Promise.all([sharedPlane('crds'), makePlace()]);
    place = made;
    const config = await loadConfig({ kubeconfig });
    admin = connect(config);
    await admin.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    await admin.create(VOLUME_CLASSES, {
      apiVersion: API_VERSION,
      kind: 'VolumeClass',
      metadata: { name: 'default' },
      spec: { allowedNamespaces: {}, allowedTypes: ['hostPath', 'emptyDir'], allowedHostPathPrefixes: [place.data] },
    });
    ({ client, writes } = counting(connect(config)));
    live = startLive(client, place, NODE);
    await eventually<StorageNode>(admin, STORAGE_NODES, { name: NODE }, ready);
  });

  after(async () => {
    await live?.stop();
    await client?.close();
    await admin?.close();
    for (const target of place?.layer.table.below(place.layer.mountRoot) ?? []) execFileSync('umount', [target.target]);
    expect(await place?.dispose()).to.deep.equal([]);
  });

  const create = async (name: string, volume: Partial<VolumeSpec> = {}, mount: Partial<VolumeMountSpec> = {}) => {
    const path = join(place.data, name);
    await admin.create(VOLUMES, volumeOf(name, { hostPath: { path, type: 'DirectoryOrCreate' }, ...volume }));
    await admin.create(VOLUME_MOUNTS, mountOf(name, mount));
    return { path, ref: { namespace, name } };
  };
  const isMounted = (name: string) =>
    eventually<VolumeMount>(admin, VOLUME_MOUNTS, { namespace, name }, (mount) => ready(mount));

  /** Past so long, an object of which nobody has spoken yet is spoken of, with a write that a quicker machine does without. */
  const QUICK_MS = 1_500;
  /** How many writes there may be of what took so long. */
  const atMost = (few: number, sinceMs: number): number => (performance.now() - sinceMs < QUICK_MS ? few : 3 * few);
  const madeSince = (seen: number): readonly Write[] =>
    writes.slice(seen).filter(({ plural }) => plural !== 'leases' && plural !== 'events');
  /** Waits until nothing has been written for three seconds. */
  const isQuiet = async (): Promise<void> => {
    const deadline = performance.now() + 60_000;
    for (;;) {
      const seen = writes.length;
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const made = madeSince(seen);
      if (made.length === 0) return;
      if (performance.now() > deadline) throw new Error(`still written: ${JSON.stringify(made)}`);
    }
  };

  it('publishes the node with what it supports', async () => {
    const node = await eventually<StorageNode>(admin, STORAGE_NODES, { name: NODE }, ready);
    expect(node.status?.types?.find(({ name }) => name === 'hostPath')).to.deep.include({ supported: true });
    expect(node.status?.types?.find(({ name }) => name === 'emptyDir')).to.deep.include({ supported: true });
    expect(node.status?.orphanCount).to.equal(0);
  });

  it('mounts a hostPath volume and says where, in the fewest writes', async () => {
    const begin = performance.now();
    const { path, ref } = await create('first');
    const mount = await isMounted('first');
    const volume = await eventually<Volume>(admin, VOLUMES, ref, ({ status }) => status?.phase === 'Attached');
    expect(mount.status).to.deep.include({ phase: 'Mounted', nodeName: NODE, restarts: 0 });
    expect(volume.status).to.deep.include({
      nodeName: NODE,
      reclaimPolicy: 'Retain',
      mounts: { desired: 1, ready: 1 },
    });
    expect(volume.status?.attachments?.[0]?.mountUID).to.equal(mount.metadata.uid);
    writeFileSync(join(mount.status?.hostPath ?? '', 'hello'), 'there');
    expect(readFileSync(join(path, 'hello'), 'utf8')).to.equal('there');

    const of = (plural: string) =>
      writes
        .filter((write) => write.plural === plural && write.name === 'first')
        .map(({ manager, subresource }) => `${manager}${subresource === undefined ? '' : '/status'}`);
    const byBoth = ['clawstore-controller/status', 'clawstore-agent', 'clawstore-agent/status'];
    expect(new Set(of('volumemounts'))).to.deep.equal(new Set(byBoth));
    expect(of('volumemounts').length).to.be.at.most(atMost(3, begin));
    // The second write of the controller is the phase, once the mount is there; a third when the mount came late, and a
    // fourth when a slow machine lets more than the gathering time pass between "provisioned" and "mounted".
    const byController = of('volumes').filter((by) => by === 'clawstore-controller/status');
    expect(byController.length).to.be.within(2, atMost(4, begin));
    // The finalizer is sent again when the controller wrote in between.
    const byAgent = of('volumes').filter((by) => by !== 'clawstore-controller/status');
    expect(new Set(byAgent)).to.deep.equal(new Set(['clawstore-agent', 'clawstore-agent/status']));
    expect(byAgent.length).to.be.at.most(atMost(3, begin));
  });

  it('mounts again what somebody unmounted, and counts it', async () => {
    await create('drift');
    const before = await isMounted('drift');
    const target = before.status?.hostPath ?? '';
    execFileSync('umount', [target]);
    const after = await eventually<VolumeMount>(
      admin,
      VOLUME_MOUNTS,
      { namespace, name: 'drift' },
      (mount) => ready(mount) && mount.status?.restarts === 1,
    );
    expect(after.status?.hostPath).to.equal(target);
    expect(mountsAt(target)).to.equal(1);
  });

  it('writes nothing while nothing happens', async () => {
    await create('calm');
    await isMounted('calm');
    await eventually<Volume>(admin, VOLUMES, { namespace, name: 'calm' }, ({ status }) => status?.phase === 'Attached');
    await isQuiet();
  });

  it('keeps a moment of a volume and makes another one from it, in the fewest writes', async () => {
    await admin.create(VOLUMES, volumeOf('kept', { emptyDir: {}, capacity: '64Mi' }));
    await eventually<Volume>(admin, VOLUMES, { namespace, name: 'kept' }, ready);
    const seen = writes.length;
    const begin = performance.now();
    await admin.create(SNAPSHOTS, {
      apiVersion: API_VERSION,
      kind: 'Snapshot',
      metadata: { namespace, name: 'moment' },
      spec: { volumeRef: { name: 'kept' } },
    });
    const taken = await eventually<Snapshot>(admin, SNAPSHOTS, { namespace, name: 'moment' }, ready);
    const { metadata, spec } = await admin.get<Volume>(VOLUMES, { namespace, name: 'kept' });
    // An empty source (emptyDir: {}) is kept in it, and nothing is written twice because of it.
    expect(taken.status?.source).to.deep.equal({ volumeName: 'kept', volumeUID: metadata.uid, volumeSpec: spec });
    const dataSource = { snapshotRef: { name: 'moment' } };
    await admin.create(VOLUMES, volumeOf('made', { emptyDir: {}, capacity: '64Mi', dataSource }));
    await eventually<Volume>(
      admin,
      VOLUMES,
      { namespace, name: 'made' },
      ({ status }) => status?.phase === 'Available',
    );
    await eventually<Volume>(
      admin,
      VOLUMES,
      { namespace, name: 'kept' },
      ({ status }) => status?.lastSnapshotTime === taken.status?.creationTime,
    );
    const of = (plural: string, name: string) =>
      writes
        .slice(seen)
        .filter((write) => write.plural === plural && write.name === name)
        .map(({ manager, subresource }) => `${manager}${subresource === undefined ? '' : '/status'}`);
    const inOrder = ['clawstore-controller/status', 'clawstore-agent', 'clawstore-agent/status'];
    expect([...new Set(of('snapshots', 'moment'))]).to.deep.equal(inOrder);
    expect(of('snapshots', 'moment').length).to.be.at.most(atMost(3, begin));
    // Its node, and its phase when it is there; the finalizer is sent again when the controller wrote in between.
    expect(new Set(of('volumes', 'made'))).to.deep.equal(
      new Set(['clawstore-controller/status', 'clawstore-agent', 'clawstore-agent/status']),
    );
    expect(of('volumes', 'made').length).to.be.at.most(atMost(5, begin));
    await admin.delete(VOLUMES, { namespace, name: 'kept' });
    await gone(admin, VOLUMES, { namespace, name: 'kept' });
    for (const [resource, name] of [
      [SNAPSHOTS, 'moment'],
      [VOLUMES, 'made'],
    ] as const) {
      await admin.delete(resource, { namespace, name });
      await gone(admin, resource, { namespace, name });
    }
  });

  it('blocks the deletion of a volume that is mounted and goes on by itself', async () => {
    const { path, ref } = await create('leaving');
    const mount = await isMounted('leaving');
    writeFileSync(join(path, 'precious'), 'data');
    await admin.delete(VOLUMES, ref);
    const blocked = await eventually<Volume>(admin, VOLUMES, ref, ({ status }) =>
      isTrue(status?.conditions, 'DeletionBlocked'),
    );
    expect(findCondition(blocked.status?.conditions, 'DeletionBlocked')).to.deep.include({ reason: 'VolumeInUse' });
    expect(findCondition(blocked.status?.conditions, 'DeletionBlocked')?.message).to.include('leaving');
    expect(mountsAt(mount.status?.hostPath ?? '')).to.equal(1);
    await admin.delete(VOLUME_MOUNTS, ref);
    await gone(admin, VOLUME_MOUNTS, ref);
    await gone(admin, VOLUMES, ref);
    expect(mountsAt(mount.status?.hostPath ?? '')).to.equal(0);
    expect(existsSync(mount.status?.hostPath ?? '')).to.equal(false);
    expect(readFileSync(join(path, 'precious'), 'utf8')).to.equal('data');
  });

  it('says who keeps a mount busy, and unmounts when they have gone', async () => {
    const { ref } = await create('busy');
    const mount = await isMounted('busy');
    const { spawn } = await import('node:child_process');
    const holder = spawn('sleep', ['300'], { cwd: mount.status?.hostPath, stdio: 'ignore' });
    try {
      await admin.delete(VOLUME_MOUNTS, ref);
      const blocked = await eventually<VolumeMount>(
        admin,
        VOLUME_MOUNTS,
        ref,
        // Where looking at all processes takes longer than it may, nobody is named for now.
        ({ status }) =>
          findCondition(status?.conditions, 'DeletionBlocked')?.reason === 'Busy' && (status?.busyBy ?? []).length > 0,
      );
      expect(blocked.status?.busyBy).to.deep.include({ pid: holder.pid, comm: 'sleep' });
      expect(mountsAt(mount.status?.hostPath ?? '')).to.equal(1);
    } finally {
      holder.kill('SIGKILL');
    }
    await gone(admin, VOLUME_MOUNTS, ref);
  });

  it('refuses a path outside the allow-list', async () => {
    const { ref } = await create('outside', { hostPath: { path: '/etc' } });
    const volume = await eventually<Volume>(admin, VOLUMES, ref, ({ status }) => isTrue(status?.conditions, 'Stalled'));
    expect(findCondition(volume.status?.conditions, 'Ready')).to.deep.include({ reason: 'HostPathNotAllowed' });
    await admin.delete(VOLUME_MOUNTS, ref);
    await admin.delete(VOLUMES, ref);
    await gone(admin, VOLUMES, ref);
  });

  for (const medium of ['', 'Memory'] as const) {
    it(`makes, grows and removes an emptyDir (${medium || 'image'})`, async () => {
      const name = `empty-${medium.toLowerCase() || 'image'}`;
      const ref = { namespace, name };
      await admin.create(VOLUMES, volumeOf(name, { emptyDir: { medium }, capacity: '32Mi' }));
      await admin.create(VOLUME_MOUNTS, mountOf(name, {}));
      const target = (await isMounted(name)).status?.hostPath ?? '';
      const size = async () => Number((await place.layer.statfs(target, AbortSignal.timeout(10_000))).totalBytes);
      expect(await size()).to.be.within(16 * MIB, 32 * MIB);
      writeFileSync(join(target, 'kept'), 'here');
      if (medium === 'Memory') {
        await admin.patch(VOLUMES, ref, { spec: { capacity: '64Mi' } }, { type: 'merge' });
        await eventually<Volume>(admin, VOLUMES, ref, ({ status }) => status?.capacity === '64Mi');
        expect(await size()).to.equal(64 * MIB);
      }
      expect(readFileSync(join(target, 'kept'), 'utf8')).to.equal('here');
      await admin.delete(VOLUMES, ref);
      await admin.delete(VOLUME_MOUNTS, ref);
      await gone(admin, VOLUME_MOUNTS, ref);
      await gone(admin, VOLUMES, ref);
      expect(mountsAt(target)).to.equal(0);
    });
  }

  it('lists a mount whose object vanished as an orphan and leaves it alone', async () => {
    const { ref } = await create('orphan');
    const mount = await isMounted('orphan');
    await live.stop();
    // As if the control plane had been wiped: no deletionTimestamp was ever seen.
    const merge = { type: 'merge' } as const;
    for (const resource of [VOLUME_MOUNTS, VOLUMES]) {
      await admin.patch(resource, ref, { metadata: { finalizers: null } }, merge);
      await admin.delete(resource, ref);
    }
    // From here on the two halves run apart, each with the caches it would have then.
    live = startLive(client, place, NODE, true);
    const node = await eventually<StorageNode>(
      admin,
      STORAGE_NODES,
      { name: NODE },
      ({ status }) => (status?.orphanCount ?? 0) > 0,
    );
    const target = mount.status?.hostPath ?? '';
    expect(node.status?.orphans).to.deep.include({
      kind: 'VolumeMount',
      uid: '',
      namespace,
      name: 'orphan',
      path: target,
    });
    expect(mountsAt(target)).to.equal(1);
    execFileSync('umount', [target]);
  });

  it('adopts after a restart what is mounted, without a write', async () => {
    await create('adopted');
    const before = await isMounted('adopted');
    await eventually<Volume>(admin, VOLUMES, { namespace, name: 'adopted' }, (v) => v.status?.phase === 'Attached');
    const mountId = place.layer.table.at(before.status?.hostPath ?? '')?.id;
    await live.stop();
    const seen = writes.length;
    live = startLive(client, place, NODE, true);
    const isRenewed = () => writes.slice(seen).some(({ plural }) => plural === 'leases');
    await waitFor(isRenewed, { message: 'the agent to be there again' });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const made = writes.slice(seen).filter(({ plural }) => plural === 'volumes' || plural === 'volumemounts');
    expect(made).to.deep.equal([]);
    expect(place.layer.table.at(before.status?.hostPath ?? '')?.id).to.equal(mountId);
  });

  it('takes everything down that is deleted', async () => {
    for (const resource of [VOLUME_MOUNTS, VOLUMES]) {
      const { items } = await admin.list(resource, { namespace });
      for (const { metadata } of items) await admin.delete(resource, { namespace, name: metadata.name });
      for (const { metadata } of items) await gone(admin, resource, { namespace, name: metadata.name });
    }
    await waitFor(() => mountsBesidePools().length === 0, { message: 'no mount', instead: mountsBesidePools });
  });

  /** Everything below the mount root but the pool, which stays as long as there is a node. */
  function mountsBesidePools(): readonly string[] {
    const below = place.layer.table.below(place.layer.mountRoot).map(({ target }) => target);
    return below.filter((target) => !target.startsWith(join(place.layer.mountRoot, '.pools')));
  }
  function volumeOf(name: string, spec: VolumeSpec): Volume {
    return { apiVersion: API_VERSION, kind: 'Volume', metadata: { namespace, name }, spec };
  }
  function mountOf(name: string, spec: Partial<VolumeMountSpec>): VolumeMount {
    const base = { volumeRef: { name }, workloadId: `w-${name}`, mountPath: '/data' };
    return { apiVersion: API_VERSION, kind: 'VolumeMount', metadata: { namespace, name }, spec: { ...base, ...spec } };
  }
});

function ready(object: VolumeMount | StorageNode | Volume | Snapshot): boolean {
  return object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}
