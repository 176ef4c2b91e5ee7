/**
 * The one test runner: every suite of scripts/suites.ts, or those chosen, and one last line with the sums.
 *
 *   node scripts/test.ts [--kind lint,unit,contract,e2e] [--suite NAME,…] [--spec FILE,…] [--grep PATTERN]
 *
 * CLAWSTORE_TEST_FULL=1 runs full counts, CLAWSTORE_SEED repeats a random order or input, CI=true makes a skip that
 * test/allowed-skips.txt does not list a failure.
 */
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SUITES, type Suite, specFiles, unclaimedFiles } from './suites.ts';
import { failUnlistedSkips, parseAllowedSkips, staleEntries } from './test/allowed-skips.ts';
import { runInLanes } from './test/lanes.ts';
import type { Outcome } from './test/results.ts';
import { runSuite } from './test/run-suite.ts';
import { toolEnvironment } from './tools.ts';

const { values } = parseArgs({
  options: {
    kind: { type: 'string' },
    suite: { type: 'string' },
    spec: { type: 'string' },
    grep: { type: 'string' },
    /** For the runner's own tests: another list of suites (a module that exports SUITES), another top folder. */
    suites: { type: 'string' },
    root: { type: 'string' },
  },
});

const root = resolve(values.root ?? join(import.meta.dirname, '..'));

function choose(all: readonly Suite[]): readonly Suite[] {
  const kinds = values.kind?.split(',');
  const names = values.suite?.split(',');
  const unknown = [
    ...(kinds ?? []).filter((kind) => !all.some((suite) => suite.kind === kind)),
    ...(names ?? []).filter((name) => !all.some((suite) => matchesName(suite, name))),
  ];
  if (unknown.length > 0)
    throw new Error(`no such suite: ${unknown.join(', ')}; there are ${all.map((s) => s.name).join(', ')}`);
  return all.filter(
    (suite) => (kinds?.includes(suite.kind) ?? true) && (names?.some((name) => matchesName(suite, name)) ?? true),
  );
}

/** Of suites that know the files, those alone; a file that none of them knows is run by all, as was asked. */
function withSpecs(suites: readonly Suite[], specs: readonly string[] | undefined): readonly Suite[] {
  if (specs === undefined) return suites;
  const knowing = suites.filter(
    (suite) => suite.type === 'mocha' && specFiles(suite, root).some((file) => specs.includes(file)),
  );
  return knowing.length > 0 ? knowing : suites;
}

/** `faults` chooses `faults-embedded` and `faults-real` too. */
function matchesName(suite: Suite, name: string): boolean {
  return suite.name === name || suite.name.startsWith(`${name}-`);
}

/** Before any suite's deadline runs: building a server takes minutes. One that cannot be had fails its suites later. */
async function provideTools(suites: readonly Suite[]): Promise<void> {
  const names = new Set(suites.flatMap((suite) => (suite.type === 'mocha' ? (suite.tools ?? []) : [])));
  await toolEnvironment([...names]).catch((error: unknown) => console.error(`tools: ${String(error)}`));
}

/** What tests start of the sources hundreds of times, in one file. A run within a run has that of the outer one. */
async function provideHelper(suites: readonly Suite[]): Promise<void> {
  // Coverage is counted in the sources themselves.
  const isWanted = suites.some(({ kind }) => kind !== 'lint') && process.env['NODE_V8_COVERAGE'] === undefined;
  if (isWanted) process.env['CLAWSTORE_BUILT_HELPER'] ??= await (await import('./test/built-helper.ts')).buildHelper();
}

function report(outcomes: readonly Outcome[]): void {
  const failures = outcomes.flatMap(({ suite, failures: list }) => list.map((failure) => ({ suite, ...failure })));
  const skips = outcomes.flatMap(({ suite, skips: list }) => list.map((skip) => ({ suite, ...skip })));
  console.log('\n== summary');
  for (const { suite, passed, failures: bad, skips: left, seconds, cpuSeconds } of outcomes) {
    const sums = `${passed} passed, ${bad.length} failed, ${left.length} skipped`;
    const times = `${seconds.toFixed(1)} s${cpuSeconds === undefined ? '' : `, ${cpuSeconds.toFixed(0)} of CPU`}`;
    console.log(`${bad.length === 0 ? 'ok  ' : 'FAIL'} ${suite.padEnd(24)} ${sums.padEnd(36)} ${times}`);
  }
  for (const { suite, title, reason } of skips) console.log(`skipped: ${suite} | ${title} | ${reason}`);
  for (const { suite, title, error } of failures) {
    console.log(`\nfailed: ${suite} | ${title}\n  ${error.split('\n').slice(0, 12).join('\n  ')}`);
  }
}

async function main(): Promise<Outcome[]> {
  const loaded =
    values.suites === undefined
      ? SUITES
      : ((await import(resolve(values.suites))) as { readonly SUITES: readonly Suite[] }).SUITES;
  const specs = values.spec?.split(',');
  const suites = withSpecs(choose(loaded), specs);
  const skipFile = join(root, 'test/allowed-skips.txt');
  const allowed = existsSync(skipFile) ? parseAllowedSkips(readFileSync(skipFile, 'utf8')) : [];
  const seed = Number((process.env['CLAWSTORE_SEED'] ??= String(randomInt(2 ** 31))));
  const full = process.env['CLAWSTORE_TEST_FULL'] === '1';
  console.log(`CLAWSTORE_SEED=${seed}${full ? ' CLAWSTORE_TEST_FULL=1' : ''}`);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort(signal));

  await provideTools(suites);
  await provideHelper(suites);
  const options = { root, full, seed, specs, pattern: values.grep, signal: stop.signal };
  const outcomes = [
    ...(await runInLanes(suites, (suite, output) => runSuite(suite, { ...options, output }), stop.signal)),
  ];
  if (stop.signal.aborted) {
    outcomes.push({
      suite: '(runner)',
      passed: 0,
      failures: [{ title: '(runner)', error: `stopped by ${String(stop.signal.reason)}` }],
      skips: [],
      seconds: 0,
    });
  }
  const unclaimed = unclaimedFiles(loaded, root);
  if (unclaimed.length > 0) {
    const error = `no suite of scripts/suites.ts runs ${unclaimed.join(', ')}`;
    outcomes.push({
      suite: '(runner)',
      passed: 0,
      failures: [{ title: 'every test file belongs to a suite', error }],
      skips: [],
      seconds: 0,
    });
  }
  for (const { suite, title, reason } of staleEntries(outcomes, allowed)) {
    console.log(`warning: test/allowed-skips.txt lists what was not skipped: ${suite} | ${title} | ${reason}`);
  }
  return [...(process.env['CI'] === 'true' ? failUnlistedSkips(outcomes, allowed) : outcomes)];
}

const count = (outcomes: readonly Outcome[], of: (outcome: Outcome) => number): number =>
  outcomes.reduce((sum, outcome) => sum + of(outcome), 0);

const outcomes = await main().catch((error: unknown): Outcome[] => {
  const text = error instanceof Error ? error.message : String(error);
  return [{ suite: '(runner)', passed: 0, failures: [{ title: '(runner)', error: text }], skips: [], seconds: 0 }];
});
report(outcomes);
const failedCount = count(outcomes, (outcome) => outcome.failures.length);
console.log(
  `\n${count(outcomes, (o) => o.passed)} passed, ${failedCount} failed, ${count(outcomes, (o) => o.skips.length)} skipped`,
);
process.exitCode = failedCount === 0 ? 0 : 1;
