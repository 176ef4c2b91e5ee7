/** A child process of the harness, in a process group of its own, with its output in a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { showOnFailure } from './run.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface DaemonOptions {
  /** Names it in messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Added to this process's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

const STOP_DEADLINE_MS = 30_000;
const TAIL_LINES = 60;

export class Daemon {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves when it has ended and was reaped; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #exit: Exit | undefined;
  #isAskedToEnd = false;

  constructor({ name, command, args, logFile, env = {}, cwd }: DaemonOptions) {
    this.name = name;
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    try {
      this.#child = spawn(command, [...args], {
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
      });
    } finally {
      closeSync(log);
    }
    const forget = showOnFailure(`${name} (${logFile})`, () => this.tail());
    this.exited = new Promise((resolve) => {
      const done = (exit: Exit): void => {
        this.#exit = exit;
        // The log of one that ended by itself is what a failed test needs most.
        if (this.#isAskedToEnd) forget();
        resolve(exit);
      };
      this.#child.once('error', () => done({ code: 127, signal: null }));
      this.#child.once('exit', (code, signal) => done({ code, signal }));
    });
    if (this.#child.pid === undefined) throw new Error(`${name}: ${command} could not be started`);
    this.pid = this.#child.pid;
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** @throws Error with the end of its log when it has ended. */
  assertRunning(): void {
    if (this.#exit === undefined) return;
    const how = this.#exit.signal ?? `exit code ${this.#exit.code}`;
    throw new Error(`${this.name} has ended (${how}):\n${this.tail()}`);
  }

  /** The last lines of its output. */
  tail(lines = TAIL_LINES): string {
    if (!existsSync(this.logFile)) return '';
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** All of its output. */
  output(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  signal(signal: NodeJS.Signals): void {
    this.#isAskedToEnd = true;
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** Asks it to end and waits; kills the group and throws when it does not. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs = STOP_DEADLINE_MS): Promise<Exit> {
    this.signal(signal);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), deadlineMs);
    });
    const exit = await Promise.race([this.exited, late]);
    clearTimeout(timer);
    if (exit !== undefined) return exit;
    await this.killGroup();
    throw new Error(`${this.name} did not end ${deadlineMs / 1000} s after ${signal}:\n${this.tail()}`);
  }

  /** SIGKILL to it alone; its children find out by themselves. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** SIGKILL to it and every process of its group. */
  async killGroup(): Promise<void> {
    this.#isAskedToEnd = true;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // The whole group has ended already.
    }
    await this.exited;
  }

  /** Processes that it started and that still run. */
  children(): readonly number[] {
    return childrenOf(this.pid);
  }

  /** Its mount helper, as its command line tells. */
  helperPid(): number | undefined {
    return this.children().find((pid) => /\/helper(\/main\.ts|\.js)\0/.test(commandLine(pid)));
  }
}

/** Direct children of a process. Source: `/proc/PID/task/TID/children`, proc_tid_children(5). */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** The command line with NUL after each argument; empty when the process is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Says whether a process runs (a zombie does not). */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3));
  } catch {
    return false;
  }
}
