/** Which changes concern a Restore, and what its changes concern. */
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import type { AgentStores } from '../support/agent.ts';
import { BY_UID, BY_VOLUME, BY_VOLUME_UID, volumeKeyOf } from '../support/indexes.ts';
import { conditionsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';

/** A change of a Restore that its agent must act on. */
export function restoreKeys(delta: Delta<Restore>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const before = old.status?.safetySnapshotRef?.name;
  const matters =
    ordersDiffer(old, object) ||
    before !== object.status?.safetySnapshotRef?.name ||
    // The controller spoke for it, or took it away.
    (conditionsDiffer(old, object, ['Ready']) && !isFinished(object));
  return matters ? [{ key: delta.key }] : [];
}

/** The Restores that wait for a Snapshot of what is there now, or go back to one. */
export function snapshotToRestoreKeys(delta: Delta<Snapshot>, restores: ReadStore<Restore>): Wanted[] {
  const { name, namespace } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  if (delta.type === 'updated') {
    const { old, object } = delta;
    const isSame = old.status?.readyToUse === object.status?.readyToUse;
    if (isSame && !conditionsDiffer(old, object, ['Ready', 'Stalled']) && !ordersDiffer(old, object)) return [];
  }
  return restores
    .list()
    .filter((restore) => !isFinished(restore) && restore.metadata.namespace === namespace)
    .filter(({ spec, status }) => [spec.source.snapshotRef?.name, status?.safetySnapshotRef?.name].includes(name))
    .map((restore) => ({ key: keyOf(restore) }));
}

/** The Restore that takes a volume back. */
export function volumeToRestoreKeys(delta: Delta<Volume>, restores: ReadStore<Restore>): Wanted[] {
  const { uid = '' } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  return restores
    .byIndex(BY_VOLUME_UID, uid)
    .filter((restore) => !isFinished(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}

/** A mount that is gone, or was taken down, lets a Restore go on. */
export function mountToRestoreKeys(delta: Delta<VolumeMount>, stores: AgentStores): Wanted[] {
  if (delta.type === 'added') return [];
  if (delta.type === 'updated' && !conditionsDiffer(delta.old, delta.object, ['Mounted'])) return [];
  const volume = stores.volumes.get(volumeKeyOf(delta.old));
  const restores = stores.restores.byIndex(BY_VOLUME_UID, volume?.metadata.uid ?? '');
  return restores.filter((restore) => !isFinished(restore)).map((restore) => ({ key: keyOf(restore) }));
}

/** The volume of a Restore that has ended, which may have said that a part of it is of before. */
export function restoreToVolumeKeys(delta: Delta<Restore>, { volumes }: AgentStores): Wanted[] {
  const restore = delta.type === 'deleted' ? delta.old : delta.object;
  if (delta.type === 'added' || (delta.type === 'updated' && isFinished(delta.old) === isFinished(restore))) return [];
  return volumes.byIndex(BY_UID, restore.status?.source?.volumeUID ?? '').map((volume) => ({ key: keyOf(volume) }));
}

/** Mounts that wait for the end of a Restore, or are in the way of one that was given to a node. */
export function restoreToMountKeys(delta: Delta<Restore>, stores: AgentStores): Wanted[] {
  const restore = delta.type === 'deleted' ? delta.old : delta.object;
  const isSame = delta.type === 'updated' && phaseOf(delta.old) === phaseOf(delta.object);
  if (isSame || (delta.type === 'added' && isFinished(restore))) return [];
  const volumes = stores.volumes.byIndex(BY_UID, restore.status?.source?.volumeUID ?? '');
  return volumes.flatMap((volume) =>
    stores.mounts.byIndex(BY_VOLUME, keyOf(volume)).map((mount) => ({ key: keyOf(mount) })),
  );
}

function phaseOf(restore: Restore): 'new' | 'bound' | 'finished' {
  if (isFinished(restore)) return 'finished';
  return restore.status?.source === undefined ? 'new' : 'bound';
}
