/** Backups as people, agents and schedules make them: through commands, into a directory, with the real engine. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Backup } from '../src/api/backup.ts';
import { hasEnded } from '../src/api/backup.ts';
import { isTrue } from '../src/api/conditions.ts';
import { API_VERSION, LABELS } from '../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUP_SCHEDULES, BACKUPS, RESTORES, VOLUMES } from '../src/api/meta.ts';
import type { BackupSchedule, BackupTemplate, ScheduleSpec } from '../src/api/schedule.ts';
import type { Volume } from '../src/api/volume.ts';
import { BareRepository, openAtOnce, useRestic } from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const HOUR_MS = 3_600_000;

describe('backups by command and by schedule', function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let destination: string;
  let data: string;
  let backupId: string;
  let minute: number;
  /** Once an hour, half an hour ago and a number of minutes later: nothing comes due by itself while the test runs. */
  const hourly = (later: number): string => `${(minute + 30 + later) % 60} * * * *`;

  before(async () => {
    useRestic();
    minute = new Date().getUTCMinutes();
    machine = await Machine.start();
    ns = await machine.namespace('by-command');
    destination = machine.hostDirectory('kept');
    data = machine.hostDirectory('data');
    writeFileSync(join(data, 'model'), 'version 1');
    mkdirSync(join(data, 'logs'));
    writeFileSync(join(data, 'logs/one'), 'line');
  });

  after(async () => {
    if (machine === undefined) return;
    for (const resource of [BACKUP_SCHEDULES, RESTORES, BACKUPS, BACKUP_REPOSITORIES]) {
      const { items } = await machine.client.list(resource, { namespace: ns });
      for (const { metadata } of items) await machine.delete(resource, `${ns}/${metadata.name}`);
      for (const { metadata } of items) await machine.waitGone(resource, `${ns}/${metadata.name}`);
    }
    await machine.end();
  });

  const invoke = (command: string, params: unknown, ...args: readonly string[]) =>
    machine.invoke(command, params, '--invoke-namespace', ns, '--timeout', '120', ...args);
  const clawstore = (...args: readonly string[]) => machine.command([...args, '--invoke-namespace', ns]);

  it('backup.create backs up what there is, and warns that its key is kept nowhere else', async () => {
    await invoke('volume.create', { name: 'data', type: 'hostpath', path: data });
    await invoke('volume.create', { name: 'scratch', sizeGb: 0.0625 });
    const mounted = await invoke('volume.mount', { volumeId: 'scratch', workloadId: 'w', mountPath: '/s' });
    writeFileSync(join(String(mounted.answer['hostPath']), 'result'), 'of an hour');
    const { code, answer } = await invoke('backup.create', { scope: 'full', destination });
    expect(code, JSON.stringify(answer)).to.equal(0);
    expect(answer).to.deep.include({ scope: 'full', destination, state: 'succeeded', success: true });
    expect(answer['items']).to.include({ failed: 0, skipped: 0 });
    expect(answer['warnings']).to.have.length(1);
    expect(String(answer['warnings'])).to.contain('losing this disk loses').and.contain('export-key');
    backupId = String(answer['backupId']);
  });

  it('backup.list shows it', async () => {
    const { answer } = await invoke('backup.list', {});
    expect(answer).to.deep.include({ count: 1 });
    const [first] = answer['backups'] as readonly Record<string, unknown>[];
    expect(first).to.include({ backupId, scope: 'full', destination, state: 'succeeded' });
    expect(Date.now() - Date.parse(String(first?.['created_at']))).to.be.within(0, HOUR_MS);
    const { items } = await machine.client.list<Backup>(BACKUPS, { namespace: ns });
    for (const made of items) await openAtOnce(machine, ns, made);
    const table = await clawstore('backup', 'list');
    expect(table.stdout).to.contain(backupId);
  });

  it('backup.restore refuses while a volume is attached, and names it', async () => {
    const { code, answer } = await invoke('backup.restore', { backupId });
    expect(code, JSON.stringify(answer)).to.not.equal(0);
    expect(JSON.stringify(answer['error'])).to.contain('scratch');
  });

  it('backup.restore brings everything back: into what is there, and into what is not', async () => {
    await invoke('volume.unmount', { volumeId: 'scratch' });
    await invoke('volume.delete', { volumeId: 'scratch' });
    writeFileSync(join(data, 'model'), 'overwritten');
    rmSync(join(data, 'logs'), { recursive: true });
    writeFileSync(join(data, 'since'), 'is not in the backup');
    const { code, answer } = await invoke('backup.restore', { backupId });
    expect(code, JSON.stringify(answer)).to.equal(0);
    expect(answer).to.include({ backupId, restored: true, state: 'succeeded' });
    expect(readFileSync(join(data, 'model'), 'utf8')).to.equal('version 1');
    expect(readFileSync(join(data, 'logs/one'), 'utf8')).to.equal('line');
    expect(existsSync(join(data, 'since'))).to.equal(true);
    await machine.waitReady<Volume>(VOLUMES, `${ns}/scratch`);
    const mounted = await invoke('volume.mount', { volumeId: 'scratch', workloadId: 'w', mountPath: '/s' });
    expect(mounted.code, JSON.stringify(mounted.answer)).to.equal(0);
    expect(readFileSync(join(String(mounted.answer['hostPath']), 'result'), 'utf8')).to.equal('of an hour');
  });

  it('does not warn any more when the key was exported', async () => {
    const exported = await clawstore('repository', 'export-key', '--file', join(machine.directory, 'key'));
    expect(exported.code, exported.stderr).to.equal(0);
    await waitFor(
      async () => {
        const { answer } = await invoke('backup.create', { scope: 'configs', destination });
        return JSON.stringify(answer['warnings']) === '[]';
      },
      { message: 'no warning', deadline: 120_000 },
    );
  });

  it('is an error that says at once which volume is not there', async () => {
    const { code, stderr } = await clawstore('backup', 'create', destination, '--volume', 'nothing');
    expect(code).to.equal(1);
    expect(stderr).to.contain('there is no volume "nothing"');
  });

  it('a schedule makes a real backup when it is due, and its retention takes the data along', async () => {
    const spec: ScheduleSpec<BackupTemplate> = {
      schedule: hourly(0),
      template: { spec: { scope: 'Volumes', destination, volumeRefs: [{ name: 'data' }] } },
      retention: { last: 1 },
    };
    const metadata = { namespace: ns, name: 'hourly' };
    await machine.create<BackupSchedule>({ apiVersion: API_VERSION, kind: BACKUP_SCHEDULES.kind, metadata, spec });
    await machine.waitReady<BackupSchedule>(BACKUP_SCHEDULES, `${ns}/hourly`);
    const first = await firstRun();
    const repository = await BareRepository.of(machine, ns, first.status?.repositoryRef?.name ?? '');
    const partsOf = (id = ''): number => repository.snapshots().filter(({ tags }) => tags?.includes(`id=${id}`)).length;
    expect(partsOf(first.status?.backupID)).to.be.greaterThan(1);
    const success = async () =>
      machine.node.metric('clawstore_backup_last_success_timestamp_seconds', { namespace: ns, schedule: 'hourly' });
    const completed = Date.parse(first.status?.completionTime ?? '') / 1000;
    // Its schedule tells of it after it has ended.
    await waitFor(async () => (await success()) === completed, {
      message: `the metric of a success at ${completed}`,
      instead: success,
    });
    // A time that lies between the last run and now.
    await change({ schedule: hourly(1) });
    await machine.waitGone(BACKUPS, `${ns}/${first.metadata.name}`, 120_000);
    const [second, ...more] = (await made()).filter(({ metadata: { uid } }) => uid !== first.metadata.uid);
    expect(more).to.deep.equal([]);
    expect(isTrue(second?.status?.conditions, 'Ready')).to.equal(true);
    expect([partsOf(first.status?.backupID), partsOf(second?.status?.backupID) > 1]).to.deep.equal([0, true]);
    const { answer } = await invoke('backup.list', {});
    expect((answer['backups'] as readonly object[]).at(-1)).to.include({ schedule: 'hourly', state: 'succeeded' });
  });

  it('a scheduled run that fails is seen in the metrics', async () => {
    const labels = { kind: 'BackupSchedule', namespace: ns, schedule: 'hourly' };
    expect(await machine.node.metric('clawstore_schedule_last_run_failed', labels)).to.equal(0);
    const template = { spec: { scope: 'Volumes', destination, volumeRefs: [{ name: 'nothing' }] } };
    await change({ schedule: hourly(2), template });
    const failed = async (): Promise<boolean> =>
      (await machine.node.metric('clawstore_schedule_last_run_failed', labels)) === 1;
    await waitFor(failed, { message: 'the metric of the failed run', deadline: 90_000 });
    const listed = async (): Promise<string> => (await clawstore('schedule', 'list')).stdout;
    await waitFor(async () => (await listed()).includes('failed:'), { message: 'the list to say it', instead: listed });
  });

  async function change(spec: object): Promise<void> {
    await machine.client.patch(BACKUP_SCHEDULES, { namespace: ns, name: 'hourly' }, { spec }, { type: 'merge' });
  }

  async function made(): Promise<readonly Backup[]> {
    const labelSelector = `${LABELS.schedule}=hourly`;
    return (await machine.client.list<Backup>(BACKUPS, { namespace: ns, labelSelector })).items;
  }

  /** Makes a run due, and waits until it has ended. */
  async function firstRun(): Promise<Backup> {
    // What a controller finds that was stopped for so long.
    const status = { lastScheduleTime: `${new Date(Date.now() - 2 * HOUR_MS).toISOString().slice(0, 19)}Z` };
    const ref = { namespace: ns, name: 'hourly' };
    await machine.client.patch(BACKUP_SCHEDULES, ref, { status }, { type: 'merge', subresource: 'status' });
    const done = async (): Promise<Backup | undefined> => (await made()).find(hasEnded);
    const backup = await waitFor(done, { message: 'a scheduled backup to end', deadline: 90_000 });
    expect(isTrue(backup.status?.conditions, 'Ready'), JSON.stringify(backup.status)).to.equal(true);
    return backup;
  }
});
