/** The helper's operations on mounts of storage that is elsewhere: declared here, registered in `helper/registry.ts`. */
import type { BindResult, TargetPath } from '../layer.ts';
import type { Operation } from '../operations.ts';

export interface MountNfs {
  /** Host name or address, without brackets. */
  readonly server: string;
  /** Absolute path of the export. */
  readonly path: string;
  readonly target: TargetPath;
  /** For `mount.nfs -o`, one word each. */
  readonly options: readonly string[];
  /** Milliseconds that resolving the name and mounting may take together. */
  readonly timeoutMs: number;
}

export interface NfsMounted extends BindResult {
  /** What the server calls the filesystem (`/proc/fs/nfsfs/volumes`); null when the kernel does not say. */
  readonly fsid: string | null;
}

export interface MakeDirectory {
  /** A mount of ours. */
  readonly mount: TargetPath;
  /** `MountEntry.device` of what must be mounted there. */
  readonly device: string;
  /** Relative path inside. */
  readonly path: string;
  readonly mode: number;
}

export interface FoundDirectory {
  /** It was made by this call. */
  readonly created: boolean;
  readonly ino: bigint;
}

export interface NetworkOperations {
  /**
   * Mounts an export. Mounted already = nothing is done. What mount.nfs(8) says about a failure is in the message of
   * `CommandFailed`; `NameNotResolved` comes before anything else is tried.
   */
  mountNfs: Operation<MountNfs, NfsMounted>;
  /** Whether the kernel has an NFS client (loaded, or as a module) and the command that mounts is installed. */
  probeNfs: Operation<null, { readonly kernel: boolean; readonly command: boolean }>;
  /** Makes a directory, with its parents, in a mounted filesystem; one that is there is left as it is. */
  makeDirectory: Operation<MakeDirectory, FoundDirectory>;
  /** Looks for a directory in a mounted filesystem; null when it is not there. */
  findDirectory: Operation<Omit<MakeDirectory, 'mode'>, Omit<FoundDirectory, 'created'> | null>;
  /** How many copies the server has made by itself for a mount of NFS 4.2 (COPY, RFC 7862), since it was made. */
  nfsCopies: Operation<{ readonly path: string }, { readonly copies: number }>;
  /** Writes everything that is still in memory to where the filesystem at the path keeps it (syncfs(2)). */
  syncFilesystem: Operation<{ readonly path: string }, null>;
}
