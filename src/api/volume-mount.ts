/** The VolumeMount kind: one workload's use of a Volume on a node. Schema: `crds/storage.clawbernetes.io_volumemounts.yaml`. */
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';
import type { AccessMode } from './volume.ts';

export interface VolumeMountSpec {
  readonly volumeRef: LocalReference;
  /** Who uses the mount: any identifier of the caller's, e.g. a container ID. */
  readonly workloadId: string;
  /** Where the workload sees the volume. Never touched on the host. */
  readonly mountPath: string;
  /** Absent: read-only exactly when the volume is ReadOnlyMany. */
  readonly readOnly?: boolean;
  readonly nodeName?: string;
  /** Exact host target instead of the default one. */
  readonly hostPath?: string;
}

export type VolumeMountPhase = 'Pending' | 'Mounting' | 'Mounted' | 'Failed' | 'Unmounting';

export type VolumeMountConditionType = 'Ready' | 'Reconciling' | 'Stalled' | 'Mounted' | 'Healthy' | 'DeletionBlocked';

/** A process that keeps the mount busy. */
export interface BusyProcess {
  readonly pid: number;
  /** Command name as in `/proc/PID/comm` (at most 15 characters). */
  readonly comm: string;
}

/** Most holders that `status.busyBy` lists. */
export const MAX_BUSY_BY = 5;

export interface VolumeMountStatus extends ConditionedStatus<VolumeMountConditionType> {
  readonly phase?: VolumeMountPhase;
  readonly nodeName?: string;
  /** Where the volume is mounted on the host. */
  readonly hostPath?: string;
  /** What is mounted there: a device, a directory, or `tmpfs`. */
  readonly source?: string;
  /** RFC 3339. */
  readonly mountedAt?: string;
  /** How often the mount had to be made again since it was first made. */
  readonly restarts?: number;
  readonly busyBy?: readonly BusyProcess[];
}

export type VolumeMount = KubeObject<VolumeMountSpec, VolumeMountStatus>;

/** Returns whether the mount is to be read-only on a volume with this access mode. */
export function wantsReadOnly(spec: Pick<VolumeMountSpec, 'readOnly'>, accessMode: AccessMode): boolean {
  return spec.readOnly ?? accessMode === 'ReadOnlyMany';
}
