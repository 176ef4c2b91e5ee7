/** A child process of the harness, in a process group of its own, with its output in a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { showOnFailure } from './run.ts';
import { Hopeless, waitFor } from './wait.ts';

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

const STOP_DEADLINE_MS = 90_000;
/** For what a kill cannot end at once: a process whose request a hung filesystem has not answered. */
const LEFT_MS = 5000;
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

  /** @throws Hopeless with the end of its log when it has ended. */
  assertRunning(): void {
    if (this.#exit === undefined) return;
    const how = this.#exit.signal ?? `exit code ${this.#exit.code}`;
    throw new Hopeless(`${this.name} has ended (${how}):\n${this.tail()}`);
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

  /** SIGKILL to it and every process of its group; what they held is free afterwards. */
  async killGroup(): Promise<void> {
    this.#isAskedToEnd = true;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // The whole group has ended already.
    }
    await this.exited;
    // The others are nobody's children here and may take a moment longer to let go of locks, ports and mounts.
    const left = (): boolean => runningInGroup(this.pid).length > 0;
    await waitFor(() => !left(), { deadline: LEFT_MS, message: `the group of ${this.name} to end` }).catch(() => false);
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
  return entriesOf(`/proc/${pid}/task`).flatMap((tid) =>
    textOf(`/proc/${pid}/task/${tid}/children`).trim().split(' ').filter(Boolean).map(Number),
  );
}

/** Processes of a group that run. Source: proc_pid_stat(5), pgrp. */
function runningInGroup(group: number): readonly number[] {
  const pids = entriesOf('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const stat = textOf(`/proc/${pid}/stat`);
    const [state = 'X', , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(pgrp) === group && !DEAD.includes(state);
  });
}

/** The command line with NUL after each argument; empty when the process is gone. */
export function commandLine(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`);
}

/** Says whether a process runs (a zombie does not). */
export function isRunning(pid: number): boolean {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat !== '' && !DEAD.includes(stat.charAt(stat.lastIndexOf(')') + 2));
}

/** Says whether a process that was sent SIGSTOP does nothing any more: each of its threads stops on its own. */
export function isStopped(pid: number): boolean {
  const tids = entriesOf(`/proc/${pid}/task`);
  return tids.every((tid) => {
    const stat = textOf(`/proc/${pid}/task/${tid}/stat`);
    return stat === '' || ['T', ...DEAD].includes(stat.charAt(stat.lastIndexOf(')') + 2));
  });
}

/** States of processes that are only waited for by their parents. */
const DEAD: readonly string[] = ['Z', 'X'];

/** Empty when the process, or the thread, is gone. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
