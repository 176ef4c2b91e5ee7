/** Mounts of NFS exports, by the kernel's client and nfs-utils' mount.nfs(8). */
import { lookup } from 'node:dns/promises';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { release } from 'node:os';
import { join } from 'node:path';
import { run } from '../helper/command.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { checkEmpty, makeTarget, setImmutable } from '../helper/target.ts';
import type { MountEntry } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { MountNfs, NfsMounted } from './operations.ts';

/** Called by itself and not through mount(8): a kill at the deadline then reaches the one process that may hang. */
const COMMAND = 'mount.nfs';
const SBIN = ['/sbin', '/usr/sbin', '/usr/local/sbin'];
const VOLUMES = '/proc/fs/nfsfs/volumes';

export async function mountNfs(
  context: HelperContext,
  request: MountNfs,
  { signal }: RequestContext,
): Promise<NfsMounted> {
  const { libc, table } = context;
  const source = nfsSource(request);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(request.timeoutMs)]);
  using target = makeTarget(context, request.target);
  const there = libc.statx(target.fd.number, '');
  if (there.mountId !== target.parent.stat.mountId) {
    const entry = table.byId(there.mountId);
    if (entry !== undefined && isNfs(entry) && entry.source === source && table.at(target.path).length === 1) {
      return { entry, created: false, immutableTarget: target.ours, fsid: fsidOf(entry) };
    }
    throw new NodeError('ForeignMount', `${target.path} has ${entry?.source ?? 'something'} mounted`, {
      path: target.path,
    });
  }
  if (!target.created) checkEmpty(target.fd, target.path);
  const immutableTarget = target.ours && setImmutable(libc, target.fd, true);
  const resolving = AbortSignal.any([signal, AbortSignal.timeout(request.timeoutMs / 2)]);
  await mountExport(request, target.path, { resolving, mounting: limit });
  table.refresh();
  const stack = table.at(target.path);
  const [entry] = stack;
  if (entry === undefined || stack.length > 1 || !isNfs(entry) || entry.source !== source) {
    const found = stack.map((each) => `${each.source} (${each.fsType})`).join(', ') || 'nothing';
    throw new NodeError('VerificationFailed', `${target.path} shows ${found} instead of ${source}`, {
      path: target.path,
    });
  }
  return { entry, created: true, immutableTarget, fsid: fsidOf(entry) };
}

/** Mounts an export on a directory, in the mount namespace of this thread. */
export async function mountExport(
  request: Pick<MountNfs, 'server' | 'path' | 'options'>,
  target: string,
  { resolving, mounting }: { readonly resolving: AbortSignal; readonly mounting: AbortSignal },
): Promise<void> {
  await resolve(request.server, resolving);
  const options = request.options.length === 0 ? [] : ['-o', request.options.join(',')];
  const { status, stderr } = await run(
    { argv: [COMMAND, nfsSource(request), target, ...options] },
    { signal: mounting },
  );
  if (status !== 0) throw new NodeError('CommandFailed', stderr.trim() || `${COMMAND} ended with ${status}`);
}

/** A module counts: the kernel loads it with the first mount. */
export function probeNfs(): { readonly kernel: boolean; readonly command: boolean } {
  const isKnown = /\tnfs4?$/m.test(readText('/proc/filesystems'));
  const modules =
    readText(`/lib/modules/${release()}/modules.dep`) + readText(`/lib/modules/${release()}/modules.builtin`);
  return {
    kernel: isKnown || /\/nfs\.ko/.test(modules),
    command: SBIN.some((folder) => isExecutable(join(folder, COMMAND))),
  };
}

/** Reads the kernel's own counters, proc(5) `mountstats`: no server is asked. */
export function nfsCopies(_context: HelperContext, { path }: { readonly path: string }): { readonly copies: number } {
  return { copies: copiesIn(readText('/proc/self/mountstats'), path) };
}

/**
 * Of one mount point, the requests after `COPY:` that did not fail: the first number without the ninth. A server that has no
 * such copies is asked once, too. Kernels before 5.3 do not count failures; nothing is claimed of them. Pure.
 */
export function copiesIn(mountstats: string, path: string): number {
  const own = mountstats.split(/^(?=device )/m).find((part) => part.split(' ', 5)[4] === path);
  const [, numbers = ''] = /^\s*COPY: ([\d ]+)$/m.exec(own ?? '') ?? [];
  const counts = numbers.split(' ').map(Number);
  const [requests = 0] = counts;
  const failures = counts[8] ?? requests;
  return requests - failures;
}

/** As the mount table shows it. */
export function nfsSource({ server, path }: Pick<MountNfs, 'server' | 'path'>): string {
  return `${isIP(server) === 6 ? `[${server}]` : server}:${path}`;
}

function isNfs({ fsType }: MountEntry): boolean {
  return fsType === 'nfs' || fsType === 'nfs4';
}

/** Asked before, because mount.nfs keeps asking for minutes and then gives no reason that could be told from others. */
async function resolve(server: string, signal: AbortSignal): Promise<void> {
  if (isIP(server) !== 0) return;
  const gaveUp = new Promise<never>((_, reject) => {
    const stop = (): void => reject(new NodeError('NameNotResolved', `the name "${server}" was not resolved in time`));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([lookup(server), gaveUp]);
  } catch (thrown) {
    if (thrown instanceof NodeError) throw thrown;
    const why = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
    throw new NodeError('NameNotResolved', `the name "${server}" has no address (${why})`, { cause: thrown });
  }
}

/** Lines are `NV SERVER PORT DEV FSID FSC`, where DEV is the device of the mount table. */
function fsidOf({ device }: MountEntry): string | null {
  for (const line of readText(VOLUMES).split('\n')) {
    const [, , , dev, fsid] = line.trim().split(/\s+/);
    if (dev === device) return fsid ?? null;
  }
  return null;
}

function readText(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
