import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Limits } from '../../../src/apiserver/index.ts';
import type { Ended, Started } from './server-process.ts';

/** An API server that runs as a process of its own. */
export interface ServerProcess extends Started {
  readonly pid: number;
  /** Its resident memory, in bytes. Throws when it has ended. */
  memory(): number;
  /** Whether it still runs. */
  isRunning(): boolean;
  /** Ends it; throws when it had ended before or takes more than 60 s. */
  stop(): Promise<Ended>;
}

const PROGRAM = join(import.meta.dirname, 'server-process.ts');
/** As `bin/clawstore` runs it. */
const FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4', '--no-parallel-scavenge'];
const STOP_MS = 60_000;

/** Starts a server on a state directory of its own, or on one that is there. */
export async function startServer(kept?: string, limits: Partial<Limits> = {}): Promise<ServerProcess> {
  const stateDir = kept ?? mkdtempSync(join(tmpdir(), 'clawstore-stress-'));
  const child = spawn(process.execPath, [...FLAGS, PROGRAM, stateDir, JSON.stringify(limits)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the API server has ended (${child.exitCode ?? child.signalCode})`);
    return JSON.parse(line.value) as T;
  };
  const started = await next<Started>();
  const pid = child.pid as number;
  return {
    ...started,
    pid,
    memory: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      try {
        child.stdin.end();
        return await next<Ended>();
      } finally {
        await exited;
        clearTimeout(kill);
        if (kept === undefined) rmSync(stateDir, { recursive: true, force: true });
      }
    },
  };
}
