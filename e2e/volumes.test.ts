/** Volumes and mounts of both types, really mounted: content, limits, growth, options, reclaim. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount, VolumeMountSpec } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { run } from '../test/support/harness/exec.ts';
import { allocatedBytes, codeFrom, fill, pathsNamed, sizeOf } from '../test/support/harness/files.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { mountsAt, unmount } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MIB = 1024 * 1024;

describe(`volumes, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let serial = 0;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('volumes');
  });

  after(async () => {
    await machine?.end();
  });

  /** Makes a volume and a mount of it, waits for both, and returns the host path of the mount. */
  async function mounted(spec: VolumeSpec, mountSpec: Partial<VolumeMountSpec> = {}) {
    serial += 1;
    const name = `v${serial}`;
    const key = `${ns}/${name}`;
    await machine.create(volume(ns, name, spec));
    await machine.create(mount(ns, name, name, mountSpec));
    const ready = await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key);
    const path = machine.target(ns, name);
    expect(ready.status?.hostPath).to.equal(path);
    return { name, key, path, volume: await machine.waitReady<Volume>(VOLUMES, key) };
  }

  async function remove(key: string): Promise<void> {
    await machine.delete(VOLUME_MOUNTS, key);
    await machine.waitGone(VOLUME_MOUNTS, key);
    await machine.delete(VOLUMES, key);
    await machine.waitGone(VOLUMES, key);
  }

  describe('hostPath', () => {
    it('shows the same files on both sides of the mount', async () => {
      const directory = machine.hostDirectory('both');
      writeFileSync(join(directory, 'before'), 'written on the host');
      const { path, volume: bound } = await mounted({ hostPath: { path: directory } });
      expect(readFileSync(join(path, 'before'), 'utf8')).to.equal('written on the host');
      writeFileSync(join(path, 'after'), 'written in the mount');
      expect(readFileSync(join(directory, 'after'), 'utf8')).to.equal('written in the mount');
      expect(bound.status?.nodeName).to.equal(machine.settings.nodeName);
    });

    it('cannot be written to through a read-only mount, not even by root', async () => {
      const directory = machine.hostDirectory('read-only');
      writeFileSync(join(directory, 'file'), 'data');
      const { path } = await mounted({ hostPath: { path: directory } }, { readOnly: true });
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('data');
      expect(codeFrom(() => writeFileSync(join(path, 'file'), 'other'))).to.equal('EROFS');
      expect(mountsAt(path)[0]?.options).to.include('ro');
      writeFileSync(join(directory, 'file'), 'the host still may');
    });

    it('is mounted nosuid and nodev always, and with the options asked for', async () => {
      const directory = machine.hostDirectory('options');
      const { path } = await mounted({ hostPath: { path: directory }, mountOptions: ['noexec', 'noatime'] });
      expect(mountsAt(path)[0]?.options).to.include.members(['nosuid', 'nodev', 'noexec', 'noatime']);
    });

    it('makes a missing directory when told to, with its missing parents', async () => {
      const directory = join(machine.host, 'made/by/us');
      const { path } = await mounted({ hostPath: { path: directory, type: 'DirectoryOrCreate' } });
      writeFileSync(join(path, 'file'), 'data');
      expect(readFileSync(join(directory, 'file'), 'utf8')).to.equal('data');
    });

    it('brings along what is mounted below the directory', async () => {
      const directory = machine.hostDirectory('nested');
      mkdirSync(join(directory, 'inner'));
      await run('mount', ['-t', 'tmpfs', 'inner', join(directory, 'inner')]);
      try {
        writeFileSync(join(directory, 'inner/file'), 'inner');
        const { path, key } = await mounted({ hostPath: { path: directory } });
        expect(readFileSync(join(path, 'inner/file'), 'utf8')).to.equal('inner');
        await remove(key);
        expect(readFileSync(join(directory, 'inner/file'), 'utf8')).to.equal('inner');
      } finally {
        await unmount(join(directory, 'inner'));
      }
    });

    it('never loses a file when volume and mount are deleted', async () => {
      const directory = machine.hostDirectory('kept');
      writeFileSync(join(directory, 'file'), 'data');
      const { key, path, volume: bound } = await mounted({ hostPath: { path: directory } });
      expect(bound.status?.reclaimPolicy).to.equal('Retain');
      await remove(key);
      expect(mountsAt(path)).to.deep.equal([]);
      expect(readFileSync(join(directory, 'file'), 'utf8')).to.equal('data');
    });

    it('says that nothing enforces its capacity', async () => {
      const { key } = await mounted({ hostPath: { path: machine.hostDirectory('advisory') }, capacity: '1Mi' });
      const { message } = await machine.waitCondition(VOLUMES, key, 'CapacityEnforced', 'False');
      expect(message).to.not.equal('');
    });

    it('mounts at the exact host target that is asked for, and takes it away again', async () => {
      const target = join(machine.host, 'exact/target');
      serial += 1;
      const key = `${ns}/v${serial}`;
      await machine.create(volume(ns, `v${serial}`, { hostPath: { path: machine.hostDirectory('exact-source') } }));
      await machine.create(mount(ns, `v${serial}`, `v${serial}`, { hostPath: target }));
      const { status } = await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key);
      expect(status?.hostPath).to.equal(target);
      writeFileSync(join(target, 'file'), 'data');
      expect(readdirSync(join(machine.host, 'exact-source'))).to.deep.equal(['file']);
      await remove(key);
      expect(mountsAt(target)).to.deep.equal([]);
    });
  });

  describe('emptyDir', () => {
    it('stops a writer at its capacity, and df shows that capacity', async () => {
      const { path, key, volume: made } = await mounted({ emptyDir: {}, capacity: '64Mi' });
      expect(made.status?.capacity).to.equal('64Mi');
      expect(sizeOf(path)).to.be.within(40 * MIB, 64 * MIB);
      const { written, code } = fill(join(path, 'big'), 80 * MIB);
      expect(code).to.equal('ENOSPC');
      expect(written).to.be.within(32 * MIB, 64 * MIB);
      await machine.waitCondition(VOLUMES, key, 'CapacityEnforced', 'True');
    });

    it('keeps its files when the mount goes and comes back', async () => {
      const { path, key, name } = await mounted({ emptyDir: {}, capacity: '32Mi' });
      writeFileSync(join(path, 'file'), 'data');
      await machine.delete(VOLUME_MOUNTS, key);
      await machine.waitGone(VOLUME_MOUNTS, key);
      expect(mountsAt(path)).to.deep.equal([]);
      await machine.create(mount(ns, name, name));
      await machine.waitReady(VOLUME_MOUNTS, key);
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('data');
    });

    it('grows under a writer, without a new mount', async () => {
      const { path, key } = await mounted({ emptyDir: {}, capacity: '320Mi' });
      writeFileSync(join(path, 'file'), 'data');
      const [before, size] = [mountsAt(path).map(({ id }) => id), sizeOf(path)];
      await machine.patch(VOLUMES, key, { spec: { capacity: '480Mi' } });
      const grown = await machine.waitReady<Volume>(VOLUMES, key);
      expect(grown.status?.capacity).to.equal('480Mi');
      expect(sizeOf(path)).to.be.at.least(size + 150 * MIB);
      expect(mountsAt(path).map(({ id }) => id)).to.deep.equal(before);
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('data');
    });

    it('starts empty, and says how much is used', async () => {
      const { path, key } = await mounted({ emptyDir: {}, capacity: '64Mi' });
      expect(readdirSync(path).filter((name) => name !== 'lost+found')).to.deep.equal([]);
      const used = ({ status }: Volume): number => status?.usage?.usedBytes ?? 0;
      const look = async (value: string, least: number): Promise<number> => {
        const annotations = { 'storage.clawbernetes.io/reconcile-at': value };
        await machine.patch(VOLUMES, key, { metadata: { annotations } });
        const what = `usage of ${least} bytes`;
        return used(await machine.waitFor<Volume>(VOLUMES, key, (object) => used(object) >= least, what));
      };
      const first = await look('before', 1);
      expect(fill(join(path, 'half'), 24 * MIB).code).to.equal(undefined);
      await run('sync', ['-f', path]);
      await look('after', first + 20 * MIB);
    });

    it('is removed with its data, its loop device and its directories when the volume is deleted', async () => {
      const { key, volume: made } = await mounted({ emptyDir: {}, capacity: '32Mi' });
      const uid = made.metadata.uid ?? '';
      const where = [machine.settings.stateDir, machine.settings.mountRoot];
      expect(pathsNamed(uid, ...where)).to.not.deep.equal([]);
      await remove(key);
      expect(pathsNamed(uid, ...where)).to.deep.equal([]);
      // The kernel lets a loop device go a moment after its last mount.
      const devices = () => run('losetup', ['-l', '-n', '-O', 'BACK-FILE']);
      await waitFor(async () => !(await devices()).includes(uid), { message: 'no loop device', instead: devices });
    });

    it('is kept when it is to be retained, and is then listed as an orphan', async () => {
      const { key, volume: made } = await mounted({ emptyDir: {}, capacity: '32Mi', reclaimPolicy: 'Retain' });
      const uid = made.metadata.uid ?? '';
      await remove(key);
      expect(pathsNamed(uid, machine.settings.stateDir, machine.settings.mountRoot)).to.not.deep.equal([]);
    });

    it('lies in memory when asked to: a tmpfs of its size', async () => {
      const { path } = await mounted({ emptyDir: { medium: 'Memory' }, capacity: '16Mi' });
      expect(mountsAt(path)[0]?.fsType).to.equal('tmpfs');
      expect(sizeOf(path)).to.equal(16 * MIB);
      expect(fill(join(path, 'big'), 32 * MIB)).to.deep.equal({ written: 16 * MIB, code: 'ENOSPC' });
    });

    it('reserves its space when Thick, and takes only what is written when Thin', async () => {
      const image = (uid: string): number =>
        Math.max(
          ...pathsNamed(uid, machine.settings.stateDir, machine.settings.mountRoot)
            .filter((path) => path.endsWith('.img') || path.endsWith('/image'))
            .map(allocatedBytes),
        );
      const classOf = (provisioning: 'Thick' | 'Thin') =>
        volumeClass(`${provisioning.toLowerCase()}-${ns}`, {
          allowedNamespaces: {},
          allowedTypes: ['emptyDir'],
          defaults: { provisioning },
        });
      for (const provisioning of ['Thick', 'Thin'] as const) {
        await machine.create(classOf(provisioning));
        const volumeClassName = `${provisioning.toLowerCase()}-${ns}`;
        const { volume: made } = await mounted({ emptyDir: {}, capacity: '64Mi', volumeClassName });
        expect(made.status?.provisioning).to.equal(provisioning);
        const bytes = image(made.metadata.uid ?? '');
        if (provisioning === 'Thick') expect(bytes).to.be.at.least(64 * MIB);
        else expect(bytes).to.be.lessThan(32 * MIB);
      }
    });

    it('waits with a reason while a Thick volume does not fit, and says nothing false', async () => {
      const volumeClassName = `thick-${ns}`;
      await machine.create(volume(ns, 'too-big', { emptyDir: {}, capacity: '1Pi', volumeClassName }));
      const { message } = await machine.waitCondition(
        VOLUMES,
        `${ns}/too-big`,
        'Ready',
        'False',
        'InsufficientCapacity',
      );
      expect(message).to.not.equal('');
      const isPending = ({ status }: Volume): boolean => status?.phase === 'Pending';
      await machine.waitFor<Volume>(VOLUMES, `${ns}/too-big`, isPending, 'to be Pending');
      await machine.delete(VOLUMES, `${ns}/too-big`);
      await machine.waitGone(VOLUMES, `${ns}/too-big`);
    });
  });

  it('lets nobody write into the bare directory below a mount', async () => {
    const { path, name } = await mounted({ hostPath: { path: machine.hostDirectory('covered') } });
    const view = join(machine.directory, `view-${name}`);
    mkdirSync(view);
    // Without --rbind the mount on `data` is not taken along: this is the directory itself.
    await run('mount', ['--bind', join(path, '..'), view]);
    try {
      expect(codeFrom(() => writeFileSync(join(view, 'data/early'), 'lost'))).to.equal('EPERM');
      expect(readdirSync(join(view, 'data'))).to.deep.equal([]);
    } finally {
      await unmount(view);
    }
  });

  it('mounts by itself when the volume comes after the mount', async () => {
    await machine.create(mount(ns, 'early', 'late'));
    await machine.waitCondition(VOLUME_MOUNTS, `${ns}/early`, 'Ready', 'False', 'VolumeNotFound');
    await machine.create(volume(ns, 'late', { hostPath: { path: machine.hostDirectory('late') } }));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/early`);
  });

  it('does nothing to a paused volume until it is resumed', async () => {
    const paused = volume(ns, 'paused', { emptyDir: { medium: 'Memory' }, capacity: '8Mi' });
    const annotations = { 'storage.clawbernetes.io/paused': 'true' };
    await machine.create({ ...paused, metadata: { ...paused.metadata, annotations } });
    await machine.waitCondition(VOLUMES, `${ns}/paused`, 'Ready', 'Unknown', 'Paused');
    await machine.patch(VOLUMES, `${ns}/paused`, {
      metadata: { annotations: { 'storage.clawbernetes.io/paused': null } },
    });
    await machine.waitReady(VOLUMES, `${ns}/paused`);
  });

  it('goes through the phases Available, Bound or Attached, and Available again', async () => {
    const key = `${ns}/phases`;
    const phase = (wanted: string): Promise<Volume> =>
      machine.waitFor<Volume>(VOLUMES, key, ({ status }) => status?.phase === wanted, `phase ${wanted}`);
    await machine.create(volume(ns, 'phases', { emptyDir: { medium: 'Memory' }, capacity: '8Mi' }));
    await phase('Available');
    await machine.create(mount(ns, 'phases', 'phases'));
    const { status } = await phase('Attached');
    expect(status?.attachments).to.have.length(1);
    await machine.delete(VOLUME_MOUNTS, key);
    await phase('Available');
    await waitFor(() => (machine.objects.latest<Volume>(VOLUMES, key)?.status?.attachments ?? []).length === 0, {
      message: 'the grant to end',
    });
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
