import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type HistoryLimits, Housekeeping } from '../../../src/apiserver/storage/housekeeping.ts';
import { Store } from '../../../src/apiserver/storage/store.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const MIB = 1024 * 1024;
const OBJECTS = 30;
const PADDING = 'x'.repeat(8000);
const LIMITS: HistoryLimits = { changes: 400, bytes: 2 * MIB };

describe('Housekeeping', function () {
  this.timeout(120_000);
  let directory: string;
  let clock: FakeClock;
  let store: Store;
  let housekeeping: Housekeeping;
  const errors: Error[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-housekeeping-'));
    clock = new FakeClock();
    start();
  });

  afterEach(async () => {
    await stop();
    rmSync(directory, { recursive: true, force: true });
    expect(errors.splice(0)).to.deep.equal([]);
  });

  const start = (): void => {
    store = new Store({ file: join(directory, 'db') });
    housekeeping = new Housekeeping(store, clock, (error) => errors.push(error), LIMITS);
  };

  const stop = async (): Promise<void> => {
    housekeeping.close();
    await store.close();
  };

  /** Writes each object once more, in one commit. */
  const rewrite = async (round: number, padding = PADDING): Promise<void> => {
    const things = store.collection('g/things');
    for (let i = 0; i < OBJECTS; i++) store.put(things, `ns/a${i}`, { metadata: { name: `a${i}` }, round, padding });
    await store.durable();
  };

  const sizeOf = (name: string): number => statSync(join(directory, name)).size;
  const history = (): number => store.collection('g/things').changesAfter(store.compacted).length;

  it('keeps the file and the history small, however often the same objects are written', async () => {
    const sizes: number[] = [];
    for (let round = 0; round < 100; round++) {
      await rewrite(round);
      expect(history(), 'changes that can be watched').to.be.at.most(LIMITS.changes * 1.25 + OBJECTS);
      if (round % 10 === 0) await housekeeping.run();
      sizes.push(sizeOf('db'));
    }
    // 24 MB were written; a quarter of a MiB is alive.
    expect(Math.max(...sizes)).to.be.below(6 * MIB);
    expect(sizeOf('db-wal')).to.be.below(40 * MIB);
    expect(store.collection('g/things').get('ns/a0')?.object).to.deep.include({ round: 99 });
  });

  it('needs no look in between when much is written at once', async () => {
    for (let round = 0; round < 40; round++) await rewrite(round);
    expect(history()).to.be.at.most(LIMITS.changes * 1.25 + OBJECTS);
    expect(store.compacted).to.be.above(0);
  });

  it('gives the space of what was deleted back to the filesystem', async () => {
    await rewrite(0, 'x'.repeat(200_000));
    await housekeeping.run();
    await rewrite(1, '');
    for (let round = 2; round < 20; round++) await rewrite(round, '');
    await housekeeping.run();
    await stop();
    expect(sizeOf('db')).to.be.below(2 * MIB);
    start();
  });

  it('keeps what is younger than five minutes, and forgets what is older', async () => {
    await rewrite(0);
    const first = store.committed;
    for (let round = 1; round < 5; round++) await rewrite(round, '');
    await clock.advance(4 * 60_000);
    await rewrite(5, '');
    await housekeeping.run();
    expect(store.compacted).to.be.below(first);
    await clock.advance(61_000);
    await housekeeping.run();
    expect(store.compacted).to.be.above(first);
    expect(history()).to.equal(OBJECTS);
  });

  it('counts the age of what a restart finds from the restart', async () => {
    for (let round = 0; round < 5; round++) await rewrite(round, '');
    await stop();
    await clock.advance(3_600_000);
    start();
    await housekeeping.run();
    expect(history()).to.equal(5 * OBJECTS);
    await clock.advance(5 * 60_000);
    await housekeeping.run();
    expect(history()).to.equal(0);
  });
});
