/** Which filesystems answer from this machine alone, and so never leave a system call hanging. */
import { isAtOrBelow } from '../mount-entry.ts';
import type { HelperTable } from './table.ts';

/** Whatever is not listed (nfs, fuse, cifs, 9p, virtiofs, what comes next) is taken for one that can hang. */
const LOCAL = new Set([
  'bcachefs',
  'btrfs',
  'cgroup',
  'cgroup2',
  'configfs',
  'debugfs',
  'devpts',
  'devtmpfs',
  'erofs',
  'exfat',
  'ext2',
  'ext3',
  'ext4',
  'f2fs',
  'hugetlbfs',
  'iso9660',
  'overlay',
  'proc',
  'ramfs',
  'rootfs',
  'securityfs',
  'squashfs',
  'sysfs',
  'tmpfs',
  'udf',
  'vfat',
  'xfs',
  'zfs',
]);

/** True when no mount on the way to the path can hang, by the mount table alone. */
export function isLocal(table: HelperTable, path: string): boolean {
  return table.entries().every((entry) => LOCAL.has(entry.fsType) || !isAtOrBelow(path, entry.target));
}
