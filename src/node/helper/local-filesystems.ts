/** Which filesystems answer from this machine alone, and so never leave a system call hanging. */

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

export function isLocalFilesystem(fsType: string): boolean {
  return LOCAL.has(fsType);
}
