/** Which processes keep a mount busy: by working directory, root, program, open file, or mapped file. */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Holder } from '../layer.ts';
import type { MountEntry } from '../mount-entry.ts';
import type { HelperContext } from './context.ts';
import { AT_FDCWD, type Libc, O_PATH } from './libc.ts';
import { commOf } from './namespaces.ts';

const MAX_HOLDERS = 5;
/** A host with very many open files must not hold up the answer "busy" itself. */
const SCAN_LIMIT_MS = 1_000;

/** Up to five holders; fewer, or none, when the scan had to end early or the kernel itself holds the mount. */
export async function findHolders({ libc }: HelperContext, mount: MountEntry, signal: AbortSignal): Promise<Holder[]> {
  const holders = loopHolders(mount.target);
  const end = performance.now() + SCAN_LIMIT_MS;
  let scanned = 0;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (holders.length >= MAX_HOLDERS || signal.aborted || performance.now() > end) break;
    if (holds(libc, pid, mount)) holders.push({ pid, comm: commOf(pid) });
    scanned += 1;
    if (scanned % 50 === 0) await nextTurn();
  }
  return holders.slice(0, MAX_HOLDERS);
}

function holds(libc: Libc, pid: number, mount: MountEntry): boolean {
  const base = `/proc/${pid}`;
  for (const link of ['cwd', 'root', 'exe']) {
    if (mountIdOf(libc, `${base}/${link}`) === mount.id) return true;
  }
  for (const fd of listing(`${base}/fd`)) {
    if (mountIdOf(libc, `${base}/fd/${fd}`) === mount.id) return true;
  }
  // Mapped files have no descriptor left to ask; their names tell, as far as the process's own namespace is ours.
  return mapsBelow(pid, mount.target);
}

/** Mount that a magic link leads to; following it asks nothing of the filesystem. */
function mountIdOf(libc: Libc, link: string): number | undefined {
  try {
    const fd = libc.openat2(AT_FDCWD, link, O_PATH, 0);
    try {
      return libc.statx(fd, '').mountId;
    } finally {
      libc.close(fd);
    }
  } catch {
    // The process or descriptor is gone, or it is a kernel thread.
    return undefined;
  }
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function mapsBelow(pid: number, target: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8').includes(` ${target}/`);
  } catch {
    return false;
  }
}

/** Loop devices whose image lies in the mount: held by the kernel, for no process. */
function loopHolders(target: string): Holder[] {
  const holders: Holder[] = [];
  for (const name of listing('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    try {
      const image = readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trimEnd();
      if (image.startsWith(`${target}/`)) holders.push({ pid: 0, comm: name });
    } catch {
      // Not attached.
    }
  }
  return holders;
}
