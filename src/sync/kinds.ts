/** Which kinds may stand in manifests, in which order they are applied, and in which they are deleted. */
import { DEFAULT_VOLUME_CLASS, SYNC_STATUS, SYSTEM_NAMESPACE } from '../api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUP_SCHEDULES,
  BACKUPS,
  CONFIG_MAPS,
  NAMESPACES,
  OUR_RESOURCES,
  RESTORES,
  type ResourceDescriptor,
  SECRETS,
  SNAPSHOT_SCHEDULES,
  SNAPSHOTS,
  VOLUME_BACKUPS,
  VOLUME_MOUNTS,
  VOLUME_RESTORES,
  VOLUMES,
} from '../api/meta.ts';

/** In this order, so that nothing is applied before what it needs. */
export const APPLICABLE: readonly ResourceDescriptor[] = [NAMESPACES, SECRETS, CONFIG_MAPS, ...OUR_RESOURCES];

/**
 * What depends on others goes before them, and each stage waits until the one before is really gone: a volume on a server is
 * reclaimed with the Secret that it names, and what makes new objects must not outlive what it makes them of.
 */
const STAGES: readonly (readonly ResourceDescriptor[])[] = [
  [BACKUP_SCHEDULES, SNAPSHOT_SCHEDULES],
  [VOLUME_MOUNTS],
  [RESTORES, BACKUPS, VOLUME_BACKUPS, VOLUME_RESTORES, SNAPSHOTS],
  [VOLUMES],
  [BACKUP_REPOSITORIES],
];
const NAMESPACE_STAGE = STAGES.length + 1;

/** When its turn to be deleted comes: classes, Secrets and ConfigMaps after all that may need them, namespaces last. */
export function pruneStage(resource: ResourceDescriptor): number {
  if (resource === NAMESPACES) return NAMESPACE_STAGE;
  const stage = STAGES.findIndex((kinds) => kinds.includes(resource));
  return stage < 0 ? STAGES.length : stage;
}

/** What the control plane itself needs, whoever has applied it. */
export function isProtected(resource: ResourceDescriptor, name: string): boolean {
  if (resource === NAMESPACES) return ['default', SYSTEM_NAMESPACE].includes(name) || name.startsWith('kube-');
  return resource.kind === 'VolumeClass' && name === DEFAULT_VOLUME_CLASS;
}

/** The one object that nobody may bring: it says how the sync stands. */
export function isOwnStatus(resource: ResourceDescriptor, namespace: string | undefined, name: string): boolean {
  return resource === CONFIG_MAPS && namespace === SYSTEM_NAMESPACE && name === SYNC_STATUS;
}
