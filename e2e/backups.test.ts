/** Backups into a directory, restored with restic alone. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Backup, BackupConditionType, VolumeBackup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import type { Secret } from '../src/api/core.ts';
import { BACKUPS, SECRETS, VOLUME_BACKUPS, VOLUME_CLASSES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Reason } from '../src/api/reasons.ts';
import type { Volume } from '../src/api/volume.ts';
import { filesOf, makeHostileTree } from '../test/contract/hostile-tree.ts';
import {
  BareRepository,
  backup,
  deleteBackups,
  ended,
  openAtOnce,
  useRestic,
} from '../test/support/harness/backups.ts';
import { pathsNamed } from '../test/support/harness/files.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { unmount } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('backups', function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let destination: string;

  before(async () => {
    useRestic();
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('backups');
    destination = machine.hostDirectory('kept');
  });

  after(async () => {
    if (machine === undefined) return;
    await deleteBackups(machine, ns);
    await machine.end();
  });

  const keyOf = (name: string): string => `${ns}/${name}`;
  const said = ({ status }: Backup, type: BackupConditionType): string => {
    const condition = findCondition(status?.conditions, type);
    return condition === undefined ? 'absent' : `${condition.status} ${condition.reason}`;
  };
  const bare = ({ status }: Backup): Promise<BareRepository> =>
    BareRepository.of(machine, ns, status?.repositoryRef?.name ?? '');
  const directory = async (name: string): Promise<string> => {
    const path = machine.hostDirectory(name);
    await machine.create(volume(ns, name, { hostPath: { path } }));
    await machine.waitReady(VOLUMES, keyOf(name));
    return path;
  };
  const run = async (name: string, spec: Partial<Backup['spec']> = {}): Promise<Backup> => {
    await machine.create(backup(ns, name, { destination, ...spec }));
    return ended(machine, keyOf(name));
  };
  const of = (...names: readonly string[]) => ({ volumeRefs: names.map((name) => ({ name })) });

  it('bring back byte for byte what volumes had, with restic alone', async () => {
    const path = await directory('hostile');
    makeHostileTree(path, []);
    await machine.create(volume(ns, 'image', { emptyDir: {}, capacity: '64Mi' }));
    await machine.create(mount(ns, 'image', 'image'));
    await machine.waitReady(VOLUME_MOUNTS, keyOf('image'));
    makeHostileTree(machine.target(ns, 'image'), []);
    const made = await run('first');
    expect(said(made, 'Ready'), JSON.stringify(made.status)).to.equal('True BackedUp');
    expect([said(made, 'DataComplete'), said(made, 'ContentConsistent')]).to.deep.equal([
      'True Complete',
      'True Unchanged',
    ]);
    expect(made.status?.items).to.deep.equal({ succeeded: 2, failed: 0, skipped: 0 });
    expect(made.status?.warnings?.join()).to.contain('export-key');
    const repository = await bare(made);
    const id = made.status?.backupID ?? '';
    expect(filesOf(repository.restoreVolume(id, 'hostile'), [])).to.deep.equal(filesOf(path, []));
    expect(filesOf(repository.restoreVolume(id, 'image'), [])).to.deep.equal(filesOf(machine.target(ns, 'image'), []));
    const isTold = ({ status }: Volume): boolean => status?.lastBackupTime === made.status?.startTime;
    await machine.waitFor<Volume>(VOLUMES, keyOf('image'), isTold, 'to tell of its backup');
    const { items } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    expect(items.map(({ status }) => status?.method ?? '').toSorted()).to.deep.equal(['InPlace', 'Snapshot']);
    await openAtOnce(machine, ns, made);
  });

  it('leave nothing on the node', async () => {
    const { items: parts } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    const left = async (): Promise<readonly string[]> => {
      const { items } = await machine.client.list<Secret>(SECRETS, { namespace: ns });
      return [
        ...parts.flatMap(({ metadata }) => pathsNamed(metadata.uid ?? '?', machine.directory)),
        ...readdirSync(join(machine.settings.stateDir, 'backup-readings')),
        ...items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('backup-')),
      ];
    };
    await waitFor(async () => (await left()).length === 0, { message: 'nothing to be left', instead: left });
  });

  it('of everything have the manifests too, with the Secrets that they name and without the key', async () => {
    const made = await run('full', { scope: 'Full', ...of('image') });
    expect(said(made, 'Ready'), JSON.stringify(made.status)).to.equal('True BackedUp');
    const repository = await bare(made);
    const tags = [`id=${made.status?.backupID}`, 'kind=backup'];
    const [document] = repository.snapshots().filter((one) => tags.every((tag) => one.tags?.includes(tag)));
    const { items } = JSON.parse(repository.read(document?.id ?? '', '/manifests.json'));
    const names = items.map(
      (item: { kind: string; metadata: { name: string } }) => `${item.kind} ${item.metadata.name}`,
    );
    expect(names).to.include.members(['Volume image', 'Volume hostile', 'VolumeMount image']);
    expect(names.filter((name: string) => name.startsWith('Secret'))).to.deep.equal([]);
    expect(JSON.parse(repository.read(document?.id ?? '', '/backup.json')).volumes).to.have.length(1);
    expect(made.status?.record?.objects).to.equal(items.length);
    const configs = await run('configs', { scope: 'Configs' });
    expect([said(configs, 'Ready'), configs.status?.items]).to.deep.equal([
      'True BackedUp',
      { succeeded: 0, failed: 0, skipped: 0 },
    ]);
  });

  it('wait for a volume that is applied after them, and for its class, which comes last', async () => {
    const path = machine.hostDirectory('late');
    writeFileSync(join(path, 'file'), 'late');
    const volumeClassName = `${ns}-late`;
    const waits = async (reason: Reason, of: string): Promise<void> => {
      const saysSo = ({ status }: Backup): boolean => {
        const condition = findCondition(status?.conditions, 'Reconciling');
        return condition?.reason === reason && condition.message.includes(of);
      };
      await machine.waitFor<Backup>(BACKUPS, keyOf('early'), saysSo, `to wait for ${of}`);
    };
    await machine.create(backup(ns, 'early', { destination, ...of('late') }));
    await waits('VolumeNotFound', '"late"');
    await machine.create(volume(ns, 'late', { hostPath: { path }, volumeClassName }));
    await waits('VolumeNotReady', volumeClassName);
    const allowed = { allowedNamespaces: {}, allowedTypes: ['hostPath'], allowedHostPathPrefixes: [path] } as const;
    await machine.create(volumeClass(volumeClassName, allowed));
    try {
      const made = await ended(machine, keyOf('early'));
      expect(said(made, 'Ready'), JSON.stringify(made.status)).to.equal('True BackedUp');
    } finally {
      await machine.client.delete(VOLUMES, { namespace: ns, name: 'late' });
      await machine.client.delete(VOLUME_CLASSES, { name: volumeClassName });
    }
  });

  it('are no success when a file cannot be read, which they name', async () => {
    const path = await directory('unreadable');
    const disk = join(machine.directory, 'damaged.img');
    writeFileSync(disk, '');
    truncateSync(disk, 8 * 1024 * 1024);
    execFileSync('mkfs.ext4', ['-q', disk]);
    const mountDisk = () => execFileSync('mount', ['-o', 'loop,errors=continue', disk, path]);
    mountDisk();
    for (const name of ['sound', 'damaged']) writeFileSync(join(path, name), name);
    await unmount(path);
    execFileSync('debugfs', ['-w', '-R', 'set_inode_field damaged checksum 1', disk], { stdio: 'ignore' });
    mountDisk();
    try {
      const made = await run('unreadable', of('unreadable'));
      expect([said(made, 'Ready'), said(made, 'DataComplete')]).to.deep.equal([
        'False FilesSkipped',
        'False FilesSkipped',
      ]);
      expect(made.status?.skipped?.map((file) => `${file.volumeName} ${file.path}`)).to.include('unreadable damaged');
      const allowed = await run('unreadable-allowed', { ...of('unreadable'), onPartial: 'Allow' });
      expect([said(allowed, 'Ready'), said(allowed, 'DataComplete')]).to.deep.equal([
        'True BackedUpPartly',
        'False FilesSkipped',
      ]);
    } finally {
      await unmount(path);
    }
  });

  it('are no success when files are written while they are read, unless that is allowed, and name them', async () => {
    const path = await directory('busy');
    for (let index = 0; index < 200; index += 1) writeFileSync(join(path, `still-${index}`), 'content');
    const writer = spawn('sh', ['-c', 'while :; do echo line >> "$1/log"; sleep 0.02; done', 'sh', path], {
      detached: true,
    });
    try {
      await waitFor(() => existsSync(join(path, 'log')), { message: 'the writer to be at work' });
      const failed = await run('busy', of('busy'));
      expect([said(failed, 'Ready'), said(failed, 'DataComplete')]).to.deep.equal([
        'False ChangedDuringRead',
        'False ChangedDuringRead',
      ]);
      const made = await run('busy-allowed', { ...of('busy'), onPartial: 'Allow' });
      expect([said(made, 'Ready'), said(made, 'ContentConsistent')]).to.deep.equal([
        'True BackedUpPartly',
        'False ChangedDuringRead',
      ]);
      expect(made.status?.skipped?.map((file) => file.path)).to.include('log');
    } finally {
      process.kill(-(writer.pid ?? 0), 'SIGKILL');
    }
  });

  it('are no success when a volume is suddenly empty', async () => {
    const path = await directory('disk');
    writeFileSync(join(path, 'file'), 'content');
    expect(said(await run('before', of('disk')), 'Ready')).to.equal('True BackedUp');
    renameSync(path, `${path}-away`);
    mkdirSync(path);
    const made = await run('empty', of('disk'));
    expect([said(made, 'Ready'), said(made, 'Stalled')]).to.deep.equal(['False SourceEmpty', 'True SourceEmpty']);
    rmSync(path, { recursive: true });
    renameSync(`${path}-away`, path);
    expect(said(await run('back', of('disk')), 'Ready')).to.equal('True BackedUp');
  });

  it('are refused into a directory of the volume itself', async () => {
    const path = await directory('outer');
    writeFileSync(join(path, 'file'), 'content');
    const made = await run('inside', { ...of('outer'), destination: join(path, 'kept') });
    expect(said(made, 'Ready')).to.equal('False DestinationInVolume');
  });

  it('are deleted with their data, or leave it, as their policy says', async () => {
    const kept = await run('policy-retain', of('disk'));
    const gone = await run('policy-delete', { ...of('disk'), deletionPolicy: 'Delete' });
    const repository = await bare(kept);
    const tagged = (id = '') => repository.snapshots().filter((one) => one.tags?.includes(`id=${id}`));
    expect([tagged(kept.status?.backupID).length, tagged(gone.status?.backupID).length]).to.deep.equal([2, 2]);
    for (const name of ['policy-retain', 'policy-delete']) {
      await machine.delete(BACKUPS, keyOf(name));
      await machine.waitGone(BACKUPS, keyOf(name), 60_000);
    }
    expect(tagged(gone.status?.backupID)).to.deep.equal([]);
    const left = tagged(kept.status?.backupID);
    expect(left).to.have.length(2);
    expect(left.flatMap(({ tags = [] }) => tags).filter((tag) => tag.startsWith('dismissed.'))).to.have.length(1);
  });

  it('of ten volumes at once have each of them', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `many-${index}`);
    for (const name of names) writeFileSync(join(await directory(name), 'file'), name);
    const made = await run('many', of(...names));
    expect([said(made, 'Ready'), made.status?.items]).to.deep.equal([
      'True BackedUp',
      { succeeded: 10, failed: 0, skipped: 0 },
    ]);
    const repository = await bare(made);
    const restored = names.map((name) => filesOf(repository.restoreVolume(made.status?.backupID ?? '', name), []));
    expect(restored).to.deep.equal(names.map((name) => filesOf(join(machine.host, name), [])));
  });
});
