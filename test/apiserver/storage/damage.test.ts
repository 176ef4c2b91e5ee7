import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { backupDatabase, DATABASE, restoreDatabase } from '../../../src/apiserver/storage/backup.ts';
import { RevisionLog, StorageError } from '../../../src/apiserver/storage/revision-log.ts';
import { Store } from '../../../src/apiserver/storage/store.ts';

const WRITER = join(import.meta.dirname, 'crash-writer.ts');
const FRAME = 24 + 4096;
const HEADER = 32;

/**
 * Runs one writer and kills it: what it acknowledged is in the write-ahead log alone, which it would begin anew if it wrote
 * until this process has its turn. Returns these revisions.
 */
async function writeAndKill(file: string, lines: number): Promise<readonly number[]> {
  const child = spawn(process.execPath, [WRITER, file, '1', String(lines)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.split('\n').length > lines) child.kill('SIGKILL');
  }
  return text
    .slice(0, text.lastIndexOf('\n'))
    .split('\n')
    .map((line) => Number(line.split(' ')[0]));
}

describe('a damaged database', function () {
  this.timeout(120_000);
  let origin: string;
  let directory: string;
  let file: string;
  let acknowledged: readonly number[];
  /** What the log of the killed writer has in it. */
  let used: number;

  before(async () => {
    origin = mkdtempSync(join(tmpdir(), 'clawstore-damage-'));
    acknowledged = await writeAndKill(join(origin, 'db'), 120);
    used = readFileSync(join(origin, 'db-wal')).findLastIndex((byte) => byte !== 0) + 1;
  });

  after(() => rmSync(origin, { recursive: true, force: true }));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-damage-'));
    file = join(directory, 'db');
    putBack();
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function putBack(): void {
    for (const end of ['', '-wal']) copyFileSync(join(origin, `db${end}`), `${file}${end}`);
    rmSync(`${file}-shm`, { force: true });
  }

  function harm(path: string, at: number, change: (bytes: Buffer) => void): void {
    const content = readFileSync(path);
    change(content.subarray(at));
    writeFileSync(path, content);
  }

  function flip(path: string, at: number): void {
    harm(path, at, (bytes) => bytes.writeUInt8(bytes.readUInt8(0) ^ 0x10));
  }

  function revisions(): readonly number[] {
    const log = new RevisionLog(file);
    try {
      return Array.from(log.rows(), ({ revision }) => revision);
    } finally {
      log.close();
    }
  }

  function refusal(open: () => unknown): string {
    try {
      open();
    } catch (thrown) {
      expect(thrown).to.be.instanceOf(StorageError);
      return (thrown as Error).message;
    }
    return 'opened';
  }

  it('whose log is damaged in the middle is not opened, because SQLite would drop the rest without a word', () => {
    flip(`${file}-wal`, HEADER + 40 * FRAME + 2000);
    const before = readFileSync(`${file}-wal`);
    const told = refusal(revisions);
    expect(told).to.match(/db: its write-ahead log is damaged at byte \d+, and \d+ later commits would be lost; /);
    expect(readFileSync(`${file}-wal`).equals(before), 'the log is as it was').to.equal(true);
    // What it says is what helps.
    const [, size = ''] = /truncate -s (\d+) /.exec(told) ?? [];
    truncateSync(`${file}-wal`, Number(size));
    const kept = revisions();
    expect(kept.length).to.be.greaterThan(10);
    expect(acknowledged.slice(0, kept.length)).to.deep.equal(kept);
  });

  it('whose log has lost its beginning is not opened', () => {
    harm(`${file}-wal`, 0, (bytes) => bytes.fill(0, 0, 4096));
    expect(refusal(revisions)).to.match(/damaged at byte \d+, and \d+ later commits would be lost/);
  });

  it('is opened when the transaction is half that was being written: a power cut leaves that', () => {
    flip(`${file}-wal`, used - 1);
    const there = revisions();
    expect(there.length).to.be.greaterThan(100);
    expect(acknowledged.slice(0, there.length)).to.deep.equal(there);
  });

  it('never lacks what was acknowledged, wherever a byte of its log has changed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: used - 1 }), (at) => {
        putBack();
        flip(`${file}-wal`, at);
        try {
          // Of the last one nobody can tell whether it was ever acknowledged, nor, when the mark of the end of the one
          // before it is what has changed, of these two.
          expect(revisions()).to.include.members(acknowledged.slice(0, -2));
        } catch (thrown) {
          if (!(thrown instanceof StorageError)) throw thrown;
        }
      }),
      { numRuns: 100 },
    );
  });

  it('whose log is damaged is not copied as if it were whole, and is kept when a backup takes its place', async () => {
    const stateDir = join(directory, 'state');
    const copy = join(directory, 'copy');
    mkdirSync(stateDir);
    const database = join(stateDir, DATABASE);
    for (const end of ['', '-wal']) copyFileSync(`${file}${end}`, `${database}${end}`);
    const { revision } = backupDatabase(stateDir, copy, Date.now());
    expect(revision).to.be.at.least(acknowledged.at(-1) ?? 0);

    flip(`${database}-wal`, HEADER + 40 * FRAME + 2000);
    const harmed = readFileSync(`${database}-wal`);
    const told = refusal(() => backupDatabase(stateDir, join(directory, 'second'), Date.now()));
    expect(told).to.include('later commits would be lost');
    expect(existsSync(join(directory, 'second'))).to.equal(false);

    const { replaced = '' } = restoreDatabase(stateDir, copy, Date.now());
    expect(readFileSync(`${replaced}-wal`).equals(harmed), 'the log is kept').to.equal(true);
    const store = new Store({ file: database });
    expect(store.collection('g/things').size).to.equal(50);
    await store.close();
  });

  it('with a page of zeros is not opened, and the file and what can be done are said', async () => {
    const store = new Store({ file });
    await store.close();
    const size = readFileSync(file).length;
    harm(file, size - 4096, (bytes) => bytes.fill(0, 0, 4096));
    expect(refusal(() => new Store({ file }))).to.match(/cannot open the database .*db: .*; put a copy of it back/);
  });

  it('with an object that is another than was written is not opened, and the object is named', async () => {
    const store = new Store({ file });
    await store.close();
    const at = readFileSync(file).lastIndexOf('"metadata":{"name":"w0-7"');
    harm(file, at, (bytes) => bytes.write('"metadata":{"name":"w0-8"'));
    expect(refusal(() => new Store({ file }))).to.match(/g\/things\/w0-7 is not as it was written; put a copy/);
    harm(file, at, (bytes) => bytes.write('x'));
    expect(refusal(() => new Store({ file }))).to.match(/g\/things\/w0-7 is not as it was written; put a copy/);
  });
});
