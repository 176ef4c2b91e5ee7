/**
 * The shapes every Kubernetes object shares, and a descriptor per resource that we read or write.
 * Source: Kubernetes API conventions and `k8s.io/apimachinery/pkg/apis/meta/v1`.
 */
import { GROUP, VERSION } from './group.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation?: 'Apply' | 'Update';
  readonly apiVersion?: string;
  readonly time?: string;
  readonly fieldsType?: 'FieldsV1';
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
  readonly subresource?: string;
}

/** Object metadata as the server returns it; before creation only the name (or generateName) is there. */
export interface ObjectMeta {
  readonly name: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339, seconds. */
  readonly creationTimestamp?: string;
  /** RFC 3339, seconds. Set means: being deleted. */
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

/** What every object has; the runtime needs no more. */
export interface KubeObjectBase {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** An object with typed spec and status. A kind without one of them uses `undefined` for it. */
export interface KubeObject<Spec = unknown, Status = unknown> extends KubeObjectBase {
  readonly spec: Spec;
  readonly status?: Status;
}

export interface ListMeta {
  readonly resourceVersion?: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export interface KubeList<T extends KubeObjectBase = KubeObjectBase> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** `metav1.Condition`. */
export interface Condition<Type extends string = string> {
  readonly type: Type;
  readonly status: ConditionStatus;
  /** A constant of `reasons.ts`. */
  readonly reason: string;
  /** For people: one sentence, no secrets, at most 32768 characters. */
  readonly message: string;
  /** RFC 3339, seconds. Moves only when `status` changes. */
  readonly lastTransitionTime: string;
  /** `metadata.generation` that the condition was derived from. */
  readonly observedGeneration?: number;
}

/** What every status of ours has. */
export interface ConditionedStatus<Type extends string = string> {
  /** Generation last acted on; −1 until a controller has seen the object. */
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition<Type>[];
}

/** A reference to an object in the same namespace. */
export interface LocalReference {
  readonly name: string;
}

export interface LabelSelectorRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: readonly string[];
}

/** `metav1.LabelSelector`: absent selects nothing, empty selects everything. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelSelectorRequirement[];
}

/** How a kind is addressed. `group` is `''` for the core group. */
export interface ResourceDescriptor {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

function ours(plural: string, kind: string, namespaced: boolean): ResourceDescriptor {
  return { group: GROUP, version: VERSION, plural, kind, namespaced };
}

export const VOLUMES: ResourceDescriptor = ours('volumes', 'Volume', true);
export const VOLUME_MOUNTS: ResourceDescriptor = ours('volumemounts', 'VolumeMount', true);
export const VOLUME_CLASSES: ResourceDescriptor = ours('volumeclasses', 'VolumeClass', false);
export const STORAGE_NODES: ResourceDescriptor = ours('storagenodes', 'StorageNode', false);
export const SNAPSHOTS: ResourceDescriptor = ours('snapshots', 'Snapshot', true);
export const RESTORES: ResourceDescriptor = ours('restores', 'Restore', true);
export const SNAPSHOT_SCHEDULES: ResourceDescriptor = ours('snapshotschedules', 'SnapshotSchedule', true);
export const BACKUP_REPOSITORIES: ResourceDescriptor = ours('backuprepositories', 'BackupRepository', true);
export const BACKUPS: ResourceDescriptor = ours('backups', 'Backup', true);
export const VOLUME_BACKUPS: ResourceDescriptor = ours('volumebackups', 'VolumeBackup', true);
export const VOLUME_RESTORES: ResourceDescriptor = ours('volumerestores', 'VolumeRestore', true);
export const BACKUP_SCHEDULES: ResourceDescriptor = ours('backupschedules', 'BackupSchedule', true);

/** All kinds of our group, in the order in which their objects depend on each other. */
export const OUR_RESOURCES: readonly ResourceDescriptor[] = [
  VOLUME_CLASSES,
  STORAGE_NODES,
  VOLUMES,
  VOLUME_MOUNTS,
  SNAPSHOTS,
  BACKUP_REPOSITORIES,
  BACKUPS,
  VOLUME_BACKUPS,
  RESTORES,
  VOLUME_RESTORES,
  SNAPSHOT_SCHEDULES,
  BACKUP_SCHEDULES,
];

function core(plural: string, kind: string, namespaced: boolean): ResourceDescriptor {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

export const NAMESPACES: ResourceDescriptor = core('namespaces', 'Namespace', false);
export const SECRETS: ResourceDescriptor = core('secrets', 'Secret', true);
export const CONFIG_MAPS: ResourceDescriptor = core('configmaps', 'ConfigMap', true);
export const EVENTS: ResourceDescriptor = core('events', 'Event', true);
export const LEASES: ResourceDescriptor = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

function rbac(plural: string, kind: string): ResourceDescriptor {
  return { group: 'rbac.authorization.k8s.io', version: 'v1', plural, kind, namespaced: true };
}

export const ROLES: ResourceDescriptor = rbac('roles', 'Role');
export const ROLE_BINDINGS: ResourceDescriptor = rbac('rolebindings', 'RoleBinding');
export const CUSTOM_RESOURCE_DEFINITIONS: ResourceDescriptor = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

/** Returns `v1` for the core group and `GROUP/VERSION` for the others. */
export function apiVersionOf(resource: Pick<ResourceDescriptor, 'group' | 'version'>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** Returns the store key of an object: `NAMESPACE/NAME`, or `NAME` for a cluster-wide one (as client-go does). */
export function keyOf(object: Pick<KubeObjectBase, 'metadata'>): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** Splits a key made by {@link keyOf}. */
export function splitKey(key: string): { readonly namespace?: string; readonly name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Says whether deletion of the object has begun. */
export function isDeleting(object: Pick<KubeObjectBase, 'metadata'>): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}
