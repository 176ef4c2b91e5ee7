/** Runs programs for the other operations: argv only, killed with all their children when time is up. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { NodeError } from '../node-error.ts';
import type { CommandResult, RunCommand } from '../operations.ts';
import type { RequestContext } from './context.ts';

const KEEP_BYTES = 64 * 1024;
/** Ends the program when this helper dies, so that a second one never runs beside it on the same data. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file));

/** Resolves with the exit status, whatever it is. Rejects when the program cannot be started or time is up. */
export function run(
  { argv, stdin, env, keepBytes = KEEP_BYTES }: RunCommand,
  { signal }: RequestContext,
): Promise<CommandResult> {
  const [program, ...args] = argv;
  const full = SETPRIV === undefined ? [program, ...args] : [SETPRIV, '--pdeathsig', 'KILL', '--', program, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(full[0] ?? program, full.slice(1), {
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...env },
    });
    const kill = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
      reject(new NodeError('DeadlineExceeded', `${program} was killed: it did not end in time`));
    };
    if (signal.aborted) return kill();
    signal.addEventListener('abort', kill, { once: true });
    const [stdout, stderr] = [new Tail(keepBytes), new Tail(keepBytes)];
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
    child.on('error', (cause: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', kill);
      const code = cause.code === 'ENOENT' ? 'Unsupported' : 'Failed';
      reject(new NodeError(code, `${program} cannot be started: ${cause.code}`, { cause }));
    });
    child.on('close', (status, ended) => {
      signal.removeEventListener('abort', kill);
      resolve({ status, signal: ended, stdout: stdout.text(), stderr: stderr.text() });
    });
  });
}

/** The last part of an output. */
class Tail {
  readonly #keepBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length > 4 * this.#keepBytes) this.#cut();
  }

  text(): string {
    this.#cut();
    return Buffer.concat(this.#chunks).toString('utf8');
  }

  #cut(): void {
    const kept = Buffer.concat(this.#chunks).subarray(-this.#keepBytes);
    this.#chunks = [kept];
    this.#length = kept.length;
  }
}
