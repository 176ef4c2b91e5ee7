/**
 * What drivers and the agent may ask of this machine. Every mount of the product is made and taken down through this
 * interface, by one helper process that owns the system calls; nothing else in the code touches a mount.
 *
 * Common to all calls: idempotent, safe to repeat after a kill at any instruction; they reject with `NodeError`; they
 * take an AbortSignal and have a deadline of their own besides (10 s unless said). When a call that changes mounts
 * resolves, `table` already shows the change.
 */
import type { MountEntry } from './mount-entry.ts';
import type { Operations } from './operations.ts';

export interface NodeLayer {
  /** Directory below which all targets live that nobody chose otherwise. */
  readonly mountRoot: string;
  readonly stateDir: string;
  /** Live copy of this namespace's mount table. */
  readonly table: MountTable;
  /** What this kernel and this machine can do; probed once at start. */
  readonly features: readonly NodeFeature[];

  /**
   * Makes `mountRoot` a shared mount of its own, so that what is mounted below reaches containers; adopts it when it
   * is one already.
   */
  prepareMountRoot(signal: AbortSignal): Promise<MountEntry>;

  /** Looks at a user's path without changing anything; null when it does not exist. */
  inspectUserPath(request: UserPath, signal: AbortSignal): Promise<Location | null>;
  /** Like `inspectUserPath`, and makes missing directories (0755) when `create` is set. */
  ensureUserPath(request: UserPath & { readonly create: boolean }, signal: AbortSignal): Promise<Location>;

  /** Binds a user's directory, recursively, at the target. No component below the prefix may be a symbolic link. */
  bindUserPath(request: BindUserPath, signal: AbortSignal): Promise<BindResult>;
  /** Binds a directory of ours (below `source.root`), without mounts below it, at the target. */
  bindOwn(request: BindOwn, signal: AbortSignal): Promise<BindResult>;
  /** Mounts a tmpfs with a size limit at the target. */
  tmpfs(request: MountTmpfs, signal: AbortSignal): Promise<BindResult>;

  /** Facts about a target: what the table shows and what a fresh look at the path finds. */
  observeTarget(request: ObserveTarget, signal: AbortSignal): Promise<TargetObservation>;

  /**
   * Takes one mount down and removes the empty directory below it (and up to two empty parents, never `target.root`).
   * Nothing mounted is success, after the same look at other namespaces. Never lazy unless `force`.
   */
  unmount(request: UnmountRequest, signal: AbortSignal): Promise<UnmountOutcome>;

  /** Size of the filesystem at a path. May hang with the filesystem, therefore done in a killable child. */
  statfs(path: string, signal: AbortSignal): Promise<FilesystemSize>;
  /** Up to five processes that hold the mount with this ID open. */
  holders(mountId: number, signal: AbortSignal): Promise<readonly Holder[]>;

  /**
   * Removes a directory of ours with everything in it: one device only, no symbolic link followed, refused with
   * `MountBelow` when anything is mounted beneath. Absent is success.
   */
  removeTree(target: TargetPath, signal: AbortSignal): Promise<void>;

  /**
   * Takes the exclusive lock `file`, held until this process ends or `release()`; survives restarts of the helper.
   * Rejects with `Locked`, naming the holder's pid.
   */
  lock(file: string, signal: AbortSignal): Promise<NodeLock>;

  /** Any operation of the helper by name; how other parts of the node layer (images, pools) reach theirs. */
  call<K extends keyof Operations>(
    operation: K,
    params: Operations[K]['params'],
    options: CallOptions,
  ): Promise<Operations[K]['result']>;

  /** Ends the helper. Mounts stay. */
  close(): Promise<void>;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Milliseconds after which the call is given up and what it runs is killed; 10,000 unless said. */
  readonly deadlineMs?: number;
  /** Told now and then by operations that copy. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Told what a program says, piece by piece: the next comes when this one was taken. */
  readonly onOutput?: (stream: OutputStream, chunk: Uint8Array) => void | Promise<void>;
  /**
   * Milliseconds that the operation gets to end well when its signal fires or its deadline passes; the call rejects when
   * it has ended, with `HelperLost` where it could not be seen to end. 0 unless said: the call rejects at once.
   */
  readonly tidyMs?: number;
}

/** Where a program said it. */
export type OutputStream = 'stdout' | 'stderr';

/** For work that may take hours: as long as a timer can be, 23 days. The caller's signal ends it. */
export const NO_DEADLINE_MS = 2_000_000_000;

/** How far a copy is. */
export interface CopyProgress {
  readonly bytesDone: bigint;
  readonly bytesTotal: bigint;
  /** Of engines alone: what was read so far. */
  readonly bytesRead?: bigint;
}

/** A path below a root that we own; resolved component by component without following symbolic links. */
export interface TargetPath {
  /** Absolute path of an existing directory, itself trusted. */
  readonly root: string;
  /** Relative to `root`: no empty, `.` or `..` components. */
  readonly path: string;
}

/** A path that a user wrote, and the prefix that allows it. */
export interface UserPath {
  /** Absolute; from configuration, so it may itself be a symbolic link. */
  readonly prefix: string;
  /** Absolute; equal to the prefix or below it. */
  readonly path: string;
}

export interface BindUserPath extends UserPath {
  readonly target: TargetPath;
  readonly readOnly: boolean;
  /** Attributes of the mount: `nosuid nodev noexec noatime nodiratime relatime nosymfollow`. */
  readonly options: readonly string[];
  /** Make missing directories of the source (hostPath type DirectoryOrCreate). */
  readonly create: boolean;
}

export interface BindOwn {
  readonly source: TargetPath;
  /**
   * `major:minor` that the source must lie on: where it is itself a mount point, the bare directory below must not be
   * bound in its place. Absent = whatever is there.
   */
  readonly device?: string;
  readonly target: TargetPath;
  readonly readOnly: boolean;
  readonly options: readonly string[];
}

export interface MountTmpfs {
  readonly target: TargetPath;
  /** Limit in bytes; the kernel rounds up to whole pages. */
  readonly sizeBytes: bigint;
  /** Permission bits of its root directory, e.g. 0o777. */
  readonly mode: number;
  readonly readOnly: boolean;
  readonly options: readonly string[];
  /** Name shown as the mount's source; carries what it is for. */
  readonly name: string;
}

export interface BindResult {
  readonly entry: MountEntry;
  /** False when the same mount was there already and nothing was done. */
  readonly created: boolean;
  /** Whether the directory below the mount could be made immutable, so that early writers fail. */
  readonly immutableTarget: boolean;
}

/** Where a directory really is: in which filesystem, and at which path inside it. */
export interface Location {
  /** `major:minor` as the mount table shows it. */
  readonly device: string;
  /** Path inside that filesystem; equals `MountEntry.root` of a bind of it. */
  readonly root: string;
  readonly fsType: string;
  /** `st_dev` and `st_ino`, to tell a directory from another that took its name. */
  readonly stDev: bigint;
  readonly stIno: bigint;
  /** The mount it was reached through is read-only, so that a bind of it cannot be written to either. */
  readonly readOnly: boolean;
}

export interface ObserveTarget {
  readonly target: TargetPath;
  /** What should be mounted there; each may be left out. */
  readonly user?: UserPath;
  readonly own?: TargetPath;
}

export interface TargetObservation {
  /** All mounts at exactly this path, lowest first. */
  readonly stack: readonly MountEntry[];
  /** ID of the mount that a path walk to the target meets now; null when it meets none of the stack. */
  readonly visibleMountId: number | null;
  /** Root of the visible mount; null when nothing is mounted or it does not answer. */
  readonly visible: { readonly stDev: bigint; readonly stIno: bigint } | null;
  /** The wanted source; null when it does not exist or none was named. */
  readonly source: Location | null;
  /** Why the wanted source could not be looked at, or the mount does not answer. */
  readonly problem: { readonly code: string; readonly message: string; readonly errno?: string | undefined } | null;
  /** The directory at the target exists. */
  readonly targetExists: boolean;
}

export interface UnmountRequest {
  readonly target: TargetPath;
  /** The mount that is meant, as observed; anything else at the target is `ForeignMount`. Absent = nothing expected. */
  readonly mountId: number | undefined;
  /**
   * `copies`: other namespaces must not show a copy of this mount. `device`: neither they nor this one may show the
   * filesystem anywhere else (for filesystems that only this mount was made for); while one does, it stays mounted.
   */
  readonly scope: 'copies' | 'device';
  /**
   * What this target showed before, for a repeated call that finds nothing mounted here any more and must still look
   * for copies elsewhere.
   */
  readonly was?: { readonly device: string; readonly root: string; readonly options: readonly string[] };
  /** Detach even when busy; only when a person asked for it. */
  readonly force?: boolean;
}

/** What became of an unmount. Only `done` means that no mount namespace shows the mount any more. */
export type UnmountOutcome =
  | { readonly outcome: 'done' }
  | {
      readonly outcome: 'busy';
      readonly holders: readonly Holder[];
      /** Where else in this namespace the same filesystem is mounted, when that is what is in the way. */
      readonly mounts?: readonly string[];
    }
  | { readonly outcome: 'in-use-by-other-namespace'; readonly holders: readonly Holder[] };

/** A process that holds a mount: by an open file, a working directory, or a mount namespace with a copy of it. */
export interface Holder {
  readonly pid: number;
  /** `/proc/PID/comm`, at most 15 bytes. */
  readonly comm: string;
}

/** As statfs(2) says, in bytes. */
export interface FilesystemSize {
  readonly totalBytes: bigint;
  readonly freeBytes: bigint;
  /** Free to processes without privilege. */
  readonly availableBytes: bigint;
  readonly usedBytes: bigint;
  readonly filesTotal: bigint;
  readonly filesFree: bigint;
}

export interface NodeFeature {
  readonly name: string;
  readonly available: boolean;
  /** PascalCase reason when not available, else empty. */
  readonly reason: string;
  readonly message: string;
}

export interface NodeLock {
  readonly file: string;
  release(): Promise<void>;
}

/** Live mount table of the helper's namespace, updated by events within milliseconds. Reads are synchronous. */
export interface MountTable {
  /** Grows with every change. */
  readonly generation: number;
  current(): readonly MountEntry[];
  byId(id: number): MountEntry | undefined;
  /** The topmost mount at exactly this path. */
  at(path: string): MountEntry | undefined;
  /** All mounts at exactly this path, lowest first. */
  stackAt(path: string): readonly MountEntry[];
  /** Mounts strictly below this path. */
  below(path: string): readonly MountEntry[];
  /** The mount that holds `path`, by name alone. */
  containing(path: string): MountEntry | undefined;
  /** Calls back after each change, with what changed, and for mounts that may not work any more; returns the function that ends it. */
  onChange(listener: (change: MountTableChange) => void): () => void;
}

export interface MountTableChange {
  readonly added: readonly MountEntry[];
  readonly removed: readonly MountEntry[];
  /** Same mount, other options, place or propagation. */
  readonly changed: readonly { readonly before: MountEntry; readonly after: MountEntry }[];
  /** Mounts of devices that the kernel complained of: the same as before in the table, and worth a look. */
  readonly suspect: readonly MountEntry[];
}
