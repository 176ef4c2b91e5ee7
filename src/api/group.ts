/**
 * Names that are part of the API besides the fields: group, version, finalizers, annotations, labels, field managers,
 * well-known objects. Every other file takes them from here.
 */

/** API group of every clawstore kind. */
export const GROUP = 'storage.clawbernetes.io';

/** The one version served and stored. */
export const VERSION = 'v1alpha1';

/** `apiVersion` of every clawstore object. */
export const API_VERSION = `${GROUP}/${VERSION}` as const;

/** The category that makes `kubectl get clawstore` list all our kinds. */
export const CATEGORY = 'clawstore';

/** Finalizers we put on objects whose removal needs work on a node first. */
export const FINALIZERS = {
  volume: `${GROUP}/volume`,
  mount: `${GROUP}/mount`,
  snapshot: `${GROUP}/snapshot`,
  backup: `${GROUP}/backup`,
  restore: `${GROUP}/restore`,
  repository: `${GROUP}/repository`,
} as const;

/**
 * Annotations that people set. The destructive ones (`forceDelete`, `allowDataLoss`, `nodeFenced`) count only when their
 * value is the UID of the object that carries them, so that one copied along with a manifest does nothing.
 */
export const ANNOTATIONS = {
  /** Any new value makes the object be reconciled at once. */
  reconcileAt: `${GROUP}/reconcile-at`,
  /** `"true"` stops every action on the object but keeps its status truthful. */
  paused: `${GROUP}/paused`,
  /** Object UID: release the object although its node cannot be asked. */
  forceDelete: `${GROUP}/force-delete`,
  /** Object UID: permit an action that loses data. */
  allowDataLoss: `${GROUP}/allow-data-loss`,
  /** Object UID: the lost node is known to be off, its grants may be released. */
  nodeFenced: `${GROUP}/node-fenced`,
} as const;

/**
 * UID of the Restore that an object was made for, an annotation that the controller sets: a Snapshot of what it replaces, or
 * a Volume, which has no content before that Restore has brought it.
 */
export const RESTORE_UID_ANNOTATION = `${GROUP}/restore-uid`;

/** On the Secret of a repository's key: a mark of the key that was exported. Set by `clawstore repository export-key`. */
export const KEY_EXPORTED_ANNOTATION = `${GROUP}/key-exported`;

/** UID of the Restore that has made, or changed, an object from its manifest in a backup. */
export const RESTORED_BY_ANNOTATION = `${GROUP}/restored-by`;

/** `"false"` on an object that `clawstore up --sync` has applied: it is not deleted when it leaves the source. Set by people. */
export const PRUNE_ANNOTATION = `${GROUP}/prune`;

/** On what `clawstore up --sync` applies: the file of the source that it stands in, from the top of the source. */
export const SYNC_FILE_ANNOTATION = `${GROUP}/sync-file`;

/** Annotations that a schedule sets on what it makes. */
export const RUN_ANNOTATIONS = {
  /** UID of the schedule. */
  scheduleUID: `${GROUP}/schedule-uid`,
  /** The scheduled time, RFC 3339. */
  scheduledAt: `${GROUP}/scheduled-at`,
} as const;

/** Labels we set on what we make, and understand on StorageNodes. */
export const LABELS = {
  /** Name of the Volume a VolumeMount belongs to (Volume names are limited to 63 characters for this). */
  volume: `${GROUP}/volume`,
  /** Name of the schedule that made an object. Another schedule of that name may have: {@link RUN_ANNOTATIONS}. */
  schedule: `${GROUP}/schedule`,
  /** Name of the Restore that made an object: a safety Snapshot, a VolumeRestore. */
  restore: `${GROUP}/restore`,
  /** Hash of the request that made an object, so that the same request again finds it. */
  request: `${GROUP}/request`,
  /** Name of the Backup that made an object. */
  backup: `${GROUP}/backup`,
  /** Name of the BackupRepository that a Backup lies in. */
  repository: `${GROUP}/repository`,
  /** Which source `clawstore up --sync` has applied an object from, as a hash of where the source is. */
  sync: `${GROUP}/sync`,
  /** Which part of the product an object belongs to. */
  component: 'app.kubernetes.io/component',
  /** Set to `clawstore` on objects made by our commands. */
  managedBy: 'app.kubernetes.io/managed-by',
  /** Well-known node labels, published on each StorageNode. */
  hostname: 'kubernetes.io/hostname',
  arch: 'kubernetes.io/arch',
  os: 'kubernetes.io/os',
} as const;

/** Value of {@link LABELS.managedBy} on what we make. */
export const MANAGED_BY = 'clawstore';

/** Server-side-apply field managers: one writer per status field. */
export const FIELD_MANAGERS = {
  controller: 'clawstore-controller',
  agent: 'clawstore-agent',
  /** What backups say of volumes. */
  backups: 'clawstore-backups',
  /** What the agent that tends a repository says of the backups in it, beside what was said when they were made. */
  repository: 'clawstore-repository',
  /** The nine commands and the `volume|snapshot|backup` commands of the binary. */
  commands: 'clawstore-commands',
  /** Objects that `clawstore up` installs and applies (default class, `--apply DIR`). */
  up: 'clawstore-up',
  /** What `clawstore up --sync` keeps equal to its source, and its own status. */
  sync: 'clawstore-sync',
} as const;

/** Namespace of Leases and of the Secrets that belong to the installation. */
export const SYSTEM_NAMESPACE = 'clawstore-system';

/** Name of the ConfigMap in {@link SYSTEM_NAMESPACE} that says how `clawstore up --sync` stands. */
export const SYNC_STATUS = 'clawstore-sync';

/**
 * What users of the node role are called: this and the node's name. The embedded control plane issues such credentials; for
 * a real one a client certificate may carry the name.
 */
export const NODE_USER_PREFIX = 'clawstore:node:';

/**
 * On a Role in a namespace, a verb on a BackupRepository by its name: the node tends it. Kubernetes knows no such verb; an
 * admission policy asks whether a node has it.
 */
export const TEND_VERB = 'tend';

/** Name of the Lease that elects the one active controller. */
export const CONTROLLER_LEASE = 'clawstore-controller';

/** Name of the VolumeClass used by a Volume that names none. */
export const DEFAULT_VOLUME_CLASS = 'default';

/** Capacity of an emptyDir volume that asks for none. */
export const DEFAULT_EMPTY_DIR_CAPACITY = '10Gi';

/** Largest `spec.capacity` that the Volume schema accepts. */
export const MAX_CAPACITY = '16Pi';

/**
 * Returns the name of the heartbeat Lease of a node, in {@link SYSTEM_NAMESPACE}. The prefix keeps a node called
 * `clawstore-controller` from sharing the controller's Lease.
 */
export function nodeLeaseName(nodeName: string): string {
  return `node-${nodeName}`;
}

/** Says whether `object` carries a UID-bound annotation with its own UID as value. */
export function hasUidBoundAnnotation(
  object: { readonly metadata: { readonly uid?: string; readonly annotations?: Readonly<Record<string, string>> } },
  annotation: string,
): boolean {
  const { uid, annotations } = object.metadata;
  return uid !== undefined && uid !== '' && annotations?.[annotation] === uid;
}
