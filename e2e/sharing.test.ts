/** Who may use a volume at the same time, and what keeps one from going away. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type ConditionedStatus, type KubeObjectBase, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { AccessMode, Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { codeFrom } from '../test/support/harness/files.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountsAt, mountsBelow } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe(`sharing and letting go, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('sharing');
  });

  after(async () => {
    await machine?.end();
  });

  const key = (name: string): string => `${ns}/${name}`;
  const ready = (name: string): Promise<VolumeMount> => machine.waitReady<VolumeMount>(VOLUME_MOUNTS, key(name));

  async function hostVolume(name: string, mode: AccessMode): Promise<string> {
    const path = machine.hostDirectory(name);
    await machine.create(volume(ns, name, { hostPath: { path }, accessModes: [mode] }));
    return path;
  }

  /** Starts a process; `ready` is a line that it prints when it holds what it is to hold. */
  async function holder(
    command: string,
    ...args: readonly string[]
  ): Promise<{ pid: number; end: () => Promise<void> }> {
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.stdout.once('data', resolve);
    });
    // The word comes from the shell, which becomes the sleep a moment later.
    await waitFor(() => readFileSync(`/proc/${child.pid ?? 0}/comm`, 'utf8').trim() === 'sleep', {
      message: 'the shell to become a sleep',
    });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    return {
      pid: child.pid ?? 0,
      end: async () => {
        child.kill('SIGKILL');
        await exited;
      },
    };
  }

  it('gives a ReadWriteOncePod volume to one workload, and to the next when that one is gone', async () => {
    await hostVolume('pod', 'ReadWriteOncePod');
    await machine.create(mount(ns, 'pod-a', 'pod'));
    await ready('pod-a');
    await machine.create(mount(ns, 'pod-b', 'pod'));
    const refused = await machine.waitCondition(VOLUME_MOUNTS, key('pod-b'), 'Ready', 'False', 'AccessModeConflict');
    expect(refused.message).to.include('pod-a');
    expect(mountsAt(machine.target(ns, 'pod-b'))).to.deep.equal([]);
    await machine.delete(VOLUME_MOUNTS, key('pod-a'));
    await ready('pod-b');
  });

  it('gives a ReadWriteMany volume to several workloads, which see each other’s files', async () => {
    await hostVolume('many', 'ReadWriteMany');
    await machine.create(mount(ns, 'many-a', 'many'));
    await machine.create(mount(ns, 'many-b', 'many'));
    await ready('many-a');
    await ready('many-b');
    writeFileSync(join(machine.target(ns, 'many-a'), 'file'), 'from a');
    expect(readFileSync(join(machine.target(ns, 'many-b'), 'file'), 'utf8')).to.equal('from a');
  });

  it('mounts a ReadOnlyMany volume read-only by itself, and refuses to mount it otherwise', async () => {
    await hostVolume('rom', 'ReadOnlyMany');
    await machine.create(mount(ns, 'rom-a', 'rom'));
    await ready('rom-a');
    expect(codeFrom(() => writeFileSync(join(machine.target(ns, 'rom-a'), 'file'), ''))).to.equal('EROFS');
    await machine.create(mount(ns, 'rom-b', 'rom', { readOnly: false }));
    await machine.waitCondition(VOLUME_MOUNTS, key('rom-b'), 'Stalled', 'True', 'ReadOnlyVolume');
  });

  it('refuses a second VolumeMount on the same host target until the first is gone', async () => {
    await hostVolume('target', 'ReadWriteMany');
    const hostPath = join(machine.host, 'one-target');
    await machine.create(mount(ns, 'target-a', 'target', { hostPath }));
    await ready('target-a');
    await machine.create(mount(ns, 'target-b', 'target', { hostPath }));
    await machine.waitCondition(VOLUME_MOUNTS, key('target-b'), 'Ready', 'False', 'MountTargetConflict');
    expect(mountsAt(hostPath)).to.have.length(1);
    // Of another volume, too.
    await hostVolume('target-other', 'ReadWriteMany');
    await machine.create(mount(ns, 'target-c', 'target-other', { hostPath }));
    await machine.waitCondition(VOLUME_MOUNTS, key('target-c'), 'Ready', 'False', 'MountTargetConflict');
    await machine.delete(VOLUME_MOUNTS, key('target-a'));
    await ready('target-b');
    await machine.delete(VOLUME_MOUNTS, key('target-b'));
    await ready('target-c');
  });

  it('blocks the deletion of an attached volume with a reason, and goes on by itself after the unmount', async () => {
    await hostVolume('attached', 'ReadWriteOnce');
    await machine.create(mount(ns, 'attached-a', 'attached'));
    await ready('attached-a');
    await machine.delete(VOLUMES, key('attached'));
    const blocked = await machine.waitCondition(VOLUMES, key('attached'), 'DeletionBlocked', 'True', 'VolumeInUse');
    expect(blocked.message).to.include('attached-a');
    const deleting = await machine.get<Volume>(VOLUMES, key('attached'));
    expect(deleting.metadata.deletionTimestamp).to.be.a('string');
    expect(mountsAt(machine.target(ns, 'attached-a'))).to.have.length(1);
    await machine.create(mount(ns, 'attached-b', 'attached'));
    await machine.waitCondition(VOLUME_MOUNTS, key('attached-b'), 'Ready', 'False', 'VolumeDeleting');
    await machine.delete(VOLUME_MOUNTS, key('attached-b'));
    await machine.delete(VOLUME_MOUNTS, key('attached-a'));
    await machine.waitGone(VOLUMES, key('attached'));
  });

  it('names who holds a busy mount, and unmounts when they have let go', async () => {
    await hostVolume('busy', 'ReadWriteOnce');
    await machine.create(mount(ns, 'busy-a', 'busy'));
    await ready('busy-a');
    const target = machine.target(ns, 'busy-a');
    const process = await holder('sh', '-c', 'cd "$1" && echo in && exec sleep 1000', 'sh', target);
    try {
      await machine.delete(VOLUME_MOUNTS, key('busy-a'));
      const blocked = await machine.waitCondition(VOLUME_MOUNTS, key('busy-a'), 'DeletionBlocked', 'True', 'Busy');
      expect(blocked.message).to.include(String(process.pid));
      const holders = [{ pid: process.pid, comm: 'sleep' }];
      // Whoever only looked at it just now may be named for a moment, too.
      const isNamed = ({ status }: VolumeMount): boolean => isDeepStrictEqual(status?.busyBy, holders);
      await machine.waitFor<VolumeMount>(VOLUME_MOUNTS, key('busy-a'), isNamed, `to be busy by ${process.pid} alone`);
      expect(mountsAt(target)).to.have.length(1);
    } finally {
      await process.end();
    }
    await machine.waitGone(VOLUME_MOUNTS, key('busy-a'));
    expect(mountsAt(target)).to.deep.equal([]);
  });

  it('does not call a mount gone while a private copy of it lives in another namespace', async () => {
    await machine.create(volume(ns, 'copied', { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, 'copied-a', 'copied'));
    await ready('copied-a');
    const target = machine.target(ns, 'copied-a');
    const script = 'echo in && exec sleep 1000';
    const other = await holder('unshare', '--mount', '--propagation', 'private', 'sh', '-c', script);
    try {
      expect(mountsBelow(target, other.pid)).to.have.length(1);
      await machine.delete(VOLUME_MOUNTS, key('copied-a'));
      await machine.delete(VOLUMES, key('copied'));
      const blocked = await machine.waitCondition(
        VOLUME_MOUNTS,
        key('copied-a'),
        'DeletionBlocked',
        'True',
        'InUseByOtherNamespace',
      );
      expect(blocked.message).to.include(String(other.pid));
      // The copy still works, and so does what is behind it.
      writeFileSync(`/proc/${other.pid}/root${target}/still`, 'alive');
    } finally {
      await other.end();
    }
    await machine.waitGone(VOLUME_MOUNTS, key('copied-a'));
    await machine.waitGone(VOLUMES, key('copied'));
  });

  it('refuses a second node on a volume whose data lies on the first', async () => {
    const { settings } = await machine.addNode(`other-${ns}`);
    const { nodeName } = machine.settings;
    await machine.create(volume(ns, 'once', { hostPath: { path: machine.hostDirectory('once') }, nodeName }));
    await machine.create(mount(ns, 'once-a', 'once', { nodeName }));
    await ready('once-a');
    await machine.create(mount(ns, 'once-b', 'once', { nodeName: settings.nodeName }));
    const refused = await machine.waitFor<KubeObjectBase & { readonly status?: ConditionedStatus }>(
      VOLUME_MOUNTS,
      key('once-b'),
      ({ status }) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'False') === true,
      'to be refused',
    );
    const reason = refused.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
    expect(reason).to.be.oneOf(['NodeMismatch', 'AccessModeConflict']);
    const { status } = await machine.get<Volume>(VOLUMES, key('once'));
    expect(status?.attachments?.map((grant) => grant.nodeName)).to.deep.equal([nodeName]);
  });

  it('mounts on the node that the volume names, and only there', async () => {
    const nodeName = `other-${ns}`;
    mkdirSync(join(machine.host, 'elsewhere'), { recursive: true });
    const spec = { hostPath: { path: join(machine.host, 'elsewhere') }, nodeName };
    await machine.create(volume(ns, 'elsewhere', spec));
    await machine.create(mount(ns, 'elsewhere-a', 'elsewhere'));
    const { status } = await ready('elsewhere-a');
    expect(status?.nodeName).to.equal(nodeName);
    const agent = machine.processes.find(({ logFile }) => logFile.includes(nodeName));
    expect(mountsBelow(status?.hostPath ?? '', agent?.pid)).to.have.length(1);
    expect(mountsAt(status?.hostPath ?? '')).to.deep.equal([]);
    await machine.delete(VOLUME_MOUNTS, key('elsewhere-a'));
    await machine.waitGone(VOLUME_MOUNTS, key('elsewhere-a'));
    await machine.delete(VOLUMES, key('elsewhere'));
    await machine.waitGone(VOLUMES, key('elsewhere'));
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
