/** Finds the processes that serve mounts, and keeps the files in which one is written down. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NodeError } from '../node-error.ts';
import type { DaemonProcess, StartMountDaemon } from './operations.ts';

/** Written by the program's own shell before it becomes the program: `PID START-TIME BOOT-ID`. */
export const RECORD = 'process';
/** Numbers and start times begin anew with every boot; this does not come again (random(4)). */
export const BOOT_ID = '/proc/sys/kernel/random/boot_id';
export const LOCK = 'lock';
export const ENVIRONMENT = 'environment';
export const LOG = 'log';

/** The process that was started for a directory, while it runs. */
export function findProcess(directory: string): DaemonProcess | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, RECORD), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw NodeError.from(thrown);
  }
  const [pid = '', startTime = '', boot] = text.trim().split(' ');
  if (boot !== undefined && boot !== readFileSync(BOOT_ID, 'utf8').trim()) return undefined;
  const recorded = { pid: Number(pid), startTime };
  return isAlive(recorded) ? recorded : undefined;
}

/** Zombies do not count: they serve nothing. */
export function isAlive({ pid, startTime }: DaemonProcess): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the command may hold spaces; state is field 3 and the start time field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === startTime && fields[0] !== 'Z' && fields[0] !== 'X';
  } catch {
    return false;
  }
}

/** Lays down what a process finds when it starts, before anything starts it. */
export function prepareProcess({ directory, env }: Pick<StartMountDaemon, 'directory' | 'env'>): void {
  writeEnvironment(directory, env);
  // What the last one wrote would be taken for the reason why this one ends.
  writeFileSync(join(directory, LOG), '', { mode: 0o600 });
}

/** The end of what the program has said. */
export function logTail(directory: string, lines = 3): string {
  const file = join(directory, LOG);
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trim().split('\n').slice(-lines).join('; ');
}

export function forgetProcess(directory: string): void {
  rmSync(join(directory, RECORD), { force: true });
}

function writeEnvironment(directory: string, env: Readonly<Record<string, string>>): void {
  const lines = Object.entries(env).map(([name, value]) => `${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`);
  const file = join(directory, ENVIRONMENT);
  writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
