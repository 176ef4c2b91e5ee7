/** The helper's operations on image files: declared here, registered in `helper/registry.ts`. */
import type { BindResult, TargetPath } from '../layer.ts';
import type { Operation } from '../operations.ts';
import type { BlockUse } from './clone-calls.ts';

export type ImageFilesystem = 'xfs' | 'ext4';

/** Ends the name of an image until it is complete; what a kill leaves behind has it. */
export const UNFINISHED = '.new';

/**
 * Ends the name of a symbolic link beside an image whose file was made larger and whose filesystem may not have been yet.
 * It "leads to" the size in bytes that the filesystem had; a link is made whole or not at all.
 */
export const GROWING = '.growing';

export interface CreateImage {
  /** Absolute path of the image, in a directory of ours. */
  readonly file: string;
  readonly sizeBytes: bigint;
  /** `sparse` takes space as it is written (Thin), `full` allocates everything now (Thick, and pool files). */
  readonly allocation: 'sparse' | 'full';
  readonly filesystem: ImageFilesystem;
}

export interface MountImage {
  readonly file: string;
  readonly target: TargetPath;
  readonly filesystem: ImageFilesystem;
  /** Attributes of the mount, as for binds. */
  readonly options: readonly string[];
  /** Give freed blocks back to the file below; never on a pool, whose file must stay allocated. */
  readonly discard: boolean;
  /** Directory made inside, with these permission bits, for workloads to see. */
  readonly inside: { readonly name: string; readonly mode: number } | null;
}

export interface GrowImage {
  readonly file: string;
  readonly sizeBytes: bigint;
  readonly allocation: 'sparse' | 'full';
  readonly filesystem: ImageFilesystem;
  /** Where it is mounted; null = nowhere, which `xfs` cannot grow: `Unsupported`. */
  readonly target: TargetPath | null;
}

export interface MakeInside {
  readonly target: TargetPath;
  readonly device: string;
  readonly name: string;
  readonly mode: number;
}

export interface MountedImage {
  readonly target: TargetPath;
  /** `major:minor` that is mounted there. */
  readonly device: string;
}

export interface CloneImage {
  /** The image whose content is wanted. */
  readonly source: string;
  /** Where it is mounted by us, so that its writers can be held; null = nowhere. */
  readonly mounted: MountedImage | null;
  /** Image to be made. Until `nameImage` it has `UNFINISHED` behind its name. */
  readonly file: string;
  /** `clone` shares blocks (FICLONE), `copy` does not. */
  readonly by: 'clone' | 'copy';
  /** `full` allocates what is not allocated in the source either. */
  readonly allocation: 'sparse' | 'full';
  /** How long writers may be held, milliseconds. */
  readonly freezeTimeoutMs: number;
  /** Whether writers are held: `must` or it is refused with `FreezeTimeout`, `try`, or `never`. A copy needs it. */
  readonly hold: 'must' | 'try' | 'never';
}

export interface ClonedImage {
  /** The moment whose content it has. */
  readonly takenAt: Date;
  /** `held`: no write was half done. `idle`: mounted nowhere. `running`: as after a power cut. */
  readonly writers: 'held' | 'idle' | 'running';
  /** How long writers were held, milliseconds. */
  readonly heldMs: number;
  /** Why they were not held; empty when they were. */
  readonly why: string;
}

export interface NameImage {
  readonly file: string;
  /** Size of the filesystem where that is less than the file's: growing it goes on as after a kill. */
  readonly filesystemBytes: bigint | null;
}

export interface ReplaceImage {
  readonly file: string;
  /** Of the unfinished image. */
  readonly inode: bigint;
  /** Size of its filesystem. */
  readonly filesystemBytes: bigint;
}

export interface ImageOperations {
  /**
   * Makes a file with a filesystem in it, on disk (fsync) before it has its name. There already = nothing is done.
   * Rejects with `NoSpace` and leaves nothing behind when it does not fit.
   */
  createImage: Operation<CreateImage, { readonly created: boolean }>;
  /** Attaches a loop device that frees itself and mounts it. Mounted already = nothing is done. */
  mountImage: Operation<MountImage, BindResult>;
  /** Grows file, device and filesystem; never shrinks. `Unsupported` = this filesystem grows only while unmounted. */
  growImage: Operation<GrowImage, null>;
  /** Removes an image that no loop device uses (`Busy` otherwise). Absent is success. */
  removeImage: Operation<{ readonly file: string }, null>;
  /** Stops or releases the writers of a mounted image; `device` must be what is mounted there. */
  freeze: Operation<{ readonly target: TargetPath; readonly device: string; readonly frozen: boolean }, null>;
  /**
   * Makes an image with the content that another has now, on disk, and leaves it unfinished. `FreezeTimeout` when its
   * writers must be held and could not be, `NoSpace` when it does not fit; nothing is left of it then.
   */
  cloneImage: Operation<CloneImage, ClonedImage>;
  /** Gives an image made by `cloneImage` its name. Named already = nothing is done. */
  nameImage: Operation<NameImage, null>;
  /**
   * Gives an image made by `cloneImage` the name of one that is there, which is gone then. `Busy` while a loop device uses
   * that; `NotFound` when the unfinished one is not of the inode.
   */
  replaceImage: Operation<ReplaceImage, null>;
  /** How the blocks of an image lie; null where that cannot be told, or when it has more extents than `most`. */
  blockUse: Operation<{ readonly file: string; readonly most: number }, BlockUse | null>;
  /** Makes a directory in a mounted filesystem of ours where it is missing; `device` must be what is mounted there. */
  makeInside: Operation<MakeInside, null>;
  /** Whether files in a directory can share blocks (FICLONE, ioctl_ficlone(2)), tried with a file of ours. */
  probeClone: Operation<{ readonly directory: string }, { readonly cloneable: boolean; readonly message: string }>;
}
