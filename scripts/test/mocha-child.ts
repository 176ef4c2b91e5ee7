/**
 * Runs mocha files in this process: readable output on stdout, one line per test in the result file.
 *
 *   node scripts/test/mocha-child.ts RESULTS TITLE-PATTERN-OR-EMPTY FILE…
 */
import { resolve } from 'node:path';
import Mocha, { type Hook, type MochaOptions, type Runner, type Test } from 'mocha';
import { skipReason } from '../../test/support/skip.ts';
import { appendLine } from './results.ts';

/** How long a process may live on after its last test before what it left open counts as a failure. */
const LINGER_MS = 10_000;

const [results = '', pattern = '', ...files] = process.argv.slice(2);

/** Mocha's own spec output, and the result file beside it. */
class Recorder extends Mocha.reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options);
    runner.on('pass', (test: Test) =>
      appendLine(results, { type: 'pass', title: test.fullTitle(), ms: test.duration ?? 0 }),
    );
    runner.on('fail', (test: Test, error: unknown) =>
      appendLine(results, { type: 'fail', title: test.fullTitle(), error: describe(error) }),
    );
    runner.on('pending', (test: Test) => {
      const reason = skipReason(test) ?? null;
      console.log(`      skipped: ${reason ?? 'no reason given'}`);
      appendLine(results, { type: 'skip', title: test.fullTitle(), reason });
    });
  }
}

/**
 * A hook outside of every block runs for the tests of all files, and nobody sees what that costs. What is meant that way
 * (the harness ends what tests share) says so by having a name.
 */
function refuseHooksForAll(): void {
  const { EVENT_FILE_PRE_REQUIRE, ...events } = Mocha.Suite.constants;
  let loading = '';
  mocha.suite.on(EVENT_FILE_PRE_REQUIRE, (_context: unknown, file: string) => {
    loading = file;
  });
  const added = [
    events.EVENT_SUITE_ADD_HOOK_BEFORE_ALL,
    events.EVENT_SUITE_ADD_HOOK_AFTER_ALL,
    events.EVENT_SUITE_ADD_HOOK_BEFORE_EACH,
    events.EVENT_SUITE_ADD_HOOK_AFTER_EACH,
  ];
  for (const event of added) {
    mocha.suite.on(event, ({ title }: Hook) => {
      if (title.endsWith(' hook')) throw new Error(`${loading}: the ${title} stands outside of every describe`);
    });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const mocha = new Mocha({
  ui: 'bdd',
  timeout: 10_000,
  slow: 500,
  forbidOnly: true,
  reporter: Recorder,
  ...(pattern === '' ? {} : { grep: new RegExp(pattern) }),
});
refuseHooksForAll();
for (const file of files) mocha.addFile(resolve(file));
await mocha.loadFilesAsync();
const failures = await new Promise<number>((done) => {
  mocha.run(done);
});
process.exitCode = failures === 0 ? 0 : 1;
appendLine(results, { type: 'end', part: 'tests' });
setTimeout(() => {
  const open = process.getActiveResourcesInfo().filter((name) => !['Timeout', 'TTYWrap', 'PipeWrap'].includes(name));
  appendLine(results, {
    type: 'fail',
    title: '(suite)',
    error: `did not end by itself after its last test; still open: ${open.join(', ') || 'a timer'}`,
  });
  process.exit(1);
}, LINGER_MS).unref();
