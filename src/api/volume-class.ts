/** The VolumeClass kind: who may use what, and the defaults. Schema: `crds/storage.clawbernetes.io_volumeclasses.yaml`. */
import type { KubeObject, LabelSelector } from './meta.ts';
import type { Provisioning, ReclaimPolicy, S3Source, VolumeType } from './volume.ts';

/** Values for Volume fields that are absent. */
export interface VolumeClassDefaults {
  /** Name of the pool on the node that emptyDir images are made on. */
  readonly pool?: string;
  readonly provisioning?: Provisioning;
  readonly reclaimPolicy?: ReclaimPolicy;
  readonly mountOptions?: readonly string[];
  readonly s3?: Pick<S3Source, 'endpoint' | 'region' | 'forcePathStyle' | 'credentialsSecretRef'>;
}

export interface VolumeClassSpec {
  /** Namespaces whose Volumes may use the class; absent: none, empty: all. */
  readonly allowedNamespaces?: LabelSelector;
  readonly allowedTypes: readonly VolumeType[];
  /** Directories at or below which host paths (sources and mount targets) may lie; absent: none. */
  readonly allowedHostPathPrefixes?: readonly string[];
  /** NFS servers that a Volume may name: as written there, `*.example.com`, or `*`; absent: none. */
  readonly allowedNfsServers?: readonly string[];
  /** S3 endpoints that a Volume may use: as written there, `aws`, or `*`; absent: none. */
  readonly allowedS3Endpoints?: readonly string[];
  /** Buckets that a Volume may use: a name, or the beginning of one and `*`; absent: none. */
  readonly allowedS3Buckets?: readonly string[];
  /** Whether a Volume without a Secret may use the credentials of the node; absent: no. */
  readonly allowAmbientCredentials?: boolean;
  /** Mount options that a Volume may ask for; absent: only those that restrict. */
  readonly allowedMountOptions?: readonly string[];
  readonly defaults?: VolumeClassDefaults;
}

export type VolumeClass = KubeObject<VolumeClassSpec, undefined>;
