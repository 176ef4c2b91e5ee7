/** `clawstore up`: everything for one machine, in the foreground. A second one attaches to the first. */
import type { KubeClient } from '../kube/client.ts';
import { applyDirectory } from './apply-dir.ts';
import { connectTo } from './connect.ts';
import { startDaemon } from './daemon.ts';
import { ExitCode } from './exit-code.ts';
import { showLiveTable } from './live-table.ts';
import { requireMountPrivilege } from './preflight.ts';
import type { Settings } from './settings.ts';
import { type Instance, readInstance } from './state-dir.ts';
import { stopSignal } from './stop-signal.ts';

export interface UpOptions {
  readonly applyDir: string | undefined;
  readonly live: boolean;
  /** Milliseconds; undefined = run until told to stop. */
  readonly untilReadyMs: number | undefined;
}

export async function up(settings: Settings, options: UpOptions): Promise<ExitCode> {
  requireMountPrivilege();
  const stop = stopSignal();
  const running = readInstance(settings.stateDir);
  if (running !== undefined) {
    say(`clawstore runs here already (pid ${running.pid}); attached to it`);
    return attach(running, options, stop);
  }
  const quiet = options.live || options.untilReadyMs !== undefined;
  const daemon = await startDaemon(['apiserver', 'controller', 'agent'], settings, stop, { quiet });
  try {
    if (quiet) sayHowToUse(settings.kubeconfig);
    const code = await work(daemon.client, options, AbortSignal.any([stop, daemon.ended]));
    if (code !== undefined) return code;
    await daemon.done;
    return ExitCode.ok;
  } finally {
    await daemon.stop();
  }
}

async function attach(running: Instance, options: UpOptions, stop: AbortSignal): Promise<ExitCode> {
  const client = await connectTo(running.kubeconfig);
  try {
    sayHowToUse(running.kubeconfig);
    const code = await work(client, options, stop);
    if (code !== undefined) return code;
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      stop.addEventListener('abort', () => resolve(), { once: true });
    });
    return ExitCode.ok;
  } finally {
    await client.close();
  }
}

/** Applies and shows what was asked for. @returns an exit code when there is nothing more to run for. */
async function work(client: KubeClient, options: UpOptions, signal: AbortSignal): Promise<ExitCode | undefined> {
  const { applyDir, untilReadyMs, live } = options;
  if (applyDir !== undefined) {
    const applied = await applyDirectory(client, applyDir, signal);
    say(`applied ${applied.length} objects of ${applyDir}`);
  }
  const out = process.stdout;
  if (untilReadyMs !== undefined) {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(untilReadyMs)]);
    const missing = await showLiveTable({ client, out, signal: deadline, untilReady: true });
    if (missing.length === 0) return ExitCode.ok;
    for (const text of missing) process.stderr.write(`clawstore: not ready: ${text}\n`);
    return ExitCode.failed;
  }
  if (live) await showLiveTable({ client, out, signal, untilReady: false });
  return undefined;
}

function sayHowToUse(kubeconfig: string): void {
  say(`export KUBECONFIG=${kubeconfig}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
