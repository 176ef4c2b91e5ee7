/**
 * The one interface that every kind of storage implements.
 *
 * A driver knows its storage and the node layer; it knows no Kubernetes. The words are CSI's: *provision* makes the
 * storage, *stage* makes it present on this node once, *publish* makes it visible at one target, and the undoing calls
 * mirror them. Every call is idempotent and may be repeated after a crash at any instruction; every call takes an
 * AbortSignal that carries its deadline. A driver never remembers: `observe…` answers from the disk and the mount table.
 *
 * Contract suite: `test/contract/driver-contract.ts`, run against each implementation.
 */
import type { UnmountOutcome as NodeUnmountOutcome } from '../node/layer.ts';
import type { MountEntry } from '../node/mount-entry.ts';
import type { TreeChanges, TreeContent, TreeSource } from '../node/trees/operations.ts';
import type { S3Location } from '../s3/location.ts';

export type { Holder } from '../node/layer.ts';

/** The sources of a Volume that have a driver, named as in `Volume.spec`. */
export type DriverType = 'emptyDir' | 'hostPath' | 'nfs' | 's3';

/** What a driver is told of a Volume: resolved facts, no references left to follow. */
export interface DriverVolume {
  /** `metadata.uid`; names everything the driver makes, so that a re-created name never meets old data. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly source:
    | { readonly type: 'emptyDir'; readonly medium: '' | 'Memory' }
    | {
        readonly type: 'hostPath';
        readonly path: string;
        readonly pathType: '' | 'Directory' | 'DirectoryOrCreate';
        /** Host prefixes this volume may use: the node's allow-list cut with the class's. Absolute, no trailing slash. */
        readonly allowedPrefixes: readonly string[];
      }
    | {
        readonly type: 'nfs';
        readonly server: string;
        /** Absolute and clean. */
        readonly path: string;
        /** Relative and clean: the volume is this directory below `path`. */
        readonly subPath: string | undefined;
      }
    | {
        readonly type: 's3';
        readonly location: S3Location;
        /** What the volume names and is not there, as a sentence; `confirmed` when it is known to be gone. */
        readonly missing: { readonly message: string; readonly confirmed: boolean } | undefined;
      };
  /** Wanted size in bytes; undefined when the volume has no size. */
  readonly capacityBytes: bigint | undefined;
  /** undefined = enforce where possible; `Enforce` = refuse where impossible; `Advisory` = do not enforce. */
  readonly capacityPolicy: 'Enforce' | 'Advisory' | undefined;
  readonly provisioning: 'Thin' | 'Thick';
  /** Name of the pool on this node. */
  readonly pool: string;
  /** Mount options already checked against the class; `nosuid` and `nodev` are always present unless granted away. */
  readonly mountOptions: readonly string[];
  /** A person permits that what was written and has not reached its storage is lost. */
  readonly mayLoseData: boolean;
  /** The storage had been there before, as far as anybody remembers: what is missing now is not made anew. */
  readonly wasProvisioned: boolean;
  /** What it is made with instead of empty; undefined once it is there, and where nothing is asked for. */
  readonly content?: DriverContent | undefined;
}

/** Where the first content of a volume comes from: storage of the same type, reachable from this node. */
export type DriverContent =
  | { readonly from: 'snapshot'; readonly snapshot: DriverSnapshot }
  | { readonly from: 'volume'; readonly volume: DriverVolume };

/** A moment of a volume, wanted or kept. */
export interface DriverSnapshot {
  /** `metadata.uid` of the Snapshot; names everything that is made for it. */
  readonly uid: string;
  /** Name, for messages. */
  readonly name: string;
  /** The volume as it was when the snapshot was asked for. It may be gone by now, unless the snapshot is to be taken. */
  readonly volume: DriverVolume;
  /** undefined: `Filesystem` where possible, else what is possible. */
  readonly consistency: 'Crash' | 'Filesystem' | undefined;
  /** How long writers may be made to wait, milliseconds. */
  readonly freezeTimeoutMs: number;
  /** Who mounts the volume on other nodes, as people know them: what they wrote cannot be seen from here. */
  readonly elsewhere?: readonly string[];
}

/** What is known of a snapshot that is complete; noted beside it when it was taken. */
export interface SnapshotFacts {
  /** The moment that is kept. */
  readonly takenAt: Date;
  /** Least size of a volume made from it. */
  readonly restoreBytes: bigint;
  readonly method: 'Reflink' | 'Subvolume' | 'ReflinkTree' | 'Copy' | 'ServerSideCopy';
  /** Whether all of it is of one moment, and how that is known (reason constant and sentence). */
  readonly consistent: { readonly consistent: boolean; readonly reason: string; readonly message: string };
}

/** A Restore that makes a volume go back. */
export interface DriverRestore {
  /** `metadata.uid`. */
  readonly uid: string;
  /** Name, for messages. */
  readonly name: string;
}

export interface SnapshotObservation {
  /** undefined until it is complete and on disk: there is never half a snapshot. */
  readonly facts: SnapshotFacts | undefined;
  /** What deleting it would give back; undefined where that cannot be told cheaply. */
  readonly usedBytes: bigint | undefined;
}

/** For work that may take hours: copying. */
export interface LongCall {
  /** Ends the work; carries no deadline of its own. */
  readonly signal: AbortSignal;
  /** Told now and then. */
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly bytesDone: bigint;
  readonly bytesTotal: bigint;
}

/**
 * Moments of volumes, kept beside them. `take` leaves a complete snapshot or none, whenever it is killed, and takes
 * nothing that is there already; `delete` of what is absent is success. What `take` needs of the volume beyond its own
 * words (whether it is mounted, and where) it reads from the mount table.
 *
 * Contract suite: `test/contract/snapshot-contract.ts`.
 */
export interface SnapshotCalls {
  /** Taking one is done in a moment: several of one volume that are wanted at once are best taken side by side. */
  readonly areMomentary?: boolean;
  observe(snapshot: DriverSnapshot, signal: AbortSignal): Promise<SnapshotObservation>;
  /** @throws DriverError `FreezeTimeout`, `InsufficientCapacity`, `PoolLowSpace`, `UploadPending`, `SnapshotFailed` … */
  take(snapshot: DriverSnapshot, call: LongCall): Promise<void>;
  delete(snapshot: DriverSnapshot, signal: AbortSignal): Promise<void>;
  /** Every snapshot on this node that this driver took, whoever wants it. */
  leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]>;
}

/** A snapshot on this node, by the UID of its object. */
export interface SnapshotLeftover {
  readonly snapshotUID: string;
  readonly path: string;
  readonly bytes: bigint | undefined;
}

/** A volume that was opened to be read as a whole. */
export interface OpenedForReading {
  readonly directory: TreeSource;
  /** `major:minor` of what it lies on, where that is a mount of ours. */
  readonly device: string | undefined;
  /** `Snapshot`: a moment of it that shares its blocks. `InPlace`: as it is, while it may be written. `Bucket`: its objects. */
  readonly method: 'Snapshot' | 'InPlace' | 'Bucket';
  /** Inode numbers and change times mean nothing here: size and modification time decide what is new. */
  readonly ignoreInode: boolean;
  /** A directory of ours at its top, which is none of its content. */
  readonly exclude: string | undefined;
  /** There is nothing at all in it. */
  readonly isEmpty: boolean;
  /** It is mounted, so that an empty one is really empty. */
  readonly isMountPoint: boolean;
  /** What is not there although workloads see it, by its path in the volume: filesystems that are mounted below. */
  readonly lacking: readonly string[];
  /** What there is to be read, where the look before has counted it. */
  readonly content?: TreeContent;
  /** When all was read: whether that is of one moment (reason constant and sentence), with the names that are not. */
  consistency(signal: AbortSignal): Promise<ReadConsistency>;
}

export interface ReadConsistency {
  readonly consistent: boolean;
  readonly reason: string;
  readonly message: string;
  readonly changes: TreeChanges;
}

/** Who reads, and what it must know of others. */
export interface Reading {
  /** Names what is made for it; nothing else reads under it. */
  readonly uid: string;
  /** Who may write to the volume on other nodes, as people know them. */
  readonly elsewhere: readonly string[];
  /** Names of changed files that are wanted at most. */
  readonly most: number;
}

/**
 * Reading all of a volume, for a backup: from a moment of it where keeping one costs nothing, else as it is. What is made for
 * that goes at its end; what a kill has left of it, by `close`.
 */
export interface ReadingCalls {
  /** @throws DriverError `DataMissing`, `VolumeNotReady`, `UploadPending` … */
  read<T>(
    volume: DriverVolume,
    reading: Reading,
    work: (opened: OpenedForReading) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T>;
  /** Removes all that was made for the reading of this UID; absent is success. */
  close(uid: string, signal: AbortSignal): Promise<void>;
}

/** A volume that was opened to be written by us alone. */
export interface OpenedContent {
  /** What workloads see of it. */
  readonly directory: TreeSource;
  /** `major:minor` of what it lies on, where that is a mount of ours. */
  readonly device: string | undefined;
  /** The first few names in it, but those that are ours or the filesystem's. */
  readonly names: readonly string[];
  /** Snapshots of ours lie in it, which nothing may remove. */
  readonly hasSnapshots: boolean;
}

/**
 * Writing into a volume that nobody has mounted, without a mount that a workload could see: for the content of a backup.
 * Whoever does it sees to it that nobody mounts the volume meanwhile, and that it is not unstaged.
 */
export interface WritingCalls {
  /** @throws DriverError `VolumeInUse` where it is mounted on this node after all, `DataMissing`, `VolumeNotReady` … */
  open(volume: DriverVolume, signal: AbortSignal): Promise<OpenedContent>;
  /** Resolves when all that was written has reached the disk, or the server. */
  flush(volume: DriverVolume, signal: AbortSignal): Promise<void>;
}

/** Where and how one VolumeMount wants to see the volume. */
export interface DriverMount {
  /** `metadata.uid` of the VolumeMount. */
  readonly uid: string;
  /** Directory that the target is resolved beneath, without following symlinks (the mount root, or an allowed prefix). */
  readonly targetRoot: string;
  /** Path of the target below `targetRoot`, e.g. `NAMESPACE/NAME/data`. */
  readonly targetPath: string;
  readonly readOnly: boolean;
  /** It was made anew before, so that others may still see the older one. */
  readonly remounted?: boolean;
}

/** Everything a driver can see of a volume on this node. */
export interface VolumeObservation {
  /** The storage exists and belongs to this UID. */
  readonly provisioned: boolean;
  /** Size that is in force, in bytes; undefined when nothing limits it. */
  readonly enforcedBytes: bigint | undefined;
  /** Whether a size is really enforced, and if not, why (reason constant and sentence). */
  readonly capacity: {
    readonly enforced: boolean;
    readonly reason: string;
    readonly message: string;
    /** It is not as wanted yet, and provisioning makes it so. */
    readonly pending?: boolean;
  };
  /** Storage is present on the node (image mounted, server mounted); true for drivers without a stage step. */
  readonly staged: boolean;
  /** The mount of the stage step, where there is one. */
  readonly stageMount: MountEntry | undefined;
  /** Something wrong that a person should read, e.g. a read-only filesystem after an I/O error. */
  readonly problem: { readonly reason: string; readonly message: string; readonly terminal: boolean } | undefined;
  /** What people should know of storage of this kind, as a sentence; shown while it is there. */
  readonly note?: string;
  /** True where the storage was made by us and may be deleted by us. */
  readonly ownedByUs: boolean;
  /** When the storage was made anew, empty, because it had gone with its content: of storage in memory only. */
  readonly emptiedAt?: Date;
  /** UID of the Restore for which something was copied beside the content, that has not become content. */
  readonly copyFor?: string | undefined;
}

/** State of one published target, read from the mount table and the target itself. */
export type MountState =
  /** Nothing of ours is mounted at the target. */
  | 'absent'
  /** Exactly one mount, of the right source, with the right flags. */
  | 'mounted'
  /** Something is mounted there and it is not our source. */
  | 'foreign'
  /** Ours is there, but someone mounted over it. */
  | 'overmounted'
  /** Our source, but flags differ from what is wanted. */
  | 'wrong-options'
  /** Our source, but it no longer answers and must be mounted anew (dead helper, stale handle, source deleted). */
  | 'stale'
  /** As wanted, but its server does not answer: left alone, because it works again by itself once the server does. */
  | 'unresponsive';

export interface MountObservation {
  readonly state: MountState;
  /** The topmost mount at the target, if any. */
  readonly entry: MountEntry | undefined;
  /** What the workload's data comes from, for `status.source`. */
  readonly source: string | undefined;
  /** A sentence for people, when the state is not `mounted`. */
  readonly message: string;
  /** A reason constant that says more than the state does. */
  readonly reason?: string;
}

/** What became of the data of a volume that was deleted. */
export interface Deletion {
  /** What was kept although it was to go, and why, as a sentence: it was not ours. Undefined when nothing was kept. */
  readonly kept: string | undefined;
}

/** What became of an unmount, or why it is not done yet. */
export type UnmountOutcome = NodeUnmountOutcome | PendingUpload;

/** Unmounted or not: what was written has not reached its storage yet, and would be lost with what holds it. */
export interface PendingUpload {
  readonly outcome: 'upload-pending';
  readonly files: number;
  readonly bytes: bigint;
}

export interface Usage {
  readonly usedBytes: bigint;
  /** Size as `statfs` reports it. */
  readonly totalBytes: bigint;
}

export interface Feature {
  readonly name: string;
  readonly available: boolean;
  /** PascalCase reason when not available, else empty. */
  readonly reason: string;
  readonly message: string;
}

/** What a driver can do on this node; each thing lacking says why. */
export interface DriverCapabilities {
  readonly supported: boolean;
  readonly reason: string;
  readonly message: string;
  /** What it lacks may come by itself (room on the host, a device that is busy): ask again soon. */
  readonly mayPass?: boolean;
  readonly features: readonly Feature[];
}

/** A thing on this node that carries a volume's UID: used to list what no object wants any more. */
export interface DriverLeftover {
  readonly volumeUID: string;
  /** The volume itself, of storage on a server, which another node may have by now. */
  readonly volume?: { readonly namespace: string; readonly name: string };
  /** Path a person can look at. */
  readonly path: string;
  readonly bytes: bigint | undefined;
}

export interface Driver {
  readonly type: DriverType;
  /**
   * Calls back with the UID of a volume whose storage changed in a way that the mount table does not show: the process
   * that serves it died, its server answers otherwise than before. Absent where a driver cannot tell: such volumes are
   * looked at every few seconds. Returns what ends it.
   */
  onChange?(listener: (volumeUID: string) => void): () => void;

  capabilities(signal: AbortSignal): Promise<DriverCapabilities>;

  /**
   * What this node sees of the volume. Where other nodes can mount it too, `provisioned` and `ownedByUs` are what the
   * owner sees; everything else is of this node.
   */
  observeVolume(volume: DriverVolume, signal: AbortSignal): Promise<VolumeObservation>;
  /**
   * Makes the storage, or grows it to `capacityBytes`; never shrinks, never overwrites what is there. With `content` it is
   * made by `fill` instead.
   */
  provision(volume: DriverVolume, signal: AbortSignal): Promise<void>;
  stage(volume: DriverVolume, signal: AbortSignal): Promise<void>;

  observeMount(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<MountObservation>;
  publish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<void>;
  /** Takes the target down and removes the empty directory; never deletes below a mount. */
  unpublish(volume: DriverVolume, mount: DriverMount, signal: AbortSignal): Promise<UnmountOutcome>;

  unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome>;
  /** Deletes what `provision` made and nothing else; storage that is not ours is kept, and the answer says so. */
  delete(volume: DriverVolume, signal: AbortSignal): Promise<Deletion>;
  /** Forgets what was noted of storage that is kept when its volume goes; absent where nothing is noted. */
  release?(volume: DriverVolume, signal: AbortSignal): Promise<void>;

  /**
   * Makes the storage of a volume with its `content`: whole, or not at all, whenever it is killed. Absent where that cannot
   * be done.
   */
  fill?(volume: DriverVolume, call: LongCall): Promise<void>;
  /**
   * Makes a volume that is mounted nowhere go back to a moment of it: whole, or not at all, whenever it is killed. Once for
   * each Restore: what was done is noted, so that it is not done over what was written afterwards. Absent where it cannot
   * be done.
   *
   * @param restore The Restore that asks for it.
   * @throws DriverError `VolumeInUse`, `DataMissing`, `SnapshotNotReady`, `InsufficientCapacity`, `RevertFailed` …
   */
  revert?(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void>;
  /**
   * Removes what was copied for a Restore that is gone (`VolumeObservation.copyFor`), unless the volume has a part of it. Nobody
   * may go back to anything meanwhile.
   */
  tidy?(volume: DriverVolume, signal: AbortSignal): Promise<void>;
  /** Absent where it cannot be read as a whole. */
  readonly reading?: ReadingCalls;
  /** Absent where nothing can be written without a mount. */
  readonly writing?: WritingCalls;
  /** Absent where no moment of a volume can be kept. */
  readonly snapshots?: SnapshotCalls;

  /** Space in use; undefined where it cannot be told cheaply. */
  usage(volume: DriverVolume, signal: AbortSignal): Promise<Usage | undefined>;
  /** Everything on this node that this driver made, whoever wants it. */
  leftovers(signal: AbortSignal): Promise<readonly DriverLeftover[]>;
  /**
   * Removes the secrets that this node keeps for a volume, unless something that runs needs them; what was written and not
   * sent stays, and whoever stages the volume again brings them anew. Absent where none are kept.
   *
   * @param isUnused Asked at the last moment.
   */
  dropSecrets?(volumeUID: string, isUnused: () => boolean, signal: AbortSignal): Promise<void>;
}

/** Why a driver call failed; `reason` is the word that reaches conditions and events. */
export class DriverError extends Error {
  override readonly name = 'DriverError';
  readonly reason: string;
  /** True when trying again without a person's change cannot help. */
  readonly terminal: boolean;

  constructor(
    reason: string,
    message: string,
    options: { readonly terminal?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.terminal = options.terminal ?? false;
  }
}
