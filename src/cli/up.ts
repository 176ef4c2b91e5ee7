/** `clawstore up`: everything for one machine, in the foreground. A second one attaches to the first. */
import type { KubeClient } from '../kube/client.ts';
import { serviceManager } from '../node/service-manager.ts';
import { sourceText } from '../sync/source-spec.ts';
import { type Applied, applyManifests, type Manifest, readManifests } from './apply-dir.ts';
import { connectTo } from './connect.ts';
import { startDaemon } from './daemon.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { showLiveTable } from './live-table.ts';
import { pause } from './pause.ts';
import { requireMountPrivilege } from './preflight.ts';
import type { Settings } from './settings.ts';
import { type Instance, isRunning, readInstance, stateDirOf } from './state-dir.ts';
import { stopSignal } from './stop-signal.ts';
import { downCommand, howToUse } from './usage.ts';

export interface UpOptions {
  readonly applyDir: string | undefined;
  readonly live: boolean;
  /** Milliseconds; undefined = run until told to stop. */
  readonly untilReadyMs: number | undefined;
}

/** How often an attached one looks whether the instance still runs, in milliseconds. */
const LOOK_MS = 500;

/** What is to be done once it runs. */
interface Work {
  readonly manifests: readonly Manifest[] | undefined;
  readonly live: boolean;
  readonly untilReadyMs: number | undefined;
}

export async function up(settings: Settings, { applyDir, ...rest }: UpOptions): Promise<ExitCode> {
  requireMountPrivilege();
  // Before anything is started: a mistake in a file is no reason to start and stop.
  const options = { ...rest, manifests: applyDir === undefined ? undefined : await readManifests(applyDir) };
  const stop = stopSignal();
  const running = readInstance(settings.stateDir);
  if (running !== undefined && serviceManager() !== undefined) {
    // A view of another one is nothing that a service could be; systemd tries again.
    const message = `clawstore runs on ${settings.stateDir} already (pid ${running.pid}), not started by this service: stop it first`;
    throw new CliError(ExitCode.refused, message);
  }
  if (running !== undefined) {
    refuseOtherSync(running, settings);
    return attach(running, settings, options, stop);
  }
  const quiet = options.live || options.untilReadyMs !== undefined;
  const start = performance.now();
  const daemon = await startDaemon(['apiserver', 'controller', 'agent'], settings, stop, { quiet });
  try {
    const log = quiet ? `; its log is ${stateDirOf(settings.stateDir).logFile}` : '';
    say(`clawstore runs on node ${settings.nodeName}, started in ${secondsSince(start)} s${log}`);
    if (options.untilReadyMs === undefined && serviceManager() === undefined) {
      for (const line of howToUse(settings, readInstance(settings.stateDir)?.metrics)) say(line);
      say('Ctrl-C stops it and leaves every mount in place.');
    }
    const signal = AbortSignal.any([stop, daemon.ended]);
    const code = await work(daemon.client, options, () => daemon.caughtUp(), signal);
    if (code === undefined) await daemon.done;
    return code ?? ExitCode.ok;
  } finally {
    await daemon.stop();
    say(`clawstore has stopped; mounts stay in place until ${downCommand(settings)}`);
  }
}

/** What is synced is said at the start, to the one that does it. */
function refuseOtherSync(running: Instance, { sync }: Settings): void {
  if (sync === undefined || running.sync === sourceText(sync)) return;
  const present = running.sync === undefined ? 'without --sync' : `with --sync ${running.sync}`;
  throw new CliError(
    ExitCode.refused,
    `--sync: clawstore runs here already (pid ${running.pid}), ${present}: stop it first`,
  );
}

async function attach(running: Instance, settings: Settings, options: Work, stop: AbortSignal): Promise<ExitCode> {
  say(`clawstore runs here already (pid ${running.pid}); attached to it`);
  const client = await connectTo(running.kubeconfig);
  const gone = new AbortController();
  const signal = AbortSignal.any([stop, gone.signal]);
  const watching = watchInstance(running, gone, signal);
  try {
    if (options.untilReadyMs === undefined) {
      for (const line of howToUse({ ...settings, kubeconfig: running.kubeconfig }, running.metrics)) say(line);
      say('Ctrl-C ends this view only; clawstore goes on.');
    }
    const code = await work(client, options, () => true, signal);
    if (code !== undefined) return code;
    await watching;
    if (!gone.signal.aborted) return ExitCode.ok;
    process.stderr.write(`clawstore: the one that this was attached to (pid ${running.pid}) has ended\n`);
    return ExitCode.failed;
  } finally {
    gone.abort();
    await client.close();
  }
}

/** Aborts `gone` when the instance has ended. */
async function watchInstance(running: Instance, gone: AbortController, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (!isRunning(running)) gone.abort();
    await pause(LOOK_MS, signal);
  }
}

/** Applies and shows what was asked for. @returns an exit code when there is nothing more to run for. */
async function work(
  client: KubeClient,
  { manifests, untilReadyMs, live }: Work,
  caughtUp: () => boolean,
  signal: AbortSignal,
): Promise<ExitCode | undefined> {
  let applied: readonly Applied[] | undefined;
  if (manifests !== undefined) {
    const start = performance.now();
    applied = await applyManifests(client, manifests, signal);
    say(`applied ${applied.length} objects in ${secondsSince(start)} s`);
  }
  const out = process.stdout;
  if (untilReadyMs !== undefined) {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(untilReadyMs)]);
    const untilReady = { caughtUp, objects: applied?.map(({ resource, ref }) => ({ kind: resource.kind, ...ref })) };
    const missing = await showLiveTable({ client, out, signal: deadline, untilReady });
    for (const text of missing) process.stderr.write(`clawstore: not ready: ${text}\n`);
    return missing.length === 0 ? ExitCode.ok : ExitCode.failed;
  }
  if (live) await showLiveTable({ client, out, signal });
  return undefined;
}

function secondsSince(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(2);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
