/** Restores from backups, with the real engine: into new volumes, in place, chosen paths, after kills, elsewhere. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { BackupSpec } from '../src/api/backup.ts';
import type { BackupRepository } from '../src/api/backup-repository.ts';
import { findCondition } from '../src/api/conditions.ts';
import type { Secret } from '../src/api/core.ts';
import { ANNOTATIONS, API_VERSION } from '../src/api/group.ts';
import {
  BACKUP_REPOSITORIES,
  RESTORES,
  SECRETS,
  SNAPSHOT_SCHEDULES,
  SNAPSHOTS,
  VOLUME_MOUNTS,
  VOLUME_RESTORES,
  VOLUMES,
} from '../src/api/meta.ts';
import type { Restore, RestoreSpec } from '../src/api/restore.ts';
import { isFinished } from '../src/api/restore.ts';
import type { VolumeRestore } from '../src/api/volume-restore.ts';
import { filesOf, makeHostileTree } from '../test/contract/hostile-tree.ts';
import { backup, deleteBackups, ended, makeRepository, useRestic } from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, snapshotSchedule, volume } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('restores from backups', function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let repository: Pick<BackupSpec, 'repositoryRef'>;

  before(async () => {
    useRestic();
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('restores');
    repository = await makeRepository(machine, ns);
  });

  afterEach(() => machine.restartWhatEnded());

  after(async () => {
    if (machine === undefined) return;
    await deleteBackups(machine, ns);
    await machine.end();
  });

  const keyOf = (name: string): string => `${ns}/${name}`;
  const target = (name: string): string => machine.target(ns, name);

  async function attach(name: string, volumeName = name): Promise<string> {
    await machine.create(mount(ns, name, volumeName));
    await machine.waitReady(VOLUME_MOUNTS, keyOf(name));
    return target(name);
  }

  async function detach(name: string): Promise<void> {
    await machine.delete(VOLUME_MOUNTS, keyOf(name));
    await machine.waitGone(VOLUME_MOUNTS, keyOf(name));
  }

  async function keep(name: string, volumes: readonly string[]): Promise<string> {
    const volumeRefs = volumes.map((one) => ({ name: one }));
    await machine.create(backup(ns, name, { ...repository, volumeRefs }));
    const made = await ended(machine, keyOf(name));
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    return made.status?.backupID ?? '';
  }

  async function begin(name: string, spec: RestoreSpec): Promise<void> {
    const object = { apiVersion: API_VERSION, kind: 'Restore', metadata: { namespace: ns, name }, spec };
    await machine.create(object);
  }

  const over = (name: string): Promise<Restore> =>
    machine.waitFor<Restore>(RESTORES, keyOf(name), isFinished, 'to have ended', 120_000);

  async function restored(name: string, spec: RestoreSpec): Promise<Restore> {
    await begin(name, spec);
    const made = await over(name);
    expect(readyOf(made), JSON.stringify(made.status)).to.match(/^True (Restored|RestorePlanned)/);
    return made;
  }

  async function refused(name: string, spec: RestoreSpec): Promise<string> {
    await begin(name, spec);
    return readyOf(await over(name));
  }

  function readyOf({ status }: Restore): string {
    const { status: is, reason, message } = findCondition(status?.conditions, 'Ready') ?? {};
    return `${is} ${reason} ${message}`;
  }

  it('bring a volume back under another name, byte for byte, and nobody mounts it before', async () => {
    await machine.create(volume(ns, 'hostile', { emptyDir: {}, capacity: '64Mi' }));
    const source = await attach('hostile');
    makeHostileTree(source, []);
    const wanted = filesOf(source, []);
    await keep('hostile', ['hostile']);
    await begin('copy', { source: { backupRef: { name: 'hostile' } }, volumes: [{ from: 'hostile', to: 'copy' }] });
    const there = await attach('copy');
    expect(filesOf(there, [])).to.deep.equal(wanted);
    const made = await over('copy');
    expect(readyOf(made)).to.match(/^True Restored/);
    expect(made.status?.items).to.deep.equal({ succeeded: 1, failed: 0, skipped: 0 });
    const { items } = await machine.client.list<VolumeRestore>(VOLUME_RESTORES, { namespace: ns });
    expect(items[0]?.status?.files?.total).to.be.greaterThan(10);
    const transit = async (): Promise<readonly string[]> => {
      const { items: secrets } = await machine.client.list(SECRETS, { namespace: ns });
      return secrets.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('restore-'));
    };
    await waitFor(async () => (await transit()).length === 0, {
      message: 'what went between controller and agent to be gone',
      instead: transit,
    });
  });

  it('fill a volume that names the backup as its dataSource', async () => {
    const dataSource = { backupRef: { name: 'hostile', volumeName: 'hostile' } };
    await machine.create(volume(ns, 'sourced', { emptyDir: {}, capacity: '64Mi', dataSource }));
    expect(filesOf(await attach('sourced'), [])).to.deep.equal(filesOf(target('hostile'), []));
  });

  it('fill a volume of another type', async () => {
    const path = machine.hostDirectory('other-type');
    const dataSource = { backupRef: { name: 'hostile', volumeName: 'hostile' } };
    await machine.create(volume(ns, 'directory', { hostPath: { path }, dataSource }));
    await machine.waitReady(VOLUMES, keyOf('directory'));
    expect(filesOf(path, [])).to.deep.equal(filesOf(target('hostile'), []));
  });

  it('mix a new volume with no files of others', async () => {
    const path = machine.hostDirectory('not-empty');
    writeFileSync(join(path, 'theirs'), 'precious');
    const dataSource = { backupRef: { name: 'hostile', volumeName: 'hostile' } };
    await machine.create(volume(ns, 'mixed', { hostPath: { path }, dataSource }));
    await machine.waitCondition(VOLUMES, keyOf('mixed'), 'Stalled', 'True', 'RestoreFailed');
    expect(readdirSync(path)).to.deep.equal(['theirs']);
  });

  describe('in place', () => {
    before(async () => {
      await machine.create(volume(ns, 'data', { emptyDir: {}, capacity: '64Mi' }));
      const at = await attach('data');
      mkdirSync(join(at, 'sub'));
      for (const name of ['a', '[b]*', 'sub/c']) writeFileSync(join(at, name), `old ${name}`);
      await keep('data', ['data']);
      for (const name of ['a', '[b]*', 'sub/c', 'later']) writeFileSync(join(at, name), `new ${name}`);
    });

    const source = { backupRef: { name: 'data' } };
    const volumes = [{ from: 'data', mode: 'InPlace' as const }];
    const read = (name: string): string => readFileSync(join(target('data'), name), 'utf8');

    it('are refused while the volume is attached, and say who has it', async () => {
      expect(await refused('attached', { source, volumes })).to.match(/^False VolumeInUse .*VolumeMount "data"/);
      expect(read('a')).to.equal('new a');
      await detach('data');
    });

    it('say in a dry run what they would do, and do nothing', async () => {
      await restored('dry', { source, volumes, dryRun: true });
      const { items } = await machine.client.list<VolumeRestore>(VOLUME_RESTORES, { namespace: ns });
      const part = items.find(({ spec }) => spec.restoreRef?.name === 'dry');
      expect(part?.status?.files?.restored).to.be.greaterThan(0);
      await attach('data');
      expect([read('a'), read('later')]).to.deep.equal(['new a', 'new later']);
      await detach('data');
    });

    it('take chosen paths, which are names and no patterns', async () => {
      await restored('chosen', { source, volumes, paths: ['[b]*'], safetySnapshot: false });
      await attach('data');
      expect([read('a'), read('[b]*'), read('sub/c')]).to.deep.equal(['new a', 'old [b]*', 'new sub/c']);
      await detach('data');
      expect(await refused('nothing', { source, volumes, paths: ['nobody'], safetySnapshot: false })).to.match(
        /^False BackupMissing .*nobody/,
      );
    });

    it('keep what is there with Skip', async () => {
      await restored('skipping', { source, volumes, existingFiles: 'Skip', safetySnapshot: false });
      await attach('data');
      expect([read('a'), read('later')]).to.deep.equal(['new a', 'new later']);
      await detach('data');
    });

    it('replace files, and keep what they replace as a snapshot', async () => {
      const made = await restored('whole', { source, volumes });
      expect(made.status?.safetySnapshotRef?.name).to.equal('whole-safety');
      await attach('data');
      expect([read('a'), read('sub/c'), read('later')]).to.deep.equal(['old a', 'old sub/c', 'new later']);
      await detach('data');
      const dataSource = { snapshotRef: { name: 'whole-safety' } };
      await machine.create(volume(ns, 'before', { emptyDir: {}, capacity: '64Mi', dataSource }));
      const before = await attach('before');
      expect(readFileSync(join(before, 'a'), 'utf8')).to.equal('new a');
      await machine.waitReady(SNAPSHOTS, keyOf('whole-safety'));
    });

    it('remove what the backup does not have with Mirror, and nothing beside the volume', async () => {
      const parent = machine.hostDirectory('parent');
      const path = join(parent, 'inside');
      mkdirSync(path);
      writeFileSync(join(path, 'kept'), 'old');
      await machine.create(volume(ns, 'mirrored', { hostPath: { path } }));
      await machine.waitReady(VOLUMES, keyOf('mirrored'));
      await keep('mirrored', ['mirrored']);
      for (const name of ['inside/kept', 'inside/later', 'beside']) writeFileSync(join(parent, name), 'new');
      const mirrored = [{ from: 'mirrored', mode: 'InPlace' as const }];
      await restored('mirror', {
        source: { backupRef: { name: 'mirrored' } },
        volumes: mirrored,
        existingFiles: 'Mirror',
        safetySnapshot: false,
      });
      expect([readdirSync(path), readdirSync(parent).toSorted()]).to.deep.equal([['kept'], ['beside', 'inside']]);
      expect(readFileSync(join(path, 'kept'), 'utf8')).to.equal('old');
    });
  });

  it('go on after the agent and the engine were killed in the middle', async () => {
    await machine.create(volume(ns, 'large', { emptyDir: {}, capacity: '512Mi' }));
    const source = await attach('large');
    for (let index = 0; index < 12; index += 1) {
      execFileSync('dd', ['if=/dev/urandom', `of=${join(source, `f${index}`)}`, 'bs=1M', 'count=20'], {
        stdio: 'ignore',
      });
    }
    const wanted = filesOf(source, []);
    await keep('large', ['large']);
    await begin('large', { source: { backupRef: { name: 'large' } }, volumes: [{ from: 'large', to: 'again' }] });
    await machine.waitFor<VolumeRestore>(
      VOLUME_RESTORES,
      keyOf((await partOf('large')).metadata.name),
      ({ status }) => status?.startTime !== undefined,
      'to have begun',
      120_000,
    );
    await machine.node.killGroup();
    await machine.startNode();
    const made = await over('large');
    expect(readyOf(made), JSON.stringify(made.status)).to.match(/^True Restored/);
    expect(filesOf(await attach('again'), [])).to.deep.equal(wanted);
  });

  function partOf(restoreName: string): Promise<VolumeRestore> {
    return waitFor(
      async () => {
        const { items } = await machine.client.list<VolumeRestore>(VOLUME_RESTORES, { namespace: ns });
        return items.find(({ spec }) => spec.restoreRef?.name === restoreName);
      },
      { message: `a VolumeRestore of ${restoreName}`, deadline: 120_000 },
    );
  }

  it('say how much is needed where the volume is too small', async () => {
    const dataSource = { backupRef: { name: 'large', volumeName: 'large' } };
    await machine.create(volume(ns, 'small', { emptyDir: {}, capacity: '64Mi', dataSource }));
    const { message } = await machine.waitCondition(VOLUMES, keyOf('small'), 'Stalled', 'True', 'RestoreFailed');
    expect(message).to.include('240Mi');
  });

  it('bring objects back with their volumes, and what uses these last', async () => {
    await machine.create(volume(ns, 'whole', { emptyDir: {}, capacity: '64Mi' }));
    writeFileSync(join(await attach('whole'), 'file'), 'content');
    await machine.create(backup(ns, 'full', { scope: 'Full', ...repository, volumeRefs: [{ name: 'whole' }] }));
    const made = await ended(machine, keyOf('full'));
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    await detach('whole');
    await machine.delete(VOLUMES, keyOf('whole'));
    await machine.waitGone(VOLUMES, keyOf('whole'));
    await restored('full', { source: { backupID: made.status?.backupID ?? '' } });
    await machine.waitReady(VOLUME_MOUNTS, keyOf('whole'));
    expect(readFileSync(join(target('whole'), 'file'), 'utf8')).to.equal('content');
  });

  it('bring the objects of a namespace back that has none of them any more', async () => {
    const path = machine.hostDirectory('adopted');
    writeFileSync(join(path, 'file'), 'of the host');
    await machine.create(volume(ns, 'adopted', { hostPath: { path } }));
    await machine.create(snapshotSchedule(ns, 'adopted', 'adopted'));
    await machine.waitReady(VOLUMES, keyOf('adopted'));
    await machine.create(backup(ns, 'objects', { scope: 'Configs', ...repository }));
    const made = await ended(machine, keyOf('objects'));
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    await machine.delete(SNAPSHOT_SCHEDULES, keyOf('adopted'));
    await machine.waitGone(SNAPSHOT_SCHEDULES, keyOf('adopted'));
    await machine.delete(VOLUMES, keyOf('adopted'));
    await machine.waitGone(VOLUMES, keyOf('adopted'));
    const over = await restored('objects', { source: { backupRef: { name: 'objects' } } });
    expect(over.status?.items?.succeeded).to.be.at.least(2);
    await machine.waitReady(VOLUMES, keyOf('adopted'));
    await machine.get(SNAPSHOT_SCHEDULES, keyOf('adopted'));
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('of the host');
  });

  describe('with another key', () => {
    let secret: Secret;
    const setPassword = async (password: string): Promise<void> => {
      const { namespace, name } = secret.metadata;
      const body = { data: { password } };
      await machine.client.patch(SECRETS, { namespace, name }, body, { type: 'merge', fieldManager: 'test' });
    };

    before(async () => {
      const { items } = await machine.client.list<BackupRepository>(BACKUP_REPOSITORIES, { namespace: ns });
      const name = items[0]?.spec.encryption.secretRef.name ?? '';
      secret = await machine.client.get<Secret>(SECRETS, { namespace: ns, name });
      await setPassword(Buffer.from('wrong').toString('base64'));
      // The agent knows of it when it says so of the repository.
      const annotations = { [ANNOTATIONS.reconcileAt]: 'with another key' };
      const repositoryKey = keyOf(items[0]?.metadata.name ?? '');
      await machine.patch(BACKUP_REPOSITORIES, repositoryKey, { metadata: { annotations } });
      await machine.waitCondition(BACKUP_REPOSITORIES, repositoryKey, 'Stalled', 'True', 'WrongPassword', 120_000);
    });

    after(() => setPassword(secret.data?.['password'] ?? ''));

    it('have failed, and say so', async () => {
      const volumes = [{ from: 'hostile', to: 'locked' }];
      expect(await refused('locked', { source: { backupRef: { name: 'hostile' } }, volumes })).to.match(
        /^False WrongPassword .*Nothing was changed/,
      );
    });
  });
});
