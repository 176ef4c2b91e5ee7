/** The VolumeClass kind: who may use what, and the defaults. Schema: `crds/storage.clawbernetes.io_volumeclasses.yaml`. */
import type { KubeObject, LabelSelector } from './meta.ts';
import type { Provisioning, ReclaimPolicy, VolumeType } from './volume.ts';

/** Values for Volume fields that are absent. */
export interface VolumeClassDefaults {
  /** Name of the pool on the node that emptyDir images are made on. */
  readonly pool?: string;
  readonly provisioning?: Provisioning;
  readonly reclaimPolicy?: ReclaimPolicy;
  readonly mountOptions?: readonly string[];
}

export interface VolumeClassSpec {
  /** Namespaces whose Volumes may use the class; absent: none, empty: all. */
  readonly allowedNamespaces?: LabelSelector;
  readonly allowedTypes: readonly VolumeType[];
  /** Directories at or below which host paths (sources and mount targets) may lie; absent: none. */
  readonly allowedHostPathPrefixes?: readonly string[];
  /** NFS servers that a Volume may name: as written there, `*.example.com`, or `*`; absent: none. */
  readonly allowedNfsServers?: readonly string[];
  /** Mount options that a Volume may ask for; absent: only those that restrict. */
  readonly allowedMountOptions?: readonly string[];
  readonly defaults?: VolumeClassDefaults;
}

export type VolumeClass = KubeObject<VolumeClassSpec, undefined>;
