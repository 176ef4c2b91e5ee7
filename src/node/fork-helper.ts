/**
 * Starts the helper process. Loads nothing but Node itself, so that the daemon can call it before anything else: the
 * larger the process, the longer a fork takes (50–100 ms at 1–2 GiB).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** A running helper and the stream that reaches it. */
export interface HelperProcess {
  readonly child: ChildProcess;
  readonly stream: Duplex;
}

/** It keeps next to nothing: a small heap that is collected often costs less than memory that is never given back. */
const SMALL = ['--max-old-space-size=128', '--max-semi-space-size=2'];

/** More than the four of Node: what must be quick (a thaw) never queues behind what waits for disks. */
const THREADS = '16';

/** The built helper beside the bundle. From the sources: the one that the runner of tests has built of them, or they. */
function helperFile(): string {
  const built = fileURLToPath(new URL('./helper.js', import.meta.url));
  if (existsSync(built)) return built;
  return process.env['CLAWSTORE_BUILT_HELPER'] ?? fileURLToPath(new URL('./helper/main.ts', import.meta.url));
}

/**
 * Forks a helper. It ends by itself when the stream closes, for whatever reason; signals of the terminal do not reach
 * it before that.
 *
 * @param environment Added to this process's own.
 */
export function forkHelper(environment: Readonly<Record<string, string>> = {}): HelperProcess {
  const child = spawn(process.execPath, [...SMALL, helperFile()], {
    // Descriptor 3 is the channel: a socket pair, which tells each side of the other's end.
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', UV_THREADPOOL_SIZE: THREADS, ...environment },
  });
  const stream = child.stdio[3] as Duplex;
  stream.on('error', () => stream.destroy());
  child.on('error', () => stream.destroy());
  return { child, stream };
}
