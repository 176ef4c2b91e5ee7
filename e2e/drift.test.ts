/** Mounts that others touch, and mounts that outlive us: what changed behind our back comes back, what is right stays. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { readInstance } from '../src/cli/state-dir.ts';
import { clawstoreCommand } from '../test/support/harness/clawstore.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Daemon, isRunning } from '../test/support/harness/daemon.ts';
import { run } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountIds, mountsAt, mountsBelow, unmount } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe(`drift and restarts, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  /** Mounts that every test finds Ready: VolumeMount name → host path. */
  const targets = new Map<string, string>();

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('drift');
    const specs = {
      host: { hostPath: { path: machine.hostDirectory('host') } },
      image: { emptyDir: {}, capacity: '32Mi' },
      memory: { emptyDir: { medium: 'Memory' }, capacity: '8Mi' },
    } as const;
    for (const [name, spec] of Object.entries(specs)) {
      await machine.create(volume(ns, name, { ...spec, accessModes: ['ReadWriteMany'] }));
      await machine.create(mount(ns, name, name));
      targets.set(name, machine.target(ns, name));
    }
    await allReady();
    for (const path of targets.values()) writeFileSync(join(path, 'file'), path);
  });

  // What a test has stopped it may not have started again.
  afterEach(() => machine.restartWhatEnded());

  after(async () => {
    await machine?.end();
  });

  /** Mounted, Ready, and nothing left to be said about it. */
  async function allReady(): Promise<void> {
    for (const [name, path] of targets) {
      await waitFor(() => mountsAt(path).length === 1, {
        message: `${path} to be mounted`,
        instead: () => machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, `${ns}/${name}`)?.status,
      });
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
      await machine.waitFor<Volume>(
        VOLUMES,
        `${ns}/${name}`,
        ({ status }) => status?.phase === 'Attached' && status.attachments?.length === 1 && status.mounts?.ready === 1,
        'to be Attached by one mount',
      );
    }
  }

  const pathOf = (name: string): string => targets.get(name) ?? '';
  const restarts = (name: string): number =>
    machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, `${ns}/${name}`)?.status?.restarts ?? 0;

  for (const name of ['host', 'image', 'memory']) {
    it(`mounts again what was unmounted behind our back, with its files (${name})`, async () => {
      const path = pathOf(name);
      const count = restarts(name);
      await unmount(path);
      // The kernel may give the new mount the ID of the old one.
      await waitFor(() => mountsAt(path).length === 1, { message: `${path} to be mounted again` });
      expect(readFileSync(join(path, 'file'), 'utf8')).to.equal(path);
      await waitFor(() => restarts(name) === count + 1, { message: 'the restart to be counted' });
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
      const remounts = () => machine.node.metric('clawstore_mount_remounts_total');
      await waitFor(async () => (await remounts()) > 0, { message: 'the metric of the remounts' });
    });
  }

  it('makes the target again when somebody removed it together with the mount', async () => {
    const path = pathOf('host');
    // The directory below the mount is immutable: removing it takes an intention.
    await machine.node.stop('SIGTERM');
    await unmount(path);
    await run('chattr', ['-i', path]);
    rmdirSync(path);
    await machine.startNode();
    await waitFor(() => mountsAt(path).length === 1, { message: `${path} to be mounted again` });
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal(path);
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/host`);
  });

  it('reports what was mounted over a mount, leaves it alone, and is Ready again when it goes', async () => {
    const path = pathOf('host');
    const [ours] = mountsAt(path);
    await run('mount', ['-t', 'tmpfs', 'cover', path]);
    try {
      const { message } = await machine.waitCondition(VOLUME_MOUNTS, `${ns}/host`, 'Ready', 'False', 'MountCovered');
      expect(message).to.include(path);
      await machine.waitCondition(VOLUME_MOUNTS, `${ns}/host`, 'Healthy', 'False', 'MountCovered');
      expect(
        mountsAt(path)
          .map(({ fsType }) => fsType)
          .at(-1),
      ).to.equal('tmpfs');
    } finally {
      await unmount(path);
    }
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/host`);
    expect(mountsAt(path).map(({ id }) => id)).to.deep.equal([ours?.id]);
  });

  it('makes a mount read-only again that somebody made writable', async () => {
    await machine.create(mount(ns, 'ro', 'host', { readOnly: true }));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/ro`);
    const path = machine.target(ns, 'ro');
    await run('mount', ['-o', 'remount,bind,rw', path]);
    await waitFor(() => mountsAt(path).length === 1 && mountsAt(path)[0]?.options.includes('ro') === true, {
      message: 'the mount to be read-only again',
      instead: () => mountsAt(path),
    });
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/ro`);
    await machine.delete(VOLUME_MOUNTS, `${ns}/ro`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/ro`);
  });

  it('leaves every mount in place when it is stopped, and adopts them unchanged at the next start', async () => {
    await allReady();
    const before = mountIds(machine.settings.mountRoot);
    const versions = await objectVersions();
    expect(Object.keys(before).length).to.be.greaterThan(3);
    const { code } = await machine.node.stop('SIGINT');
    expect(code).to.equal(0);
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
    expect(readFileSync(join(pathOf('image'), 'file'), 'utf8')).to.equal(pathOf('image'));

    await machine.startNode();
    await allReady();
    await waitFor(async () => (await reconciled('mount')) >= targets.size, { message: 'every mount to be looked at' });
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
    const calls = await machine.node.metric('clawstore_mount_operation_duration_seconds_count', {
      operation: 'publish',
    });
    expect(calls, 'mount calls after the restart').to.equal(0);
    expect(await objectVersions(), 'no object was written to').to.deep.equal(versions);
  });

  it('adopts them after a kill too', async () => {
    const before = mountIds(machine.settings.mountRoot);
    await machine.node.killGroup();
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
    await machine.startNode();
    await allReady();
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
  });

  it('repairs at the start what was unmounted while nobody looked', async () => {
    await machine.node.stop();
    await unmount(pathOf('memory'));
    await machine.startNode();
    await waitFor(() => mountsAt(pathOf('memory')).length === 1, { message: 'the mount to be back' });
    expect(readFileSync(join(pathOf('memory'), 'file'), 'utf8')).to.equal(pathOf('memory'));
    await allReady();
  });

  it('gets a new helper when the helper is killed, and goes on', async () => {
    const before = mountIds(machine.settings.mountRoot);
    const helper = await waitFor(() => machine.node.helperPid(), { message: 'a helper' });
    process.kill(helper, 'SIGKILL');
    await waitFor(() => !isRunning(helper) && machine.node.helperPid() !== undefined, { message: 'a new helper' });
    await machine.create(mount(ns, 'afterwards', 'host'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/afterwards`);
    await machine.delete(VOLUME_MOUNTS, `${ns}/afterwards`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/afterwards`);
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(before);
  });

  it('lets one process alone run on a state directory and on a mount root', async () => {
    const { part, pid } = machine.node;
    if (part === 'up') {
      // It attaches to the running one until it is ended.
      const [command = '', ...args] = clawstoreCommand(machine.settings, [part]);
      const second = new Daemon({ name: 'second', command, args, logFile: join(machine.directory, 'second.log') });
      try {
        const attaches = (): boolean => second.output().includes(`(pid ${pid})`);
        await waitFor(attaches, { message: 'the second to attach', instead: () => second.output() });
        second.assertRunning();
      } finally {
        await second.killGroup();
      }
      expect(readInstance(machine.settings.stateDir)?.pid).to.equal(pid);
    } else {
      const second = await machine.command([part]);
      expect(second.code).to.equal(1);
      expect(second.stderr).to.include(String(pid));
    }
    expect(machine.node.exit).to.equal(undefined);
    await allReady();
  });

  it('unmounts everything with clawstore down, keeps the data, and has it again at the next start', async () => {
    // What is in memory would be lost, which down refuses to do.
    await machine.delete(VOLUME_MOUNTS, `${ns}/memory`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/memory`);
    await machine.delete(VOLUMES, `${ns}/memory`);
    await machine.waitGone(VOLUMES, `${ns}/memory`);
    targets.delete('memory');
    if (machine.separate) await machine.node.stop();
    const kubeconfig = readFileSync(machine.settings.kubeconfig, 'utf8');
    const { code, stderr } = await machine.command(['down']);
    expect(code, stderr).to.equal(0);
    expect(readFileSync(machine.settings.kubeconfig, 'utf8'), 'the kubeconfig is left alone').to.equal(kubeconfig);
    expect(mountsBelow(machine.directory)).to.deep.equal([]);
    expect(existsSync(pathOf('image'))).to.equal(false);
    expect(existsSync(join(machine.host, 'host/file'))).to.equal(true);
    await machine.node.exited;

    await machine.startNode();
    await allReady();
    for (const path of targets.values()) expect(readFileSync(join(path, 'file'), 'utf8')).to.equal(path);
  });

  if (controlPlaneKind === 'embedded') {
    for (const [what, harm] of [
      ['the database is damaged', damageDatabase],
      ['the disk of the state directory is read-only', makeReadOnly],
    ] as const) {
      it(`unmounts everything with clawstore down although ${what}, and says what it cannot know`, async () => {
        await machine.node.stop();
        const mend = await harm();
        try {
          const { code, stdout, stderr } = await machine.command(['down']);
          expect(code, stderr).to.equal(0);
          expect(stderr).to.include(`mounts outside ${machine.settings.mountRoot} are not known and stay`);
          expect(stdout).to.include(`everything below ${machine.settings.mountRoot} is unmounted`);
          expect(mountsBelow(machine.settings.mountRoot)).to.deep.equal([]);
        } finally {
          await mend();
        }
        await machine.startNode();
        await allReady();
      });
    }
  }

  it('refuses with down to unmount what is busy, and names who holds it', async () => {
    if (machine.separate) await machine.node.stop();
    const directory = pathOf('host');
    mkdirSync(join(directory, 'inside'), { recursive: true });
    const holder = machine.hold(join(directory, 'inside'));
    try {
      const { code, stderr } = await machine.command(['down', '--timeout', '40']);
      expect(code).to.equal(4);
      expect(stderr).to.include(directory).and.to.include(String(holder.pid));
      expect(mountsAt(directory)).to.have.length(1);
    } finally {
      await holder.killGroup();
    }
    await machine.node.exited;
    await machine.startNode();
    await allReady();
  });

  it('ends with an error, and leaves nothing running, when it cannot start', async () => {
    const settings = { ...machine.settings, kubeconfig: join(machine.directory, 'nowhere') };
    const { code, stderr } = await machine.command(['agent'], { settings });
    expect(code, stderr).to.equal(5);
    expect(stderr).to.include('nowhere');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });

  async function damageDatabase(): Promise<() => Promise<void>> {
    const file = join(machine.settings.stateDir, 'apiserver/apiserver.db');
    const whole = readFileSync(file);
    writeFileSync(file, Buffer.alloc(whole.length, 'x'));
    return async () => writeFileSync(file, whole);
  }

  async function makeReadOnly(): Promise<() => Promise<unknown>> {
    const { stateDir } = machine.settings;
    await run('mount', ['--bind', stateDir, stateDir]);
    await run('mount', ['-o', 'remount,bind,ro', stateDir]);
    return () => unmount(stateDir);
  }

  /** resourceVersion by object: what a write would change. */
  async function objectVersions(): Promise<Readonly<Record<string, string | undefined>>> {
    const versions: Record<string, string | undefined> = {};
    for (const resource of [VOLUMES, VOLUME_MOUNTS]) {
      for (const { metadata } of (await machine.client.list(resource, { namespace: ns })).items) {
        versions[`${resource.kind} ${metadata.name}`] = metadata.resourceVersion;
      }
    }
    return versions;
  }

  function reconciled(controller: string): Promise<number> {
    return machine.node.metric('controller_runtime_reconcile_total', { controller, result: 'success' });
  }
});
