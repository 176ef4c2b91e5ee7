/**
 * The system calls that Node has no binding for, through `koffi`. Thin: one function per call, errors as `NodeError`
 * with the errno's name. Constants are the kernel's (`include/uapi/linux/{mount,openat2,stat,fs}.h`); calls numbered
 * above 424 have the same number on every architecture.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { NodeError, type NodeErrorCode } from '../node-error.ts';

type Native = (...args: readonly unknown[]) => number;

export interface PollHandle {
  close(): void;
  unref(): void;
}

/** The part of koffi's module that is used here. */
interface Koffi {
  load(path: string | null): { func(name: string, result: string, args: readonly string[]): Native & AsyncNative };
  errno(): number;
  readonly node: {
    poll(fd: number, options: { readable: boolean }, callback: () => void): PollHandle;
  };
}

interface AsyncNative {
  async(...args: readonly unknown[]): void;
}

const require = createRequire(import.meta.url);

const SYS = {
  openTree: 428,
  moveMount: 429,
  openat2: 437,
  mountSetattr: 442,
  pidfdGetfd: 438,
  pidfdOpen: 434,
  quotactlFd: 443,
} as const;

const CLONE_NEWNS = 0x20000;
const CLONE_NEWUTS = 0x4000000;

export const AT_FDCWD = -100;
export const O_PATH = 0o10000000;
export const O_DIRECTORY = process.arch === 'arm64' ? 0o40000 : 0o200000;
export const O_NOFOLLOW = process.arch === 'arm64' ? 0o100000 : 0o400000;
export const O_CLOEXEC = 0o2000000;
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const AT_EMPTY_PATH = 0x1000;
export const AT_RECURSIVE = 0x8000;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
const AT_NO_AUTOMOUNT = 0x800;
const AT_STATX_FORCE_SYNC = 0x2000;
const AT_STATX_DONT_SYNC = 0x4000;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const STATX_BASIC = 0x7ff;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000n;
const FS_IOC_GETFLAGS = 0x80086601n;
const FS_IOC_SETFLAGS = 0x40086602n;
const FS_IMMUTABLE_FL = 0x10;
const FS_IOC_FSGETXATTR = 0x801c581fn;
const FS_IOC_FSSETXATTR = 0x401c5820n;
const FS_XFLAG_PROJINHERIT = 0x200;
const PRJQUOTA = 2;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** XATTR_SIZE_MAX and XATTR_LIST_MAX, limits.h. */
const XATTR_MAX = 65_536;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EPOLL_CTL_ADD = 1;
const EPOLLPRI = 2;
const POLLPRI = 2;
const SEEK_END = 2;
const EPOLLERR = 8;

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;
export const MS_REC = 1 << 14;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;

export const MOUNT_ATTR = {
  ro: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  noatime: 0x10,
  nodiratime: 0x80,
  nosymfollow: 0x200000,
} as const;
export const MOUNT_ATTR_ATIME_MASK = 0x70;

export interface Statx {
  readonly mode: number;
  readonly ino: bigint;
  /** As `fs.Stats.dev`: the C library's encoding of major and minor. */
  readonly dev: bigint;
  readonly nlink: number;
  readonly mountId: number;
  readonly isMountRoot: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
}

export interface Statfs {
  readonly type: bigint;
  readonly blockSize: bigint;
  readonly blocks: bigint;
  readonly blocksFree: bigint;
  readonly blocksAvailable: bigint;
  readonly files: bigint;
  readonly filesFree: bigint;
  /** `ST_RDONLY` and the like, of the mount the descriptor was opened through. */
  readonly flags: number;
}

/** To which project a file belongs, whose quota counts it. */
export interface Project {
  /** 0 = none. */
  readonly id: number;
  /** Of a directory: what is made in it belongs to the project too. */
  readonly inherited: boolean;
}

/** A path, or a name in bytes: names of others need not be text. */
export type Name = string | Buffer;

export interface Libc {
  openat2(dirfd: number, path: Name, flags: number, resolve: number): number;
  /** Like `openat2`, but -1 where there is no such name: a common answer, and errors are slow to make. */
  openat2IfExists(dirfd: number, path: Name, flags: number, resolve: number): number;
  /** A real descriptor of a directory, which system calls that O_PATH does not do for want. */
  openDirectory(path: string): number;
  close(fd: number): void;
  mkdirat(dirfd: number, name: string, mode: number): void;
  unlinkat(dirfd: number, name: Name, flags: number): void;
  /** renameat2(2) with RENAME_NOREPLACE: `EEXIST` where there is something of the new name. */
  renameNoReplace(fromDirfd: number, from: Name, toDirfd: number, to: Name): void;
  /** renameat2(2) with RENAME_EXCHANGE: two names of one directory get each other's meaning, in one step. */
  renameExchange(dirfd: number, one: Name, other: Name): void;
  /** Removes the ACLs of what a path leads to, as inherited from the directory above; none is success. */
  removeAcls(path: string): void;
  /** Gives what `to` leads to the extended attributes of `from`, ACLs among them; both are paths. */
  copyAttributes(from: string, to: string): void;
  statx(dirfd: number, path: string): Statx;
  /** Asks the server behind an open file for its attributes: what others changed is seen from now on. */
  revalidate(fd: number): void;
  fstatfs(fd: number): Statfs;
  /** syncfs(2): waits until all of the filesystem is where it is kept. */
  syncfs(fd: number): void;
  openTree(dirfd: number, path: string, options: { readonly recursive: boolean }): number;
  moveMount(treeFd: number, targetFd: number): void;
  mountSetattr(
    fd: number,
    attributes: { readonly set: number; readonly clear: number; readonly propagation: number },
    options: { readonly recursive: boolean },
  ): void;
  /** mount(2), for filesystems that are made by it. */
  mount(source: string, target: string, fsType: string, flags: bigint, data: string): void;
  umount(path: string, flags: number): void;
  /** unshare(2): gives this thread, and what it forks, a copy of the mount namespace and a host name of their own. */
  unshareMounts(): void;
  /** sethostname(2), of this thread's namespace. */
  setHostname(name: string): void;
  /** The same in a thread, for unmounts that may write out a lot; the result is that of `umount`. */
  umountAsync(path: string, flags: number): Promise<void>;
  /** Sets or clears the immutable attribute; false where the filesystem has no such thing. */
  setImmutable(fd: number, immutable: boolean): boolean;
  isImmutable(fd: number): boolean;
  /** The project of an open file; undefined where the filesystem has no such thing. */
  projectOf(fd: number): Project | undefined;
  setProject(fd: number, project: Project): void;
  /** quotactl_fd(2) for the project quota of the filesystem that the descriptor is on. */
  projectQuotactl(fd: number, command: number, id: number, buffer: Buffer): void;
  /** Locks the description behind another process's descriptor; false when someone else holds it. */
  lockForeignDescription(pid: number, fd: number): boolean;
  /** Resolves when the process has ended, zombies included; throws with `ESRCH` when there is none. */
  watchProcess(pid: number): { readonly done: Promise<void>; close(): void };
  /** Calls back when the mount table behind the open mountinfo descriptor has changed. */
  onMountEvent(mountinfoFd: number, callback: () => void): PollHandle;
  /** Calls back while the descriptor, of something that can be waited for, has something to read. */
  onReadable(fd: number, callback: () => void): PollHandle;
  /** Sets the position behind the last byte (lseek(2) with SEEK_END). */
  seekToEnd(fd: number): void;
  /** True once after the mount table has changed since this descriptor was last asked. It must be used for nothing else. */
  takeMountEvent(mountinfoFd: number): boolean;
}

/** Second names of the same number. */
const ALIASES = new Set(['EWOULDBLOCK', 'ENOTSUP']);
const ERRNO_NAMES = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !ALIASES.has(name))
    .map(([name, value]) => [value, name]),
);

/** Errno to code where the meaning does not depend on the call. */
const CODES: Readonly<Record<string, NodeErrorCode>> = {
  EPERM: 'PermissionDenied',
  EACCES: 'PermissionDenied',
  ENOSPC: 'NoSpace',
  EDQUOT: 'NoSpace',
  EBUSY: 'Busy',
  ENOENT: 'NotFound',
  ENOSYS: 'Unsupported',
  EOPNOTSUPP: 'Unsupported',
  ENAMETOOLONG: 'InvalidPath',
};

export function systemError(syscall: string, errno: string, path: string): NodeError {
  return new NodeError(CODES[errno] ?? 'Failed', `${syscall} ${path}: ${errno}`, { errno, syscall, path });
}

/** Loads koffi and binds the calls; throws what loading threw where this machine cannot. */
export function loadLibc(): Libc {
  const koffi = require('koffi') as Koffi;
  const lib = koffi.load(null);
  const native = (name: string, result: string, args: readonly string[]): Native & AsyncNative =>
    lib.func(name, result, args);

  const openat2 = native('syscall', 'long', ['long', 'int', 'str', 'void *', 'size_t']);
  const openTree = native('syscall', 'long', ['long', 'int', 'str', 'uint']);
  const moveMount = native('syscall', 'long', ['long', 'int', 'str', 'int', 'str', 'uint']);
  const mountSetattr = native('syscall', 'long', ['long', 'int', 'str', 'uint', 'void *', 'size_t']);
  const pidfd = native('syscall', 'long', ['long', 'int', 'uint', 'uint']);
  const close = native('close', 'int', ['int']);
  const mkdirat = native('mkdirat', 'int', ['int', 'str', 'uint']);
  const unlinkat = native('unlinkat', 'int', ['int', 'str', 'int']);
  const renameat2 = native('renameat2', 'int', ['int', 'str', 'int', 'str', 'uint']);
  const listxattr = native('listxattr', 'int64_t', ['str', 'void *', 'size_t']);
  const getxattr = native('getxattr', 'int64_t', ['str', 'str', 'void *', 'size_t']);
  const removexattr = native('removexattr', 'int', ['str', 'str']);
  const setxattr = native('setxattr', 'int', ['str', 'str', 'void *', 'size_t', 'int']);
  const statx = native('statx', 'int', ['int', 'str', 'int', 'uint', 'void *']);
  const syncfs = native('syncfs', 'int', ['int']);
  const fstatfs = native('fstatfs', 'int', ['int', 'void *']);
  const mount = native('mount', 'int', ['str', 'str', 'str', 'ulong', 'str']);
  const unshare = native('unshare', 'int', ['int']);
  const sethostname = native('sethostname', 'int', ['void *', 'size_t']);
  const umount2 = native('umount2', 'int', ['str', 'int']);
  const ioctl = native('ioctl', 'int', ['int', 'ulong', 'void *']);
  const quotactlFd = native('syscall', 'long', ['long', 'uint', 'uint', 'uint', 'void *']);
  const flock = native('flock', 'int', ['int', 'int']);
  const poll = native('poll', 'int', ['void *', 'ulong', 'int']);
  const lseek = native('lseek', 'long', ['int', 'long', 'int']);
  const epollCreate1 = native('epoll_create1', 'int', ['int']);
  const epollCtl = native('epoll_ctl', 'int', ['int', 'int', 'int', 'void *']);
  const epollWait = native('epoll_wait', 'int', ['int', 'void *', 'int', 'int']);

  const errnoName = (): string => ERRNO_NAMES.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
  const check = (result: number, syscall: string, path: Name): number => {
    if (result < 0) throw systemError(syscall, errnoName(), path.toString());
    return result;
  };
  // A NUL byte would cut the path short at the C side.
  const text = (path: Name): Name => {
    if (typeof path !== 'string') return Buffer.concat([path, Buffer.alloc(1)]);
    if (path.includes('\0')) throw new NodeError('InvalidPath', 'a path must not contain a NUL byte');
    return path;
  };

  // One buffer per structure: every call is synchronous and read at once.
  const how = Buffer.alloc(24);
  const attr = Buffer.alloc(32);
  const statxBuffer = Buffer.alloc(256);
  const statfsBuffer = Buffer.alloc(128);
  const flagsBuffer = Buffer.alloc(8);
  const pollBuffer = Buffer.alloc(8);
  const fsxattr = Buffer.alloc(28);

  const open = (dirfd: number, path: Name, flags: number, resolve: number): number => {
    how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
    how.writeBigUInt64LE(BigInt(resolve), 16);
    for (let attempt = 0; ; attempt += 1) {
      const fd = openat2(SYS.openat2, dirfd, text(path), how, 24);
      // openat2(2): EAGAIN when a rename or mount elsewhere raced with the walk; a retry settles it.
      if (fd >= 0 || attempt === 20 || koffi.errno() !== constants.errno.EAGAIN) return fd;
    }
  };

  return {
    openat2(dirfd, path, flags, resolve) {
      return check(open(dirfd, path, flags, resolve), 'openat2', path);
    },
    openat2IfExists(dirfd, path, flags, resolve) {
      const fd = open(dirfd, path, flags, resolve);
      return fd < 0 && koffi.errno() === constants.errno.ENOENT ? -1 : check(fd, 'openat2', path);
    },
    openDirectory(path) {
      return check(open(AT_FDCWD, path, O_DIRECTORY, 0), 'openat2', path);
    },
    close(fd) {
      close(fd);
    },
    mkdirat(dirfd, name, mode) {
      check(mkdirat(dirfd, text(name), mode), 'mkdirat', name);
    },
    unlinkat(dirfd, name, flags) {
      check(unlinkat(dirfd, text(name), flags), 'unlinkat', name);
    },
    renameNoReplace(fromDirfd, from, toDirfd, to) {
      check(renameat2(fromDirfd, text(from), toDirfd, text(to), RENAME_NOREPLACE), 'renameat2', to);
    },
    renameExchange(dirfd, one, other) {
      check(renameat2(dirfd, text(one), dirfd, text(other), RENAME_EXCHANGE), 'renameat2', other);
    },
    removeAcls(path) {
      for (const name of ['system.posix_acl_access', 'system.posix_acl_default']) {
        if (removexattr(text(path), name) === 0) continue;
        const errno = errnoName();
        if (errno !== 'ENODATA' && errno !== 'EOPNOTSUPP') throw systemError('removexattr', errno, path);
      }
    },
    copyAttributes(from, to) {
      const names = Buffer.alloc(XATTR_MAX);
      const value = Buffer.alloc(XATTR_MAX);
      const listed = listxattr(text(from), names, names.length);
      if (listed < 0 && errnoName() === 'EOPNOTSUPP') return;
      check(listed, 'listxattr', from);
      for (const name of names.toString('latin1', 0, listed).split('\0').filter(Boolean)) {
        const length = check(getxattr(text(from), name, value, value.length), 'getxattr', from);
        check(setxattr(text(to), name, value, length, 0), 'setxattr', to);
      }
    },
    statx(dirfd, path) {
      // Without synchronising: a dead NFS or FUSE server must not hang a look at the mount.
      const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | (path === '' ? AT_EMPTY_PATH : 0);
      check(statx(dirfd, text(path), flags, STATX_BASIC | STATX_MNT_ID, statxBuffer), 'statx', path);
      return readStatx(statxBuffer);
    },
    revalidate(fd) {
      check(statx(fd, text(''), AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC, statxBuffer), 'statx', '');
    },
    fstatfs(fd) {
      check(fstatfs(fd, statfsBuffer), 'fstatfs', '');
      return readStatfs(statfsBuffer);
    },
    syncfs(fd) {
      check(syncfs(fd), 'syncfs', '');
    },
    openTree(dirfd, path, { recursive }) {
      const flags =
        OPEN_TREE_CLONE |
        O_CLOEXEC |
        (recursive ? AT_RECURSIVE : 0) |
        (path === '' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW);
      return check(openTree(SYS.openTree, dirfd, text(path), flags), 'open_tree', path);
    },
    moveMount(treeFd, targetFd) {
      const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
      check(moveMount(SYS.moveMount, treeFd, '', targetFd, '', flags), 'move_mount', '');
    },
    mountSetattr(fd, { set, clear, propagation }, { recursive }) {
      attr.writeBigUInt64LE(BigInt(set), 0);
      attr.writeBigUInt64LE(BigInt(clear), 8);
      attr.writeBigUInt64LE(BigInt(propagation), 16);
      const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
      check(mountSetattr(SYS.mountSetattr, fd, '', flags, attr, 32), 'mount_setattr', '');
    },
    mount(source, target, fsType, flags, data) {
      check(mount(text(source), text(target), text(fsType), flags, text(data)), 'mount', target);
    },
    umount(path, flags) {
      check(umount2(text(path), flags), 'umount2', path);
    },
    unshareMounts() {
      check(unshare(CLONE_NEWNS | CLONE_NEWUTS), 'unshare', '');
    },
    setHostname(name) {
      const bytes = Buffer.from(name);
      check(sethostname(bytes, bytes.length), 'sethostname', name);
    },
    umountAsync(path, flags) {
      return new Promise((resolve, reject) => {
        umount2.async(text(path), flags, (error: unknown, result: number) => {
          if (error === null && result === 0) return resolve();
          // errno belongs to the worker thread. The call itself tells it again, or succeeds, which is as good.
          try {
            check(umount2(path, flags), 'umount2', path);
            resolve();
          } catch (again) {
            reject(NodeError.from(again));
          }
        });
      });
    },
    setImmutable(fd, immutable) {
      if (ioctl(fd, FS_IOC_GETFLAGS, flagsBuffer) < 0) return false;
      const before = flagsBuffer.readUInt32LE(0);
      const after = immutable ? before | FS_IMMUTABLE_FL : before & ~FS_IMMUTABLE_FL;
      if (after === before) return true;
      flagsBuffer.writeUInt32LE(after >>> 0, 0);
      return ioctl(fd, FS_IOC_SETFLAGS, flagsBuffer) >= 0;
    },
    isImmutable(fd) {
      return ioctl(fd, FS_IOC_GETFLAGS, flagsBuffer) >= 0 && (flagsBuffer.readUInt32LE(0) & FS_IMMUTABLE_FL) !== 0;
    },
    projectOf(fd) {
      if (ioctl(fd, FS_IOC_FSGETXATTR, fsxattr) < 0) {
        if (['ENOTTY', 'EOPNOTSUPP'].includes(errnoName())) return undefined;
        throw systemError('ioctl FS_IOC_FSGETXATTR', errnoName(), '');
      }
      return { id: fsxattr.readUInt32LE(12), inherited: (fsxattr.readUInt32LE(0) & FS_XFLAG_PROJINHERIT) !== 0 };
    },
    setProject(fd, { id, inherited }) {
      // Everything else in the structure stays as it is.
      check(ioctl(fd, FS_IOC_FSGETXATTR, fsxattr), 'ioctl FS_IOC_FSGETXATTR', '');
      const flags = fsxattr.readUInt32LE(0);
      fsxattr.writeUInt32LE((inherited ? flags | FS_XFLAG_PROJINHERIT : flags & ~FS_XFLAG_PROJINHERIT) >>> 0, 0);
      fsxattr.writeUInt32LE(id, 12);
      check(ioctl(fd, FS_IOC_FSSETXATTR, fsxattr), 'ioctl FS_IOC_FSSETXATTR', '');
    },
    projectQuotactl(fd, command, id, buffer) {
      check(quotactlFd(SYS.quotactlFd, fd, ((command << 8) | PRJQUOTA) >>> 0, id, buffer), 'quotactl_fd', '');
    },
    lockForeignDescription(pid, fd) {
      const process = check(pidfd(SYS.pidfdOpen, pid, 0, 0), 'pidfd_open', String(pid));
      try {
        const duplicate = check(pidfd(SYS.pidfdGetfd, process, fd, 0), 'pidfd_getfd', String(fd));
        try {
          if (flock(duplicate, LOCK_EX | LOCK_NB) === 0) return true;
          if (errnoName() === 'EAGAIN') return false;
          throw systemError('flock', errnoName(), String(fd));
        } finally {
          close(duplicate);
        }
      } finally {
        close(process);
      }
    },
    watchProcess(pid) {
      const fd = check(pidfd(SYS.pidfdOpen, pid, 0, 0), 'pidfd_open', String(pid));
      let settle = (): void => undefined;
      const done = new Promise<void>((resolve) => {
        settle = resolve;
      });
      // pidfd_open(2): readable once the process has terminated.
      const handle = koffi.node.poll(fd, { readable: true }, () => settle());
      let open = true;
      return {
        done,
        close() {
          if (!open) return;
          open = false;
          handle.close();
          close(fd);
        },
      };
    },
    takeMountEvent(mountinfoFd) {
      pollBuffer.writeInt32LE(mountinfoFd, 0);
      pollBuffer.writeInt16LE(POLLPRI, 4);
      pollBuffer.writeInt16LE(0, 6);
      return poll(pollBuffer, 1, 0) > 0;
    },
    onReadable: (fd, callback) => koffi.node.poll(fd, { readable: true }, callback),
    seekToEnd(fd) {
      check(lseek(fd, 0, SEEK_END), 'lseek', String(fd));
    },
    onMountEvent(mountinfoFd, callback) {
      // mountinfo signals POLLPRI, which Node's loop cannot wait for; an epoll set around it turns readable instead.
      const set = check(epollCreate1(O_CLOEXEC), 'epoll_create1', '');
      const event = Buffer.alloc(16);
      event.writeUInt32LE(EPOLLPRI | EPOLLERR, 0);
      check(epollCtl(set, EPOLL_CTL_ADD, mountinfoFd, event), 'epoll_ctl', 'mountinfo');
      const seen = Buffer.alloc(16);
      const handle = koffi.node.poll(set, { readable: true }, () => {
        epollWait(set, seen, 1, 0);
        callback();
      });
      return {
        close() {
          handle.close();
          close(set);
        },
        unref: () => handle.unref(),
      };
    },
  };
}

/** `struct statx`, statx(2). */
function readStatx(buffer: Buffer): Statx {
  const mode = buffer.readUInt16LE(28);
  const type = mode & 0o170000;
  return {
    mode,
    ino: buffer.readBigUInt64LE(32),
    dev: makedev(buffer.readUInt32LE(136), buffer.readUInt32LE(140)),
    nlink: buffer.readUInt32LE(16),
    mountId: Number(buffer.readBigUInt64LE(144)),
    isMountRoot: (buffer.readBigUInt64LE(8) & STATX_ATTR_MOUNT_ROOT) !== 0n,
    isDirectory: type === 0o040000,
    isSymlink: type === 0o120000,
  };
}

/** `struct statfs` as 64-bit kernels fill it, statfs(2). */
function readStatfs(buffer: Buffer): Statfs {
  return {
    type: buffer.readBigUInt64LE(0),
    blockSize: buffer.readBigUInt64LE(8),
    blocks: buffer.readBigUInt64LE(16),
    blocksFree: buffer.readBigUInt64LE(24),
    blocksAvailable: buffer.readBigUInt64LE(32),
    files: buffer.readBigUInt64LE(40),
    filesFree: buffer.readBigUInt64LE(48),
    flags: Number(buffer.readBigUInt64LE(80)),
  };
}

/** gnu_dev_makedev(3). */
export function makedev(major: number, minor: number): bigint {
  const [ma, mi] = [BigInt(major), BigInt(minor)];
  return ((ma & 0xfffn) << 8n) | (mi & 0xffn) | ((mi & ~0xffn) << 12n) | ((ma & ~0xfffn) << 32n);
}
