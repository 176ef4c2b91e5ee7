/** Which changes concern the placement of a volume. */
import type { Backup } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import type { Namespace } from '../../api/core.ts';
import { FINALIZERS } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { AddOptions } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import { isNodeLocal } from '../policy/sources/index.ts';
import { annotationsDiffer } from '../support/annotations.ts';
import { BY_DATA_SOURCE, BY_NODE, BY_VOLUME, dataSourceKey, volumeKeyOf } from '../support/indexes.ts';
import { conditionsDiffer, lossDiffers, ordersDiffer, wasTakenOver } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { gatherFor } from '../support/wide.ts';
import type { PlacementStores } from './observe.ts';
import { isLost } from './observe.ts';

/** What people would notice last: counts and phases. A volume's and its mounts' changes are gathered for one write. */
const SUMMARY = { priority: -50, afterMs: 100 } as const;
/** What placement reads of conditions that agents write. */
const VOLUME_CONDITIONS = ['Ready', 'Stalled', 'Provisioned'] as const;
const MOUNT_CONDITIONS = ['Ready', 'Mounted'] as const;

/** A new volume waits a moment for its mounts; a change of what agents report alone comes last. */
export function volumeKeys(delta: Delta<Volume>, stores: PlacementStores, gatherMs: number): Wanted[] {
  const { key } = delta;
  if (delta.type === 'deleted') return [{ key }];
  if (delta.type === 'added') {
    const alone = delta.object.status?.nodeName === undefined && stores.mounts.byIndex(BY_VOLUME, key).length === 0;
    return [alone ? { key, options: { afterMs: gatherMs } } : { key }];
  }
  const { old, object } = delta;
  if (ordersDiffer(old, object) || wasTakenOver(old, object, FINALIZERS.volume)) return [{ key }];
  return conditionsDiffer(old, object, VOLUME_CONDITIONS) ? [{ key, options: SUMMARY }] : [];
}

/** Mounts are decided with their volume. A reference that was changed concerns both volumes. */
export function mountKeys(delta: Delta<VolumeMount>, { volumes }: PlacementStores): Wanted[] {
  const wanted = (key: string, least: AddOptions = {}): Wanted => {
    const afterMs = Math.max(least.afterMs ?? 0, gatherFor(volumes.get(key)));
    return { key, options: { ...least, afterMs } };
  };
  if (delta.type === 'added') return [wanted(volumeKeyOf(delta.object))];
  if (delta.type === 'deleted') return [wanted(volumeKeyOf(delta.old))];
  const { old, object } = delta;
  const keys = [...new Set([volumeKeyOf(old), volumeKeyOf(object)])];
  if (ordersDiffer(old, object)) return keys.map((key) => wanted(key));
  if (!conditionsDiffer(old, object, MOUNT_CONDITIONS)) return [];
  return keys.map((key) => wanted(key, SUMMARY));
}

/** Volumes that wait for a node, of one namespace or of all. */
export function unplacedVolumes({ volumes }: PlacementStores, namespace?: string): Wanted[] {
  return volumes
    .byIndex(BY_NODE, '')
    .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
    .map((volume) => ({ key: keyOf(volume) }));
}

/** Those of a namespace that came or is another one to classes. */
export function unplacedOfNamespace(delta: Delta<Namespace>, stores: PlacementStores): Wanted[] {
  const changed = delta.type !== 'updated' || !sameValue(delta.old.metadata.labels, delta.object.metadata.labels);
  return changed ? unplacedVolumes(stores, delta.key) : [];
}

/** A node that comes or changes may take volumes that wait; one that is lost or back concerns all that is on it. */
export function nodeKeys(delta: Delta<StorageNode>, stores: PlacementStores): Wanted[] {
  if (delta.type === 'updated' && !nodeDiffers(delta.old, delta.object)) return [];
  const keys = unplacedVolumes(stores);
  if (!lossDiffers(delta) && delta.type === 'updated' && !annotationsDiffer(delta.old, delta.object)) return keys;
  for (const volume of stores.volumes.byIndex(BY_NODE, delta.key)) keys.push({ key: keyOf(volume) });
  for (const mount of stores.mounts.byIndex(BY_NODE, delta.key)) keys.push({ key: volumeKeyOf(mount) });
  return keys;
}

/** Volumes that could go to another node than the one that is lost, for which a node that can take them now may be the one. */
export function strandedVolumes(delta: Delta<StorageNode>, stores: PlacementStores): Wanted[] {
  if (delta.type === 'deleted' || !takesVolumes(delta.object)) return [];
  if (delta.type === 'updated' && takesVolumes(delta.old) && canTheSame(delta.old, delta.object)) return [];
  return stores.volumes
    .list()
    .filter(({ spec, status }) => {
      return status?.nodeName !== undefined && !isNodeLocal(spec) && isLost(stores, status.nodeName);
    })
    .map((volume) => ({ key: keyOf(volume) }));
}

function canTheSame(old: StorageNode, object: StorageNode): boolean {
  return sameValue([old.metadata.labels, old.status?.types], [object.metadata.labels, object.status?.types]);
}

function takesVolumes({ spec, status }: StorageNode): boolean {
  return isTrue(status?.conditions, 'Ready') && spec?.unschedulable !== true;
}

/** Volumes without a node that are to be made from something, and may be able to now. */
export function unplacedClones(
  kind: 'Snapshot' | 'Volume',
  delta: Delta<Snapshot> | Delta<Volume>,
  { volumes }: PlacementStores,
): Wanted[] {
  return volumes
    .byIndex(BY_DATA_SOURCE, dataSourceKey(kind, delta.key))
    .filter(({ status }) => status?.nodeName === undefined)
    .map((volume) => ({ key: keyOf(volume) }));
}

/** Volumes that were held because they go back, or are now. */
export function revertedVolumes(delta: Delta<Restore>, { volumes }: PlacementStores): Wanted[] {
  if (delta.type === 'updated' && isFinished(delta.old) === isFinished(delta.object)) return [];
  const { metadata, status } = delta.type === 'deleted' ? delta.old : delta.object;
  const key = `${metadata.namespace}/${status?.source?.volumeName}`;
  return volumes.get(key) === undefined ? [] : [{ key }];
}

/** Volumes that were held for what is written into them, or are now. */
export function restoredVolumes(delta: Delta<VolumeRestore>, { volumes }: PlacementStores): Wanted[] {
  if (delta.type === 'updated' && hasRestoreEnded(delta.old) === hasRestoreEnded(delta.object)) return [];
  const { metadata, spec } = delta.type === 'deleted' ? delta.old : delta.object;
  const key = `${metadata.namespace}/${spec.volumeRef.name}`;
  return volumes.get(key) === undefined ? [] : [{ key }];
}

/** Volumes without a node that are to start with a backup, and may be able to now. */
export function unplacedOfBackup(delta: Delta<Backup>, { volumes }: PlacementStores): Wanted[] {
  return volumes
    .byIndex(BY_DATA_SOURCE, dataSourceKey('Backup', delta.key))
    .filter(({ status }) => status?.nodeName === undefined)
    .map((volume) => ({ key: keyOf(volume) }));
}

/** What placement reads of a StorageNode. */
function nodeDiffers(old: StorageNode, object: StorageNode): boolean {
  const read = ({ metadata, spec, status }: StorageNode) => [metadata.labels, spec, status?.types, status?.pools];
  return (
    annotationsDiffer(old, object) || conditionsDiffer(old, object, ['Ready']) || !sameValue(read(old), read(object))
  );
}
