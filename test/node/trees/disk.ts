import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';

export type DiskFilesystem = 'xfs' | 'btrfs' | 'ext4';

const MKFS: Readonly<Record<DiskFilesystem, readonly [string, ...string[]]>> = {
  xfs: ['mkfs.xfs', '-q', '-f', '-m', 'reflink=1'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0'],
};

/** Mounts a filesystem of its own, in a sparse file beside the directory. @returns what takes it away. */
export function mountDisk(
  directory: string,
  filesystem: DiskFilesystem,
  sizeMiB = 320,
  options: readonly string[] = [],
): () => void {
  const file = `${directory}.img`;
  const [mkfs, ...args] = MKFS[filesystem];
  mkdirSync(directory, { recursive: true });
  execFileSync('truncate', ['-s', `${sizeMiB}M`, file]);
  execFileSync(mkfs, [...args, ...options, file], { stdio: 'pipe' });
  execFileSync('mount', ['-o', 'loop', file, directory]);
  return () => {
    execFileSync('umount', ['--recursive', directory]);
    rmSync(file);
  };
}
