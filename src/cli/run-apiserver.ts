/** The API server of this process: in a thread beside other roles, or alone on the main thread. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../telemetry/log.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { ApiServerSettings } from './serve-api.ts';
import type { Settings } from './settings.ts';
import type { StateDir } from './state-dir.ts';

const STOP_DEADLINE_MS = 10_000;
/** Longest path of a Unix socket, in bytes (unix(7): 108 with the NUL). */
const MAX_SOCKET_PATH = 107;

export interface RunningApiServer {
  readonly stop: () => Promise<void>;
  /** How clients of this process reach it without TLS; undefined where they have to go through the network. */
  readonly socketPath: string | undefined;
}

/** Starts it and waits until it serves. */
export async function runApiServer(
  settings: Settings,
  state: StateDir,
  { inThread, log, quiet }: { readonly inThread: boolean; readonly log: Logger; readonly quiet: boolean },
): Promise<RunningApiServer> {
  const path = join(state.apiserver, 'api.sock');
  const socketPath = inThread && Buffer.byteLength(path) <= MAX_SOCKET_PATH ? path : undefined;
  const apiServer: ApiServerSettings = {
    directory: state.apiserver,
    kubeconfig: settings.kubeconfig,
    listen: settings.listen,
    auditLog: settings.auditLog,
    logLevel: settings.logLevel,
    logFile: quiet ? state.logFile : undefined,
    socket: socketPath,
  };
  if (!inThread) {
    // It is large, and of no use to those that have none or have it in a thread.
    const { serveApi } = await import('./serve-api.ts');
    const server = await serveApi(apiServer, log);
    return { stop: () => server.close(), socketPath };
  }
  const worker = new Worker(threadFile(), { workerData: apiServer });
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new CliError(ExitCode.failed, `the API server ended at its start (${code})`)));
  });
  worker.on('error', (err) => {
    // Nothing works without it, and what it acknowledged is on disk: a clean start is the best that can be done.
    log.fatal({ err }, 'the API server failed');
    process.exit(ExitCode.failed);
  });
  const stop = async (): Promise<void> => {
    worker.postMessage('stop');
    const timer = setTimeout(() => void worker.terminate(), STOP_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  };
  return { stop, socketPath };
}

/** Beside the bundle, or the source. */
function threadFile(): string {
  const built = fileURLToPath(new URL('./apiserver-thread.js', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('./apiserver-thread.ts', import.meta.url));
}
