import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { parse } from 'yaml';
import type { Backup } from '../../src/api/backup.ts';
import { BACKUP_SCHEDULES, BACKUPS, RESTORES, SNAPSHOT_SCHEDULES, VOLUMES } from '../../src/api/meta.ts';
import type { Restore } from '../../src/api/restore.ts';
import type { BackupSchedule } from '../../src/api/schedule.ts';
import { ExitCode } from '../../src/cli/exit-code.ts';
import { CommandServer, type Place } from '../commands/command-server.ts';
import { condition } from '../controllers/support/objects.ts';
import { bareEnvironment } from './bare-environment.ts';

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
  function spawned(...args: readonly string[]) {
    const settings = { CLAWSTORE_KUBECONFIG: server.kubeconfig(), CLAWSTORE_INVOKE_NAMESPACE: place.namespace };
    return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      env: bareEnvironment({ CLAWSTORE_COMPLETION_SECONDS: '30', ...settings }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** A command that goes on. */
  function start(...args: readonly string[]) {
    const child = spawned(...args);
    let output = '';
    let look = (): void => undefined;
    const add = (data: Buffer): void => {
      output += data.toString();
      look();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    const ended = new Promise<NodeJS.Signals | number | null>((resolve) =>
      child.once('close', (code, signal) => resolve(signal ?? code)),
    );
    /** Waits until it has printed this, or has ended. */
    const printed = async (text: string): Promise<void> => {
      const seen = new Promise<void>((resolve) => {
        look = () => {
          if (output.includes(text)) resolve();
        };
        look();
      });
      const over = ended.then((how) => {
        throw new Error(`ended with ${how}, and has printed: ${output}`);
      });
      await Promise.race([seen, over]);
    };
    return { child, ended, printed };
  }

  async function clawstore(...args: readonly string[]) {
    const child = spawned(...args);
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
    for (const name of ['a', 'b']) await place.create(VOLUMES, name, { emptyDir: {} });
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

  it('lists backups as tables, wide ones, names, JSON and YAML, and some of them', async () => {
    const spec = { scope: 'Volumes', destination: '/backups' };
    expect(await clawstore('backup', 'list')).to.deep.equal({
      code: ExitCode.ok,
      stdout: '',
      stderr: `No backups found in namespace ${place.namespace}.\n`,
    });
    for (const [name, ready] of [
      ['good', condition('Ready', 'True', 'Ready')],
      ['bad', condition('Stalled', 'True', 'DataMissing', 'no data')],
    ] as const) {
      await place.create(BACKUPS, name, spec);
      const times = { startTime: TIME, completionTime: TIME };
      await place.report(BACKUPS, name, { backupID: `${name}-00000000`, ...times, conditions: [ready] });
    }
    const list = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await clawstore('backup', 'list', ...args);
      expect(code, stderr).to.equal(ExitCode.ok);
      return stdout;
    };
    expect(await list())
      .to.match(/^BACKUP +SCOPE +DESTINATION +STATE +SIZE +AGE +MESSAGE\n/)
      .and.match(/^good-00000000 +volumes +\/backups +succeeded /m);
    expect(await list('-o', 'wide')).to.match(new RegExp(`^bad-00000000 .* bad +${TIME} +no data$`, 'm'));
    expect(await list('-o', 'name')).to.equal(
      ['bad', 'good'].map((name) => `backup.storage.clawbernetes.io/${name}\n`).join(''),
    );
    expect(await list('--state', 'failed', '-o', 'name')).to.equal('backup.storage.clawbernetes.io/bad\n');
    expect(JSON.parse(await list('-o', 'json'))).to.deep.equal(parse(await list('-o', 'yaml')));
    const completed = await clawstore('__complete', 'backup', 'restore', 'g');
    expect(completed.stdout).to.equal('good\n:4\n');
  });

  it('prints what changes of both kinds of schedule until it is interrupted', async () => {
    const spec = { schedule: '@daily', template: { spec: { scope: 'Full', destination: '/b' } } };
    await place.create(BACKUP_SCHEDULES, 'first', spec);
    const watching = start('schedule', 'list', '--watch', '-o', 'name');
    await watching.printed('backupschedule.storage.clawbernetes.io/first\n');
    await place.create(SNAPSHOT_SCHEDULES, 'second', {
      schedule: '@daily',
      template: { spec: { volumeRef: { name: 'data' } } },
    });
    await watching.printed('snapshotschedule.storage.clawbernetes.io/second\n');
    watching.child.kill('SIGINT');
    expect(await watching.ended).to.equal('SIGINT');
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
    expect(made.stdout).to.match(new RegExp(`^NAME +KIND +NEXT\ndaily +backup +${TIME}\n$`));
    await clawstore('schedule', 'create', 'nightly', '@daily', '--snapshots-of', 'data');
    const { stdout } = await clawstore('schedule', 'list');
    expect(stdout)
      .to.match(/^daily +backup +0 2 \* \* \* +\/b +active +0 +2026/m)
      .and.match(/^nightly +snapshot +@daily +data +active/m);
    expect((await clawstore('schedule', 'list', '-o', 'wide')).stdout).to.match(/^daily .* Europe\/Berlin$/m);
    expect((await clawstore('schedule', 'list', '-o', 'name')).stdout).to.equal(
      'backupschedule.storage.clawbernetes.io/daily\nsnapshotschedule.storage.clawbernetes.io/nightly\n',
    );
    const completed = await clawstore('__complete', 'schedule', 'suspend', '');
    expect(completed.stdout).to.equal('daily\nnightly\n:4\n');
    expect(await clawstore('schedule', 'delete', 'daily', '--kind', 'snapshot')).to.include({ code: ExitCode.failed });
    expect(await clawstore('schedule', 'delete', 'daily')).to.include({ code: ExitCode.ok });
    expect(await place.list(BACKUP_SCHEDULES)).to.deep.equal([]);
  });
});
