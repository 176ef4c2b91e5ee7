/** Runs coreutils and findutils on open directories: in a process group that is killed with whoever wanted it. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { NodeError } from '../node-error.ts';
import { findProgram } from '../programs.ts';

/** Lines of what a program complains about that are kept. */
const COMPLAINTS = 100;
const LINE_BYTES = 4_096;

export interface TreeProcess {
  readonly argv: readonly [string, ...string[]];
  /** Open directories, which the program sees as `/proc/self/fd/3` and so on; it starts in the first. */
  readonly directories: readonly [number, ...number[]];
  /** Written to its standard input. */
  readonly stdin?: Buffer;
  /** Gets its output as it comes. */
  readonly onOutput?: (chunk: Buffer) => void;
  readonly onStart?: (pid: number) => void;
  readonly signal: AbortSignal;
}

export interface TreeOutcome {
  readonly status: number | null;
  /** The first lines of its standard error. */
  readonly complaints: readonly string[];
  /** How many lines there were in all. */
  readonly complaintCount: number;
}

/** Path of the n-th open directory in the program. */
export function directoryPath(index: number): string {
  return `/proc/self/fd/${3 + index}`;
}

/** What makes a program end with the one that started it: a killed helper must leave no second writer behind. */
export function endWithParent(): readonly string[] {
  const setpriv = findProgram('setpriv');
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--'];
}

/** Resolves with the exit status, whatever it is; when the signal fires, rejects once every process has ended. */
export function runOnTree({ argv, directories, stdin, onOutput, onStart, signal }: TreeProcess): Promise<TreeOutcome> {
  const [program, ...args] = [...endWithParent(), ...argv] as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const aborted = (): NodeError => new NodeError('Aborted', `${argv[0]} was ended`);
    if (signal.aborted) return reject(aborted());
    const child = spawn(program, args, {
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...directories],
      cwd: directoryPath(0),
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    });
    const kill = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
    };
    signal.addEventListener('abort', kill, { once: true });
    const complaints = new Complaints();
    child.stdout?.on('data', (chunk: Buffer) => onOutput?.(chunk));
    child.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
    if (child.pid !== undefined) onStart?.(child.pid);
    child.on('error', (cause: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', kill);
      const code = cause.code === 'ENOENT' ? 'Unsupported' : 'Failed';
      reject(new NodeError(code, `${argv[0]} cannot be started: ${cause.code}`, { cause }));
    });
    child.on('close', (status) => {
      signal.removeEventListener('abort', kill);
      if (signal.aborted) reject(aborted());
      else resolve({ status, complaints: complaints.lines, complaintCount: complaints.count });
    });
  });
}

/** Bytes that a process and its children have written so far; undefined where the kernel does not count them. */
export function bytesWritten(pid: number): bigint | undefined {
  return bytesMoved(pid)?.written;
}

/** What a process and its children have read and written so far, from and to files and sockets, proc_pid_io(5). */
export function bytesMoved(pid: number): { readonly read: bigint; readonly written: bigint } | undefined {
  try {
    const io = readFileSync(`/proc/${pid}/io`, 'latin1');
    let read = BigInt(/^rchar: (\d+)$/m.exec(io)?.[1] ?? 0);
    let written = BigInt(/^wchar: (\d+)$/m.exec(io)?.[1] ?? 0);
    for (const child of childrenOf(pid)) {
      const moved = bytesMoved(child);
      read += moved?.read ?? 0n;
      written += moved?.written ?? 0n;
    }
    return { read, written };
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    const list = readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  });
}

/** The first lines of an output and how many there are. */
class Complaints {
  readonly lines: string[] = [];
  count = 0;
  #rest = '';

  push(chunk: Buffer): void {
    const parts = (this.#rest + chunk.toString('utf8')).split('\n');
    this.#rest = (parts.pop() ?? '').slice(0, LINE_BYTES);
    this.count += parts.length;
    this.lines.push(...parts.slice(0, COMPLAINTS - this.lines.length));
  }
}
