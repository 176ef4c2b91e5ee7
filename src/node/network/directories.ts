/** Directories inside a mounted filesystem of ours. */
import { chmodSync } from 'node:fs';
import type { HelperContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { locate } from '../helper/location.ts';
import { makeBeneath, openBeneath, openRoot } from '../helper/open-beneath.ts';
import { targetName } from '../helper/target.ts';
import { NodeError } from '../node-error.ts';
import type { FoundDirectory, MakeDirectory } from './operations.ts';

export function makeDirectory(context: HelperContext, request: MakeDirectory): FoundDirectory {
  const { libc } = context;
  const shownAs = `${targetName(request.mount)}/${request.path}`;
  using root = openMount(context, request);
  const { fd, created } = makeBeneath(libc, root, request.path, { mode: request.mode, shownAs });
  using _fd = fd;
  // The mode of mkdir(2) is cut by the umask.
  if (created) chmodSync(fd.procPath, request.mode);
  return { created, ino: libc.statx(fd.number, '').ino };
}

export function findDirectory(
  context: HelperContext,
  request: Omit<MakeDirectory, 'mode'>,
): Omit<FoundDirectory, 'created'> | null {
  using root = openMount(context, request);
  try {
    using fd = openBeneath(context.libc, root, request.path, `${targetName(request.mount)}/${request.path}`);
    return { ino: context.libc.statx(fd.number, '').ino };
  } catch (error) {
    if (error instanceof NodeError && error.code === 'NotFound') return null;
    throw error;
  }
}

export function syncFilesystem({ libc }: HelperContext, { path }: { readonly path: string }): null {
  using fd = new Fd(libc, libc.openDirectory(path));
  libc.syncfs(fd.number);
  return null;
}

/** Opens the root of a mount; it must be of the device that is meant. */
function openMount({ libc, table }: HelperContext, { mount, device }: Omit<MakeDirectory, 'mode'>): Fd {
  using root = openRoot(libc, mount.root);
  const fd = openBeneath(libc, root, mount.path, targetName(mount));
  const found = locate(libc, table, fd);
  if (found.device === device) return fd;
  fd[Symbol.dispose]();
  throw new NodeError('ForeignMount', `${targetName(mount)} does not show the filesystem that was meant`, {
    path: targetName(mount),
  });
}
