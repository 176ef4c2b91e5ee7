/**
 * System calls that clone a file while its filesystem is held, through `koffi`; each in a thread, since it waits for disks.
 * Constants: `include/uapi/linux/{fs,fiemap}.h`.
 */
import { createRequire } from 'node:module';
import { constants as os } from 'node:os';
import { systemError } from '../helper/libc.ts';

type Call = ((...args: readonly unknown[]) => number) & { async(...args: readonly unknown[]): void };

interface Koffi {
  load(path: string | null): { func(name: string, result: string, args: readonly string[]): Call };
  errno(): number;
}

const FIFREEZE = 0xc0045877n;
const FITHAW = 0xc0045878n;
const FICLONE = 0x40049409n;
const FS_IOC_FIEMAP = 0xc020660bn;
/** `struct fiemap` without its extents: start, length, flags, mapped, count, reserved. */
const FIEMAP_SIZE = 32;
const FIEMAP_MAPPED = 20;
const FIEMAP_COUNT = 24;
/** `struct fiemap_extent`: logical, physical, length, 16 bytes reserved, flags, 12 bytes reserved. */
const EXTENT_SIZE = 56;
const EXTENT_LENGTH = 16;
const EXTENT_FLAGS = 40;
const FIEMAP_EXTENT_LAST = 0x1;
const FIEMAP_EXTENT_UNWRITTEN = 0x800;
const FIEMAP_EXTENT_SHARED = 0x2000;
const TO_THE_END = 0xffffffffffffffffn;
const EXTENTS_PER_CALL = 2048;

const ERRNO_NAMES = new Map(Object.entries(os.errno).map(([name, value]) => [value, name]));

/** How the blocks of a file lie, in bytes. */
export interface BlockUse {
  readonly extents: number;
  readonly allocatedBytes: bigint;
  /** Of these, what was written: the rest is reserved by fallocate(2), and no clone shares it. */
  readonly writtenBytes: bigint;
  /** Of these, what other files have too. */
  readonly sharedBytes: bigint;
}

export interface CloneCalls {
  /** syncfs(2). */
  syncFilesystem(fd: number, path: string): Promise<void>;
  /** FIFREEZE; false when it was frozen already. */
  freeze(fd: number, path: string): Promise<boolean>;
  /** FITHAW, which takes no time and waits for no thread; false when it was not frozen. */
  thaw(fd: number, path: string): boolean;
  /** FICLONE. @throws NodeError `Unsupported` where the filesystem cannot. */
  clone(sourceFd: number, targetFd: number, path: string): Promise<void>;
  /** Number of extents, FS_IOC_FIEMAP; undefined where the filesystem does not tell. */
  countExtents(fd: number): Promise<number | undefined>;
  /** All extents, one by one; undefined where the filesystem does not tell, or when there are more than `most`. */
  blockUse(fd: number, most: number): Promise<BlockUse | undefined>;
}

/** Loads koffi and binds the calls; throws what loading threw where this machine cannot. */
export function loadCloneCalls(): CloneCalls {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const lib = koffi.load(null);
  const ioctlNumber = lib.func('ioctl', 'int', ['int', 'ulong', 'long']);
  const ioctlBuffer = lib.func('ioctl', 'int', ['int', 'ulong', 'void *']);
  const syncfs = lib.func('syncfs', 'int', ['int']);

  const errnoName = (): string => ERRNO_NAMES.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
  /** Resolves with the errno of the thread, or null; koffi shows it in the callback and no later. */
  const inThread = (call: Call, ...args: readonly unknown[]): Promise<string | null> =>
    new Promise((resolve, reject) => {
      call.async(...args, (error: Error | null, result: number) => {
        if (error === null) resolve(result < 0 ? errnoName() : null);
        else reject(error);
      });
    });

  return {
    async syncFilesystem(fd, path) {
      const errno = await inThread(syncfs, fd);
      if (errno !== null) throw systemError('syncfs', errno, path);
    },
    async freeze(fd, path) {
      const errno = await inThread(ioctlNumber, fd, FIFREEZE, 0);
      if (errno === null || errno === 'EBUSY') return errno === null;
      throw systemError('FIFREEZE', errno, path);
    },
    thaw(fd, path) {
      if (ioctlNumber(fd, FITHAW, 0) === 0) return true;
      const errno = errnoName();
      if (errno === 'EINVAL') return false;
      throw systemError('FITHAW', errno, path);
    },
    async clone(sourceFd, targetFd, path) {
      const errno = await inThread(ioctlNumber, targetFd, FICLONE, sourceFd);
      if (errno !== null) throw systemError('FICLONE', errno, path);
    },
    async countExtents(fd) {
      const header = fiemap(FIEMAP_SIZE, 0n);
      const errno = await inThread(ioctlBuffer, fd, FS_IOC_FIEMAP, header);
      return errno === null ? header.readUInt32LE(FIEMAP_MAPPED) : undefined;
    },
    async blockUse(fd, most) {
      let [extents, allocatedBytes, writtenBytes, sharedBytes, start] = [0, 0n, 0n, 0n, 0n];
      for (;;) {
        const buffer = fiemap(FIEMAP_SIZE + EXTENTS_PER_CALL * EXTENT_SIZE, start);
        buffer.writeUInt32LE(EXTENTS_PER_CALL, FIEMAP_COUNT);
        if ((await inThread(ioctlBuffer, fd, FS_IOC_FIEMAP, buffer)) !== null) return undefined;
        const mapped = buffer.readUInt32LE(FIEMAP_MAPPED);
        extents += mapped;
        if (extents > most) return undefined;
        let isLast = mapped === 0;
        for (let at = FIEMAP_SIZE; at < FIEMAP_SIZE + mapped * EXTENT_SIZE; at += EXTENT_SIZE) {
          const length = buffer.readBigUInt64LE(at + EXTENT_LENGTH);
          const flags = buffer.readUInt32LE(at + EXTENT_FLAGS);
          allocatedBytes += length;
          if ((flags & FIEMAP_EXTENT_UNWRITTEN) === 0) writtenBytes += length;
          if ((flags & FIEMAP_EXTENT_SHARED) !== 0) sharedBytes += length;
          isLast ||= (flags & FIEMAP_EXTENT_LAST) !== 0;
          start = buffer.readBigUInt64LE(at) + length;
        }
        if (isLast) return { extents, allocatedBytes, writtenBytes, sharedBytes };
      }
    },
  };
}

function fiemap(size: number, start: bigint): Buffer {
  const buffer = Buffer.alloc(size);
  buffer.writeBigUInt64LE(start, 0);
  buffer.writeBigUInt64LE(TO_THE_END - start, 8);
  return buffer;
}
