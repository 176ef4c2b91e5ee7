/** The helper's operations on directory trees: declared here, registered in `helper/registry.ts`. */
import type { TargetPath, UserPath } from '../layer.ts';
import type { Operation } from '../operations.ts';

/** A directory that a user named, or one of ours. No component below prefix or root may be a symbolic link. */
export type TreeSource = { readonly user: UserPath } | { readonly own: TargetPath };

export interface CopyTree {
  readonly source: TreeSource;
  /** The directory that is made. What an earlier attempt left of it goes first: nobody else may use the name. */
  readonly destination: TargetPath;
  /** A directory at the top of the source that is left out, because it is ours. */
  readonly exclude?: string;
}

export interface CopiedTree {
  /** Files, directories and whatever else there is, the top included. */
  readonly entries: number;
  /** Space that the files took when the copy began, holes not counted, in bytes. */
  readonly bytes: bigint;
  /** Files of the copy share their blocks with the source. */
  readonly sharesBlocks: boolean;
  /** When the copy began, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Empty: nothing was written to the source from before the copy until after it. */
  readonly changes: TreeChanges;
}

export interface TreeChanges {
  readonly count: number;
  /** The first few paths, relative to the source, fit for a message. */
  readonly examples: readonly string[];
}

/** What there is to be read of a tree: its regular files, by all of their names, and how large they are. */
export interface TreeContent {
  readonly files: number;
  readonly bytes: bigint;
}

/** What a tree was at one time; two of it tell whether anything was written in between. */
export interface TreeState {
  /** Over all that tells one state from another. */
  readonly digest: string;
  readonly entries: number;
  readonly content: TreeContent;
  /** The latest change time of all. */
  readonly newest: string;
  /** Whatever changes later has a later time. */
  readonly settled: boolean;
}

export interface TreeLook {
  /** `major:minor` of the mount it lies on. */
  readonly device: string;
  readonly root: string;
  /** The first few names in it. */
  readonly names: readonly string[];
}

export interface SwapTree {
  /** The directory whose content is replaced; it stays the directory that it is. Its path may be empty. */
  readonly tree: TargetPath;
  /** A directory of ours at its top, on the same filesystem, which is no content. */
  readonly hidden: string;
  /** In `hidden`: the new content, complete. */
  readonly fresh: string;
  /** In `hidden`: gets the old content. */
  readonly aside: string;
}

/** Where swaps may have been left half way, by whomever. */
export interface HalfSwaps extends Pick<SwapTree, 'tree' | 'hidden'> {
  /** What the name of the new content has at its end to be that of `aside`. */
  readonly asideEnd: string;
}

/** `none`: there is no new content, or it has its place. `ready`: nothing was moved. `half`: the same call goes on. */
export type SwapState = 'none' | 'ready' | 'half';

export interface TreeOperations {
  /**
   * Copies a directory with everything in it that is on the same filesystem: mounts below are left out, and so are the
   * subvolumes of btrfs. It is on disk when the call resolves. Takes as long as it takes and tells how far it is; ended
   * by its signal. Call it with NO_DEADLINE_MS.
   *
   * Kept: owners, permissions, times (not of reading, nor of birth), hard links within the tree, holes, extended attributes
   * with ACLs and capabilities, symbolic links, FIFOs, sockets, devices, any name. Not kept: attributes of chattr(1).
   *
   * Rejects with `NoSpace` (nothing is left then), `CommandFailed` with the names of what could not be copied.
   */
  copyTree: Operation<CopyTree, CopiedTree>;
  /**
   * Whether files of the source can share blocks with files in a directory of ours, tried with a file of the source. The
   * directory is made (mode 0700) where it is missing, and stays when they can.
   */
  probeShare: Operation<
    { readonly source: TreeSource; readonly directory: TargetPath },
    { readonly sameFilesystem: boolean; readonly sharesBlocks: boolean }
  >;
  /**
   * Looks over all of a tree that is on the same filesystem, with what is in `exclude` left out at its top. What mappings had
   * dirtied before is on disk afterwards, so that a later write through them shows.
   */
  stateOfTree: Operation<{ readonly source: TreeSource; readonly exclude?: string }, TreeState>;
  /** What was changed since a state of it, with at most `most` names. Call both with NO_DEADLINE_MS. */
  changesOfTree: Operation<
    { readonly source: TreeSource; readonly exclude?: string; readonly since: TreeState; readonly most: number },
    TreeChanges
  >;
  /** Looks into a directory; null when it does not exist. What is in `exclude` is not among the names. */
  lookAtTree: Operation<{ readonly source: TreeSource; readonly exclude?: readonly string[] }, TreeLook | null>;
  /** Renames a directory to a name beside it that is free, or an empty directory; on disk when the call resolves. */
  nameTree: Operation<{ readonly tree: TargetPath; readonly name: string }, null>;
  /**
   * Moves what is in a directory into the one that holds it, and removes it; absent is success. The owner,
   * permissions and attributes become those of the directory that was inside. Rejects with `TargetNotEmpty` where a name
   * is taken: nothing is ever overwritten.
   */
  unfoldTree: Operation<{ readonly tree: TargetPath }, null>;
  /**
   * Replaces the content of a directory by moving names: the old ones aside, then the new ones up. Goes on where an earlier
   * call was killed, and moves the old ones back when one of them cannot be moved. Owner, permissions and attributes become
   * those of the new content. It is on disk when the call resolves. Call it with a signal of its own: it is not ended
   * half way.
   *
   * Rejects with `MountBelow` where a mount or a subvolume is below, `NotFound` without new content, `TargetNotEmpty` where
   * somebody makes a name meanwhile that the new content has.
   */
  swapTree: Operation<SwapTree, null>;
  /** How far a swap is. */
  swapState: Operation<SwapTree, SwapState>;
  /**
   * The new content of every swap that is half way, by its name (`fresh`), as the server has it where there is one, whatever
   * this node saw before. None where the name of our directory is something else's.
   */
  halfSwaps: Operation<HalfSwaps, readonly string[]>;
  /** Two directories side by side get each other's name in one step, on disk when the call resolves. Not on NFS. */
  exchangeTree: Operation<{ readonly tree: TargetPath; readonly name: string }, null>;
  /** Removes a directory of ours when it is empty; absent or not empty is success. */
  removeEmptyTree: Operation<TargetPath, null>;
}
