import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import type { Change } from '../../../src/apiserver/storage/collection.ts';
import { RevisionLog, StorageError } from '../../../src/apiserver/storage/revision-log.ts';
import { Store } from '../../../src/apiserver/storage/store.ts';

const object = (name: string, value = 0): JsonObject => ({ metadata: { name }, value });

describe('Store', () => {
  let directory: string;
  let store: Store;
  const open = (): Store => new Store({ file: join(directory, 'db') });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-store-'));
    store = open();
  });

  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const reopen = async (): Promise<void> => {
    await store.close();
    store = open();
  };

  it('says of a damaged file what can be done', () => {
    const file = join(directory, 'damaged');
    writeFileSync(file, Buffer.alloc(8192, 'x'));
    expect(() => new RevisionLog(file)).to.throw(
      StorageError,
      /damaged: file is not a database; put a copy of it back/,
    );
  });

  it('stores nothing in a database that was removed, and says so', async () => {
    const things = store.collection('g/things');
    store.put(things, 'ns/a', object('a'));
    await store.durable();
    rmSync(directory, { recursive: true });
    store.put(things, 'ns/b', object('b'));
    const error = await store.durable()?.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(StorageError);
    expect((error as Error).message).to.include('was removed or replaced');
    expect([...things.values()].map(({ key }) => key)).to.deep.equal(['ns/a']);
  });

  it('makes no file longer with a commit: that would wait for the journal of the filesystem', async () => {
    const things = store.collection('g/things');
    const sizes = new Set<number>();
    for (let i = 0; i < 50; i++) {
      store.put(things, `ns/${i}`, object('x'.repeat(5000), i));
      await store.durable();
      sizes.add(statSync(join(directory, 'db-wal')).size);
    }
    expect([...sizes]).to.have.length(1);
  });

  it('gives each write the next revision, which the object carries', () => {
    const things = store.collection('g/things');
    const first = store.put(things, 'ns/a', object('a'));
    const second = store.put(things, 'ns/a', object('a', 1));
    expect(second.revision).to.equal(first.revision + 1);
    expect(second.metadata['resourceVersion']).to.equal(String(second.revision));
    expect(JSON.parse(second.json)).to.deep.equal(second.object);
  });

  it('finds everything again after a restart, with the same revisions', async () => {
    const things = store.collection('g/things');
    store.put(things, 'ns/a', object('a'));
    store.put(things, 'ns/b', object('b'));
    store.put(things, 'ns/a', object('a', 2));
    store.delete(things, 'ns/b');
    const { revision } = store;
    await store.durable();
    await reopen();
    expect(store.revision).to.equal(revision);
    const again = store.collection('g/things');
    expect([...again.values()].map(({ key }) => key)).to.deep.equal(['ns/a']);
    expect(again.get('ns/a')?.object).to.deep.include({ value: 2 });
  });

  it('does not go back when the newest change was a deletion that is compacted away', async () => {
    const things = store.collection('g/things');
    store.put(things, 'a', object('a'));
    store.delete(things, 'a');
    await store.durable();
    const { revision } = store;
    await store.compact(revision);
    await reopen();
    expect(store.revision).to.equal(revision);
    expect(store.compacted).to.equal(revision);
  });

  it('tells of changes only after they are on disk, in order and by batch', async () => {
    const heard: number[] = [];
    store.subscribe((changes) => heard.push(...changes.map((change) => change.revision)));
    const things = store.collection('g/things');
    const revisions = Array.from({ length: 100 }, (_, i) => store.put(things, `k${i}`, object(`k${i}`)).revision);
    expect(heard).to.deep.equal([]);
    expect(store.committed).to.be.below(revisions[0] as number);
    await store.durable();
    expect(heard).to.deep.equal(revisions);
    expect(store.committed).to.equal(revisions.at(-1));
  });

  it('keeps the order of writes that come while a batch is on its way', async () => {
    const heard: number[] = [];
    store.subscribe((changes) => heard.push(...changes.map((change) => change.revision)));
    const things = store.collection('g/things');
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 5; i++) store.put(things, `k${i}`, object(`k${i}`, round));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await store.durable();
    expect(heard).to.deep.equal(heard.toSorted((a, b) => a - b));
    expect(heard).to.have.length(100);
  });

  it('answers nothing to wait for when all is on disk', async () => {
    store.put(store.collection('g/things'), 'a', object('a'));
    await store.durable();
    expect(store.durable()).to.equal(undefined);
  });

  it('shows the state at an older revision', async () => {
    const things = store.collection('g/things');
    store.put(things, 'a', object('a', 1));
    store.put(things, 'b', object('b', 1));
    const { revision } = store;
    store.put(things, 'a', object('a', 2));
    store.delete(things, 'b');
    store.put(things, 'c', object('c', 1));
    await store.durable();
    const then = things.snapshot(revision).map(({ key, object: value }) => [key, value['value']]);
    expect(then).to.deep.equal([
      ['a', 1],
      ['b', 1],
    ]);
  });

  it('keeps recent changes over a restart, deletions with the last state', async () => {
    const things = store.collection('g/things');
    const { revision } = store.put(things, 'a', object('a', 1));
    store.put(things, 'a', object('a', 2));
    store.delete(things, 'a');
    await store.durable();
    await reopen();
    const changes = store.collection('g/things').changesAfter(revision);
    expect(changes.map(({ type }) => type)).to.deep.equal(['MODIFIED', 'DELETED']);
    expect(changes[1]?.item.object).to.deep.include({ value: 2 });
    expect(changes[1]?.item.metadata['resourceVersion']).to.equal(String(revision + 2));
  });

  it('forgets what is compacted, in memory and on disk', async () => {
    const things = store.collection('g/things');
    for (let i = 0; i < 10; i++) store.put(things, 'a', object('a', i));
    const { revision } = store;
    store.put(things, 'b', object('b'));
    await store.durable();
    await store.compact(revision);
    expect(things.changesAfter(0).map((change) => change.revision)).to.deep.equal([revision + 1]);
    await reopen();
    const again = store.collection('g/things');
    expect(again.get('a')?.object).to.deep.include({ value: 9 });
    expect(again.changesAfter(0).map((change) => change.revision)).to.deep.equal([revision + 1]);
  });

  it('ranges over one namespace alone', () => {
    const things = store.collection('g/things');
    for (const key of ['a/z', 'a-b/x', 'a/b', 'b/c']) store.put(things, key, object(key));
    const { from, to } = things.range('a');
    const keys = Array.from({ length: to - from }, (_, i) => things.at(from + i).key);
    expect(keys).to.deep.equal(['a/b', 'a/z']);
  });

  it('takes back what could not be written, and tells the writers', async () => {
    const things = store.collection('g/things');
    store.put(things, 'a', object('a', 1));
    await store.durable();
    const before = store.revision;
    const heard: Change[] = [];
    store.subscribe((changes) => heard.push(...changes));
    // A second connection that took the next revision makes the insert fail.
    const { DatabaseSync } = await import('node:sqlite');
    const other = new DatabaseSync(join(directory, 'db'));
    other.prepare('INSERT INTO log VALUES(?, ?, ?)').run(before + 1, 'g/other/x', '{}');
    other.close();
    store.put(things, 'a', object('a', 2));
    store.put(things, 'b', object('b', 1));
    let error: unknown;
    await store.durable()?.catch((thrown: unknown) => {
      error = thrown;
    });
    expect(error).to.be.instanceOf(StorageError);
    expect(store.revision).to.equal(before);
    expect(things.get('a')?.object).to.deep.include({ value: 1 });
    expect(things.get('b')).to.equal(undefined);
    expect(heard).to.deep.equal([]);
  });

  it('refuses writes after it is closed', async () => {
    await store.close();
    expect(() => store.put(store.collection('g/things'), 'a', object('a'))).to.throw(StorageError, 'closed');
  });
});
