/** The Volume kind: a piece of storage, on one node or on a server. Schema: `crds/storage.clawbernetes.io_volumes.yaml`. */
import type { ConditionedStatus, KubeObject } from './meta.ts';

/** Name of the member of the source union that a Volume uses. */
export type VolumeType = 'emptyDir' | 'hostPath' | 'nfs' | 's3';

export const VOLUME_TYPES: readonly VolumeType[] = ['emptyDir', 'hostPath', 'nfs', 's3'];

/** Space made for the volume and removed with it. */
export interface EmptyDirSource {
  /** `''` or absent: an image file on a pool of the node; `Memory`: a tmpfs. */
  readonly medium?: '' | 'Memory';
}

/** A directory of the host that stays where it is. */
export interface HostPathSource {
  /** Absolute, without `..`, inside what the VolumeClass allows. */
  readonly path: string;
  /** `Directory` (and `''`) must exist; `DirectoryOrCreate` is made with mode 0755 if missing. */
  readonly type?: '' | 'Directory' | 'DirectoryOrCreate';
}

/** A directory that an NFS server exports. */
export interface NfsSource {
  /** DNS name in lower case or IP address, without port. */
  readonly server: string;
  /** Absolute and clean: as the server names the export. */
  readonly path: string;
  /** Directory of the volume's own below `path`: relative and clean. Made if missing. */
  readonly subPath?: string;
}

/** Names an object of the same namespace. */
export interface LocalRef {
  readonly name: string;
}

/** A bucket, or what lies under a prefix of it. Absent fields: what the class says, else Amazon's own. */
export interface S3Source {
  readonly bucket: string;
  /** Relative and clean, without a slash at the end. */
  readonly prefix?: string;
  /** `http(s)://HOST[:PORT]`. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly forcePathStyle?: boolean;
  readonly checksums?: 'WhenRequired' | 'WhenSupported';
  /** A Secret with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`. */
  readonly credentialsSecretRef?: LocalRef;
  /** A ConfigMap with `ca.crt`. */
  readonly caBundleRef?: LocalRef;
}

/** What a Volume starts with: exactly one. */
export interface VolumeDataSource {
  readonly snapshotRef?: LocalRef;
  readonly volumeRef?: LocalRef;
  /** One volume of a Backup; `volumeName` is its name there. */
  readonly backupRef?: { readonly name: string; readonly volumeName: string };
}

export type AccessMode = 'ReadWriteOnce' | 'ReadWriteOncePod' | 'ReadOnlyMany' | 'ReadWriteMany';
export type CapacityPolicy = 'Enforce' | 'Advisory';
export type ReclaimPolicy = 'Delete' | 'Retain';
export type Provisioning = 'Thick' | 'Thin';
export type VolumePhase = 'Pending' | 'Available' | 'Bound' | 'Attached' | 'Failed' | 'Deleting';

export interface VolumeSpec {
  readonly emptyDir?: EmptyDirSource;
  readonly hostPath?: HostPathSource;
  readonly nfs?: NfsSource;
  readonly s3?: S3Source;
  /** Quantity. Only grows. */
  readonly capacity?: string;
  /** Absent: enforce where the source can. */
  readonly capacityPolicy?: CapacityPolicy;
  /** Exactly one; the server fills in `ReadWriteOnce`. */
  readonly accessModes?: readonly AccessMode[];
  readonly mountOptions?: readonly string[];
  readonly volumeClassName?: string;
  readonly nodeName?: string;
  /** Labels a StorageNode must carry. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly reclaimPolicy?: ReclaimPolicy;
  /** Absent: it starts empty, or with what is there. */
  readonly dataSource?: VolumeDataSource;
}

export type VolumeConditionType =
  | 'Ready'
  | 'Reconciling'
  | 'Stalled'
  | 'Provisioned'
  | 'CapacityEnforced'
  | 'DeletionBlocked';

/** One grant: this mount may use the volume. Written by the controller alone. */
export interface VolumeAttachment {
  readonly mountUID: string;
  readonly workloadId: string;
  readonly nodeName: string;
  readonly readOnly: boolean;
}

export interface VolumeUsage {
  readonly usedBytes: number;
  /** RFC 3339. */
  readonly observedAt: string;
}

export interface VolumeMountCounts {
  readonly desired: number;
  readonly ready: number;
}

export interface VolumeStatus extends ConditionedStatus<VolumeConditionType> {
  readonly phase?: VolumePhase;
  readonly nodeName?: string;
  /** Resolved capacity, a quantity. */
  readonly capacity?: string;
  readonly reclaimPolicy?: ReclaimPolicy;
  readonly provisioning?: Provisioning;
  readonly usage?: VolumeUsage;
  readonly attachments?: readonly VolumeAttachment[];
  readonly mounts?: VolumeMountCounts;
  /** RFC 3339. */
  readonly lastSnapshotTime?: string;
  /** Moment of the newest successful backup of it. Written by the controller. RFC 3339. */
  readonly lastBackupTime?: string;
}

export type Volume = KubeObject<VolumeSpec, VolumeStatus>;

/** Returns which source the volume uses, or `undefined` when it has none that this version knows. */
export function volumeTypeOf(spec: VolumeSpec): VolumeType | undefined {
  return VOLUME_TYPES.find((type) => spec[type] !== undefined);
}

/** Returns the one access mode, with the schema's default applied. */
export function accessModeOf(spec: VolumeSpec): AccessMode {
  return spec.accessModes?.[0] ?? 'ReadWriteOnce';
}
