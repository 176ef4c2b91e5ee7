/**
 * Size limits of directories by the project quota of their filesystem (XFS): a directory and what is in it belong to a
 * project, a number in each inode, and the filesystem stops its writers at the project's limit. Declared here, registered
 * in `helper/registry.ts`. Source: xfs_quota(8), quotactl(2), ioctl_xfs_fsgetxattr(2).
 */
import type { UserPath } from '../layer.ts';
import type { Operation } from '../operations.ts';

/** What the filesystem counts for a project. */
export interface ProjectUse {
  readonly project: number;
  /** Hard limit, in bytes; 0 = none. */
  readonly limitBytes: bigint;
  readonly usedBytes: bigint;
  readonly files: bigint;
}

export interface DirectoryProject {
  /** What the directory itself belongs to; 0 = no project. */
  readonly project: number;
  /** What is made in it will belong to the same. */
  readonly inherited: boolean;
  /** For each project that was asked for, in that order. */
  readonly uses: readonly ProjectUse[];
}

export interface QuotaOperations {
  /** Looks at a directory and at projects of its filesystem. Rejects with `Unsupported` where that counts none. */
  inspectProject: Operation<UserPath & { readonly projects: readonly number[] }, DirectoryProject>;
  /**
   * Makes the directory and what is in it the project's, then sets the limit: where there is a limit, everything belongs
   * to it. What belongs to another project, or lies on another mount, is left alone with all that is in it. Rejects with
   * `OtherProject` when the directory itself does.
   */
  limitProject: Operation<UserPath & { readonly project: number; readonly limitBytes: bigint }, null>;
  /** Takes the limit away, and the project off everything in the directory that belongs to it. Files stay as they are. */
  clearProject: Operation<UserPath & { readonly project: number }, null>;
}
