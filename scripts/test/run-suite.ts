import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesToRun, type MochaSuite, type Suite } from '../suites.ts';
import { toolEnvironment } from '../tools.ts';
import { loopDevicesOf } from './loops.ts';
import { type Exit, type Line, type Outcome, type Part, readLines, summarize } from './results.ts';

/**
 * Where Node keeps what it has made of sources. Tests start the helper from its sources hundreds of times, which costs
 * twice the CPU where they are read anew each time. In the checkout, so that it goes with it.
 */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compiled');

export interface RunOptions {
  readonly root: string;
  readonly full: boolean;
  /** Of what the run chooses at random. */
  readonly seed: number;
  /** Only these files of the suite, where given. */
  readonly specs?: readonly string[] | undefined;
  /** Only tests whose title matches, where given. */
  readonly pattern?: string | undefined;
  /** Kills the suite and sweeps what it left. */
  readonly signal: AbortSignal;
  /** Descriptor of the file that takes its output; the runner's own output where absent. */
  readonly output?: number | undefined;
}

/** Runs one suite in a process group of its own, to its end or its deadline. Never throws for what the suite does. */
export async function runSuite(suite: Suite, options: RunOptions): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), 'clawstore-test-'));
  const runID = randomBytes(4).toString('hex');
  const runDir = join(tmpdir(), `clawstore-${runID}`);
  try {
    const results = join(scratch, 'results.jsonl');
    if (suite.type === 'check') {
      const exit = await execute(suite, suite.command, {}, options);
      return summarizeCheck(suite.name, exit);
    }
    const files = options.specs ?? filesToRun(suite, options.root, options);
    if (files.length === 0) return failed(suite.name, `no file matches ${suite.specs.join(', ')}`);
    const tools = await toolEnvironment(suite.tools ?? []);
    const mocha = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, 'mocha-child.ts'),
      results,
      options.pattern ?? '',
      ...files,
    ];
    if (suite.namespaces) mkdirSync(join(runDir, 'tmp'), { recursive: true });
    const contained = { CLAWSTORE_RUN_ID: runID, CLAWSTORE_RUN_DIR: runDir, TMPDIR: join(runDir, 'tmp') };
    const command = suite.namespaces
      ? [...namespaces(suite), join(import.meta.dirname, 'contained.ts'), results, ...mocha]
      : mocha;
    // Who asks for a file or a title wants every case of it, whatever the seed.
    const isChosen = options.specs !== undefined || options.pattern !== undefined;
    const chosen = isChosen ? { CLAWSTORE_TEST_CHOSEN: '1' } : {};
    const env = { NODE_COMPILE_CACHE: COMPILED, ...tools, ...chosen, ...(suite.namespaces ? contained : {}) };
    const exit = await execute(suite, command, env, options);
    const parts: readonly Part[] = suite.namespaces ? ['tests', 'leaks'] : ['tests'];
    return summarize(suite.name, readLines(results), exit, parts);
  } catch (error) {
    return failed(suite.name, error instanceof Error ? error.message : String(error));
  } finally {
    sweep(runID, runDir);
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Mount and PID namespaces that end with the suite. The shell is their init: it reaps what the tests orphan, which
 * Node would not, so that a killed daemon does not look alive as a zombie.
 */
function namespaces({ ownNetwork = false }: MochaSuite): readonly string[] {
  const options = '--mount --propagation private --pid --fork --kill-child=KILL --mount-proc'.split(' ');
  return ownNetwork
    ? ['unshare', '--net', ...options, 'sh', '-c', 'ip link set lo up && "$@"; exit $?', 'init', process.execPath]
    : ['unshare', ...options, 'sh', '-c', '"$@"; exit $?', 'init', process.execPath];
}

async function execute(
  suite: Suite,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  options: RunOptions,
): Promise<Exit> {
  const [file = '', ...args] = command;
  const seconds = (options.full ? suite.fullDeadlineSeconds : undefined) ?? suite.deadlineSeconds;
  const start = performance.now();
  const child = spawn(file, args, {
    cwd: options.root,
    detached: true,
    stdio: ['ignore', options.output ?? 'inherit', options.output ?? 'inherit'],
    env: { ...process.env, ...suite.env, ...env },
  });
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The whole group has ended already.
    }
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup();
  }, seconds * 1000);
  options.signal.addEventListener('abort', killGroup, { once: true });
  const { code, signal } = await new Promise<{ readonly code: number | null; readonly signal: string | null }>(
    (resolve) => {
      child.once('error', (error) => {
        console.error(`${file}: ${error.message}`);
        resolve({ code: 127, signal: null });
      });
      child.once('exit', (status, by) => resolve({ code: status, signal: by }));
    },
  );
  clearTimeout(timer);
  options.signal.removeEventListener('abort', killGroup);
  killGroup(); // what it left in its group must not go on under the next suite
  return { code, signal, timedOut, seconds: (performance.now() - start) / 1000 };
}

/** A command is one test, named like its suite. */
function summarizeCheck(name: string, exit: Exit): Outcome {
  if (exit.timedOut || exit.code === null) return summarize(name, [], exit, ['tests']);
  const result: Line =
    exit.code === 0
      ? { type: 'pass', title: name, ms: exit.seconds * 1000 }
      : { type: 'fail', title: name, error: `exit code ${exit.code}: what is wrong stands above, under == ${name}` };
  return summarize(name, [result, { type: 'end', part: 'tests' }], exit, ['tests']);
}

function failed(suite: string, error: string): Outcome {
  return { suite, passed: 0, failures: [{ title: '(suite)', error }], skips: [], seconds: 0 };
}

/** Removes what carries this run's ID and nothing else. Its mounts ended with its mount namespace. */
function sweep(runID: string, runDir: string): void {
  for (const { name } of loopDevicesOf(runID)) spawnSync('losetup', ['--detach', `/dev/${name}`]);
  const remove = (): boolean => spawnSync('rm', ['-rf', '--one-file-system', '--', runDir]).status === 0;
  // Targets below mounts are immutable on purpose.
  if (!remove()) {
    spawnSync('chattr', ['-R', '-f', '-i', '--', runDir]);
    remove();
  }
}
