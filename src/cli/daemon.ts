/**
 * The long-running parts of the product: which run, in which order they start and stop. The node helper is forked before
 * anything large is loaded; what is wired to what is in `compose.ts`.
 */

import type { KubeClient } from '../kube/client.ts';
import { forkHelper, type HelperProcess } from '../node/fork-helper.ts';
import { serviceManager } from '../node/service-manager.ts';
import { ExitCode } from './exit-code.ts';
import { stayWithoutReader } from './no-reader.ts';
import { takeOpenClawToken } from './openclaw-token.ts';
import type { Settings } from './settings.ts';
import { stopSignal } from './stop-signal.ts';

export type Role = 'apiserver' | 'controller' | 'agent';

export interface Daemon {
  readonly client: KubeClient;
  /** Resolves when everything has stopped; rejects with what ended it. */
  readonly done: Promise<void>;
  /** Aborted as soon as a part has ended, by failure or by `stop`. */
  readonly ended: AbortSignal;
  /** Whether all objects have been looked at since the start: until then their status may be of the last run. */
  caughtUp(): boolean;
  /** Stops everything; mounts stay. */
  stop(): Promise<void>;
}

/** Any long time will do. */
const KEEP_ALIVE_MS = 3_600_000;

export interface DaemonOptions {
  /** Logs go to a file in the state directory instead of standard error. */
  readonly quiet: boolean;
  readonly helper: HelperProcess | undefined;
  /** Token of the OpenClaw gateway, as the environment had it. */
  readonly openClawToken: string | undefined;
}

/** Starts the roles; resolves when they serve. The signal stops them. */
export async function startDaemon(
  roles: readonly Role[],
  settings: Settings,
  signal: AbortSignal,
  options: Pick<DaemonOptions, 'quiet'>,
): Promise<Daemon> {
  stayWithoutReader();
  // Found before there are children, who must not inherit it.
  serviceManager();
  const openClawToken = takeOpenClawToken();
  const helper = roles.includes('agent') ? forkHelper() : undefined;
  const { compose } = await import('./compose.ts');
  try {
    return keepAlive(await compose(new Set(roles), settings, signal, { ...options, helper, openClawToken }));
  } catch (thrown) {
    // It may have failed before anything took the helper over, and a helper keeps this process alive.
    helper?.stream.destroy();
    throw thrown;
  }
}

/**
 * Keeps this process until the daemon is done: while the API server is away there may be nothing but timers that Node
 * does not wait for, and it would end with code 13.
 */
function keepAlive(daemon: Daemon): Daemon {
  const timer = setInterval(() => undefined, KEEP_ALIVE_MS);
  const end = (): void => clearInterval(timer);
  daemon.done.then(end, end);
  return daemon;
}

/** Runs the roles until a signal of the system or a failure ends them. */
export async function runDaemon(roles: readonly Role[], settings: Settings): Promise<ExitCode> {
  const { requireMountPrivilege } = await import('./preflight.ts');
  if (roles.includes('agent')) requireMountPrivilege();
  if (roles.length === 1 && roles[0] === 'apiserver') {
    stayWithoutReader();
    const { runApiServerAlone } = await import('./api-server-alone.ts');
    await runApiServerAlone(settings, stopSignal());
    return ExitCode.ok;
  }
  const daemon = await startDaemon(roles, settings, stopSignal(), { quiet: false });
  try {
    await daemon.done;
    return ExitCode.ok;
  } finally {
    await daemon.stop();
  }
}
