/** A full cycle with many files: backed up, backed up again after a little has changed, and brought back. */
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Backup, BackupSpec, VolumeBackup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { VOLUME_BACKUPS, VOLUMES } from '../src/api/meta.ts';
import { filesOf } from '../test/contract/hostile-tree.ts';
import { changeDataSet, FULL_SET, makeDataSet, SMALL_SET } from '../test/support/data-set.ts';
import { backup, deleteBackups, ended, makeRepository, useRestic } from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { volume } from '../test/support/harness/manifests.ts';
import { full } from '../test/support/harness/run.ts';

const SIZE = full ? FULL_SET : SMALL_SET;
/** For each step: only so that a failure ends. */
const DEADLINE_MS = full ? 1_800_000 : 180_000;

describe(`a backup of ${SIZE.files} files`, function () {
  this.timeout(DEADLINE_MS * 2);
  let machine: Machine;
  let ns: string;
  let repository: Pick<BackupSpec, 'repositoryRef'>;
  let source: string;
  let names: number;
  let wanted: readonly string[];

  before(async () => {
    useRestic();
    machine = await Machine.start();
    ns = await machine.namespace('size');
    repository = await makeRepository(machine, ns);
    source = machine.hostDirectory('data');
    names = makeDataSet(source, SIZE);
    await machine.create(volume(ns, 'data', { hostPath: { path: source } }));
    await machine.waitReady(VOLUMES, `${ns}/data`);
  });

  after(async () => {
    if (machine === undefined) return;
    await deleteBackups(machine, ns);
    await machine.end();
  });

  const run = async (name: string): Promise<VolumeBackup> => {
    await machine.create(backup(ns, name, repository));
    const made: Backup = await ended(machine, `${ns}/${name}`, DEADLINE_MS);
    expect(findCondition(made.status?.conditions, 'Ready')?.reason, JSON.stringify(made.status)).to.equal('BackedUp');
    const { items } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    const part = items.find(({ spec }) => spec.backupRef.name === name);
    if (part === undefined) throw new Error(`there is no part of ${name}`);
    return part;
  };
  const restored = async (from: string): Promise<readonly string[]> => {
    const path = machine.hostDirectory(`of-${from}`);
    const dataSource = { backupRef: { name: from, volumeName: 'data' } };
    await machine.create(volume(ns, `of-${from}`, { hostPath: { path }, dataSource }));
    await machine.waitReady(VOLUMES, `${ns}/of-${from}`, DEADLINE_MS);
    return filesOf(path, []);
  };
  /** The first that differs says more than thousands of lines. */
  const expectSame = (found: readonly string[], expected: readonly string[]): void => {
    expect(found.find((line, index) => line !== expected[index])).to.equal(undefined);
    expect(found.length).to.equal(expected.length);
  };

  it('has every one of them, and all of their content', async () => {
    wanted = filesOf(source, []);
    const { status } = await run('first');
    expect(status?.files).to.equal(names);
    expect(status?.uploadedBytes).to.be.greaterThan(SIZE.bytes * 0.9);
  });

  it('sends only what has changed when it is made again', async () => {
    changeDataSet(source, SIZE);
    const { status } = await run('second');
    expect(status?.files).to.equal(names);
    expect(status?.uploadedBytes).to.be.within(1, SIZE.bytes * 0.05);
  });

  it('brings back each moment as it was: content, links, attributes, holes, times', async () => {
    expectSame(await restored('first'), wanted);
    expectSame(await restored('second'), filesOf(source, []));
  });
});
