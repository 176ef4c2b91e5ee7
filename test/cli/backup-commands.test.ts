import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Backup } from '../../src/api/backup.ts';
import { BACKUP_SCHEDULES, BACKUPS, RESTORES, SNAPSHOT_SCHEDULES } from '../../src/api/meta.ts';
import type { Restore } from '../../src/api/restore.ts';
import type { BackupSchedule } from '../../src/api/schedule.ts';
import { ExitCode } from '../../src/cli/exit-code.ts';
import { CommandServer, type Place } from '../commands/command-server.ts';
import { condition } from '../controllers/support/objects.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const TIME = '2026-01-01T02:00:00Z';

describe('clawstore backup and clawstore schedule', function () {
  this.timeout(120_000);
  let server: CommandServer;
  let place: Place;

  before(async () => {
    server = await CommandServer.start();
  });
  beforeEach(async () => {
    place = await server.place();
  });
  afterEach(async () => {
    await place.end();
  });
  after(async () => {
    await server.end();
  });

  /** The binary, on that server. It runs beside us, because we are the server. */
  async function clawstore(...args: readonly string[]) {
    const settings = ['--kubeconfig', server.kubeconfig(), '--invoke-namespace', place.namespace];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args, ...settings], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, stdout, stderr };
  }

  const ended =
    (...conditions: readonly ReturnType<typeof condition>[]) =>
    ({ metadata, status }: Backup): object | undefined =>
      status?.backupID === undefined
        ? { backupID: `${metadata.name}-00000000`, startTime: TIME, completionTime: TIME, conditions }
        : undefined;

  it('makes a backup as the flags say, and prints it as a table', async () => {
    place.answer<Backup>(BACKUPS, ended(condition('Ready', 'True', 'Ready')));
    const flags = '--scope volumes --volume a --volume b --ttl 1h --delete-data --allow-partial --bandwidth 1Mi';
    const result = await clawstore('backup', 'create', '/backups', '--name', 'now', ...flags.split(' '));
    expect(result).to.include({ code: ExitCode.ok, stderr: '' });
    expect(result.stdout)
      .to.match(/^FIELD +VALUE$/m)
      .and.match(/^backupId +now-00000000$/m);
    const [made] = await place.list<Backup>(BACKUPS);
    expect(made?.spec).to.deep.equal({
      scope: 'Volumes',
      destination: '/backups',
      volumeRefs: [{ name: 'a' }, { name: 'b' }],
      ttl: '1h',
      deletionPolicy: 'Delete',
      onPartial: 'Allow',
      limits: { bandwidth: '1Mi' },
    });
  });

  it('ends with an exit code that tells a failed backup from a slow one', async () => {
    const failed = [condition('Ready', 'False', 'DataMissing'), condition('Stalled', 'True', 'DataMissing', 'no data')];
    place.answer<Backup>(BACKUPS, ended(...failed));
    const invoke = ['invoke', 'backup.create', '{"scope":"full","destination":"/backups"}'];
    const bad = await clawstore(...invoke);
    expect(bad.code).to.equal(ExitCode.refused);
    const { error } = JSON.parse(bad.stdout) as { readonly error: Record<string, unknown> };
    expect(error).to.include({ code: 'Stalled', reason: 'DataMissing' });
    expect(await clawstore('backup', 'list')).to.include({ code: ExitCode.ok, stderr: '' });
    const { backups } = JSON.parse((await clawstore('backup', 'list', '-o', 'json')).stdout) as {
      readonly backups: readonly Record<string, unknown>[];
    };
    expect(backups[0]).to.include({ state: 'failed', message: 'no data' });
  });

  it('begins one backup for a request that is sent twice', async () => {
    place.answer<Backup>(BACKUPS, ended(condition('Ready', 'True', 'Ready')));
    const invoke = ['invoke', 'backup.create', '{"scope":"full","destination":"/backups"}', '--request-id', 'job 7'];
    const [one, two] = await Promise.all([clawstore(...invoke), clawstore(...invoke)]);
    expect(one).to.include({ code: ExitCode.ok }).and.to.deep.equal(two);
    expect(await place.list(BACKUPS)).to.have.length(1);
  });

  it('restores as the flags say', async () => {
    place.answer<Restore>(RESTORES, ({ status }) =>
      status?.startTime === undefined
        ? {
            observedGeneration: 1,
            startTime: TIME,
            completionTime: TIME,
            conditions: [condition('Ready', 'True', 'Ready')],
          }
        : undefined,
    );
    const flags = '--volume a=b --volume c --path x --path y/z --existing-files Skip --objects Fail';
    const more = '--no-safety-snapshot --dry-run --in-place --repository main -o json';
    const result = await clawstore('backup', 'restore', 'far-00000000', ...flags.split(' '), ...more.split(' '));
    expect(result).to.include({ code: ExitCode.ok, stderr: '' });
    expect(JSON.parse(result.stdout)).to.include({ restored: true, backupId: 'far-00000000' });
    const [made] = await place.list<Restore>(RESTORES);
    expect(made?.spec).to.deep.equal({
      source: { backupID: 'far-00000000', repositoryRef: { name: 'main' } },
      volumes: [
        { from: 'a', to: 'b', mode: 'InPlace' },
        { from: 'c', mode: 'InPlace' },
      ],
      paths: ['x', 'y/z'],
      existingFiles: 'Skip',
      objects: { conflictPolicy: 'Fail' },
      safetySnapshot: false,
      dryRun: true,
    });
  });

  it('deletes and cancels, and says when there is nothing to', async () => {
    const spec = { scope: 'Full', destination: '/backups' };
    await place.create(BACKUPS, 'old', spec);
    expect(await clawstore('backup', 'delete', 'old', '--data', 'delete')).to.include({ code: ExitCode.ok });
    expect(await place.list(BACKUPS)).to.deep.equal([]);
    await place.create(BACKUPS, 'done', spec);
    await place.report(BACKUPS, 'done', { completionTime: TIME });
    const { code, stderr } = await clawstore('backup', 'cancel', 'done');
    expect([code, stderr]).to.deep.equal([ExitCode.refused, 'clawstore: backup cancel: backup "done" has ended\n']);
  });

  it('makes, lists and changes schedules', async () => {
    const ready = (next: string) => () => ({
      observedGeneration: 1,
      nextScheduleTime: next,
      conditions: [condition('Ready', 'True', 'Ready')],
    });
    for (const kind of [BACKUP_SCHEDULES, SNAPSHOT_SCHEDULES]) {
      const once = ready(TIME);
      place.answer<BackupSchedule>(kind, ({ status }) => (status?.nextScheduleTime === undefined ? once() : undefined));
    }
    const keep = '--keep daily=7 --keep last=2 --time-zone Europe/Berlin --scope configs';
    const made = await clawstore('schedule', 'create', 'daily', '0 2 * * *', '--backup-to', '/b', ...keep.split(' '));
    expect(made).to.include({ code: ExitCode.ok, stderr: '' });
    expect(made.stdout).to.match(new RegExp(`^next +${TIME}$`, 'm'));
    await clawstore('schedule', 'create', 'nightly', '@daily', '--snapshots-of', 'data');
    const { stdout } = await clawstore('schedule', 'list');
    expect(stdout)
      .to.match(/^daily +backup +0 2 \* \* \* +Europe\/Berlin +\/b/m)
      .and.match(/^nightly +snapshot +@daily/m);
    expect(await clawstore('schedule', 'delete', 'daily', '--kind', 'snapshot')).to.include({ code: ExitCode.failed });
    expect(await clawstore('schedule', 'delete', 'daily')).to.include({ code: ExitCode.ok });
    expect(await place.list(BACKUP_SCHEDULES)).to.deep.equal([]);
  });
});
