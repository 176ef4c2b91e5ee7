/**
 * What a volume with a `dataSource` starts from: found, judged, and where it lies. Asked until the volume has been made, by
 * the controller to place it and by the agent, which fills it. Pure.
 */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting, keyOf } from '../../api/meta.ts';
import { formatBytes, quantityToBigInt } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Snapshot, SnapshotSource } from '../../api/snapshot.ts';
import type { Volume, VolumeSpec } from '../../api/volume.ts';
import type { Refusal } from './facts.ts';
import { sourceOf } from './sources/index.ts';

/** What is there to start from, by key. */
export interface DataSources {
  readonly snapshots: { get(key: string): Snapshot | undefined };
  readonly volumes: { get(key: string): Volume | undefined };
}

export type ContentFrom =
  | { readonly from: 'snapshot'; readonly snapshot: Snapshot; readonly source: SnapshotSource }
  | { readonly from: 'volume'; readonly volume: Volume };

/** What a volume is filled from. */
export type Content =
  | {
      readonly ok: true;
      readonly content: ContentFrom;
      /** Where it lies, and the volume must go. */
      readonly nodeName: string;
      /** Least size of the volume; undefined where any will do. */
      readonly leastBytes: bigint | undefined;
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** Finds what a volume starts from; undefined when it starts empty, or with what is there. */
export function contentOf(volume: Volume, sources: DataSources): Content | undefined {
  const { dataSource } = volume.spec;
  if (dataSource === undefined) return undefined;
  const keyed = (name: string): string => keyOf({ metadata: { namespace: volume.metadata.namespace ?? '', name } });
  const { snapshotRef, volumeRef, backupRef } = dataSource;
  // Written into it once it is there: `first-content.ts`.
  if (backupRef !== undefined) return undefined;
  const found =
    snapshotRef !== undefined
      ? fromSnapshot(volume, snapshotRef.name, sources.snapshots.get(keyed(snapshotRef.name)))
      : fromVolume(volume, volumeRef?.name ?? '', sources.volumes.get(keyed(volumeRef?.name ?? '')));
  return found.ok ? (misfit(volume, found) ?? found) : found;
}

function fromSnapshot(volume: Volume, name: string, snapshot: Snapshot | undefined): Content {
  if (snapshot === undefined) {
    return waiting('SnapshotNotFound', `Snapshot "${name}" does not exist; the volume waits for it.`);
  }
  // Once the volume has a node, the deletion of what it is made from waits for it.
  if (isDeleting(snapshot) && volume.status?.nodeName === undefined) {
    return waiting('SnapshotNotReady', `Snapshot "${name}" is being deleted; nothing new is made from it.`);
  }
  const { readyToUse, nodeName, source, restoreSize } = snapshot.status ?? {};
  if (readyToUse !== true || nodeName === undefined || source === undefined) {
    return waiting('SnapshotNotReady', `Snapshot "${name}" is not ready to use yet; the volume waits for it.`);
  }
  const leastBytes = restoreSize === undefined ? undefined : quantityToBigInt(restoreSize);
  return { ok: true, content: { from: 'snapshot', snapshot, source }, nodeName, leastBytes };
}

function fromVolume(volume: Volume, name: string, source: Volume | undefined): Content {
  if (name === volume.metadata.name) return refused('InvalidSpec', 'The volume names itself as its dataSource.');
  if (source === undefined) {
    return waiting('VolumeNotFound', `Volume "${name}" of the dataSource does not exist; this one waits for it.`);
  }
  if (isDeleting(source) && volume.status?.nodeName === undefined) {
    return waiting(
      'VolumeDeleting',
      `Volume "${name}" of the dataSource is being deleted; nothing new is made from it.`,
    );
  }
  const { nodeName, conditions, capacity } = source.status ?? {};
  if (nodeName === undefined || !isTrue(conditions, 'Provisioned')) {
    return waiting('VolumeNotReady', `Volume "${name}" of the dataSource is not there yet; this one waits for it.`);
  }
  // What has no size of its own says nothing of how much is in it.
  const leastBytes =
    sourceOf(source.spec)?.allocates === true && capacity !== undefined ? quantityToBigInt(capacity) : undefined;
  return { ok: true, content: { from: 'volume', volume: source }, nodeName, leastBytes };
}

/** Why the two do not go together. */
function misfit({ spec, status }: Volume, { content, nodeName, leastBytes }: Content & { readonly ok: true }) {
  const source = content.from === 'snapshot' ? content.source.volumeSpec : content.volume.spec;
  const [own, its] = [kindOf(spec), kindOf(source)];
  if (own !== its) {
    return refused(
      'DataSourceMismatch',
      `The dataSource is of ${its} storage and the volume of ${own}; they must be the same.`,
    );
  }
  const wanted = status?.nodeName ?? spec.nodeName ?? nodeName;
  if (wanted !== nodeName) {
    const message = `The volume is to be on node "${wanted}", but its dataSource lies on node "${nodeName}"; copies to another node need a backup.`;
    return refused('DataSourceMismatch', message);
  }
  if (spec.capacity !== undefined && leastBytes !== undefined && quantityToBigInt(spec.capacity) < leastBytes) {
    const message = `The capacity ${spec.capacity} is below the ${formatBytes(leastBytes)} that the dataSource needs.`;
    return refused('CapacityTooSmall', message);
  }
  return undefined;
}

/** The kind of storage, as far as one can be copied to another. */
function kindOf(spec: VolumeSpec): string {
  const type = sourceOf(spec)?.type ?? 'unknown';
  return type === 'emptyDir' && spec.emptyDir?.medium === 'Memory' ? 'emptyDir (Memory)' : type;
}

function waiting(reason: Reason, message: string): Content {
  return { ok: false, refusal: { reason, message, stalled: false } };
}

function refused(reason: Reason, message: string): Content {
  return { ok: false, refusal: { reason, message, stalled: true } };
}
