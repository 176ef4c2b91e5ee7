/**
 * What is asked of a backup engine. There is one, restic; what its versions cannot do is said by {@link EngineFeatures}
 * and refused with `Unsupported`, never done half.
 *
 * Common to all calls: they reject with {@link BackupError}; they end when their signal fires, tidily (within 20 s), and when nothing has moved for `limits.stallMs`; they are safe to repeat after a kill at any
 * instruction. Secrets reach the engine through its environment alone, and are in no error.
 */
import type { TargetPath, UserPath } from '../node/layer.ts';
import type { S3Credentials } from '../s3/location.ts';

/** A directory that a user named, or one of ours. No component below prefix or root may be a symbolic link. */
export type EngineDirectory = { readonly user: UserPath } | { readonly own: TargetPath };

/** Where a repository is: everything resolved, nothing left to look up. */
export type RepositoryLocation =
  | {
      readonly type: 's3';
      /** `https://HOST[:PORT]`; undefined = Amazon's own for the region. */
      readonly endpoint: string | undefined;
      readonly bucket: string;
      /** Empty for the whole bucket; slashes around it do not matter. */
      readonly prefix: string;
      readonly region: string;
      readonly forcePathStyle: boolean;
      /** undefined = what the machine itself has (environment, instance profile). */
      readonly credentials: S3Credentials | undefined;
      /** PEM certificates that sign the endpoint's; undefined = those of the system. */
      readonly caBundle: string | undefined;
    }
  | { readonly type: 'directory'; readonly directory: EngineDirectory }
  | {
      readonly type: 'nfs';
      /** Host name or address, without brackets. */
      readonly server: string;
      /** Absolute path of the export. */
      readonly path: string;
      /** Directory below it, relative; empty = the export itself. */
      readonly subPath: string;
      /** For `mount.nfs -o`, one word each. */
      readonly mountOptions: readonly string[];
    };

export interface RepositoryAccess {
  readonly location: RepositoryLocation;
  readonly password: string;
  /** A directory of ours on this node, made where it is missing; what is in it may go at any time between two calls. */
  readonly cacheDirectory: TargetPath;
  /** Nothing is written, no lock either: for repositories that may only be read. A `prune` meanwhile is not noticed. */
  readonly readOnly?: boolean;
  /**
   * What the locks of this call say of their holder in place of the machine's name, at most 55 bytes: something by which
   * it can be proved later that the holder is gone, e.g. the UID of an object. With it, a call that was called off and has
   * ended removes what is left of its own locks.
   */
  readonly holder?: string;
  readonly limits?: EngineLimits;
}

export interface EngineLimits {
  readonly uploadKiBps?: number;
  readonly downloadKiBps?: number;
  /** Connections to the repository at once; the engine's own choice when absent. */
  readonly connections?: number;
  /** Milliseconds without any movement after which a call is given up; 300,000 unless said. */
  readonly stallMs?: number;
}

/** What the installed engine can do. */
export interface EngineFeatures {
  /** `0.19.1`; undefined when there is none. */
  readonly version: string | undefined;
  /** One for each thing that it cannot do, with a sentence for a status. */
  readonly lacking: readonly EngineLack[];
}

export type EngineFeature =
  /** Anything at all. */
  | 'Engine'
  /** Files with holes have them again. */
  | 'RestoreSparse'
  /** Counts of files, during restores and after them. */
  | 'RestoreProgress'
  /** Restores with `existingFiles: Skip`. */
  | 'RestoreSkip'
  /** Restores with `existingFiles: Mirror`. */
  | 'RestoreMirror'
  /** Restores with `dryRun`. */
  | 'RestoreDryRun'
  /** `SnapshotRecord.summary`. */
  | 'SnapshotSummary';

export interface EngineLack {
  readonly feature: EngineFeature;
  readonly message: string;
}

export interface RepositoryInfo {
  /** 64 hexadecimal digits, made at random when the repository was. */
  readonly id: string;
  readonly formatVersion: number;
}

export interface BackupSource {
  /**
   * Absolute path at which it appears to the engine, below {@link SOURCE_ROOT}; always the same for the same volume. The
   * snapshot shows it as where it is of, and has what is in it at its top: the entry `data` is `/data` there.
   */
  readonly path: string;
  /** What is in it. Names may be relative paths, e.g. `manifests/a.json`. */
  readonly entries: readonly SourceEntry[];
}

export type SourceEntry =
  /** The directory without what is mounted below it, read-only, read without leaving access times. */
  | { readonly name: string; readonly directory: EngineDirectory; readonly device?: string }
  | { readonly name: string; readonly content: Uint8Array };

/** Below it lies what is backed up. */
export const SOURCE_ROOT = '/run/clawstore/source';

/** Key and value; kept as one tag `key=value` each. Neither may have a comma, the key no `=`. */
export type Tags = Readonly<Record<string, string>>;

export interface BackupRequest {
  readonly source: BackupSource;
  /** Shown as the machine that the snapshot is of. */
  readonly host: string;
  readonly tags: Tags;
  /** Inode numbers and change times mean nothing on this filesystem (FUSE): size and modification time decide. */
  readonly ignoreInode?: boolean;
  /** Paths in the source that are left out, with all that is below them: names, not patterns. */
  readonly exclude?: readonly string[];
  /** Files and bytes that there are, where somebody has counted them: then the engine does not. Of the source's directories. */
  readonly content?: { readonly files: number; readonly bytes: bigint };
  /** Snapshot in which unchanged files are looked up; the newest of the same host and path when absent. */
  readonly parent?: string;
}

export interface BackupProgress {
  readonly bytesDone: bigint;
  /** Grows while the source is still being counted. */
  readonly bytesTotal: bigint;
  readonly filesDone: number;
  readonly filesTotal: number;
}

export interface ItemError {
  /** Path as the engine saw it, without the source's own path. */
  readonly item: string;
  readonly message: string;
}

/** The first {@link MOST_ITEM_ERRORS}, and how many there were. */
export interface ItemErrors {
  readonly count: number;
  readonly examples: readonly ItemError[];
}

export const MOST_ITEM_ERRORS = 20;

export interface BackupSummary {
  readonly snapshotId: string;
  readonly filesNew: number;
  readonly filesChanged: number;
  readonly filesUnmodified: number;
  readonly directories: number;
  /** Files in the snapshot. */
  readonly files: number;
  /** Bytes of all files in the snapshot. */
  readonly bytesProcessed: bigint;
  /** Bytes that were not in the repository yet. */
  readonly bytesAdded: bigint;
  /** The same as stored, compressed; undefined where the version does not say. */
  readonly bytesAddedPacked: bigint | undefined;
  /** What could not be read, or not wholly. The snapshot is there all the same. */
  readonly errors: ItemErrors;
  /** Everything was read. */
  readonly complete: boolean;
}

export interface SnapshotRecord {
  readonly id: string;
  /** RFC 3339. */
  readonly time: string;
  readonly host: string;
  readonly tags: Tags;
  /** Tags that are no `key=value`, made by others. */
  readonly otherTags: readonly string[];
  readonly paths: readonly string[];
  /** The snapshot that this one was made from by changing its tags. */
  readonly original: string | undefined;
  readonly summary: SnapshotSummary | undefined;
}

export interface SnapshotSummary {
  readonly files: number;
  readonly bytesProcessed: bigint;
  readonly bytesAddedPacked: bigint | undefined;
}

export interface TreeEntry {
  /** Absolute path in the snapshot; bytes that are not UTF-8 are U+FFFD each. */
  readonly path: string;
  readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'dev' | 'chardev' | 'irregular';
  /** Of files. */
  readonly size: bigint;
  /** RFC 3339. */
  readonly mtime: string;
}

/** What becomes of files that are in the target already. `Mirror` also removes what the snapshot does not have. */
export type ExistingFiles = 'Skip' | 'Overwrite' | 'Mirror';

export interface RestoreRequest {
  readonly snapshotId: string;
  /** Absolute path in the snapshot of the directory that is restored, e.g. `/data`. */
  readonly sourcePath: string;
  /** An existing directory: it becomes what the one in the snapshot is, its own owner and times too. */
  readonly target: { readonly directory: EngineDirectory; readonly device?: string };
  /**
   * Paths below the source's, relative, with all that is below them; empty = everything. They are names, not patterns;
   * U+FFFD stands for a byte that is not UTF-8, as {@link TreeEntry.path} has it.
   */
  readonly include: readonly string[];
  readonly existingFiles: ExistingFiles;
  /** Nothing is written. */
  readonly dryRun: boolean;
  /** Reads back what was written and compares. */
  readonly verify: boolean;
}

export interface RestoreSummary {
  /** What the snapshot has of what was asked for. */
  readonly filesTotal: number;
  readonly bytesTotal: bigint;
  /** These count directories too. undefined where the version does not say. */
  readonly filesRestored: number | undefined;
  readonly bytesRestored: bigint | undefined;
  readonly filesSkipped: number | undefined;
  readonly filesDeleted: number | undefined;
  readonly errors: ItemErrors;
  readonly complete: boolean;
}

export interface PruneSummary {
  /** Bytes stored before and after, as the files of the repository have them. */
  readonly bytesBefore: bigint;
  readonly bytesAfter: bigint;
}

export interface CheckResult {
  readonly ok: boolean;
  readonly errors: { readonly count: number; readonly examples: readonly string[] };
  /** IDs of files of data that are damaged or missing. */
  readonly damagedPacks: readonly string[];
  /** Snapshots that cannot be restored wholly, as far as that can still be told. */
  readonly damagedSnapshots: readonly string[];
  /** The first few files that are lost with them. */
  readonly damagedFiles: readonly DamagedFile[];
  /** Something that costs space and no data: unused packs, doubled entries in the index. */
  readonly hints: readonly string[];
}

export interface DamagedFile {
  readonly snapshotId: string;
  readonly path: string;
}

/** A lock that cannot be read, as a kill may leave it, has an empty holder and time. */
export interface LockRecord {
  readonly id: string;
  /** RFC 3339: when it was made or last renewed; a live holder renews it every five minutes. */
  readonly time: string;
  readonly exclusive: boolean;
  /** `RepositoryAccess.holder` of whoever holds it, or the name of a machine. */
  readonly holder: string;
  readonly username: string;
  readonly pid: number;
}

export interface PruneRequest {
  /** Unused share of the repository that may stay, in percent; 5 unless said. */
  readonly maxUnusedPercent?: number;
  /** Most bytes that are packed anew in one run. */
  readonly maxRepackBytes?: bigint;
}

export const MOST_BELOW = 100;

export interface BackupEngine {
  /** Never rejects for a missing engine: that is what it tells. */
  probe(signal: AbortSignal): Promise<EngineFeatures>;

  /**
   * Looks whether it can be used, within seconds also where the server is dead. Rejects with `NoRepository`,
   * `WrongPassword`, `Unreachable`, `CredentialsRejected`, `AccessDenied`, `NoBucket`, `Damaged` …
   */
  open(access: RepositoryAccess, signal: AbortSignal): Promise<RepositoryInfo>;

  /**
   * Makes a repository, or finishes what a kill interrupted; one that is there and opens with the password is success.
   * Rejects with `NotEmpty` where there is something else: nothing is ever made over it. The directory is made where it
   * is missing; the bucket must exist.
   */
  initialize(access: RepositoryAccess, signal: AbortSignal): Promise<RepositoryInfo>;

  /**
   * Where repositories seem to be below a place that is none itself, relative to it, one step down; the first
   * {@link MOST_BELOW}. For who names a place above: with a key of theirs they could be opened.
   */
  repositoriesBelow(access: RepositoryAccess, signal: AbortSignal): Promise<readonly string[]>;

  /** An empty source is no error here: the summary counts. */
  backup(
    access: RepositoryAccess,
    request: BackupRequest,
    onProgress: (progress: BackupProgress) => void,
    signal: AbortSignal,
  ): Promise<BackupSummary>;

  /** The same for small documents, from memory. */
  backupContent(
    access: RepositoryAccess,
    request: {
      readonly path: string;
      readonly files: ReadonlyMap<string, Uint8Array>;
      readonly host: string;
      readonly tags: Tags;
    },
    signal: AbortSignal,
  ): Promise<BackupSummary>;

  /** All of them, or those that have every one of the tags; oldest first. */
  snapshots(
    access: RepositoryAccess,
    filter: { readonly tags?: Tags },
    signal: AbortSignal,
  ): Promise<readonly SnapshotRecord[]>;

  /** A file of a snapshot. Rejects with `NotFound`, `TooLarge`. */
  readContent(
    access: RepositoryAccess,
    snapshotId: string,
    path: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Buffer>;

  /** Tells of every entry at and below the paths (all when empty), some at a time; the next come when it has returned. */
  list(
    access: RepositoryAccess,
    snapshotId: string,
    paths: readonly string[],
    onEntries: (entries: readonly TreeEntry[]) => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;

  /** Rejects with `NotFound` where the snapshot, or an included path, does not exist; then nothing was written. */
  restore(
    access: RepositoryAccess,
    request: RestoreRequest,
    onProgress: (progress: BackupProgress) => void,
    signal: AbortSignal,
  ): Promise<RestoreSummary>;

  /**
   * Removes snapshots, not yet their data; ones that do not exist are success. Rejects with `Locked` while anybody else
   * works, as all that changes what is there already does.
   */
  forget(access: RepositoryAccess, snapshotIds: readonly string[], signal: AbortSignal): Promise<void>;

  /**
   * Changes tags; every snapshot that changes gets a new ID. Resolves with the new by the old. Whole IDs only. `add`
   * replaces a tag of the same key, `remove` has keys. Rejects with `Locked` while anybody else works.
   */
  tag(
    access: RepositoryAccess,
    snapshotIds: readonly string[],
    change: { readonly add: Tags; readonly remove: readonly string[] },
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>>;

  /** Removes data that no snapshot has. Rejects with `Locked` while anybody else works. */
  prune(
    access: RepositoryAccess,
    request: PruneRequest,
    onProgress: (line: string) => void,
    signal: AbortSignal,
  ): Promise<PruneSummary>;

  /** A damaged repository is a result, not an error. */
  check(
    access: RepositoryAccess,
    request: { readonly readDataPercent: number },
    onProgress: (line: string) => void,
    signal: AbortSignal,
  ): Promise<CheckResult>;

  locks(access: RepositoryAccess, signal: AbortSignal): Promise<readonly LockRecord[]>;

  /** Removes these locks and no others; absent is success. The caller has proved that their holders are gone. */
  removeLocks(access: RepositoryAccess, lockIds: readonly string[], signal: AbortSignal): Promise<void>;

  /** Bytes that the repository takes where it is stored. */
  size(access: RepositoryAccess, signal: AbortSignal): Promise<bigint>;
}
