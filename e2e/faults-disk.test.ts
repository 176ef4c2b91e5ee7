/** The disk under the state directory is full: Thick volumes keep their promise, Thin ones lose nothing. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { run } from '../test/support/harness/exec.ts';
import { fill } from '../test/support/harness/files.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { mountsAt, mountsBelow, unmount } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MIB = 1024 * 1024;
const DISK_MIB = 1536;

describe(`a full disk, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let disk: string;

  before(async () => {
    machine = await Machine.start({
      stateDir: (directory) => join(directory, 'disk/state'),
      prepare: async (directory) => {
        const image = join(directory, 'disk.ext4');
        mkdirSync(join(directory, 'disk'));
        await run('truncate', ['-s', `${DISK_MIB}M`, image]);
        await run('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
        await run('mount', ['-o', 'loop', image, join(directory, 'disk')]);
        return () => unmount(join(directory, 'disk'));
      },
    });
    disk = join(machine.directory, 'disk');
    ns = await machine.namespace('disk');
    for (const provisioning of ['Thick', 'Thin'] as const) {
      const spec = { allowedNamespaces: {}, allowedTypes: ['emptyDir'], defaults: { provisioning } } as const;
      await machine.apply(volumeClass(`disk-${provisioning.toLowerCase()}`, spec));
    }
    for (const name of ['thick', 'thin']) {
      await machine.create(volume(ns, name, { emptyDir: {}, capacity: '64Mi', volumeClassName: `disk-${name}` }));
      await machine.create(mount(ns, name, name));
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
      writeFileSync(join(machine.target(ns, name), 'before'), name);
    }
  });

  after(async () => {
    await machine?.end();
  });

  /** Writes with fsync in a process of its own: a writer may be held as long as there is no room. */
  function write(file: string, mebibytes: number): Promise<number> {
    const args = ['if=/dev/zero', `of=${file}`, 'bs=1M', `count=${mebibytes}`, 'conv=fsync', 'status=none'];
    const child = spawn('dd', args, { stdio: 'ignore' });
    return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 128)));
  }

  const filler = (): string => join(disk, 'filler');

  it('lets a Thick volume be written to its end while the disk is full', async () => {
    try {
      expect(fill(filler(), 2 * DISK_MIB * MIB).code).to.equal('ENOSPC');
      expect(await write(join(machine.target(ns, 'thick'), 'big'), 32)).to.equal(0);
      expect(readFileSync(join(machine.target(ns, 'thick'), 'before'), 'utf8')).to.equal('thick');
      await machine.waitReady(VOLUME_MOUNTS, `${ns}/thick`);
    } finally {
      rmSync(filler());
    }
  });

  it('loses nothing of a Thin volume, and lets its writer go on when there is room again', async () => {
    const target = machine.target(ns, 'thin');
    let writing: Promise<number> | undefined;
    let early: number | undefined;
    try {
      expect(fill(filler(), 2 * DISK_MIB * MIB).code).to.equal('ENOSPC');
      writing = write(join(target, 'big'), 32);
      early = await Promise.race([writing, delay(3000, undefined)]);
    } finally {
      rmSync(filler());
    }
    const code = early ?? (await writing);
    // An honest ENOSPC is allowed, a filesystem that shut itself down is not.
    if (code !== 0) expect(await write(join(target, 'again'), 16)).to.equal(0);
    expect(readFileSync(join(target, 'before'), 'utf8')).to.equal('thin');
    for (const { target: at, superOptions } of mountsBelow(machine.settings.mountRoot)) {
      expect(superOptions, `${at} is still writable`).to.include('rw');
    }
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/thin`);
  });

  it('does not provision on a full disk, says why, and goes on when there is room', async () => {
    const free = statfsSync(disk);
    try {
      expect(fill(filler(), 2 * DISK_MIB * MIB).code).to.equal('ENOSPC');
      const capacity = `${DISK_MIB}Mi`;
      await machine.create(volume(ns, 'waiting', { emptyDir: {}, capacity, volumeClassName: 'disk-thick' }));
      const { message } = await machine.waitCondition(
        VOLUMES,
        `${ns}/waiting`,
        'Ready',
        'False',
        'InsufficientCapacity',
      );
      expect(message).to.not.equal('');
      await machine.create(volume(ns, 'small', { emptyDir: {}, capacity: '128Mi', volumeClassName: 'disk-thick' }));
    } finally {
      rmSync(filler());
    }
    await waitFor(() => statfsSync(disk).bavail >= free.bavail / 2, { message: 'the space to be free again' });
    await machine.waitReady(VOLUMES, `${ns}/small`, 120_000);
    expect(mountsAt(machine.target(ns, 'thick'))).to.have.length(1);
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
