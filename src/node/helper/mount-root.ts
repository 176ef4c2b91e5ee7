/**
 * The mount root: a mount point of its own, shared, so that containers which bind a directory below see later mounts.
 *
 * Where its directory is not in memory already (as /run is), a small tmpfs is put there: the targets are directories
 * made and removed by the thousand, each a journal transaction on a disk (0.1–1 ms), and a writer who misses a mount
 * fills one MiB of memory, not the disk of the host. Both are gone after a reboot, as the mounts themselves.
 */
import { crashPoint } from '../crash-points.ts';
import type { MountEntry } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext } from './context.ts';
import { Fd } from './fd.ts';
import { MS_SHARED } from './libc.ts';
import { locate } from './location.ts';
import { makeBeneath, openRoot } from './open-beneath.ts';
import { checkAbsolute } from './paths.ts';
import { checkEmpty } from './target.ts';

const SOURCE = 'clawstore-mounts';
const SIZE = '1m';
const MS_NOSUID = 2n;
const MS_NODEV = 4n;

/** Idempotent: a mount root from before a restart is adopted, with everything below it. */
export function prepareMountRoot({ libc, table }: HelperContext, { path }: { readonly path: string }): MountEntry {
  checkAbsolute(path);
  using root = openRoot(libc, '/');
  using directory = makeBeneath(libc, root, path.slice(1), { mode: 0o755, shownAs: path }).fd;
  table.refresh();
  const stack = table.at(path);
  if (stack.length > 1) {
    throw new NodeError('Overmounted', `${stack.length} mounts lie on the mount root ${path}; expected one`, { path });
  }
  if (stack.length === 0) {
    if (locate(libc, table, directory).fsType === 'tmpfs') {
      using tree = new Fd(libc, libc.openTree(directory.number, '', { recursive: true }));
      libc.moveMount(tree.number, directory.number);
    } else {
      // A mount here would hide what others keep in it, and a workload would miss its files.
      checkEmpty(directory, path);
      libc.mount(SOURCE, directory.procPath, 'tmpfs', MS_NOSUID | MS_NODEV, `size=${SIZE},nr_inodes=0,mode=755`);
    }
    crashPoint('root.after-bind');
  }
  // Opened again: the descriptor from before leads below the new mount.
  using mounted = openRoot(libc, path);
  if (!libc.statx(mounted.number, '').isMountRoot) {
    throw new NodeError('VerificationFailed', `the mount root ${path} is not a mount point`, { path });
  }
  libc.mountSetattr(mounted.number, { set: 0, clear: 0, propagation: MS_SHARED }, { recursive: false });
  table.refresh();
  const entry = table.at(path).at(-1);
  if (entry?.propagation.shared === undefined) {
    throw new NodeError('VerificationFailed', `the mount root ${path} could not be made shared`, { path });
  }
  return entry;
}
