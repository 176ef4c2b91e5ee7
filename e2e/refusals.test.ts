/** What the node refuses although the schema allows it: paths, classes, options. Nothing is ever mounted for it. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Condition, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { VolumeSpec } from '../src/api/volume.ts';
import type { VolumeClassSpec } from '../src/api/volume-class.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { isReady, Machine } from '../test/support/harness/machine.ts';
import { mount, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { full } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe(`refusals, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let serial = 0;

  before(async () => {
    machine = await Machine.start({
      // So generous that only the rules for reserved directories are left to refuse.
      hostPathAllow: (directory) => [join(directory, 'host'), directory, '/etc', '/usr', '/var'],
    });
    ns = await machine.namespace('refusals');
  });

  after(async () => {
    await machine?.end();
  });

  /** Makes a volume and a mount of it, and waits until the volume is refused for this reason. */
  async function refused(spec: VolumeSpec, ...reasons: readonly string[]): Promise<Condition> {
    serial += 1;
    const name = `v${serial}`;
    await machine.create(volume(ns, name, spec));
    await machine.create(mount(ns, name, name));
    const { reason, message } = await machine.waitCondition(VOLUMES, `${ns}/${name}`, 'Stalled', 'True');
    expect(reasons, message).to.include(reason);
    const seen = machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, `${ns}/${name}`);
    expect(seen !== undefined && isReady(seen)).to.equal(false);
    expect(existsSync(machine.target(ns, name)) && readdirSync(machine.target(ns, name)).length > 0).to.equal(false);
    return machine.waitCondition(VOLUMES, `${ns}/${name}`, 'Ready', 'False', reason);
  }

  describe('hostPath', () => {
    const path =
      (of: () => string): (() => VolumeSpec) =>
      () => ({ hostPath: { path: of() } });
    const cases: readonly { readonly what: string; readonly spec: () => VolumeSpec; readonly reason: string }[] = [
      { what: 'the root', spec: path(() => '/'), reason: 'HostPathNotAllowed' },
      { what: '/etc', spec: path(() => '/etc'), reason: 'HostPathNotAllowed' },
      { what: 'a directory below /usr', spec: path(() => '/usr/share'), reason: 'HostPathNotAllowed' },
      { what: '/var/lib', spec: path(() => '/var/lib'), reason: 'HostPathNotAllowed' },
      { what: 'a path outside the allow-list', spec: path(() => '/mnt/other'), reason: 'HostPathNotAllowed' },
      { what: 'the state directory', spec: path(() => machine.settings.stateDir), reason: 'HostPathNotAllowed' },
      { what: 'a parent of the state directory', spec: path(() => machine.directory), reason: 'HostPathNotAllowed' },
      { what: 'the mount root', spec: path(() => machine.settings.mountRoot), reason: 'HostPathNotAllowed' },
      { what: 'a prefix with a longer name', spec: path(() => '/usrs'), reason: 'HostPathNotAllowed' },
      {
        what: 'a file',
        spec: path(() => {
          writeFileSync(join(machine.host, 'file'), '');
          return join(machine.host, 'file');
        }),
        reason: 'HostPathNotDirectory',
      },
      {
        what: 'a symbolic link that leads out',
        spec: path(() => {
          symlinkSync('/etc', join(machine.host, 'out'));
          return join(machine.host, 'out');
        }),
        reason: 'HostPathIsSymlink',
      },
      {
        what: 'a path through a symbolic link',
        spec: path(() => {
          symlinkSync('/etc', join(machine.host, 'through'));
          return join(machine.host, 'through/ssl');
        }),
        reason: 'HostPathIsSymlink',
      },
      {
        what: 'to make a directory through a symbolic link',
        spec: () => {
          mkdirSync(join(machine.directory, 'elsewhere'));
          symlinkSync(join(machine.directory, 'elsewhere'), join(machine.host, 'make'));
          return { hostPath: { path: join(machine.host, 'make/new'), type: 'DirectoryOrCreate' } };
        },
        reason: 'HostPathIsSymlink',
      },
    ];
    for (const { what, spec, reason } of cases) {
      it(`refuses ${what}`, async () => {
        await refused(spec(), reason);
      });
    }

    it('made nothing behind the symbolic link', () => {
      expect(readdirSync(join(machine.directory, 'elsewhere'))).to.deep.equal([]);
    });

    it('refuses a directory that is not there, and mounts it when it comes', async () => {
      serial += 1;
      const name = `v${serial}`;
      const directory = join(machine.host, 'comes-later');
      await machine.create(volume(ns, name, { hostPath: { path: directory } }));
      await machine.create(mount(ns, name, name));
      const { message } = await machine.waitCondition(VOLUMES, `${ns}/${name}`, 'Ready', 'False', 'HostPathNotFound');
      expect(message).to.include(directory);
      mkdirSync(directory);
      await machine.patch(VOLUMES, `${ns}/${name}`, {
        metadata: { annotations: { 'storage.clawbernetes.io/reconcile-at': 'now' } },
      });
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
    });

    it('refuses a host target outside the allow-list and in the state directory', async () => {
      serial += 1;
      const name = `v${serial}`;
      const options = { accessModes: ['ReadWriteMany'] } as const;
      await machine.create(volume(ns, name, { hostPath: { path: machine.hostDirectory('fine') }, ...options }));
      await machine.create(mount(ns, `${name}-a`, name, { hostPath: '/mnt/other' }));
      await machine.waitCondition(VOLUME_MOUNTS, `${ns}/${name}-a`, 'Stalled', 'True', 'HostPathNotAllowed');
      await machine.create(mount(ns, `${name}-b`, name, { hostPath: join(machine.settings.stateDir, 'x') }));
      await machine.waitCondition(VOLUME_MOUNTS, `${ns}/${name}-b`, 'Stalled', 'True', 'HostPathNotAllowed');
      await machine.create(mount(ns, `${name}-c`, name, { hostPath: '/etc/x' }));
      await machine.waitCondition(VOLUME_MOUNTS, `${ns}/${name}-c`, 'Stalled', 'True', 'HostPathNotAllowed');
    });

    it('never mounts what a symbolic link swapped in between check and mount points to', async () => {
      const secret = join(machine.directory, 'secret');
      mkdirSync(secret);
      writeFileSync(join(secret, 'secret'), '');
      const place = join(machine.host, 'swapped');
      mkdirSync(join(machine.host, 'swapped'));
      symlinkSync(secret, join(machine.host, 'link'));
      const swap = `
        const { renameSync } = require('node:fs');
        for (;;) {
          try {
            renameSync('swapped', 'real'); renameSync('link', 'swapped');
            renameSync('swapped', 'link'); renameSync('real', 'swapped');
          } catch {}
        }`;
      const swapper = spawn(process.execPath, ['-e', swap], { cwd: machine.host, stdio: 'ignore' });
      const gone = new Promise((resolve) => swapper.once('exit', resolve));
      const names = Array.from({ length: full ? 60 : 12 }, (_, index) => `race-${index}`);
      try {
        for (const name of names) {
          await machine.create(volume(ns, name, { hostPath: { path: place }, accessModes: ['ReadWriteMany'] }));
          await machine.create(mount(ns, name, name));
        }
        for (const name of names) {
          await waitFor(
            () =>
              (machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, `${ns}/${name}`)?.status?.conditions ?? []).length >
              0,
            { message: `${name} to be decided` },
          );
        }
      } finally {
        swapper.kill('SIGKILL');
        await gone;
      }
      for (const name of names) {
        const target = machine.target(ns, name);
        expect(existsSync(join(target, 'secret')), `${name} shows what the link points to`).to.equal(false);
      }
    });
  });

  describe('VolumeClass', () => {
    async function classOf(spec: VolumeClassSpec): Promise<string> {
      serial += 1;
      const name = `class-${ns}-${serial}`;
      await machine.create(volumeClass(name, spec));
      return name;
    }

    it('waits for a class that does not exist, and goes on when it comes', async () => {
      const volumeClassName = `class-${ns}-late`;
      await machine.create(volume(ns, 'early', { emptyDir: {}, capacity: '32Mi', volumeClassName }));
      await machine.waitCondition(VOLUMES, `${ns}/early`, 'Ready', 'False', 'VolumeClassNotFound');
      await machine.create(volumeClass(volumeClassName, { allowedNamespaces: {}, allowedTypes: ['emptyDir'] }));
      await machine.waitCondition(VOLUMES, `${ns}/early`, 'Ready', 'True');
    });

    it('refuses a namespace that the class does not select', async () => {
      const volumeClassName = await classOf({
        allowedNamespaces: { matchLabels: { team: 'a' } },
        allowedTypes: ['emptyDir'],
      });
      const { message } = await refused({ emptyDir: {}, volumeClassName }, 'NamespaceNotAllowed');
      expect(message).to.include(ns);
    });

    it('refuses a type that the class does not allow', async () => {
      const volumeClassName = await classOf({ allowedNamespaces: {}, allowedTypes: ['hostPath'] });
      await refused({ emptyDir: {}, volumeClassName }, 'TypeNotAllowed');
    });

    it('refuses a host path outside the prefixes of the class', async () => {
      const volumeClassName = await classOf({
        allowedNamespaces: {},
        allowedTypes: ['hostPath'],
        allowedHostPathPrefixes: [join(machine.host, 'a')],
      });
      const path = machine.hostDirectory('ab');
      await refused({ hostPath: { path }, volumeClassName }, 'HostPathNotAllowed');
    });

    it('refuses mount options that widen, unless the class grants them', async () => {
      const path = machine.hostDirectory('suid');
      const { message } = await refused({ hostPath: { path }, mountOptions: ['suid'] }, 'MountOptionNotAllowed');
      expect(message).to.include('suid');
    });

    it('waits for a node that has the pool of the class', async () => {
      const volumeClassName = await classOf({
        allowedNamespaces: {},
        allowedTypes: ['emptyDir'],
        defaults: { pool: 'nowhere' },
      });
      await machine.create(volume(ns, 'no-pool', { emptyDir: {}, capacity: '32Mi', volumeClassName }));
      const { message } = await machine.waitCondition(VOLUMES, `${ns}/no-pool`, 'Ready', 'False', 'PoolNotFound');
      expect(message).to.include('nowhere');
    });
  });

  it('refuses to enforce a capacity that nothing can enforce', async () => {
    const path = machine.hostDirectory('enforce');
    await refused({ hostPath: { path }, capacity: '1Gi', capacityPolicy: 'Enforce' }, 'CapacityNotEnforceable');
  });

  it('refuses a capacity that holds no filesystem', async () => {
    await refused({ emptyDir: {}, capacity: '4Ki' }, 'CapacityTooSmall');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
