import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { FolderSource } from '../../src/sync/folder-source.ts';
import { readFolder } from '../../src/sync/read-folder.ts';
import { LIMITS, type Reading, SourceError } from '../../src/sync/source.ts';
import { type Clock, systemClock } from '../../src/telemetry/clock.ts';
import { waitFor } from '../support/harness/wait.ts';

const never = new AbortController().signal;
let folder: string;

const write = (path: string, text = 'a: 1\n'): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};
const source = (path = folder): FolderSource => new FolderSource({ spec: { type: 'folder', path }, settleMs: 1 });
const read = (): Promise<Reading> => source().read(never);
const seen = async (): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries((await read()).files.map((file) => [file.path, 'text' in file ? 'text' : file.problem] as const));
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe('a folder of manifests', () => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-folder-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is read with everything below it, but for what is hidden or no manifest', async () => {
    for (const path of ['a.yaml', 'b/c.yml', 'b/d/e.json', 'notes.md', '.git/config.yaml', '.hidden.yaml']) write(path);
    expect(await seen()).to.deep.equal({ 'a.yaml': 'text', 'b/c.yml': 'text', 'b/d/e.json': 'text' });
  });

  it('has a revision that is the hash of what is in it', async () => {
    write('a.yaml');
    const { revision } = await read();
    expect(revision).to.match(/^sha256:[0-9a-f]{64}$/);
    write('ignored.txt');
    expect((await read()).revision).to.equal(revision);
    renameSync(join(folder, 'a.yaml'), join(folder, 'b.yaml'));
    expect((await read()).revision).not.to.equal(revision);
  });

  it('is read through links to what lies in it, as a mounted ConfigMap has them, and no file twice', async () => {
    write('..2026/a.yaml');
    write('..2026/sub/b.yaml');
    symlinkSync('..2026', join(folder, '..data'));
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
    symlinkSync('..data/sub', join(folder, 'sub'));
    write('plain/c.yaml');
    symlinkSync('plain', join(folder, 'again'));
    symlinkSync('plain/c.yaml', join(folder, 'c-again.yaml'));
    symlinkSync('..', join(folder, 'plain/up'));
    expect(await seen()).to.deep.equal({ 'a.yaml': 'text', 'sub/b.yaml': 'text', 'plain/c.yaml': 'text' });
  });

  it('follows no link out of it', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'clawstore-outside-'));
    writeFileSync(join(outside, 'x.yaml'), 'secret: 1\n');
    symlinkSync(join(outside, 'x.yaml'), join(folder, 'file.yaml'));
    symlinkSync(outside, join(folder, 'dir'));
    symlinkSync('nowhere', join(folder, 'dangling.yaml'));
    try {
      const found = await seen();
      expect(found['file.yaml']).to.include('leaves the folder');
      expect(found['dir']).to.include('leaves the folder');
      expect(found['dangling.yaml']).to.include('leads nowhere');
      expect(Object.keys(found)).to.have.length(3);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('waits for no pipe, and reads no file that is too large or no text', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.yaml')]);
    write('large.yaml', '#'.repeat(LIMITS.fileBytes + 1));
    write('full.yaml', '#'.repeat(LIMITS.fileBytes));
    writeFileSync(join(folder, 'bytes.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
    expect(await seen()).to.deep.equal({
      'bytes.yaml': 'not UTF-8 text',
      'full.yaml': 'text',
      'large.yaml': 'larger than 1024 KiB',
      'pipe.yaml': 'not a regular file',
    });
  });

  it('reads nothing of a folder with a kustomization, and says so', async () => {
    write('a.yaml');
    write('prod/kustomization.yaml');
    write('prod/patch.yaml');
    write('prod/below/x.yaml');
    const found = await seen();
    expect(Object.keys(found)).to.deep.equal(['a.yaml', 'prod/kustomization.yaml']);
    expect(found['prod/kustomization.yaml']).to.include('kustomize build');
  });

  it('is refused as a whole when there is too much of it', async () => {
    const large = '#'.repeat(LIMITS.fileBytes);
    for (let count = 0; count <= LIMITS.totalBytes / LIMITS.fileBytes; count += 1) write(`${count}.yaml`, large);
    expect(await failure(readFolder(folder)))
      .to.be.instanceOf(SourceError)
      .with.property('reason', 'SourceRefused');
  });

  it('that is not there is no empty folder', async () => {
    const missing = join(folder, 'none');
    expect(await failure(source(missing).read(never)))
      .to.be.instanceOf(SourceError)
      .with.property('reason', 'SourceUnreachable');
    write('file');
    expect(await failure(source(join(folder, 'file')).read(never))).to.be.instanceOf(SourceError);
  });

  it('is believed only when it stands still: a file that is away for a moment has not left', async () => {
    write('a.yaml');
    const settleMs = 17;
    let isAway = false;
    const clock: Clock = {
      ...systemClock,
      setTimer: (delayMs, callback) => {
        // Between the first look and the second.
        if (isAway && delayMs === settleMs) write('a.yaml');
        return systemClock.setTimer(delayMs, callback);
      },
    };
    const one = new FolderSource({ spec: { type: 'folder', path: folder }, settleMs, clock });
    await one.read(never);
    rmSync(join(folder, 'a.yaml'));
    isAway = true;
    const reading = one.read(never);
    expect((await reading).files.map(({ path }) => path)).to.deep.equal(['a.yaml']);
  });

  it('tells of changes, also in folders that came later', async () => {
    write('a.yaml');
    const stop = new AbortController();
    let told = 0;
    const one = source();
    one.watch(() => (told += 1), stop.signal);
    await one.read(never);
    const toldAfter = async (change: () => void, what: string): Promise<void> => {
      const before = told;
      change();
      await waitFor(() => told > before, { message: what });
      await one.read(never);
    };
    await toldAfter(() => write('a.yaml', 'a: 2\n'), 'a change of a file');
    await toldAfter(() => write('sub/b.yaml'), 'a new folder');
    await toldAfter(() => write('sub/b.yaml', 'b: 2\n'), 'a change below it');
    await toldAfter(() => rmSync(join(folder, 'a.yaml')), 'a removal');
    const away = `${folder}-away`;
    await toldAfter(() => {
      renameSync(folder, away);
      mkdirSync(folder);
    }, 'another folder in its place');
    rmSync(away, { recursive: true });
    await toldAfter(() => write('a.yaml'), 'a change in that one');
    stop.abort();
  });
});
