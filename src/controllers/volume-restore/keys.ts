/** Which changes concern a VolumeRestore, and what its changes concern. */
import { isTrue } from '../../api/conditions.ts';
import { keyOf } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import type { AgentStores } from '../support/agent.ts';
import { BY_UID, BY_VOLUME, BY_VOLUME_UID, volumeKeyOf } from '../support/indexes.ts';
import { conditionsDiffer, grantsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';

/** A change of a VolumeRestore that its agent must act on. */
export function volumeRestoreKeys(delta: Delta<VolumeRestore>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  // The controller spoke for it, or took it away.
  const wasSpokenFor = conditionsDiffer(old, object, ['Ready']) && !hasRestoreEnded(object);
  return ordersDiffer(old, object) || wasSpokenFor ? [{ key: delta.key }] : [];
}

/** What is written into a volume waits for the volume. */
export function volumeToVolumeRestoreKeys(delta: Delta<Volume>, restores: ReadStore<VolumeRestore>): Wanted[] {
  if (delta.type === 'updated') {
    const { old, object } = delta;
    const isSame = !ordersDiffer(old, object) && !grantsDiffer(old, object);
    if (isSame && !conditionsDiffer(old, object, ['Provisioned', 'Stalled'])) return [];
  }
  return unfinishedOf((delta.type === 'deleted' ? delta.old : delta.object).metadata.uid, restores);
}

/** Those that wait for a Snapshot of what is there now. */
export function snapshotToVolumeRestoreKeys(delta: Delta<Snapshot>, restores: ReadStore<VolumeRestore>): Wanted[] {
  const { name, namespace } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  if (delta.type === 'updated') {
    const { old, object } = delta;
    if (old.status?.readyToUse === object.status?.readyToUse && !conditionsDiffer(old, object, ['Stalled'])) return [];
  }
  return restores
    .list()
    .filter(({ metadata, spec }) => metadata.namespace === namespace && spec.safetySnapshotRef?.name === name)
    .filter((restore) => !hasRestoreEnded(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}

/** A mount that is gone lets one go on. */
export function mountToVolumeRestoreKeys(delta: Delta<VolumeMount>, stores: AgentStores): Wanted[] {
  if (delta.type !== 'deleted') return [];
  return unfinishedOf(stores.volumes.get(volumeKeyOf(delta.old))?.metadata.uid, stores.volumeRestores);
}

/** Volumes that wait for their content. */
export function volumeRestoreToVolumeKeys(delta: Delta<VolumeRestore>, { volumes }: AgentStores): Wanted[] {
  return endsOf(delta).flatMap((uid) => volumes.byIndex(BY_UID, uid).map((volume) => ({ key: keyOf(volume) })));
}

/** Mounts that wait for the end of one. */
export function volumeRestoreToMountKeys(delta: Delta<VolumeRestore>, { volumes, mounts }: AgentStores): Wanted[] {
  return endsOf(delta).flatMap((uid) =>
    volumes.byIndex(BY_UID, uid).flatMap((volume) => {
      return mounts.byIndex(BY_VOLUME, keyOf(volume)).map((mount) => ({ key: keyOf(mount) }));
    }),
  );
}

/** VolumeRestores that name a Secret or ConfigMap: of their repository. */
export function keysNamingSecrets(restores: ReadStore<VolumeRestore>): string[] {
  return restores
    .list()
    .filter((restore) => !hasRestoreEnded(restore) && !isTrue(restore.status?.conditions, 'Ready'))
    .map(keyOf);
}

/** UID of the volume, when one came, went or ended. */
function endsOf(delta: Delta<VolumeRestore>): readonly string[] {
  if (delta.type === 'updated' && hasRestoreEnded(delta.old) === hasRestoreEnded(delta.object)) return [];
  return [(delta.type === 'deleted' ? delta.old : delta.object).spec.volumeUID];
}

function unfinishedOf(volumeUID: string | undefined, restores: ReadStore<VolumeRestore>): Wanted[] {
  return restores
    .byIndex(BY_VOLUME_UID, volumeUID ?? '')
    .filter((restore) => !hasRestoreEnded(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}
