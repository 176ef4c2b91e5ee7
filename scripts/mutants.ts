/**
 * Breaks the code on purpose, one break at a time, and demands that the tests notice: a test that stays green under the
 * break it was written for proves nothing.
 *
 *   node scripts/mutants.ts [NAME…]
 *
 * test/mutants.json lists the breaks: a text that must stand exactly once in a file, what to put in its place, and the
 * tests that must then fail. All happens in a copy; without a break the same tests must pass there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface Mutant {
  /** A sentence: what is broken. */
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Suite of scripts/suites.ts, and the one file of it and the titles (a pattern) that are enough to notice. */
  readonly suite: string;
  readonly spec?: string;
  readonly grep?: string;
}

/** The text with the break in it. @throws Error when `find` is not there exactly once or nothing would change. */
export function mutate(source: string, { name, file, find, replace }: Mutant): string {
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`${name}: the text to break stands ${times} times in ${file}, not once`);
  if (find === replace) throw new Error(`${name}: would change nothing`);
  return source.replace(find, () => replace);
}

const root = join(import.meta.dirname, '..');

function copyCheckout(target: string): void {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  for (const file of listed.toString().split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(root, file), join(target, file));
  }
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'));
}

interface Verdict {
  readonly green: boolean;
  readonly output: string;
}

/** Runs the tests of a mutant in the copy, from the sources (the copy has no dist). */
function test(copy: string, { suite, spec, grep }: Mutant): Verdict {
  const args = [
    'scripts/test.ts',
    '--suite',
    suite,
    ...(spec ? ['--spec', spec] : []),
    ...(grep ? ['--grep', grep] : []),
  ];
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { green: status === 0, output: stdout };
}

/** Undefined when the break was noticed, else what is wrong. */
function judge(copy: string, mutant: Mutant, baseline: Map<string, Verdict>): string | undefined {
  const selection = JSON.stringify([mutant.suite, mutant.spec, mutant.grep]);
  const before = baseline.get(selection) ?? test(copy, mutant);
  baseline.set(selection, before);
  if (!before.green) return `its tests fail without the break:\n${before.output.split('\n').slice(-30).join('\n')}`;
  const path = join(copy, mutant.file);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, mutate(source, mutant));
  try {
    const { green, output } = test(copy, mutant);
    if (green) return `stayed green with the break in ${mutant.file}`;
    const by = output.split('\n').filter((line) => line.startsWith('failed: '));
    console.log(
      `     noticed by ${by.length} ${by.length === 1 ? 'test' : 'tests'}: ${by[0]?.slice('failed: '.length) ?? ''}`,
    );
    return undefined;
  } finally {
    writeFileSync(path, source);
  }
}

function main(names: readonly string[]): void {
  const all = JSON.parse(readFileSync(join(root, 'test/mutants.json'), 'utf8')) as readonly Mutant[];
  const chosen = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  const unknown = names.filter((name) => !all.some((mutant) => mutant.name === name));
  if (unknown.length > 0) throw new Error(`no such break: ${unknown.join(', ')}`);
  const copy = mkdtempSync(join(tmpdir(), 'clawstore-mutants-'));
  let failed = 0;
  try {
    copyCheckout(copy);
    const baseline = new Map<string, Verdict>();
    for (const mutant of chosen) {
      console.log(`==   ${mutant.name}`);
      let wrong: string | undefined;
      try {
        wrong = judge(copy, mutant, baseline);
      } catch (error) {
        wrong = error instanceof Error ? error.message : String(error);
      }
      if (wrong !== undefined) failed += 1;
      console.log(wrong === undefined ? 'ok' : `FAIL ${wrong}`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`\n${chosen.length - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) main(process.argv.slice(2));
