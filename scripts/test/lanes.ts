/**
 * Runs suites in lanes: those that need the machine one after the other, and beside them, three at a time, those that
 * mostly wait; when the first lane has no more of its own, it takes of the others. The first lane prints as it goes; what
 * the others printed follows in one piece when a suite of theirs has ended and the first lane is between two suites.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Suite } from '../suites.ts';
import type { Outcome } from './results.ts';

/** Suites that mostly wait leave room for each other, and for those that do not. */
const BESIDE_LANES = 3;

/** Runs one suite; its output goes to the descriptor where one is given. */
export type RunOne = (suite: Suite, output: number | undefined) => Promise<Outcome>;

/** Outcomes in the order of `suites`; those that an abort kept from starting are left out. */
export async function runInLanes(
  suites: readonly Suite[],
  run: RunOne,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<Suite, Outcome>();
  const ended: string[] = [];
  let isFrontDone = false;
  const printEnded = (): void => {
    for (const text of ended.splice(0)) process.stdout.write(text);
  };
  const inFront = suites.filter(({ beside }) => beside !== true);
  // Nothing to be beside: the lane prints as it goes.
  const [front, beside] = inFront.length === 0 ? [suites, []] : [inFront, suites.filter((it) => it.beside === true)];
  const directory = mkdtempSync(join(tmpdir(), 'clawstore-lanes-'));
  try {
    // Those that may take longest begin first: a long one at the end would run alone.
    const waiting = beside.toSorted((a, b) => b.deadlineSeconds - a.deadlineSeconds).values();
    const lanes = Array.from({ length: BESIDE_LANES }, () => besideLane(waiting));
    await Promise.all([...lanes, frontLane().then(() => besideLane(waiting))]);
  } finally {
    rmSync(directory, { recursive: true });
  }
  printEnded();
  return suites.flatMap((suite) => outcomes.get(suite) ?? []);

  async function frontLane(): Promise<void> {
    for (const suite of front) {
      if (signal.aborted) return;
      printEnded();
      console.log(`\n== ${suite.name}`);
      outcomes.set(suite, await run(suite, undefined));
    }
    isFrontDone = true;
    printEnded();
  }

  /** Takes the next suite that no other lane has. */
  async function besideLane(waiting: Iterator<Suite>): Promise<void> {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      const suite = next.value;
      if (signal.aborted) return;
      const file = join(directory, suite.name);
      const output = openSync(file, 'w');
      console.log(`\n== ${suite.name}: started beside the others`);
      try {
        outcomes.set(suite, await run(suite, output));
      } finally {
        closeSync(output);
      }
      ended.push(`\n== ${suite.name}\n${readFileSync(file, 'utf8')}`);
      if (isFrontDone) printEnded();
    }
  }
}
