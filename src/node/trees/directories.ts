/** The directories that a tree is copied from and to, opened so that no link and no later mount leads elsewhere. */
import { chmodSync } from 'node:fs';
import { openUserPath } from '../helper/bind.ts';
import type { HelperContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { MOUNT_ATTR, MOUNT_ATTR_ATIME_MASK, MS_PRIVATE } from '../helper/libc.ts';
import { type Located, locate } from '../helper/location.ts';
import { makeBeneath, openBeneath, openRoot } from '../helper/open-beneath.ts';
import { components } from '../helper/paths.ts';
import { targetName } from '../helper/target.ts';
import type { TargetPath } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import type { TreeSource } from './operations.ts';

/** Whoever may read the source may read the source; a copy is nobody's but ours. */
const OWN_MODE = 0o700;

export interface OpenTree extends Disposable {
  readonly fd: Fd;
  readonly located: Located;
}

/** The name that a source is reached by. */
export function pathOf(source: TreeSource): string {
  return 'user' in source ? source.user.path : targetName(source.own);
}

/** Opens a source as it is reached by its name. */
export function openSource(context: HelperContext, source: TreeSource): OpenTree {
  if ('user' in source) return openUserPath(context, source.user, false);
  const { libc, table } = context;
  using root = openRoot(libc, source.own.root);
  const fd = openBeneath(libc, root, source.own.path, targetName(source.own));
  try {
    return { fd, located: locate(libc, table, fd), [Symbol.dispose]: () => fd[Symbol.dispose]() };
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

/**
 * The same directory through a mount of its own that nobody can see: without the mounts below (a bind of the same
 * filesystem has the same device and could not be told from a directory), read-only, and reading leaves no access times.
 * It goes with its last descriptor, and keeps the filesystem there until then, even when its disk is unmounted meanwhile.
 */
export function openPrivately({ libc }: HelperContext, { fd }: OpenTree): Fd {
  const tree = new Fd(libc, libc.openTree(fd.number, '', { recursive: false }));
  const attributes = { set: MOUNT_ATTR.ro | MOUNT_ATTR.noatime, clear: MOUNT_ATTR_ATIME_MASK, propagation: MS_PRIVATE };
  try {
    libc.mountSetattr(tree.number, attributes, { recursive: false });
    return tree;
  } catch (error) {
    tree[Symbol.dispose]();
    throw error;
  }
}

export interface Place extends Disposable {
  readonly parent: Fd;
  readonly name: string;
}

/** Opens the directory that holds, or will hold, a tree of ours; made where it is missing when that is asked for. */
export function openPlace(
  { libc }: Pick<HelperContext, 'libc'>,
  tree: TargetPath,
  { make }: { readonly make: boolean },
): Place {
  const names = components(tree.path);
  const above = names.slice(0, -1).join('/');
  const shownAs = targetName(tree);
  using root = openRoot(libc, tree.root);
  const parent = make
    ? makeBeneath(libc, root, above, { mode: OWN_MODE, shownAs }).fd
    : openBeneath(libc, root, above, shownAs);
  return { parent, name: names.at(-1) ?? '', [Symbol.dispose]: () => parent[Symbol.dispose]() };
}

/**
 * Opens a tree of ours, making it and what is above where it is missing. It hands nothing down to what is made in it: cp
 * takes an inherited set-group-ID bit for its own work and leaves it (coreutils 9.1).
 */
export function makeTree({ libc }: HelperContext, tree: TargetPath): Fd {
  using root = openRoot(libc, tree.root);
  const { fd } = makeBeneath(libc, root, tree.path, { mode: OWN_MODE, shownAs: targetName(tree) });
  try {
    libc.removeAcls(fd.procPath);
    chmodSync(fd.procPath, OWN_MODE);
    return fd;
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

/** True when an error says that there is no such directory. */
export function isMissing(thrown: unknown): boolean {
  return thrown instanceof NodeError && (thrown.code === 'HostPathNotFound' || thrown.code === 'NotFound');
}
