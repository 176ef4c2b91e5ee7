/**
 * Runs suites in two lanes: those that need the machine one after the other, and beside them, also one after the other,
 * those that mostly wait. The first lane prints as it goes; what the second printed follows in one piece when a suite of
 * it has ended and the first lane is between two suites.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Suite } from '../suites.ts';
import type { Outcome } from './results.ts';

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
  const printEnded = (): void => {
    for (const text of ended.splice(0)) process.stdout.write(text);
  };
  const inFront = suites.filter(({ beside }) => beside !== true);
  // Nothing to be beside: the lane prints as it goes.
  const [front, beside] = inFront.length === 0 ? [suites, []] : [inFront, suites.filter((it) => it.beside === true)];
  const directory = mkdtempSync(join(tmpdir(), 'clawstore-lanes-'));
  try {
    await Promise.all([besideLane(), frontLane()]);
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
    printEnded();
  }

  async function besideLane(): Promise<void> {
    for (const suite of beside) {
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
    }
  }
}
