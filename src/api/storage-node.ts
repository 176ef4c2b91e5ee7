/** The StorageNode kind: what a node can do, published by its agent. Schema: `crds/storage.clawbernetes.io_storagenodes.yaml`. */
import type { ConditionedStatus, KubeObjectBase } from './meta.ts';
import type { VolumeType } from './volume.ts';

export interface StorageNodeInfo {
  readonly clawstoreVersion: string;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly architecture: string;
  /** Changes at every boot (`/proc/sys/kernel/random/boot_id`). */
  readonly bootID: string;
}

/** A directory in which volume images are made. Quantities are bytes. */
export interface StoragePool {
  readonly name: string;
  readonly path: string;
  /** Filesystem type, e.g. `xfs`. */
  readonly filesystem: string;
  readonly capacity: string;
  readonly free: string;
  /** Promised to Thick volumes and not yet written. */
  readonly reserved: string;
  /** What the filesystem can do: `reflink`, `quota`, `discard` … */
  readonly features?: readonly string[];
}

export interface SupportedType {
  readonly name: VolumeType;
  readonly supported: boolean;
  readonly reason?: string;
  readonly message?: string;
}

export interface NodeFeature {
  readonly name: string;
  readonly available: boolean;
  readonly reason?: string;
  readonly message?: string;
}

/** Something of ours on the node whose object is gone. It is listed and kept. */
export interface Orphan {
  readonly kind: 'Volume' | 'VolumeMount' | 'Snapshot';
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Where it lies on the host. */
  readonly path: string;
}

/** Most orphans that `status.orphans` lists; `status.orphanCount` has the full number. */
export const MAX_ORPHANS = 20;

export type StorageNodeConditionType = 'Ready' | 'Reconciling' | 'Stalled';

export interface StorageNodeStatus extends ConditionedStatus<StorageNodeConditionType> {
  readonly nodeInfo?: StorageNodeInfo;
  readonly mountRoot?: string;
  /** Sums over the pools, quantities. */
  readonly capacity?: string;
  readonly free?: string;
  readonly reserved?: string;
  readonly pools?: readonly StoragePool[];
  readonly types?: readonly SupportedType[];
  readonly features?: readonly NodeFeature[];
  readonly orphans?: readonly Orphan[];
  readonly orphanCount?: number;
}

/** What people say of a node; its agent writes none of it. */
export interface StorageNodeSpec {
  /** Nothing that names no node is placed there. */
  readonly unschedulable?: boolean;
}

/** All but the spec is observed. */
export interface StorageNode extends KubeObjectBase {
  readonly spec?: StorageNodeSpec;
  readonly status?: StorageNodeStatus;
}
