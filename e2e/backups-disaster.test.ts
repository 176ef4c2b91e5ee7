/** A machine is lost. What is left is the repository, its URL and its key; a new machine brings everything back. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Backup } from '../src/api/backup.ts';
import type { BackupRepository } from '../src/api/backup-repository.ts';
import { BACKUP_REPOSITORIES, BACKUPS, VOLUME_MOUNTS } from '../src/api/meta.ts';
import { filesOf, makeHostileTree } from '../test/contract/hostile-tree.ts';
import { openAtOnce, useRestic } from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const DEADLINE_MS = 180_000;
const TIMEOUT = ['--timeout', '170'] as const;

describe('after a disaster', function () {
  this.timeout(600_000);
  let lost: Machine;
  let fresh: Machine;
  let files: ReturnType<typeof filesOf>;
  let keyFile: string;
  let backupId: string;

  async function invoke(machine: Machine, name: string, params: object): Promise<Record<string, unknown>> {
    const args = ['invoke', name, JSON.stringify(params), ...TIMEOUT];
    const { code, stdout, stderr } = await machine.command(args, { deadline: DEADLINE_MS });
    expect(code, stdout + stderr).to.equal(0);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  before(async () => {
    useRestic();
    lost = await Machine.start();
    await lost.create(volume('default', 'work', { emptyDir: {}, capacity: '64Mi' }));
    await lost.create(mount('default', 'work', 'work'));
    await lost.waitReady(VOLUME_MOUNTS, 'default/work');
    makeHostileTree(lost.target('default', 'work'), []);
    files = filesOf(lost.target('default', 'work'), []);
    const params = { scope: 'full', destination: lost.hostDirectory('kept') };
    const made = await invoke(lost, 'backup.create', params);
    expect(made).to.include({ state: 'succeeded' });
    backupId = String(made['backupId']);
    const { items } = await lost.client.list<Backup>(BACKUPS, { namespace: 'default' });
    for (const one of items) await openAtOnce(lost, 'default', one);
    keyFile = join(lost.directory, 'main.key');
    const exported = await lost.command(['repository', 'export-key', '--file', keyFile], { deadline: DEADLINE_MS });
    expect(exported.code, exported.stderr).to.equal(0);
    await lost.killEverything();
    fresh = await Machine.start({ hostPathAllow: (own) => [lost.host, join(own, 'host')] });
  });

  after(async () => {
    try {
      await fresh?.end();
    } finally {
      await lost?.restartWhatEnded();
      await lost?.end();
    }
  });

  it('all backups are listed, from the URL and the key alone', async () => {
    const url = /^url: (.*)$/m.exec(readFileSync(keyFile, 'utf8'))?.[1] ?? '';
    const add = ['repository', 'add', 'found', url, '--key-file', keyFile, '--read-only', '-o', 'json', ...TIMEOUT];
    const added = await fresh.command(add, { deadline: DEADLINE_MS });
    expect(added.code, added.stderr).to.equal(0);
    expect(JSON.parse(added.stdout)).to.include({ backups: 1 });
    const list = async () => (await fresh.client.list<Backup>(BACKUPS, { namespace: 'default' })).items;
    await waitFor(async () => (await list()).length > 0, { message: 'the backup to be an object' });
    const items = await list();
    expect(items).to.have.length(1);
    const found = await fresh.waitReady<Backup>(BACKUPS, `default/${items[0]?.metadata.name}`, DEADLINE_MS);
    expect(found.status?.backupID).to.equal(backupId);
    const repository = await fresh.get<BackupRepository>(BACKUP_REPOSITORIES, 'default/found');
    expect(repository.spec.accessMode).to.equal('ReadOnly');
  });

  it('everything in one is brought back, byte for byte', async () => {
    expect(await invoke(fresh, 'backup.restore', { backupId })).to.include({ state: 'succeeded', restored: true });
    // The mount was in the backup, too.
    await fresh.waitReady(VOLUME_MOUNTS, 'default/work', DEADLINE_MS);
    expect(filesOf(fresh.target('default', 'work'), [])).to.deep.equal(files);
  });
});
