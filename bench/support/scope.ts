/** One directory and everything started in it: ended in reverse, whatever happens. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAtOrBelow, parseMountinfo } from '../../src/node/mount-entry.ts';

const STOP_MS = 30_000;

export interface StartedProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly logFile: string;
  /** SIGTERM, and SIGKILL to its group when it takes too long. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** @throws Error with the end of its log when it has ended. */
  assertRunning(): void;
}

export class Scope {
  readonly directory: string;
  readonly #cleanups: (() => Promise<void> | void)[] = [];

  /** Makes a directory below `parent`. */
  constructor(parent: string, purpose: string) {
    this.directory = mkdtempSync(join(parent, `${purpose}-`));
  }

  path(...names: readonly string[]): string {
    return join(this.directory, ...names);
  }

  onEnd(cleanup: () => Promise<void> | void): void {
    this.#cleanups.push(cleanup);
  }

  /** Starts a process in a group of its own with its output in a file. */
  start(
    name: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): StartedProcess {
    const logFile = this.path(`${name}.log`);
    const log = openSync(logFile, 'a');
    const child = spawn(command, [...args], {
      cwd: this.directory,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) throw new Error(`${command} could not be started`);
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    const started: StartedProcess = {
      pid,
      child,
      logFile,
      assertRunning() {
        if (hasEnded()) throw new Error(`${name} has ended:\n${readFileSync(logFile, 'utf8').slice(-4000)}`);
      },
      async stop(signal = 'SIGTERM') {
        if (!hasEnded()) child.kill(signal);
        const timer = setTimeout(() => killGroup(pid), STOP_MS);
        await exited;
        clearTimeout(timer);
      },
    };
    this.onEnd(() => started.stop());
    return started;
  }

  /** Ends everything, takes down what is still mounted below the directory, and removes it. */
  async end(): Promise<void> {
    const errors: unknown[] = [];
    for (const cleanup of this.#cleanups.splice(0).toReversed()) {
      try {
        await cleanup();
      } catch (thrown) {
        errors.push(thrown);
      }
    }
    unmountBelow(this.directory);
    await delay(20);
    await runToEnd('chattr', ['-R', '-f', '-i', '--', this.directory]);
    rmSync(this.directory, { recursive: true, force: true });
    if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n'));
  }
}

/** Targets of the mounts below a directory, in the kernel's order, with their IDs. */
export function mountsBelow(directory: string): readonly { readonly id: number; readonly target: string }[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ target }) =>
    isAtOrBelow(target, directory),
  );
}

/** Lazily: after a failed case nothing must stand in the way of removing the directory. */
function unmountBelow(directory: string): void {
  const targets = mountsBelow(directory).map(({ target }) => target);
  if (targets.length > 0) spawnSync('umount', ['-l', ...targets.toReversed()], { stdio: 'ignore' });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The whole group has ended already.
  }
}

/** Runs a program to its end and gives its standard output. Its exit code is not looked at. */
export function runToEnd(command: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.once('error', reject);
    child.once('close', () => resolve(text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}

/** The same for what must succeed. @throws Error with its standard error. */
export function run(command: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [text, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ${args.join(' ').slice(0, 200)} ended with ${code}: ${errors.slice(-2000)}`));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}
