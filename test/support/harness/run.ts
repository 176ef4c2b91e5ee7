/**
 * The run that the tests of this process belong to: its ID, its directory, and what must be ended with it. Everything
 * that the harness makes lies below that directory; nothing else is ever swept.
 */
import { mkdirSync, mkdtempSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach } from 'mocha';
import { SeededRandom, seededTurns } from './random.ts';

/** Something that is ended after the last test, the latest first. */
export type Cleanup = () => Promise<void> | void;

const cleanups: Cleanup[] = [];
const logs = new Map<string, () => string>();

/** The run's ID; part of every path that the harness makes. */
export const runID = required('CLAWSTORE_RUN_ID');
const root = required('TMPDIR');
if (!root.includes(runID)) throw new Error(`TMPDIR ${root} does not carry the run ID ${runID}`);

/** Full counts instead of the ones for CI. */
export const full = process.env['CLAWSTORE_TEST_FULL'] === '1';

/** The seed of every random choice of this run; `CLAWSTORE_SEED` repeats one. */
export const seed = Number(required('CLAWSTORE_SEED'));

/** Random choices that `CLAWSTORE_SEED` repeats; `purpose` keeps those of different tests apart. */
export function seededRandom(purpose: string): SeededRandom {
  return new SeededRandom(seed, purpose);
}

/**
 * Says of one case after another whether this run has it, which is so of a share, by the seed another one each time: over
 * a few runs each is met. Of all of them with full counts, and when tests are chosen by file or title. `purpose` keeps
 * lists apart, so that no case comes with the same cases of others alone.
 */
export function turns(purpose: string, of = 2): () => boolean {
  const isAll = full || process.env['CLAWSTORE_TEST_CHOSEN'] === '1';
  return isAll ? () => true : seededTurns(seed, purpose, of);
}

/** Of cases that show the same thing at many places those that this run has. */
export function shareOf<T>(purpose: string, cases: readonly T[], of = 2): readonly T[] {
  return cases.filter(turns(purpose, of));
}

/** Makes a new directory below the run's own. */
export function makeDirectory(purpose: string): string {
  mkdirSync(root, { recursive: true });
  return mkdtempSync(join(root, `${purpose}-`));
}

/** Ends something after the last test of this process. */
export function onEnd(cleanup: Cleanup): void {
  cleanups.push(cleanup);
}

/** Shows this log when a test fails. Returns what forgets it again. */
export function showOnFailure(name: string, tail: () => string): () => void {
  logs.set(name, tail);
  return () => logs.delete(name);
}

after('end what the whole run shared', async function () {
  // Machines end by the product's own means, with waits of their own.
  this.timeout(600_000);
  const errors: unknown[] = [];
  for (const cleanup of cleanups.splice(0).reverse()) {
    try {
      await cleanup();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n'));
});

afterEach('show the logs of a failed test', function () {
  if (this.currentTest?.state !== 'failed') return;
  for (const [name, tail] of logs) {
    const text = tail();
    if (text !== '') writeSync(1, `      --- ${name}\n${text.replace(/^/gm, '      | ')}\n`);
  }
});

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') {
    throw new Error(`${name} is not set: run end-to-end tests with make e2e SUITE=… or node scripts/test.ts --suite …`);
  }
  return value;
}
