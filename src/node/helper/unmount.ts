/**
 * Taking a mount down: identify it, umount, look whether any namespace still shows it, and only then remove the empty
 * directory (removing it earlier would make the kernel detach the copies under their users).
 */
import { crashPoint } from '../crash-points.ts';
import type { Holder, UnmountOutcome, UnmountRequest } from '../layer.ts';
import type { MountEntry } from '../mount-entry.ts';
import { hidesRoot, isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext, RequestContext } from './context.ts';
import { Fd } from './fd.ts';
import { findHolders } from './holders.ts';
import { MNT_DETACH, MNT_FORCE, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, UMOUNT_NOFOLLOW } from './libc.ts';
import { joinRoot, type Located, locate, mountIdOf } from './location.ts';
import { type CopyQuery, findCopies, NamespaceScanner, type Place, stripDeleted } from './namespaces.ts';
import { openBeneath, openRoot } from './open-beneath.ts';
import { components, refuseReserved } from './paths.ts';
import { removeTarget, targetName } from './target.ts';

const scanner = new NamespaceScanner();
const MOST_SHOWN = 5;

/** Options that tell a mount of ours from a mount of the same source made by someone else. */
const TELLING = new Set(['nosuid', 'nodev', 'noexec', 'nosymfollow']);

export async function unmount(
  context: HelperContext,
  request: UnmountRequest,
  { signal }: RequestContext,
): Promise<UnmountOutcome> {
  const { libc, table } = context;
  const names = components(request.target.path);
  const name = names.at(-1) ?? '';
  const path = targetName(request.target);
  if (!isAtOrBelow(path, context.settings.mountRoot)) refuseReserved(path, context.settings);
  using parentFd = openParent(context, request, names.slice(0, -1).join('/'));
  if (parentFd === undefined) {
    if (request.mountId !== undefined && table.byId(request.mountId)?.target === path) {
      throw new NodeError('Overmounted', `${path} cannot be reached: something is mounted over its parent`, { path });
    }
    return finish(context, request, undefined, undefined, signal);
  }
  const parent = locate(libc, table, parentFd);
  const entry = mountedAt(context, parentFd, parent, name);
  if (entry === undefined) return finish(context, request, parent, undefined, signal);
  identify(context, request, entry);
  const elsewhere = othersOf(context, request, entry);
  if (elsewhere.length > 0) return busyElsewhere(context, elsewhere, signal);

  crashPoint('unmount.before-umount');
  const place = `${parentFd.procPath}/${name}`;
  // The NFS client first gives up what it waits for, or the detached mount would hang on.
  const force = MNT_DETACH | (hidesRoot(entry) ? MNT_FORCE : 0);
  const flags = UMOUNT_NOFOLLOW | (request.force === true ? force : 0);
  if (!(await umountTree(context, place, entry, flags))) {
    return { outcome: 'busy', holders: await findHolders(context, entry, signal) };
  }
  crashPoint('unmount.after-umount');
  if (mountedAt(context, parentFd, parent, name) !== undefined) {
    throw new NodeError('ForeignMount', `below the mount that was taken down, ${path} shows another`, { path });
  }
  return finish(context, request, parent, entry, signal);
}

/** Undefined when the directory does not exist, and so nothing can be mounted in it. */
function openParent({ libc }: HelperContext, { target }: UnmountRequest, path: string): Fd | undefined {
  try {
    using root = openRoot(libc, target.root);
    return openBeneath(libc, root, path, targetName(target));
  } catch (error) {
    if (error instanceof NodeError && error.code === 'NotFound') return undefined;
    throw error;
  }
}

/** The topmost mount at `name`, by what a walk meets now. */
export function mountedAt(context: HelperContext, parentFd: Fd, parent: Located, name: string): MountEntry | undefined {
  const { libc, table } = context;
  let id: number;
  try {
    using fd = new Fd(libc, libc.openat2(parentFd.number, name, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH));
    id = mountIdOf(libc, fd);
  } catch (error) {
    if (error instanceof NodeError && error.code === 'NotFound') return undefined;
    throw error;
  }
  if (id === parent.stat.mountId) return undefined;
  const path = `${parent.realPath === '/' ? '' : parent.realPath}/${name}`;
  const known = table.byId(id);
  if (known?.target === path) return known;
  table.refresh();
  const entry = table.byId(id);
  if (entry === undefined) throw new NodeError('Failed', `the mount at ${path} is not in the mount table`, { path });
  return entry;
}

function identify({ table }: HelperContext, { mountId, target }: UnmountRequest, entry: MountEntry): void {
  if (entry.id === mountId) return;
  const path = targetName(target);
  if (mountId !== undefined && table.at(entry.target).some(({ id }) => id === mountId)) {
    throw new NodeError('Overmounted', `${entry.source} (${entry.fsType}) is mounted over ${path}`, { path });
  }
  throw new NodeError(
    'ForeignMount',
    `${path} shows ${entry.source}${entry.root}, which is not the mount that was meant`,
    {
      path,
    },
  );
}

/** Takes down the mount and, deepest first, the idle mounts below it; false when something is busy. */
async function umountTree(context: HelperContext, path: string, entry: MountEntry, flags: number): Promise<boolean> {
  const { libc, table } = context;
  // The last mount of a filesystem writes out what is dirty: not in the thread that answers everyone else.
  const last = !table.hasOther(entry);
  const attempt = async (): Promise<boolean> => {
    try {
      if (last && entry.fsType !== 'tmpfs') await libc.umountAsync(path, flags);
      else libc.umount(path, flags);
      table.remove(entry.id);
      return true;
    } catch (error) {
      if (error instanceof NodeError && error.errno === 'EBUSY') return false;
      // Not a mount point any more: someone else was faster.
      if (error instanceof NodeError && error.errno === 'EINVAL') {
        table.refresh();
        return true;
      }
      throw error;
    }
  };
  if (await attempt()) return true;
  table.refresh();
  const below = descendants([...table.entries()], entry.id);
  if (below.length === 0) return false;
  if (below.some((child) => losesData(context, child))) return false;
  for (const child of below.reverse()) {
    try {
      libc.umount(child.target, UMOUNT_NOFOLLOW);
    } catch (error) {
      table.refresh();
      if (error instanceof NodeError && error.errno === 'EBUSY') return false;
      throw error;
    }
  }
  table.refresh();
  return attempt();
}

/** Mounts that sit on this one, directly or not; parents before their children. */
function descendants(entries: readonly MountEntry[], id: number): MountEntry[] {
  const found: MountEntry[] = [];
  const queue = [id];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const entry of entries) {
      if (entry.parentId !== next || entry.id === next) continue;
      found.push(entry);
      queue.push(entry.id);
    }
  }
  return found;
}

/** A filesystem in memory that is mounted nowhere else would be gone with its files. */
function losesData({ table }: HelperContext, entry: MountEntry): boolean {
  return (entry.fsType === 'tmpfs' || entry.fsType === 'ramfs') && !table.hasOther(entry);
}

/** For `device`: other mounts of the same filesystem in this namespace. It is in use as long as there is one. */
function othersOf({ table }: HelperContext, request: UnmountRequest, entry: MountEntry | undefined): MountEntry[] {
  const device = request.scope === 'device' ? (entry ?? request.was)?.device : undefined;
  if (device === undefined) return [];
  // Files in memory are gone with the last mount: a mount made a moment ago, whose event has not come yet, counts too.
  if (entry === undefined || entry.fsType === 'tmpfs') table.refresh();
  return [...table.entries()].filter((other) => other.device === device && other.id !== entry?.id);
}

async function busyElsewhere(
  context: HelperContext,
  others: readonly MountEntry[],
  signal: AbortSignal,
): Promise<UnmountOutcome> {
  const holders: Holder[] = [];
  for (const other of others.slice(0, MOST_SHOWN)) holders.push(...(await findHolders(context, other, signal)));
  return {
    outcome: 'busy',
    holders: holders.slice(0, MOST_SHOWN),
    mounts: others.slice(0, MOST_SHOWN).map(({ target }) => target),
  };
}

/** Nothing is mounted here any more: looks at the other namespaces, then removes the directory. */
async function finish(
  context: HelperContext,
  request: UnmountRequest,
  parent: Located | undefined,
  entry: MountEntry | undefined,
  signal: AbortSignal,
): Promise<UnmountOutcome> {
  const elsewhere = othersOf(context, request, entry);
  if (elsewhere.length > 0) return busyElsewhere(context, elsewhere, signal);
  const views = await scanner.scan();
  const holders = findCopies(views, copyQuery(request, parent, entry), () => context.table.entries());
  if (holders.length > 0) return { outcome: 'in-use-by-other-namespace', holders };
  if (parent !== undefined) removeTarget(context, request.target);
  return { outcome: 'done' };
}

function copyQuery(request: UnmountRequest, parent: Located | undefined, entry: MountEntry | undefined): CopyQuery {
  const name = request.target.path.slice(request.target.path.lastIndexOf('/') + 1);
  const place: Place | undefined =
    parent === undefined ? undefined : { device: parent.device, root: joinRoot(parent.root, `/${name}`) };
  const was = entry ?? request.was;
  return {
    place,
    mounted: was === undefined ? undefined : { device: was.device, root: stripDeleted(was.root) },
    options: was?.options.filter((option) => TELLING.has(option)) ?? [],
    device: request.scope === 'device' ? was?.device : undefined,
  };
}

/** For callers that hold only an ID: the mount with it, looked up afresh. */
export function mountById({ table }: HelperContext, id: number): MountEntry | undefined {
  table.refresh();
  return table.byId(id);
}
