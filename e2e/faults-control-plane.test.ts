/** What happens on the node when the control plane goes away, forgets everything, or the state directory is lost. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { NAMESPACES, STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { exec } from '../test/support/harness/exec.ts';
import { isReady, Machine } from '../test/support/harness/machine.ts';
import { mount, openClass, volume } from '../test/support/harness/manifests.ts';
import { mountIds, mountsAt, unmount } from '../test/support/harness/mounts.ts';
import { full } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const OUTAGE_MS = full ? 600_000 : 10_000;

describe(`loss of control plane and state, ${controlPlaneKind} API server`, function () {
  this.timeout(OUTAGE_MS + 240_000);
  let machine: Machine;
  let ns: string;

  beforeEach(async () => {
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('lost');
    await makeObjects();
    for (const name of ['host', 'image']) {
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
      writeFileSync(join(machine.target(ns, name), 'file'), name);
    }
  });

  afterEach(async () => {
    await machine?.end();
  });

  async function makeObjects(): Promise<void> {
    const path = machine.hostDirectory('host');
    for (const [name, spec] of Object.entries({
      host: { hostPath: { path } },
      image: { emptyDir: {}, capacity: '32Mi' },
    })) {
      await machine.create(volume(ns, name, spec));
      await machine.create(mount(ns, name, name));
    }
  }

  /** A controller that cannot renew its Lease ends, sooner or later: whoever runs it starts it again. */
  const readyAgain = (name: string): Promise<true> => {
    const latest = () => machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, `${ns}/${name}`);
    return waitFor(
      async () => {
        await machine.restartLostLeader();
        const seen = latest();
        return seen !== undefined && isReady(seen);
      },
      { deadline: 150_000, message: `VolumeMount ${name} to be Ready`, instead: latest },
    );
  };
  const files = (): readonly string[] =>
    ['host', 'image'].map((name) => readFileSync(join(machine.target(ns, name), 'file'), 'utf8'));
  const orphansSeen = (deadline: number, ...kinds: readonly string[]): Promise<StorageNode> =>
    machine.waitFor<StorageNode>(
      STORAGE_NODES,
      machine.settings.nodeName,
      ({ status }) => kinds.every((kind) => status?.orphans?.some((orphan) => orphan.kind === kind) === true),
      `to list orphans of kind ${kinds.join(', ')}`,
      deadline,
    );

  it('keeps every mount and every file when the control plane forgets everything, and lists them as orphans', async () => {
    const uid = (await machine.get<Volume>(VOLUMES, `${ns}/image`)).metadata.uid ?? '';
    const before = mountIds(machine.settings.mountRoot);
    await machine.wipeControlPlane();
    await machine.restartWhatEnded();
    await machine.apply(openClass(machine.settings.hostPathAllow));
    const { status } = await orphansSeen(120_000, 'Volume', 'VolumeMount');
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
    expect(files()).to.deep.equal(['host', 'image']);
    expect(status?.orphanCount).to.equal(status?.orphans?.length);
    expect(status?.orphans?.map((orphan) => orphan.path)).to.include(machine.target(ns, 'host'));
    expect(status?.orphans?.find(({ kind }) => kind === 'Volume')?.uid).to.equal(uid);

    // Somebody applies the manifests again: what is right is adopted, and the old image stays an orphan.
    await machine.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: ns } });
    const path = machine.hostDirectory('host');
    await machine.create(volume(ns, 'host', { hostPath: { path } }));
    await machine.create(mount(ns, 'host', 'host'));
    await readyAgain('host');
    expect(mountsAt(machine.target(ns, 'host')).map(({ id }) => id)).to.deep.equal(before[machine.target(ns, 'host')]);
    expect(files()).to.deep.equal(['host', 'image']);
  });

  it('keeps what belonged to objects that are merely gone, without a deletionTimestamp', async () => {
    const before = mountIds(machine.settings.mountRoot);
    await machine.node.stop();
    for (const resource of [VOLUME_MOUNTS, VOLUMES]) {
      for (const name of ['host', 'image']) {
        // As a restored database: the agent never sees the deletion.
        await machine.patch(resource, `${ns}/${name}`, { metadata: { finalizers: null } });
        await machine.delete(resource, `${ns}/${name}`);
        await machine.waitGone(resource, `${ns}/${name}`);
      }
    }
    await machine.startNode();
    await orphansSeen(90_000, 'Volume', 'VolumeMount');
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
    expect(files()).to.deep.equal(['host', 'image']);
  });

  it('heals mounts while the API server is away, and goes on when it is back', async () => {
    const target = machine.target(ns, 'host');
    await machine.stopApiServer();
    await unmount(target);
    await waitFor(() => mountsAt(target).length === 1, { message: 'the mount to be back without an API server' });
    await delay(OUTAGE_MS);
    expect(machine.node.exit).to.equal(undefined);
    expect(files()).to.deep.equal(['host', 'image']);
    await machine.startApiServer();
    await machine.create(mount(ns, 'afterwards', 'host'));
    for (const name of ['afterwards', 'host', 'image']) await readyAgain(name);
  });

  it('loses no byte of a host directory when the state directory is removed under live mounts', async () => {
    // The agent may be making a file just now.
    const removed = async () => (await exec('rm', ['-rf', '--', machine.settings.stateDir])).code === 0;
    await waitFor(removed, { message: 'the state directory to be removed' });
    expect(readFileSync(join(machine.host, 'host/file'), 'utf8')).to.equal('host');
    expect(files()[0]).to.equal('host');
    await machine.node.killGroup();
    await machine.startNode();
    expect(files()[0]).to.equal('host');
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/host`);
    expect(readFileSync(join(machine.host, 'host/file'), 'utf8')).to.equal('host');

    // The image is still readable through its mount, until somebody says with `down` that it may go.
    expect(readFileSync(join(machine.target(ns, 'image'), 'file'), 'utf8')).to.equal('image');
    await machine.node.stop();
    const { code, stderr } = await machine.command(['down']);
    expect(code, stderr).to.equal(0);
    await machine.startNode();
    await machine.waitCondition(VOLUMES, `${ns}/image`, 'Stalled', 'True', 'DataMissing');
    // What the status says may be of before.
    await waitFor(() => mountsAt(machine.target(ns, 'host')).length === 1, { message: 'the mount to be back' });
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/host`);
    expect(readFileSync(join(machine.target(ns, 'host'), 'file'), 'utf8')).to.equal('host');
  });
});
