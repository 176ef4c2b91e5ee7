import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { BackupRepository } from '../../src/api/backup-repository.ts';
import { keyMark } from '../../src/api/backup-repository.ts';
import type { Secret } from '../../src/api/core.ts';
import { KEY_EXPORTED_ANNOTATION, LABELS } from '../../src/api/group.ts';
import { BACKUP_REPOSITORIES, SECRETS } from '../../src/api/meta.ts';
import { ExitCode } from '../../src/cli/exit-code.ts';
import { CommandServer, type Place } from '../commands/command-server.ts';
import { condition } from '../controllers/support/objects.ts';
import { bareEnvironment } from './bare-environment.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const URL = 's3://backups/daily/team?endpoint=https://s3.example.com';
const PASSWORD = 'correct-horse: "battery"';

describe('clawstore repository', function () {
  this.timeout(120_000);
  let server: CommandServer;
  let place: Place;
  let folder: string;

  before(async () => {
    server = await CommandServer.start();
    folder = mkdtempSync(join(tmpdir(), 'clawstore-keys-'));
  });
  beforeEach(async () => {
    place = await server.place();
  });
  afterEach(async () => {
    await place.end();
  });
  after(async () => {
    await server.end();
    rmSync(folder, { recursive: true, force: true });
  });

  async function clawstore(...args: readonly string[]) {
    const settings = ['--kubeconfig', server.kubeconfig(), '--invoke-namespace', place.namespace];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args, ...settings], {
      env: bareEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, stdout, stderr };
  }

  async function given(name: string, labels: Readonly<Record<string, string>> = { [LABELS.managedBy]: 'clawstore' }) {
    const secret: Secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${name}-key`, namespace: place.namespace, labels },
      stringData: { password: PASSWORD },
    };
    await place.client.create(SECRETS, secret);
    const spec = { s3: { bucket: 'backups' }, encryption: { secretRef: { name: `${name}-key` } } };
    await place.create(BACKUP_REPOSITORIES, name, spec);
    const conditions = [condition('Ready', 'True', 'Ready'), condition('KeyExported', 'False', 'KeyNotExported')];
    await place.report(BACKUP_REPOSITORIES, name, { observedGeneration: 1, url: URL, backupCount: 3, conditions });
  }
  const mark = async (name: string) => {
    const secret = await place.client.get<Secret>(SECRETS, { namespace: place.namespace, name: `${name}-key` });
    return secret.metadata.annotations?.[KEY_EXPORTED_ANNOTATION];
  };

  it('lists what there is, and what is to be done', async () => {
    await given('main');
    const { code, stdout } = await clawstore('repository', 'list', '-o', 'json');
    expect(code).to.equal(ExitCode.ok);
    expect(JSON.parse(stdout)).to.deep.equal({
      repositories: [
        {
          name: 'main',
          url: URL,
          ready: 'True',
          keyExported: 'False',
          backups: 3,
          sizeBytes: 0,
          message: 'KeyNotExported it is.',
        },
      ],
    });
  });

  it('gives the only key out, and notes that it did', async () => {
    await given('main');
    const { code, stdout } = await clawstore('repository', 'export-key', '-o', 'json');
    expect(code).to.equal(ExitCode.ok);
    expect(JSON.parse(stdout)).to.deep.equal({ repository: 'main', url: URL, password: PASSWORD });
    expect(await mark('main')).to.equal(keyMark(PASSWORD));
  });

  it('writes it to a new file for its owner alone, from which it is read again', async () => {
    await given('main');
    await given('other');
    const unnamed = await clawstore('repository', 'export-key');
    expect(unnamed.code).to.equal(ExitCode.usage);
    expect(unnamed.stderr).to.contain('main, other');
    const file = join(folder, 'main.key');
    const { code, stdout, stderr } = await clawstore('repository', 'export-key', 'main', '--file', file);
    expect(code, stderr).to.equal(ExitCode.ok);
    expect(stdout + stderr).to.not.contain(PASSWORD);
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    const again = await clawstore('repository', 'export-key', 'other', '--file', file);
    expect(again.code).to.equal(ExitCode.failed);
    expect(await mark('other'), 'it was not kept').to.equal(undefined);
    expect(readFileSync(file, 'utf8')).to.contain(URL);

    place.answer<BackupRepository>(BACKUP_REPOSITORIES, ({ metadata, status }) =>
      metadata.name !== 'found' || status?.url !== undefined
        ? undefined
        : {
            observedGeneration: 1,
            url: URL,
            backupCount: 7,
            lastSyncTime: '2026-01-01T00:00:00Z',
            conditions: [condition('Ready', 'True', 'Ready')],
          },
    );
    const added = await clawstore('repository', 'add', 'found', URL, '--key-file', file, '--read-only', '-o', 'json');
    expect(added, added.stderr).to.include({ code: ExitCode.ok });
    expect(JSON.parse(added.stdout)).to.deep.equal({ repository: 'found', url: URL, backups: 7 });
    const ref = { namespace: place.namespace, name: 'found' };
    const { spec } = await place.client.get<BackupRepository>(BACKUP_REPOSITORIES, ref);
    expect(spec).to.deep.equal({
      s3: { bucket: 'backups', prefix: 'daily/team', endpoint: 'https://s3.example.com' },
      encryption: { secretRef: { name: 'found-key' } },
      accessMode: 'ReadOnly',
    });
    const { data, metadata } = await place.client.get<Secret>(SECRETS, { ...ref, name: 'found-key' });
    expect(Buffer.from(data?.['password'] ?? '', 'base64').toString()).to.equal(PASSWORD);
    expect(metadata.labels?.[LABELS.managedBy]).to.equal(undefined);
  });

  it('makes no repository where there is none, also where it may write', async () => {
    const file = join(folder, 'there.key');
    writeFileSync(file, 'just-a-key\n');
    const modes: unknown[] = [];
    place.answer<BackupRepository>(BACKUP_REPOSITORIES, ({ metadata: { name, generation }, spec, status }) => {
      if (status?.observedGeneration === generation) return undefined;
      modes.push(spec.accessMode);
      const stalled = [
        condition('Ready', 'False', 'RepositoryNotFound'),
        condition('Stalled', 'True', 'RepositoryNotFound', 'There is none.'),
      ];
      const conditions = name === 'absent' ? stalled : [condition('Ready', 'True', 'Ready')];
      return { observedGeneration: generation, url: URL, lastSyncTime: '2026-01-01T00:00:00Z', conditions };
    });
    const absent = await clawstore('repository', 'add', 'absent', URL, '--key-file', file);
    expect(absent.code, absent.stderr).to.equal(ExitCode.refused);
    expect(absent.stderr).to.contain('There is none.');
    expect(modes, 'it was never to be written to').to.deep.equal(['ReadOnly']);
    const there = await clawstore('repository', 'add', 'there', URL, '--key-file', file);
    expect(there, there.stderr).to.include({ code: ExitCode.ok });
    expect(modes, 'not before it was seen').to.deep.equal(['ReadOnly', 'ReadOnly', undefined]);
    const again = await clawstore('repository', 'add', 'there', URL, '--key-file', file);
    expect([again.code, modes.length], again.stderr).to.deep.equal([ExitCode.ok, 3]);
  });

  it('says what is wrong with what it is given', async () => {
    const key = join(folder, 'bare.key');
    writeFileSync(key, 'just-a-key\n');
    for (const [args, code, words] of [
      [['add', 'x', 'ftp://h/p', '--key-file', key], ExitCode.usage, 'url: must be'],
      [['add', 'x', 's3://u:secret-word@bucket/p', '--key-file', key], ExitCode.usage, 'credentials'],
      [['add', 'x', '/srv/b', '--key-file', key, '--credentials', 'c'], ExitCode.usage, 'credentials: '],
      [['add', 'x', '/srv/b', '--key-file', join(folder, 'absent')], ExitCode.usage, '--key-file: '],
      [['export-key', 'absent'], ExitCode.failed, 'absent'],
      [['export-key'], ExitCode.failed, 'no repository yet'],
    ] as const) {
      const result = await clawstore('repository', ...args);
      expect(result.code, result.stderr).to.equal(code);
      expect(result.stderr).to.contain(words).and.not.contain('secret-word');
    }
  });
});
