/** Backups into a directory, restored with restic alone. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Backup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { BACKUP_REPOSITORIES, BACKUPS, SECRETS, VOLUME_BACKUPS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import { filesOf, makeHostileTree } from '../test/contract/hostile-tree.ts';
import { BareRepository, backup, ended, useRestic } from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';

describe('backups', function () {
  this.timeout(180_000);
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
    for (const resource of [BACKUPS, BACKUP_REPOSITORIES]) {
      const { items } = await machine.client.list(resource, { namespace: ns });
      for (const { metadata } of items) await machine.delete(resource, `${ns}/${metadata.name}`);
      for (const { metadata } of items) await machine.waitGone(resource, `${ns}/${metadata.name}`);
    }
    await machine?.end();
  });

  const keyOf = (name: string): string => `${ns}/${name}`;
  const conditionOf = ({ status }: Backup, type: string) =>
    status?.conditions?.find((condition) => condition.type === type);
  const bare = async ({ status }: Backup): Promise<BareRepository> =>
    BareRepository.of(machine, ns, status?.repositoryRef?.name ?? '');

  it('bring back byte for byte what volumes had, with restic alone', async () => {
    const path = machine.hostDirectory('hostile');
    makeHostileTree(path, []);
    await machine.create(volume(ns, 'hostile', { hostPath: { path } }));
    await machine.create(volume(ns, 'image', { emptyDir: {}, capacity: '64Mi' }));
    await machine.create(mount(ns, 'image', 'image'));
    await machine.waitReady(VOLUME_MOUNTS, keyOf('image'));
    makeHostileTree(machine.target(ns, 'image'), []);
    await machine.waitReady(VOLUMES, keyOf('hostile'));
    await machine.create(backup(ns, 'first', { destination }));
    const made = await ended(machine, keyOf('first'));
    expect(conditionOf(made, 'Ready'), JSON.stringify(made.status)).to.include({ status: 'True', reason: 'BackedUp' });
    expect(conditionOf(made, 'DataComplete')).to.include({ status: 'True' });
    expect(conditionOf(made, 'ContentConsistent')).to.include({ status: 'True' });
    expect(made.status?.items).to.deep.equal({ succeeded: 2, failed: 0, skipped: 0 });
    expect(made.status?.warnings?.join()).to.contain('export-key');
    const repository = await bare(made);
    const id = made.status?.backupID ?? '';
    expect(filesOf(repository.restoreVolume(id, 'hostile'), [])).to.deep.equal(filesOf(path, []));
    expect(filesOf(repository.restoreVolume(id, 'image'), [])).to.deep.equal(filesOf(machine.target(ns, 'image'), []));
    void [mkdirSync, readFileSync, writeFileSync, join, findCondition, SECRETS, VOLUME_BACKUPS, afterEach];
  });
});
