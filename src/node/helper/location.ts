/** Where an open directory is: the mount it was reached through, and the path inside that filesystem. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Location } from '../layer.ts';
import type { MountEntry } from '../mount-entry.ts';
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { Fd } from './fd.ts';
import type { Libc, Statx } from './libc.ts';
import type { HelperTable } from './table.ts';

export interface Located extends Location {
  readonly mount: MountEntry;
  readonly stat: Statx;
  /** Path by which it is reachable now, all links resolved. */
  readonly realPath: string;
}

/** Throws `NotFound` when the directory was removed meanwhile, or its mount is not in this namespace. */
export function locate(libc: Libc, table: HelperTable, fd: Fd): Located {
  const stat = libc.statx(fd.number, '');
  const realPath = readlinkSync(fd.procPath);
  if (stat.nlink === 0 || realPath.endsWith(' (deleted)')) {
    throw new NodeError('NotFound', `${realPath} was removed`, { path: realPath });
  }
  let mount = table.byId(stat.mountId);
  if (mount === undefined || !isAtOrBelow(realPath, mount.target)) {
    // IDs are given out again: an entry that does not fit is older than this directory's mount.
    table.refresh();
    mount = table.byId(stat.mountId);
  }
  if (mount === undefined || !isAtOrBelow(realPath, mount.target)) {
    throw new NodeError('NotFound', `the mount below ${realPath} is not in this namespace`, { path: realPath });
  }
  return {
    device: mount.device,
    root: joinRoot(mount.root, realPath.slice(mount.target === '/' ? 0 : mount.target.length)),
    fsType: mount.fsType,
    stDev: stat.dev,
    stIno: stat.ino,
    readOnly: mount.options.includes('ro'),
    mount,
    stat,
    realPath,
  };
}

/** The mount that an open directory was reached through. A filesystem that was shut down answers no statx(2). */
export function mountIdOf(libc: Libc, fd: Fd): number {
  try {
    return libc.statx(fd.number, '').mountId;
  } catch (error) {
    if (!(error instanceof NodeError) || error.errno !== 'EIO') throw error;
    // proc_pid_fdinfo(5)
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd.number}`, 'utf8'))?.[1];
    if (id === undefined) throw error;
    return Number(id);
  }
}

/** Only what may cross the channel. */
export function toLocation({ device, root, fsType, stDev, stIno, readOnly }: Located): Location {
  return { device, root, fsType, stDev, stIno, readOnly };
}

/** Path inside the filesystem of what lies at `below` (empty or starting with a slash) under a mount with this root. */
export function joinRoot(root: string, below: string): string {
  if (below === '' || below === '/') return root;
  return root === '/' ? below : `${root}${below}`;
}
