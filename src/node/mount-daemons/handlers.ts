/** The helper's side of mounts that a process serves. */
import { mkdirSync } from 'node:fs';
import { crashPoint } from '../crash-points.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { MNT_DETACH, UMOUNT_NOFOLLOW } from '../helper/libc.ts';
import { joinRoot, locate } from '../helper/location.ts';
import { findStale, NamespaceScanner } from '../helper/namespaces.ts';
import { openBeneath, openRoot } from '../helper/open-beneath.ts';
import { components } from '../helper/paths.ts';
import { makeTarget, setImmutable, type Target, targetName } from '../helper/target.ts';
import type { Holder } from '../layer.ts';
import type { MountEntry } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import { launchByHolder } from './holder-client.ts';
import { launch, removeCgroup } from './launch.ts';
import type { DaemonPlace, DaemonProcess, MountDaemonOperations, StaleCopies, StartMountDaemon } from './operations.ts';
import { findProcess, forgetProcess, isAlive, logTail, prepareProcess } from './processes.ts';

type Started = MountDaemonOperations['startMountDaemon']['result'];

const POLL_MS = 10;
/** Mounts make events that the table follows by itself; reading it as well is for where there are none. */
const REFRESH_MS = 50;
/** How often an end is looked for where the kernel cannot tell of it. */
const WITHOUT_PIDFD_POLL_MS = 250;

export async function startMountDaemon(
  context: HelperContext,
  request: StartMountDaemon,
  { signal }: RequestContext,
): Promise<Started> {
  const { directory } = request;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  using target = makeTarget(context, request.target);
  const immutableTarget = prepare(context, request, target);
  let created = false;
  if (findProcess(directory) === undefined) {
    forgetProcess(directory);
    prepareProcess(request);
    if (context.settings.mountHolder) await launchByHolder(context.settings.stateDir, request, signal);
    else await launch(request, cgroupRoot(context));
    crashPoint('daemon.after-start');
    created = true;
  }
  const { entry, process } = await untilMounted(context, request, target, signal);
  return { entry, process, created, immutableTarget };
}

/** Clears a dead mount of ours away and makes the bare directory refuse writers. False where it cannot. */
function prepare(context: HelperContext, request: StartMountDaemon, target: Target): boolean {
  const { libc, table } = context;
  table.refresh();
  const stack = table.at(target.path);
  const foreign = stack.find((entry) => !isOurs(entry, request));
  if (foreign !== undefined) {
    const message = `${target.path} has ${foreign.source} (${foreign.fsType}) mounted`;
    throw new NodeError('ForeignMount', message, { path: target.path });
  }
  const alive = findProcess(request.directory) !== undefined;
  if (stack.length > 0 && alive) return target.ours;
  // Nothing is lost: what a dead process served answers nobody any more.
  for (const _ of stack) libc.umount(targetName(request.target), MNT_DETACH | UMOUNT_NOFOLLOW);
  if (stack.length > 0) table.refresh();
  using bare = makeTarget(context, request.target);
  return bare.ours && setImmutable(libc, bare.fd, true);
}

let refreshedAt = 0;

/** Many wait at the same time: one reading serves them all. */
function refreshNowAndThen(table: HelperContext['table']): void {
  const now = performance.now();
  if (now - refreshedAt < REFRESH_MS) return;
  refreshedAt = now;
  table.refresh();
}

async function untilMounted(
  { table, settings }: HelperContext,
  request: StartMountDaemon,
  { path }: Target,
  signal: AbortSignal,
): Promise<{ readonly entry: MountEntry; readonly process: DaemonProcess }> {
  const { directory } = request;
  let seen = false;
  for (;;) {
    const process = findProcess(directory);
    refreshNowAndThen(table);
    const entry = table.at(path).find((one) => isOurs(one, request));
    if (entry !== undefined && process !== undefined) return { entry, process };
    if (process === undefined && seen) {
      throw new NodeError('CommandFailed', `${request.argv[0]} ended: ${logTail(directory) || 'it said nothing'}`);
    }
    seen ||= process !== undefined;
    if (signal.aborted) {
      if (process !== undefined) kill(process, 'SIGKILL');
      const hint = 'what the mount holder mounts may not reach this process: both pods need Bidirectional propagation';
      const said = logTail(directory) || (settings.mountHolder && process !== undefined ? hint : '');
      throw new NodeError('DeadlineExceeded', `${request.name} did not mount in time${said === '' ? '' : `: ${said}`}`);
    }
    await pause(POLL_MS, signal);
  }
}

function isOurs({ fsType, source }: MountEntry, request: StartMountDaemon): boolean {
  return fsType === request.fsType && source === request.source;
}

const scanner = new NamespaceScanner();

export async function staleCopies(
  { libc, table }: HelperContext,
  { target, ...query }: StaleCopies,
): Promise<readonly Holder[]> {
  const names = components(target.path);
  using root = openRoot(libc, target.root);
  using parent = openBeneath(libc, root, names.slice(0, -1).join('/'), targetName(target));
  const { device, root: inside } = locate(libc, table, parent);
  const stage = { device, root: joinRoot(inside, `/${names.at(-1) ?? ''}`) };
  return findStale(await scanner.scan(), { ...query, stage });
}

export function findDaemon(_context: HelperContext, { directory }: DaemonPlace): DaemonProcess | null {
  return findProcess(directory) ?? null;
}

export async function awaitDaemonEnd(
  { libc }: HelperContext,
  daemon: DaemonProcess,
  { signal }: RequestContext,
): Promise<null> {
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  let ended: { readonly done: Promise<void>; close(): void } | undefined;
  try {
    ended = libc.watchProcess(daemon.pid);
  } catch (thrown) {
    const { errno, code } = NodeError.from(thrown);
    if (errno === 'ESRCH') return null;
    if (code !== 'Unsupported') throw thrown;
  }
  try {
    // The descriptor was opened by number: it is the right process only if that still runs now.
    while (isAlive(daemon) && !signal.aborted) {
      await (ended === undefined ? pause(WITHOUT_PIDFD_POLL_MS, signal) : Promise.race([ended.done, aborted]));
      if (ended !== undefined) break;
    }
  } finally {
    ended?.close();
  }
  if (signal.aborted) throw new NodeError('Aborted', 'nobody waits for the end of the process any more');
  return null;
}

export async function stopDaemon(
  context: HelperContext,
  { directory, patienceMs }: DaemonPlace & { readonly patienceMs: number },
  { signal }: RequestContext,
): Promise<null> {
  const daemon = findProcess(directory);
  if (daemon === undefined) {
    removeCgroup(cgroupRoot(context));
    return null;
  }
  if (patienceMs > 0) {
    kill(daemon, 'SIGTERM');
    await untilEnded(daemon, performance.now() + patienceMs, signal);
  }
  if (isAlive(daemon)) kill(daemon, 'SIGKILL');
  await untilEnded(daemon, Number.POSITIVE_INFINITY, signal);
  if (isAlive(daemon)) throw new NodeError('DeadlineExceeded', `process ${daemon.pid} does not end`);
  forgetProcess(directory);
  removeCgroup(cgroupRoot(context));
  return null;
}

async function untilEnded(daemon: DaemonProcess, deadline: number, signal: AbortSignal): Promise<void> {
  while (isAlive(daemon) && performance.now() < deadline && !signal.aborted) await pause(POLL_MS, signal);
}

function kill({ pid }: DaemonProcess, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

/** Where cgroup v2 is mounted. */
function cgroupRoot({ table }: HelperContext): string | undefined {
  for (const { fsType, root, target } of table.entries()) {
    if (fsType === 'cgroup2' && root === '/') return target;
  }
  return undefined;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
