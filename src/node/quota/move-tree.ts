/** Moves a directory with all that is in it from one project to another: by descriptor, through no mount and no link. */
import { opendirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Fd } from '../helper/fd.ts';
import {
  type Libc,
  O_DIRECTORY,
  O_NOFOLLOW,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from '../helper/libc.ts';
import { NodeError } from '../node-error.ts';

/** Entries moved before others get their turn. */
const BATCH = 256;
/** open(2): never waits for whoever holds a lease. */
const O_NONBLOCK = 0o4000;
const STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
/** Not there any more, a mount, or something else than it was a moment ago: not part of the tree. */
const PASSED_OVER: ReadonlySet<string> = new Set(['ENOENT', 'EXDEV', 'ELOOP', 'ENOTDIR', 'ENXIO', 'ENODEV']);

export interface Move {
  readonly from: number;
  /** 0 = no project. */
  readonly to: number;
  readonly shownAs: string;
}

/**
 * A directory comes before what is in it: what is made in the meantime inherits, so that nothing is missed. What is in
 * `to` already is gone through again, because an earlier attempt may have ended there. What belongs to any other project
 * stays as it is, with all that is in it.
 */
export async function moveTree(libc: Libc, directory: Fd, move: Move, signal: AbortSignal): Promise<void> {
  await moveDirectory({ libc, move, signal, count: 0 }, directory);
}

interface Walk {
  readonly libc: Libc;
  readonly move: Move;
  readonly signal: AbortSignal;
  count: number;
}

async function moveDirectory(walk: Walk, directory: Fd): Promise<void> {
  if (!moveOne(walk, directory, true)) return;
  const stream = opendirSync(directory.procPath, { bufferSize: 1024 });
  try {
    for (let entry = stream.readSync(); entry !== null; entry = stream.readSync()) {
      walk.count += 1;
      if (walk.count % BATCH === 0) {
        await nextTurn();
        if (walk.signal.aborted) throw new NodeError('Aborted', `marking ${walk.move.shownAs} was interrupted`);
      }
      // The others (links, sockets, devices) have no content that could be limited.
      if (!entry.isDirectory() && !entry.isFile()) continue;
      using child = openStrict(walk, directory, entry.name, entry.isDirectory() ? O_DIRECTORY : O_NONBLOCK);
      if (child === undefined) continue;
      if (entry.isDirectory()) await moveDirectory(walk, child);
      else moveOne(walk, child, false);
    }
  } finally {
    stream.closeSync();
  }
}

/** False when it belongs to somebody else. */
function moveOne({ libc, move: { from, to, shownAs } }: Walk, fd: Fd, isDirectory: boolean): boolean {
  const before = libc.projectOf(fd.number);
  if (before === undefined || (before.id !== from && before.id !== to)) return false;
  const inherited = isDirectory && to !== 0;
  if (before.id === to && before.inherited === inherited) return true;
  try {
    libc.setProject(fd.number, { id: to, inherited });
  } catch (thrown) {
    const error = NodeError.from(thrown);
    throw new NodeError(error.code, `${shownAs} cannot be counted: ${error.message}`, {
      errno: error.errno,
      cause: error,
    });
  }
  return true;
}

function openStrict({ libc, move }: Walk, parent: Fd, name: string, flags: number): Fd | undefined {
  try {
    return new Fd(libc, libc.openat2(parent.number, name, flags | O_NOFOLLOW, STRICT));
  } catch (thrown) {
    const error = NodeError.from(thrown);
    if (PASSED_OVER.has(error.errno ?? '')) return undefined;
    const message = `${move.shownAs}: ${JSON.stringify(name)} cannot be looked at: ${error.errno}`;
    throw new NodeError(error.code, message, { errno: error.errno, cause: error });
  }
}
