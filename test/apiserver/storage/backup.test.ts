import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import { backupDatabase, DATABASE, restoreDatabase } from '../../../src/apiserver/storage/backup.ts';
import { LockedError, lockDirectory } from '../../../src/apiserver/storage/lock.ts';
import { StorageError } from '../../../src/apiserver/storage/revision-log.ts';
import { Store } from '../../../src/apiserver/storage/store.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const object = (name: string, value: number): JsonObject => ({ metadata: { name }, value });

describe('backupDatabase and restoreDatabase', function () {
  this.timeout(120_000);
  let directory: string;
  let state: string;
  let file: string;
  let store: Store | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-backup-'));
    state = join(directory, 'state');
    file = join(directory, 'backup');
  });

  afterEach(async () => {
    await close();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = (firstRevision = 0): Store => {
    store = new Store({ file: join(state, DATABASE), firstRevision });
    return store;
  };
  const close = async (): Promise<void> => {
    await store?.close();
    store = undefined;
  };
  const put = async (name: string, value: number): Promise<number> => {
    const to = store ?? open();
    const { revision } = to.put(to.collection('g/things'), `ns/${name}`, object(name, value));
    await to.durable();
    return revision;
  };
  const make = async (): Promise<void> => {
    mkdirSync(state);
    await put('a', 1);
  };
  const values = (): Record<string, unknown> =>
    Object.fromEntries(
      [...(store ?? open()).collection('g/things').values()].map(({ key, object: o }) => [key, o['value']]),
    );

  it('copies a database that is in use: whole, for its owner alone, with nothing beside it', async () => {
    await make();
    const revision = await put('b', 2);
    const contents = backupDatabase(state, file, NOW);
    expect(contents).to.deep.equal({ objects: 2, revision, madeAt: NOW });
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(readdirSync(directory).sort()).to.deep.equal(['backup', 'state']);
    await put('a', 3);
    expect(values()).to.deep.equal({ 'ns/a': 3, 'ns/b': 2 });
  });

  it('copies one state, however much is written meanwhile', async () => {
    await make();
    await close();
    // Each commit of the writer gives all objects one number.
    const program = `
      import { workerData, parentPort } from 'node:worker_threads';
      const { Store } = await import(workerData.module);
      const store = new Store({ file: workerData.file });
      const things = store.collection('g/things');
      let stop = false;
      parentPort.on('message', () => { stop = true; });
      for (let value = 1; !stop; value++) {
        for (let i = 0; i < 20; i++) store.put(things, 'ns/a' + i, { metadata: { name: 'a' + i }, value, padding: 'x'.repeat(2000) });
        await store.durable();
        if (value === 3) parentPort.postMessage('at work');
        await new Promise((resolve) => setImmediate(resolve));
      }
      await store.close();
      process.exit();`;
    const module = new URL('../../../src/apiserver/storage/store.ts', import.meta.url).href;
    const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
    const writer = new Worker(url, { workerData: { module, file: join(state, DATABASE) } });
    const ended = new Promise((resolve) => writer.once('exit', resolve));
    await new Promise((resolve, reject) => {
      writer.once('message', resolve);
      writer.once('error', reject);
    });
    const seen: unknown[] = [];
    const limit = performance.now() + 20_000;
    // On a busy machine the writer may not have had its turn between two copies.
    for (let copy = 0; copy < 4 || (new Set(seen).size < 2 && performance.now() < limit); copy++) {
      backupDatabase(state, `${file}${copy}`, NOW);
      const there = new Store({ file: `${file}${copy}` });
      const all = [...there.collection('g/things').values()].filter(({ name }) => /^a\d+$/.test(name));
      const numbers = new Set(all.map(({ object: o }) => o['value']));
      expect(all).to.have.length(20);
      expect([...numbers]).to.have.length(1);
      seen.push(...numbers);
      await there.close();
      // The writer goes on between two copies.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    writer.postMessage('stop');
    await ended;
    expect(new Set(seen).size, `states ${seen.join(', ')}`).to.be.above(1);
  });

  it('brings a backup back, keeps what it replaces, and counts on above both', async () => {
    await make();
    backupDatabase(state, file, NOW);
    const later = await put('a', 2);
    await put('b', 2);
    const last = await put('c', 3);
    await close();
    const restored = restoreDatabase(state, file, 5);
    expect(restored).to.include({ objects: 1, madeAt: NOW });
    expect(restored.continuesAt).to.be.above(last);
    expect(values()).to.deep.equal({ 'ns/a': 1 });
    expect(store?.revision).to.equal(restored.continuesAt);
    // Every version that the replaced one gave out is of a history that is gone.
    expect(store?.compacted).to.be.above(last);
    expect(await put('a', 9)).to.be.above(Math.max(last, later));
    await close();
    const kept = new Store({ file: restored.replaced as string });
    expect([...kept.collection('g/things').values()].map(({ key }) => key)).to.deep.equal(['ns/a', 'ns/b', 'ns/c']);
    await kept.close();
    const inState = readdirSync(state).filter((name) => !name.startsWith(DATABASE));
    expect(inState).to.deep.equal([]);
  });

  it('counts from the time where nothing is left of what was lost', async () => {
    await make();
    backupDatabase(state, file, NOW);
    await close();
    rmSync(state, { recursive: true });
    const restored = restoreDatabase(state, file, NOW + 1000);
    expect(restored.replaced).to.equal(undefined);
    expect(restored.continuesAt).to.be.above(NOW);
    expect(values()).to.deep.equal({ 'ns/a': 1 });
  });

  it('replaces a damaged database too, and keeps it', async () => {
    await make();
    backupDatabase(state, file, NOW);
    await close();
    writeFileSync(join(state, DATABASE), 'garbage'.repeat(1000));
    writeFileSync(join(state, `${DATABASE}-wal`), 'garbage');
    const { replaced } = restoreDatabase(state, file, NOW);
    expect(readFileSync(replaced as string, 'utf8')).to.match(/^garbage/);
    expect(values()).to.deep.equal({ 'ns/a': 1 });
  });

  it('changes nothing while a server runs', async () => {
    await make();
    backupDatabase(state, file, NOW);
    await put('b', 2);
    const lock = lockDirectory(state);
    const before = readdirSync(state);
    expect(() => restoreDatabase(state, file, NOW)).to.throw(LockedError);
    expect(readdirSync(state)).to.deep.equal(before);
    lock.release();
    expect(values()).to.have.keys('ns/a', 'ns/b');
  });

  it('refuses what is no whole backup, and changes nothing', async () => {
    await make();
    backupDatabase(state, file, NOW);
    await close();
    const whole = readFileSync(file);
    const damaged = Buffer.from(whole);
    damaged.fill(0x5a, 4096, 4500);
    const cases: Readonly<Record<string, readonly [Buffer | string, string]>> = {
      empty: ['', 'is empty'],
      text: ['no database at all, whatever it is', 'no database of a control plane'],
      half: [whole.subarray(0, whole.length / 2), 'damaged'],
      damaged: [damaged, 'damaged'],
      live: [readFileSync(join(state, DATABASE)), 'was not made by clawstore apiserver backup'],
    };
    const before = readdirSync(state);
    for (const [name, [content, message]] of Object.entries(cases)) {
      writeFileSync(join(directory, name), content);
      expect(() => restoreDatabase(state, join(directory, name), NOW), name).to.throw(StorageError, message);
    }
    expect(() => restoreDatabase(state, join(directory, 'absent'), NOW)).to.throw(StorageError, 'ENOENT');
    expect(readdirSync(state)).to.deep.equal(before);
    expect(values()).to.deep.equal({ 'ns/a': 1 });
  });

  it('writes over no file, and says where there is nothing to back up', async () => {
    expect(() => backupDatabase(state, file, NOW)).to.throw(StorageError, `there is no database in ${state}`);
    await make();
    writeFileSync(file, 'mine');
    expect(() => backupDatabase(state, file, NOW)).to.throw(StorageError, 'exists already');
    expect(readFileSync(file, 'utf8')).to.equal('mine');
    expect(() => backupDatabase(state, join(directory, 'no/such/backup'), NOW)).to.throw(StorageError, 'ENOENT');
  });
});
