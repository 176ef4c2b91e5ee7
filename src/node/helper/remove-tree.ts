/**
 * Removal of a directory of ours with all that is in it: by descriptor, on one device, through no mount and no link.
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crashPoint } from '../crash-points.ts';
import type { TargetPath } from '../layer.ts';
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext, RequestContext } from './context.ts';
import { Fd } from './fd.ts';
import {
  AT_REMOVEDIR,
  type Libc,
  type Name,
  O_DIRECTORY,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from './libc.ts';
import { locate } from './location.ts';
import { openBeneath, openRoot } from './open-beneath.ts';
import { components } from './paths.ts';
import { targetName } from './target.ts';

/** Same filesystem, same mount, no link: RESOLVE_NO_XDEV refuses even a bind of the same device. */
const STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
/** Entries removed before others get their turn. */
const BATCH = 256;

/** Throws `MountBelow` when anything is mounted at or below the directory; nothing has been removed then. */
export async function removeTree(context: HelperContext, target: TargetPath, request: RequestContext): Promise<null> {
  const { libc, table } = context;
  const names = components(target.path);
  const shownAs = targetName(target);
  using root = openRoot(libc, target.root);
  let parent: Fd;
  try {
    parent = openBeneath(libc, root, names.slice(0, -1).join('/'), shownAs);
  } catch (error) {
    if (error instanceof NodeError && error.errno === 'ENOENT') return null;
    throw error;
  }
  using _parent = parent;
  const { realPath } = locate(libc, table, parent);
  const name = names.at(-1) ?? '';
  table.refresh();
  const path = `${realPath}/${name}`;
  const mounted = [...table.entries()].find((entry) => isAtOrBelow(entry.target, path));
  if (mounted !== undefined) {
    throw new NodeError('MountBelow', `${shownAs} is not removed: ${mounted.target} is a mount point`, {
      path: shownAs,
    });
  }
  await removeEntry({ libc, request, count: 0, shownAs }, parent, name);
  return null;
}

interface Removal {
  readonly libc: Libc;
  readonly request: RequestContext;
  readonly shownAs: string;
  count: number;
}

async function removeEntry(removal: Removal, parent: Fd, name: Name): Promise<void> {
  const { libc } = removal;
  removal.count += 1;
  if (removal.count === 1) crashPoint('remove-tree.first-entry');
  if (removal.count % BATCH === 0) {
    await nextTurn();
    if (removal.request.signal.aborted) throw new NodeError('Aborted', `removal of ${removal.shownAs} was interrupted`);
  }
  try {
    libc.unlinkat(parent.number, name, 0);
    return;
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    if (error.errno === 'ENOENT') return;
    // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX and for immutable files.
    if (error.errno !== 'EISDIR' && error.errno !== 'EPERM') throw error;
  }
  using directory = openStrict(removal, parent, name);
  if (directory === undefined) return;
  for (const child of childrenOf(libc, directory)) await removeEntry(removal, directory, child);
  libc.unlinkat(parent.number, name, AT_REMOVEDIR);
}

function openStrict({ libc, shownAs }: Removal, parent: Fd, name: Name): Fd | undefined {
  try {
    return new Fd(libc, libc.openat2(parent.number, name, O_PATH | O_DIRECTORY, STRICT));
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    if (error.errno === 'ENOENT') return undefined;
    if (error.errno === 'EXDEV') {
      throw new NodeError(
        'MountBelow',
        `${shownAs}: ${JSON.stringify(name.toString())} became a mount point during removal`,
      );
    }
    throw new NodeError(
      error.code,
      `${shownAs}: ${JSON.stringify(name.toString())} cannot be removed: ${error.errno}`,
      {
        errno: error.errno,
        cause: error,
      },
    );
  }
}

/** Names in a directory, in bytes, since not every name is text; clears an immutable attribute of ours, which would forbid their removal. */
function childrenOf(libc: Libc, directory: Fd): Buffer[] {
  const number = openSync(directory.procPath, 'r');
  try {
    if (libc.isImmutable(number)) libc.setImmutable(number, false);
  } finally {
    closeSync(number);
  }
  return readdirSync(directory.procPath, { encoding: 'buffer' });
}
