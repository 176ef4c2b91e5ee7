/** Looks at targets and filesystems; changes nothing. */
import type { FilesystemSize, Location, ObserveTarget, TargetObservation } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext } from './context.ts';
import { Fd } from './fd.ts';
import { AT_FDCWD, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from './libc.ts';
import { locate, mountIdOf, toLocation } from './location.ts';
import { openBeneath, openRoot } from './open-beneath.ts';
import { components, relativeToPrefix } from './paths.ts';
import { targetName } from './target.ts';

export function observeTarget(context: HelperContext, request: ObserveTarget): TargetObservation {
  const { table } = context;
  const { source, problem } = observeSource(context, request);
  const base = { source, problem };
  const names = components(request.target.path);
  try {
    using root = openRoot(context.libc, request.target.root);
    using parentFd = openBeneath(context.libc, root, names.slice(0, -1).join('/'), targetName(request.target));
    const parent = locate(context.libc, table, parentFd);
    const name = names.at(-1) ?? '';
    const path = `${parent.realPath === '/' ? '' : parent.realPath}/${name}`;
    const seen = look(context, parentFd, name);
    let stack = table.at(path);
    if (seen !== undefined && seen.mountId !== parent.stat.mountId && stack.at(-1)?.id !== seen.mountId) {
      // The table is a moment behind what the walk met.
      table.refresh();
      stack = table.at(path);
    } else if (stack.length > 0 && (seen?.mountId === parent.stat.mountId || source === null)) {
      // Gone without an event yet; or its source is, and only a fresh reading says what became of it.
      table.refresh();
      stack = table.at(path);
    }
    const mounted = seen !== undefined && seen.mountId !== parent.stat.mountId;
    return {
      ...base,
      stack,
      visibleMountId: mounted ? seen.mountId : null,
      visible: mounted ? seen.inode : null,
      targetExists: seen !== undefined,
    };
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    if (error.code === 'NotFound') {
      // A mount whose parents cannot be walked to any more is still in the table.
      const stack = table.at(targetName(request.target));
      return { ...base, stack, visibleMountId: null, visible: null, targetExists: false };
    }
    throw error;
  }
}

interface Seen {
  readonly mountId: number;
  /** null where the filesystem was shut down and answers nothing. */
  readonly inode: TargetObservation['visible'];
}

function look({ libc }: HelperContext, parentFd: Fd, name: string): Seen | undefined {
  try {
    using fd = new Fd(libc, libc.openat2(parentFd.number, name, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH));
    const mountId = mountIdOf(libc, fd);
    try {
      const { dev, ino } = libc.statx(fd.number, '');
      return { mountId, inode: { stDev: dev, stIno: ino } };
    } catch (error) {
      if (error instanceof NodeError && error.errno === 'EIO') return { mountId, inode: null };
      throw error;
    }
  } catch (error) {
    if (error instanceof NodeError && error.code === 'NotFound') return undefined;
    throw error;
  }
}

function observeSource(
  context: HelperContext,
  { user, own }: ObserveTarget,
): { readonly source: Location | null; readonly problem: TargetObservation['problem'] } {
  try {
    if (user !== undefined) {
      // Only looked at, to recognise a mount of it: whether it may be mounted is asked when it is mounted.
      const relative = relativeToPrefix(user.prefix, user.path);
      using prefix = openRoot(context.libc, user.prefix, true);
      using fd = openBeneath(context.libc, prefix, relative, user.path, true);
      return { source: toLocation(locate(context.libc, context.table, fd)), problem: null };
    }
    if (own !== undefined) {
      using root = openRoot(context.libc, own.root);
      using fd = openBeneath(context.libc, root, own.path, own.path);
      return { source: toLocation(locate(context.libc, context.table, fd)), problem: null };
    }
    return { source: null, problem: null };
  } catch (error) {
    const { code, message, errno } = NodeError.from(error);
    return { source: null, problem: { code, message, errno } };
  }
}

export function statfs({ libc }: HelperContext, { path }: { readonly path: string }): FilesystemSize {
  using fd = new Fd(libc, libc.openat2(AT_FDCWD, path, O_PATH, 0));
  const { blockSize, blocks, blocksFree, blocksAvailable, files, filesFree } = libc.fstatfs(fd.number);
  return {
    totalBytes: blocks * blockSize,
    freeBytes: blocksFree * blockSize,
    availableBytes: blocksAvailable * blockSize,
    usedBytes: (blocks - blocksFree) * blockSize,
    filesTotal: files,
    filesFree,
  };
}
