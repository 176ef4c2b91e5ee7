/** The Snapshot kind: a moment of a Volume, kept. Schema: `crds/storage.clawbernetes.io_snapshots.yaml`. */
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';
import type { VolumeSpec } from './volume.ts';

/** `Filesystem`: only with all writes that were done and none half. `Crash`: as after a power cut. */
export type SnapshotConsistency = 'Crash' | 'Filesystem';

export interface SnapshotSpec {
  readonly volumeRef: LocalReference;
  /** Absent: `Filesystem` where the source can, else what it can; the condition `ContentConsistent` says which. */
  readonly consistency?: SnapshotConsistency;
  /** How long writers may be made to wait, e.g. `10s`. Absent: {@link DEFAULT_FREEZE_TIMEOUT}. */
  readonly freezeTimeout?: string;
  /** The Snapshot is deleted when it is older, e.g. `72h`. Absent: never. */
  readonly ttl?: string;
  /** What happens to the data when the Snapshot is deleted. Absent: `Delete`. */
  readonly deletionPolicy?: 'Delete' | 'Retain';
}

/** How long writers are made to wait at most, where a Snapshot does not say. */
export const DEFAULT_FREEZE_TIMEOUT = '10s';

/** How the moment is kept. */
export type SnapshotMethod =
  /** The image of the volume shares its blocks (FICLONE). */
  | 'Reflink'
  /** A read-only btrfs subvolume. */
  | 'Subvolume'
  /** A tree of files that share their blocks. */
  | 'ReflinkTree'
  /** A full copy. */
  | 'Copy'
  /** Copied by the server, without its bytes passing through the node. */
  | 'ServerSideCopy';

export const SNAPSHOT_METHODS: readonly SnapshotMethod[] = [
  'Reflink',
  'Subvolume',
  'ReflinkTree',
  'Copy',
  'ServerSideCopy',
];

export type SnapshotConditionType = 'Ready' | 'Reconciling' | 'Stalled' | 'ContentConsistent' | 'DeletionBlocked';

/** The volume as it was when the Snapshot was given to a node: enough to find the data when the Volume is gone. */
export interface SnapshotSource {
  readonly volumeName: string;
  readonly volumeUID: string;
  readonly volumeSpec: VolumeSpec;
}

export interface SnapshotProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface SnapshotStatus extends ConditionedStatus<SnapshotConditionType> {
  /** The node that takes and keeps it. Written by the controller, with `source`. */
  readonly nodeName?: string;
  readonly source?: SnapshotSource;
  /** True once the snapshot is complete and on disk, and from then on. */
  readonly readyToUse?: boolean;
  /** The moment that is kept. RFC 3339. */
  readonly creationTime?: string;
  /** Least capacity of a volume made from it, a quantity. */
  readonly restoreSize?: string;
  readonly method?: SnapshotMethod;
  /** Bytes that deleting it would give back, where the filesystem can tell. */
  readonly usedBytes?: number;
  /** While it is copied. */
  readonly progress?: SnapshotProgress;
}

export type Snapshot = KubeObject<SnapshotSpec, SnapshotStatus>;
