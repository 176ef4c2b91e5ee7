/**
 * Opens directories below a root without following any symbolic link. Everything later happens on the descriptor, so
 * that a path swapped in between is never looked at again.
 */
import type { NodeErrorCode } from '../node-error.ts';
import { NodeError } from '../node-error.ts';
import { Fd } from './fd.ts';
import {
  AT_FDCWD,
  type Libc,
  O_DIRECTORY,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from './libc.ts';
import { components } from './paths.ts';

const BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/** What each errno of a walk means for a path that a user wrote. */
const USER_PATH_CODES: Readonly<Record<string, NodeErrorCode>> = {
  ENOENT: 'HostPathNotFound',
  ENOTDIR: 'HostPathNotADirectory',
  ELOOP: 'SymlinkInPath',
  EXDEV: 'SymlinkInPath',
  ENAMETOOLONG: 'InvalidPath',
};

const OWN_PATH_CODES: Readonly<Record<string, NodeErrorCode>> = { ELOOP: 'SymlinkInPath', EXDEV: 'SymlinkInPath' };

/** Opens a trusted directory (a root, a prefix); links in it are followed, since an administrator wrote it. */
export function openRoot(libc: Libc, path: string, forUser = false): Fd {
  return explain(path, forUser, () => new Fd(libc, libc.openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0)));
}

/** Opens the directory `relative` (empty = `root` itself) below an open root. */
export function openBeneath(libc: Libc, root: Fd, relative: string, shownAs: string, forUser = false): Fd {
  if (relative !== '') components(relative);
  return explain(shownAs, forUser, () => {
    return new Fd(libc, libc.openat2(root.number, relative === '' ? '.' : relative, O_PATH | O_DIRECTORY, BENEATH));
  });
}

/** Like `openBeneath`, making directories that are missing, one component at a time. */
export function makeBeneath(
  libc: Libc,
  root: Fd,
  relative: string,
  options: { readonly mode: number; readonly shownAs: string; readonly forUser?: boolean },
): { readonly fd: Fd; readonly created: boolean } {
  const { mode, shownAs, forUser = false } = options;
  const names = relative === '' ? [] : components(relative);
  const existing = explain(shownAs, forUser, () => {
    return libc.openat2IfExists(root.number, relative === '' ? '.' : relative, O_PATH | O_DIRECTORY, BENEATH);
  });
  if (existing >= 0) return { fd: new Fd(libc, existing), created: false };
  let current: Fd | undefined;
  let created = false;
  for (const name of names) {
    using parent = current;
    created = makeDirectory(libc, parent ?? root, name, mode);
    current = openBeneath(libc, parent ?? root, name, shownAs, forUser);
  }
  return { fd: current ?? openBeneath(libc, root, '', shownAs, forUser), created };
}

/** True when the directory was made here and now. */
function makeDirectory(libc: Libc, parent: Fd, name: string, mode: number): boolean {
  try {
    libc.mkdirat(parent.number, name, mode);
    return true;
  } catch (error) {
    if (error instanceof NodeError && error.errno === 'EEXIST') return false;
    throw error;
  }
}

function explain<T>(path: string, forUser: boolean, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof NodeError) || error.errno === undefined) throw error;
    const code = (forUser ? USER_PATH_CODES : OWN_PATH_CODES)[error.errno] ?? error.code;
    throw new NodeError(code, `${path}: ${SENTENCES[error.errno] ?? error.errno}`, {
      errno: error.errno,
      syscall: error.syscall,
      path,
      cause: error,
    });
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'no such directory',
  ENOTDIR: 'not a directory',
  ELOOP: 'a component is a symbolic link, and none is followed',
  EXDEV: 'leads out of its root',
  ENAMETOOLONG: 'name too long',
};
