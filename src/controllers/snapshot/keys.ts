/** Which changes concern a snapshot, and what a snapshot's changes concern. */
import { FINALIZERS } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { Delta } from '../../runtime/store.ts';
import type { AgentStores } from '../support/agent.ts';
import { BY_DATA_SOURCE, BY_SOURCE_UID, BY_UID, BY_VOLUME, dataSourceKey } from '../support/indexes.ts';
import { concernsAgent, conditionsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';

/** The newest moment of a volume is shown a little later: many are often taken together. */
const SUMMARY = { priority: -50, afterMs: 500 } as const;

/** A change of a Snapshot that its agent must act on. */
export function snapshotKeys(delta: Delta<Snapshot>): Wanted[] {
  return concernsAgent(delta, FINALIZERS.snapshot) ? [{ key: delta.key }] : [];
}

/**
 * A volume that comes, goes or is provisioned concerns its snapshots; a volume that was made, or is not to be made any
 * more, concerns the snapshot that it is made from.
 */
export function volumeToSnapshotKeys(delta: Delta<Volume>, stores: AgentStores): Wanted[] {
  const volume = delta.type === 'deleted' ? delta.old : delta.object;
  if (delta.type === 'updated' && !volumeDiffers(delta.old, delta.object)) return [];
  const own = new Set<Snapshot>([
    ...stores.snapshots.byIndex(BY_VOLUME, delta.key),
    ...stores.snapshots.byIndex(BY_SOURCE_UID, volume.metadata.uid ?? ''),
  ]);
  const { snapshotRef } = volume.spec.dataSource ?? {};
  const keys = [...own].map(keyOf);
  if (snapshotRef !== undefined) keys.push(siblingKey(volume, snapshotRef.name));
  return keys.map((key) => ({ key }));
}

/** The same for the volume that another one is made from, and for those that are made from this one. */
export function volumeToCloneKeys(delta: Delta<Volume>, stores: AgentStores): Wanted[] {
  const volume = delta.type === 'deleted' ? delta.old : delta.object;
  if (delta.type === 'updated' && !volumeDiffers(delta.old, delta.object)) return [];
  const { volumeRef } = volume.spec.dataSource ?? {};
  const clones = stores.volumes.byIndex(BY_DATA_SOURCE, dataSourceKey('Volume', delta.key)).map(keyOf);
  if (volumeRef === undefined) return clones.map((key) => ({ key }));
  return [...clones, siblingKey(volume, volumeRef.name)].map((key) => ({ key }));
}

/** A snapshot that is ready lets volumes be made from it; its volume shows the newest, and may wait for it to be deleted. */
export function snapshotToVolumeKeys(delta: Delta<Snapshot>, stores: AgentStores): Wanted[] {
  const snapshot = delta.type === 'deleted' ? delta.old : delta.object;
  if (delta.type === 'updated' && !snapshotDiffers(delta.old, delta.object)) return [];
  const clones = stores.volumes.byIndex(BY_DATA_SOURCE, dataSourceKey('Snapshot', delta.key));
  const sources = stores.volumes.byIndex(BY_UID, snapshot.status?.source?.volumeUID ?? '');
  return [
    ...clones.map((volume) => ({ key: keyOf(volume) })),
    ...sources.map((volume) =>
      volume.metadata.deletionTimestamp === undefined
        ? { key: keyOf(volume), options: SUMMARY }
        : { key: keyOf(volume) },
    ),
  ];
}

/** Key of an object of the same namespace. */
function siblingKey({ metadata }: Volume, name: string): string {
  return keyOf({ metadata: { namespace: metadata.namespace ?? '', name } });
}

function volumeDiffers(old: Volume, object: Volume): boolean {
  return ordersDiffer(old, object) || conditionsDiffer(old, object, ['Provisioned', 'Stalled']);
}

function snapshotDiffers(old: Snapshot, object: Snapshot): boolean {
  return (
    ordersDiffer(old, object) ||
    old.status?.readyToUse !== object.status?.readyToUse ||
    conditionsDiffer(old, object, ['Ready'])
  );
}
