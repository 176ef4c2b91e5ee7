/** The directory a mount is put on: made component by component, immutable while it waits, removed when it is empty. */
import { closeSync, opendirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { crashPoint } from '../crash-points.ts';
import type { TargetPath } from '../layer.ts';
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext } from './context.ts';
import type { Fd } from './fd.ts';
import { AT_REMOVEDIR, type Libc } from './libc.ts';
import { type Located, locate } from './location.ts';
import { makeBeneath, openBeneath, openRoot } from './open-beneath.ts';
import { components, refuseReserved } from './paths.ts';
import { refuseReservedLocation } from './reserved.ts';

/** Data below has its own permissions; workloads without privilege must be able to walk to it. */
const DIRECTORY_MODE = 0o755;

export interface Target {
  readonly root: Fd;
  readonly fd: Fd;
  /** Where the parent directory is; the mount point's own name is the last component. */
  readonly parent: Located;
  /** As mountinfo will show it. */
  readonly path: string;
  /** The directory exists because of us and may be removed by us. */
  readonly ours: boolean;
  /** Made here just now, so that nothing can be in it. */
  readonly created: boolean;
}

/**
 * Opens the target, making what is missing. A directory below the mount root is ours; elsewhere only one that was made
 * here just now, or that carries the immutable attribute this function's caller gives to those.
 */
export function makeTarget(context: HelperContext, target: TargetPath): Target & Disposable {
  const { libc } = context;
  const names = components(target.path);
  refuseTarget(context, targetName(target));
  const root = openRoot(libc, target.root);
  try {
    return makeTargetBelow(context, root, target, names);
  } catch (error) {
    root[Symbol.dispose]();
    throw error;
  }
}

function makeTargetBelow(
  context: HelperContext,
  root: Fd,
  target: TargetPath,
  names: readonly string[],
): Target & Disposable {
  const { libc, table } = context;
  const shownAs = targetName(target);
  using parentFd = makeBeneath(libc, root, names.slice(0, -1).join('/'), { mode: DIRECTORY_MODE, shownAs }).fd;
  const parent = locate(libc, table, parentFd);
  const name = names.at(-1) ?? '';
  const path = `${parent.realPath === '/' ? '' : parent.realPath}/${name}`;
  if (!isAtOrBelow(path, context.settings.mountRoot)) refuseReservedLocation(context, parent, shownAs);
  const { fd, created } = makeBeneath(libc, parentFd, name, { mode: DIRECTORY_MODE, shownAs });
  crashPoint('bind.after-mkdir');
  const ours = created || isAtOrBelow(path, context.settings.mountRoot);
  const dispose = (): void => {
    fd[Symbol.dispose]();
    root[Symbol.dispose]();
  };
  return { root, fd, parent, path, ours, created, [Symbol.dispose]: dispose };
}

/** Outside the mount root, a target obeys the same list as a source. */
function refuseTarget({ settings }: HelperContext, path: string): void {
  if (!isAtOrBelow(path, settings.mountRoot)) refuseReserved(path, settings);
}

/** Absolute name of a target, as written. */
export function targetName({ root, path }: TargetPath): string {
  return `${root === '/' ? '' : root}/${path}`;
}

/** Throws `TargetNotEmpty` when a mount here would hide files. */
export function checkEmpty(fd: Fd, path: string): void {
  const directory = opendirSync(fd.procPath);
  try {
    const first = directory.readSync();
    if (first !== null) {
      throw new NodeError(
        'TargetNotEmpty',
        `${path} holds files (${JSON.stringify(first.name)}); mounting would hide them`,
      );
    }
  } finally {
    directory.closeSync();
  }
}

/** Makes writers fail who come before the mount or after it; false where the filesystem cannot. */
export function setImmutable(libc: Libc, fd: Fd, immutable: boolean): boolean {
  return withDirectory(fd, (number) => libc.setImmutable(number, immutable));
}

/**
 * Removes the empty directory below a former mount, and up to two empty parents. Directories that are not ours, or not
 * empty, stay.
 */
export function removeTarget(context: HelperContext, target: TargetPath): void {
  const { libc, settings } = context;
  const names = components(target.path);
  using root = openRoot(libc, target.root);
  let ours = false;
  for (let depth = names.length; depth > 0 && depth > names.length - 3; depth -= 1) {
    try {
      using parent = openBeneath(libc, root, names.slice(0, depth - 1).join('/'), targetName(target));
      const name = names[depth - 1] ?? '';
      if (depth === names.length) {
        using fd = openBeneath(libc, parent, name, targetName(target));
        const immutable = withDirectory(fd, (number) => libc.isImmutable(number));
        ours = immutable || isAtOrBelow(dirname(targetName(target)), settings.mountRoot);
        if (!ours) return;
        if (immutable) setImmutable(libc, fd, false);
        crashPoint('unmount.after-clear-immutable');
      } else if (!isAtOrBelow(targetName(target), settings.mountRoot)) {
        // Parents of a target elsewhere may be the user's.
        return;
      }
      libc.unlinkat(parent.number, name, AT_REMOVEDIR);
      crashPoint('unmount.after-rmdir');
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      if (error.errno === 'ENOENT' || error.code === 'NotFound') continue;
      // Not empty, or mounted again by someone: not ours to remove.
      if (error.errno === 'ENOTEMPTY' || error.errno === 'EBUSY') return;
      throw error;
    }
  }
}

/** ioctl(2) wants a real descriptor, not one opened with O_PATH. */
function withDirectory<T>(fd: Fd, use: (number: number) => T): T {
  const number = openSync(fd.procPath, 'r');
  try {
    return use(number);
  } finally {
    closeSync(number);
  }
}
