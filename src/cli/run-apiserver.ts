/** The API server of this process: in a thread beside other roles, or alone on the main thread. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../telemetry/log.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { type ApiServerSettings, serveApi } from './serve-api.ts';
import type { Settings } from './settings.ts';
import type { StateDir } from './state-dir.ts';

const STOP_DEADLINE_MS = 10_000;

/** Starts it and waits until it serves. @returns what stops it. */
export async function runApiServer(
  settings: Settings,
  state: StateDir,
  { inThread, log, quiet }: { readonly inThread: boolean; readonly log: Logger; readonly quiet: boolean },
): Promise<() => Promise<void>> {
  const apiServer: ApiServerSettings = {
    directory: state.apiserver,
    kubeconfig: settings.kubeconfig,
    listen: settings.listen,
    logLevel: settings.logLevel,
    logFile: quiet ? state.logFile : undefined,
  };
  if (!inThread) {
    const server = await serveApi(apiServer, log);
    return () => server.close();
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
  return async () => {
    worker.postMessage('stop');
    const timer = setTimeout(() => void worker.terminate(), STOP_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  };
}

/** Beside the bundle, or the source. */
function threadFile(): string {
  const built = fileURLToPath(new URL('./apiserver-thread.js', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('./apiserver-thread.ts', import.meta.url));
}
