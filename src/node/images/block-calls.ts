/**
 * System calls on loop devices and filesystem contexts, through `koffi`. Constants: `include/uapi/linux/{loop,mount,fs,
 * falloc}.h`; fsopen, fsconfig and fsmount have the same number on every architecture.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants as os } from 'node:os';
import { systemError } from '../helper/libc.ts';
import { NodeError } from '../node-error.ts';

type Call = ((...args: readonly unknown[]) => number) & { async(...args: readonly unknown[]): void };

interface Koffi {
  load(path: string | null): { func(name: string, result: string, args: readonly string[]): Call };
  errno(): number;
}

const SYS = { fsopen: 430, fsconfig: 431, fsmount: 432 } as const;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;
const LOOP_GET_STATUS64 = 0x4c05n;
const LOOP_SET_CAPACITY = 0x4c07n;
const LOOP_CONFIGURE = 0x4c0an;
const LOOP_CTL_GET_FREE = 0x4c82n;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** `struct loop_config`: fd, block size, `struct loop_info64` (232 bytes, flags at 52), 64 bytes reserved. */
const LOOP_CONFIG_SIZE = 304;
const LOOP_CONFIG_FLAGS = 8 + 52;
/** `struct loop_info64` begins with the device and the inode number of the file. */
const LOOP_INFO_SIZE = 232;
const SECTOR = 4096;
const FIFREEZE = 0xc0045877n;
const FITHAW = 0xc0045878n;
const FICLONE = 0x40049409n;
const ATTACH_ATTEMPTS = 50;

const ERRNO_NAMES = new Map(Object.entries(os.errno).map(([name, value]) => [value, name]));

/** A loop device that frees itself when its last user (descriptor or mount) is gone. */
export interface AttachedLoop {
  readonly path: string;
  /** Holds the device until it is mounted; close it then. */
  readonly fd: number;
}

/** `st_dev` and `st_ino` of a file. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

export interface BlockCalls {
  /** Attaches a file. The sector size is 4096, as direct I/O on a cloned file needs. */
  attach(file: string): AttachedLoop;
  /** Which file is behind a loop device, whatever its name is now; undefined when none is, or there is no such device. */
  backing(devicePath: string): FileIdentity | undefined;
  /** Makes the device see the new size of its file. */
  updateCapacity(devicePath: string): void;
  /**
   * Makes a mount of a block device that nobody can see yet; the answer is its descriptor.
   * @throws NodeError with the kernel's own words.
   */
  mountDevice(devicePath: string, filesystem: string, flags: readonly string[], attributes: number): Promise<number>;
  /** Allocates blocks from one size to a larger one, growing the file; in a thread, since a large file takes a while. */
  allocate(fd: number, from: bigint, to: bigint, path: string): Promise<void>;
  /** FIFREEZE and FITHAW, ioctl_fs(2) by descriptor. Already so = success. */
  setFrozen(fd: number, frozen: boolean, path: string): Promise<void>;
  /** FICLONE; false with the errno's name where the filesystem cannot. */
  clone(sourceFd: number, targetFd: number): string | null;
}

/** Loads koffi and binds the calls; throws what loading threw where this machine cannot. */
export function loadBlockCalls(): BlockCalls {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const lib = koffi.load(null);
  const fsopen = lib.func('syscall', 'long', ['long', 'str', 'uint']);
  const fsconfig = lib.func('syscall', 'long', ['long', 'int', 'uint', 'str', 'str', 'int']);
  const fsmount = lib.func('syscall', 'long', ['long', 'int', 'uint', 'uint']);
  const ioctlNumber = lib.func('ioctl', 'int', ['int', 'ulong', 'long']);
  const ioctlBuffer = lib.func('ioctl', 'int', ['int', 'ulong', 'void *']);
  const posixFallocate = lib.func('posix_fallocate', 'int', ['int', 'long', 'long']);

  const errnoName = (): string => ERRNO_NAMES.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
  const check = (result: number, syscall: string, path: string): number => {
    if (result < 0) throw systemError(syscall, errnoName(), path);
    return result;
  };
  const inThread = (call: Call, ...args: readonly unknown[]): Promise<number> =>
    new Promise((resolve, reject) => {
      call.async(...args, (error: Error | null, result: number) => {
        if (error === null) resolve(result);
        else reject(error);
      });
    });

  return {
    attach(file) {
      const fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
      try {
        const config = Buffer.alloc(LOOP_CONFIG_SIZE);
        config.writeUInt32LE(fd, 0);
        config.writeUInt32LE(SECTOR, 4);
        for (let attempt = 0; attempt < ATTACH_ATTEMPTS; attempt += 1) {
          const path = `/dev/loop${freeLoop(ioctlNumber, check)}`;
          const device = openSync(path, constants.O_RDWR);
          // Some filesystems below (tmpfs, older FUSE) know no direct I/O; the device then goes through the page cache.
          for (const flags of [LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, LO_FLAGS_AUTOCLEAR]) {
            config.writeUInt32LE(flags, LOOP_CONFIG_FLAGS);
            if (ioctlBuffer(device, LOOP_CONFIGURE, config) === 0) return { path, fd: device };
            if (errnoName() !== 'EINVAL') break;
          }
          const errno = errnoName();
          closeSync(device);
          // Someone else took it between the two calls.
          if (errno !== 'EBUSY') throw systemError('LOOP_CONFIGURE', errno, file);
        }
        throw new NodeError('Busy', `no loop device could be had for ${file}`, { path: file });
      } finally {
        closeSync(fd);
      }
    },
    backing(devicePath) {
      let fd: number;
      try {
        fd = openSync(devicePath, constants.O_RDONLY);
      } catch {
        return undefined; // gone meanwhile, or not in this /dev
      }
      try {
        const info = Buffer.alloc(LOOP_INFO_SIZE);
        // ENXIO: no file is attached.
        if (ioctlBuffer(fd, LOOP_GET_STATUS64, info) !== 0) return undefined;
        return { dev: info.readBigUInt64LE(0), ino: info.readBigUInt64LE(8) };
      } finally {
        closeSync(fd);
      }
    },
    updateCapacity(devicePath) {
      const fd = openSync(devicePath, constants.O_RDWR);
      try {
        check(ioctlNumber(fd, LOOP_SET_CAPACITY, 0), 'LOOP_SET_CAPACITY', devicePath);
      } finally {
        closeSync(fd);
      }
    },
    async mountDevice(devicePath, filesystem, flags, attributes) {
      const context = check(fsopen(SYS.fsopen, filesystem, CLOEXEC), 'fsopen', filesystem);
      try {
        const set = (result: number): number => {
          if (result < 0) throw explain(context, devicePath, errnoName());
          return result;
        };
        set(fsconfig(SYS.fsconfig, context, FSCONFIG_SET_STRING, 'source', devicePath, 0));
        for (const flag of flags) set(fsconfig(SYS.fsconfig, context, FSCONFIG_SET_FLAG, flag, null, 0));
        // Reads the superblock and replays the log, which may take a while.
        const created = await inThread(fsconfig, SYS.fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0);
        if (created < 0) throw explain(context, devicePath, 'refused');
        return set(fsmount(SYS.fsmount, context, CLOEXEC, attributes));
      } finally {
        closeSync(context);
      }
    },
    async allocate(fd, from, to, path) {
      // posix_fallocate(3) answers with the error number itself.
      const error = await inThread(posixFallocate, fd, from, to - from);
      if (error !== 0) throw systemError('fallocate', ERRNO_NAMES.get(error) ?? `errno ${error}`, path);
    },
    async setFrozen(fd, frozen, path) {
      const result = await inThread(ioctlNumber, fd, frozen ? FIFREEZE : FITHAW, 0);
      if (result === 0) return;
      // errno belongs to the thread; the same call again tells it: EBUSY = frozen already, EINVAL = not frozen.
      if (ioctlNumber(fd, frozen ? FIFREEZE : FITHAW, 0) === 0) return;
      const errno = errnoName();
      if (errno !== (frozen ? 'EBUSY' : 'EINVAL')) throw systemError(frozen ? 'FIFREEZE' : 'FITHAW', errno, path);
    },
    clone(sourceFd, targetFd) {
      return ioctlNumber(targetFd, FICLONE, sourceFd) === 0 ? null : errnoName();
    },
  };
}

function freeLoop(ioctl: Call, check: (result: number, syscall: string, path: string) => number): number {
  const control = openSync('/dev/loop-control', constants.O_RDWR);
  try {
    return check(ioctl(control, LOOP_CTL_GET_FREE, 0), 'LOOP_CTL_GET_FREE', '/dev/loop-control');
  } finally {
    closeSync(control);
  }
}

/** The kernel puts its reasons, one line each, where reads of the filesystem context find them (fsopen(2)). */
function explain(context: number, path: string, errno: string): NodeError {
  const lines: string[] = [];
  const buffer = Buffer.alloc(1024);
  try {
    for (let line = 0; line < 8; line += 1) {
      const length = readSync(context, buffer, 0, buffer.length, null);
      if (length <= 0) break;
      lines.push(buffer.toString('utf8', 2, length).trim());
    }
  } catch {
    // ENODATA: there are no more.
  }
  const why = lines.length > 0 ? lines.join('; ') : errno;
  return new NodeError('Failed', `${path} cannot be mounted: ${why}`, { syscall: 'fsconfig', path });
}
