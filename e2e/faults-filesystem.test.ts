/** The kernel gives the filesystem of a volume up after an error, or somebody makes it read-only: noticed, reported, left. */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { run } from '../test/support/harness/exec.ts';
import { codeFrom } from '../test/support/harness/files.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountsAt, unmount } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

/** Below the minute after which a volume is looked at without an event. */
const BY_EVENT_MS = 45_000;

interface Sort {
  readonly capacity: string;
  /** Makes the kernel give the filesystem at the path up; nothing was wrong with it. */
  readonly fail: (path: string) => Promise<unknown>;
  /** What a writer is told then. */
  readonly code: string;
}

const SORTS: Readonly<Record<string, Sort>> = {
  xfs: { capacity: '320Mi', code: 'EIO', fail: (path) => run('xfs_io', ['-x', '-c', 'shutdown', path]) },
  ext4: {
    capacity: '32Mi',
    code: 'EROFS',
    fail: async (path) => {
      const device = mountsAt(path)[0]?.source ?? '';
      writeFileSync(`/sys/fs/ext4/${realpathSync(device).slice('/dev/'.length)}/trigger_fs_error`, 'test');
    },
  },
};

describe(`filesystems that fail, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('filesystem');
    await machine.create(volume(ns, 'other', { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, 'other', 'other'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/other`);
  });

  after(async () => {
    await machine?.end();
  });

  /** A volume with one mount and a file that has reached its image. */
  async function made(name: string, capacity: string) {
    const key = `${ns}/${name}`;
    await machine.create(volume(ns, name, { emptyDir: {}, capacity }));
    await machine.create(mount(ns, name, name));
    await machine.waitReady(VOLUME_MOUNTS, key);
    const target = machine.target(ns, name);
    writeFileSync(join(target, 'file'), 'kept');
    await run('sync', ['--file-system', target]);
    const { metadata } = await machine.get<Volume>(VOLUMES, key);
    return { key, target, stage: join(machine.settings.mountRoot, '.volumes', metadata.uid ?? '') };
  }

  const reported = async (key: string): Promise<void> => {
    await machine.waitCondition(VOLUMES, key, 'Stalled', 'True', 'FilesystemFailed', BY_EVENT_MS);
    await machine.waitCondition(VOLUME_MOUNTS, key, 'Ready', 'False', 'FilesystemFailed', BY_EVENT_MS);
    await machine.waitCondition(VOLUME_MOUNTS, key, 'Healthy', 'False', 'FilesystemFailed', BY_EVENT_MS);
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/other`);
  };

  for (const [name, { capacity, code, fail }] of Object.entries(SORTS)) {
    it(`says that it has failed, and mounts it anew when its mount is made again (${name})`, async () => {
      const { key, target } = await made(name, capacity);
      const [before] = mountsAt(target);
      await fail(target);
      await reported(key);
      expect(codeFrom(() => writeFileSync(join(target, 'more'), ''))).to.equal(code);
      expect(
        mountsAt(target).map(({ id }) => id),
        'the mount is left alone',
      ).to.deep.equal([before?.id]);

      await machine.delete(VOLUME_MOUNTS, key);
      await machine.waitGone(VOLUME_MOUNTS, key);
      await machine.create(mount(ns, name, name));
      await machine.waitReady(VOLUME_MOUNTS, key);
      await machine.waitReady(VOLUMES, key);
      expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('kept');
      writeFileSync(join(target, 'more'), '');
    });

    it(`deletes a volume that has failed (${name})`, async () => {
      const { key, target } = await made(`${name}-gone`, capacity);
      await fail(target);
      await reported(key);
      await machine.delete(VOLUME_MOUNTS, key);
      await machine.delete(VOLUMES, key);
      await machine.waitGone(VOLUME_MOUNTS, key);
      await machine.waitGone(VOLUMES, key);
    });
  }

  it('reports storage that somebody made read-only, and is Ready again when that ends', async () => {
    const { key, target, stage } = await made('readonly', '32Mi');
    await run('mount', ['-o', 'remount,ro', stage]);
    await reported(key);
    await run('mount', ['-o', 'remount,rw', stage]);
    await machine.waitReady(VOLUMES, key);
    await machine.waitReady(VOLUME_MOUNTS, key);
    writeFileSync(join(target, 'more'), '');
  });

  it('leaves the mounts of memory whose storage somebody detached, with their files, and says so', async () => {
    const key = `${ns}/memory`;
    await machine.create(volume(ns, 'memory', { emptyDir: { medium: 'Memory' }, capacity: '4Mi' }));
    await machine.create(mount(ns, 'memory', 'memory'));
    await machine.waitReady(VOLUME_MOUNTS, key);
    const target = machine.target(ns, 'memory');
    writeFileSync(join(target, 'file'), 'kept');
    const { metadata } = await machine.get<Volume>(VOLUMES, key);
    await run('umount', ['-l', join(machine.settings.mountRoot, '.volumes', metadata.uid ?? '')]);
    await machine.waitCondition(VOLUMES, key, 'Provisioned', 'True', 'Emptied', BY_EVENT_MS);
    await machine.waitCondition(VOLUME_MOUNTS, key, 'Ready', 'False', 'MountDrifted', BY_EVENT_MS);
    expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('kept');
    await unmount(target);
    await machine.waitReady(VOLUME_MOUNTS, key);
  });

  it('takes what was there when the agent starts for what it is', async () => {
    const { key, target } = await made('before', '320Mi');
    await machine.node.stop();
    await run('xfs_io', ['-x', '-c', 'shutdown', target]);
    await machine.startNode();
    await reported(key);
    await waitFor(() => mountsAt(target).length === 1, { message: 'the mount to be there' });
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
