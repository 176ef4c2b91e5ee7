/** A place of its own for tests that really mount: a private bind mount below the temporary directory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CrashPoint } from '../../src/node/crash-points.ts';
import { createNodeLayer, type NodeLayerOptions, type RunningNodeLayer } from '../../src/node/create-layer.ts';
import { forkHelper, type HelperProcess } from '../../src/node/fork-helper.ts';
import { isAtOrBelow, parseMountinfo } from '../../src/node/mount-entry.ts';

/** What a call of a test gets; the runner's own time limit is shorter. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

export interface Place {
  readonly dir: string;
  readonly data: string;
  readonly layer: RunningNodeLayer;
  /** Kills the helper and waits for the next one, which dies at this point. @returns how often it was started anew by then. */
  armHelper(point: CrashPoint): Promise<number>;
  /** Unmounts what is left, ends the helper, removes the directory. Resolves with the mounts that had been left. */
  dispose(): Promise<readonly string[]>;
}

/** @param overrides Of the layer; `stateName` is the name of its state directory. */
export async function makePlace(
  overrides: Partial<Omit<NodeLayerOptions, 'stateDir'>> & { readonly stateName?: string } = {},
): Promise<Place> {
  const { stateName = 'state', fork = forkHelper, ...others } = overrides;
  let armed: CrashPoint | undefined;
  const forkArmed = (environment: Readonly<Record<string, string>>): HelperProcess => {
    const arm = armed === undefined ? {} : { CLAWSTORE_CRASH_AT: armed };
    armed = undefined;
    return fork({ ...environment, ...arm });
  };
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'clawstore-node-')));
  // Private: what is mounted here must not reach other namespaces by itself.
  execFileSync('mount', ['--bind', dir, dir]);
  execFileSync('mount', ['--make-private', dir]);
  const data = join(dir, 'data');
  mkdirSync(data);
  const options = { stateDir: join(dir, stateName), mountRoot: join(dir, 'mounts'), fork: forkArmed, ...others };
  let layer: RunningNodeLayer | undefined;
  try {
    layer = await createNodeLayer(options, soon());
    // Twice for the tests in which the helper is killed here.
    await layer.prepareMountRoot(soon()).catch(() => layer?.prepareMountRoot(soon()));
  } catch (error) {
    await layer?.close();
    sweep(dir);
    throw error;
  }
  const running = layer;
  return {
    dir,
    data,
    layer: running,
    armHelper: async (point) => {
      const before = running.helperRestarts;
      armed = point;
      killHelper(running);
      await until(() => running.helperRestarts > before);
      await running.statfs('/', soon());
      return running.helperRestarts;
    },
    dispose: async () => {
      await running.close();
      const left = mountsBelow(running.mountRoot);
      sweep(dir);
      return left;
    },
  };
}

/** Takes every mount below down, then removes the directory. */
function sweep(dir: string): void {
  execFileSync('umount', ['--recursive', '--lazy', dir]);
  if (mountsAt(dir) === 0 && mountsBelow(dir).length === 0) rmSync(dir, { recursive: true, force: true });
}

/** Mount points strictly below a directory, by the kernel's own table. */
export function mountsBelow(dir: string): string[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
    .map(({ target }) => target)
    .filter((target) => target !== dir && isAtOrBelow(target, dir));
}

/** How many mounts lie at exactly this path. */
export function mountsAt(path: string): number {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ target }) => target === path).length;
}

/** Starts a program and waits until `ready` holds. The caller ends it. */
export async function startUntil(
  argv: readonly [string, ...string[]],
  ready: () => boolean,
  cwd = '/',
): Promise<ChildProcess> {
  const child = spawn(argv[0], argv.slice(1), { stdio: 'ignore', cwd });
  await until(ready);
  return child;
}

/** A process with a private copy of the current mounts. */
export async function copyOfMounts(): Promise<ChildProcess> {
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sleep', '300'], { stdio: 'ignore' });
  // It has its copy once it has become the sleep.
  await until(
    () => existsSync(`/proc/${child.pid}/comm`) && readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n',
  );
  return child;
}

/** Kills the helper of a layer. @throws Error when there is none just now. */
export function killHelper({ helperPid }: RunningNodeLayer): void {
  if (helperPid === undefined) throw new Error('there is no helper');
  process.kill(helperPid, 'SIGKILL');
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** Some conditions are a look at every process: asked more often they take a third of a core. */
const MOST_PAUSE_MS = 25;

/** Waits for a condition; throws when it does not come true within the runner's patience. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (let pause = 5; !(await condition()); pause = Math.min(pause * 1.2, MOST_PAUSE_MS)) {
    if (performance.now() > deadline) throw new Error(`never became true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/**
 * Starts something, and again whenever it is over before it was met: on a busy machine nobody may have looked while it ran.
 * @throws Error when it is never met.
 */
export async function meet<T>(
  start: () => Promise<T>,
  isMet: () => boolean,
): Promise<{ readonly running: Promise<T> }> {
  const deadline = performance.now() + 90_000;
  while (performance.now() < deadline) {
    let isOver = false;
    const running = start();
    const over = (): void => {
      isOver = true;
    };
    running.then(over, over);
    let met = false;
    await until(() => {
      met = isMet();
      return met || isOver;
    });
    if (met) return { running };
    await running;
  }
  throw new Error(`never met while it ran: ${isMet}`);
}

/** Holds a process still; whether it is held already: one that is ending cannot be. */
export function hold(pid: number): boolean {
  try {
    process.kill(pid, 'SIGSTOP');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  } catch {
    return false; // it has ended
  }
}

/**
 * Does something that another process is to disturb until that has happened: on a busy machine the other one may not have
 * had its turn meanwhile. @throws Error when it never happens.
 */
export async function disturbed<T>(work: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 90_000;
  while (performance.now() < deadline) {
    const result = await work();
    if (result !== undefined) return result;
  }
  throw new Error('never disturbed');
}

/** The error that a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; reason?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was expected to reject, and resolved');
}
