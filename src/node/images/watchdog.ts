/**
 * Never leaves a filesystem frozen: a process of its own session which holds the filesystem open from before it is frozen,
 * and thaws it when this process dies, however that happens, or when the time is up.
 *
 * A shell, because it starts within two milliseconds and needs nothing of ours while it waits. It becomes fsfreeze(8) without
 * a further fork, so that a machine without memory cannot keep it from thawing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { NodeError } from '../node-error.ts';
import { findProgram } from '../programs.ts';

/** Descriptor of the filesystem in the shell. */
const FILESYSTEM = 3;
/** `cat` ends with the pipe that only this process holds. */
const SCRIPT = `timeout --foreground "$1" cat >/dev/null ${FILESYSTEM}<&-; exec fsfreeze --unfreeze /proc/self/fd/${FILESYSTEM}`;
/** What the script needs; looked for before, since it would be too late when it does. */
const PROGRAMS = ['timeout', 'cat', 'fsfreeze'] as const;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Watchdog {
  readonly pid: number;
  /** Aborted when it has ended: nobody watches any more, and the filesystem is thawed or about to be. */
  readonly ended: AbortSignal;
  /** Ends it without letting it thaw. Resolves when it is gone, and with it what it held open. */
  end(): Promise<void>;
}

/**
 * @param fd A real descriptor (not O_PATH) of a directory on the filesystem.
 * @throws NodeError `Unsupported` where the machine lacks a program for it.
 */
export async function startWatchdog(fd: number, timeoutMs: number): Promise<Watchdog> {
  const missing = PROGRAMS.find((name) => findProgram(name) === undefined);
  if (missing !== undefined) throw new NodeError('Unsupported', `${missing} is not installed: nothing would thaw`);
  const seconds = String(Math.max(timeoutMs, 1) / 1000);
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'clawstore-thaw', seconds], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore', fd],
    cwd: '/',
    env: { PATH },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin?.on('error', () => undefined);
  const pid = await started(child);
  const ended = new AbortController();
  void exited.then(() => ended.abort());
  return {
    pid,
    ended: ended.signal,
    async end() {
      try {
        // Its session has no other members but the programs that it waits for.
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
      await exited;
    },
  };
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new NodeError('Failed', `nothing could be started that would thaw: ${cause.message}`, { cause }));
    });
    child.once('spawn', () => resolve(child.pid ?? 0));
  });
}
