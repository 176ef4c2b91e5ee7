import { findCondition } from '../../api/conditions.ts';
import { VOLUMES } from '../../api/meta.ts';
import { compareText } from '../../api/order.ts';
import { quantityToBytes } from '../../api/quantity.ts';
import { accessModeOf, type Volume, type VolumePhase, volumeTypeOf } from '../../api/volume.ts';
import type { Command } from '../command.ts';
import { type Listing, rowsOf } from '../listing.ts';

export interface ListedVolume {
  readonly volumeId: string;
  readonly type: string;
  /** `Deleted` only in what a watch shows. */
  readonly phase: VolumePhase | 'Deleted';
  readonly accessMode: string;
  /** Bytes; 0 where no size is known. */
  readonly capacity: number;
  /** Bytes, where usage is known. */
  readonly used?: number;
  readonly nodeName?: string;
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  readonly message?: string;
  /** RFC 3339. */
  readonly created_at?: string;
}

interface Result {
  readonly totalVolumes: number;
  readonly availableVolumes: number;
  readonly boundVolumes: number;
  readonly attachedVolumes: number;
  readonly pendingVolumes: number;
  readonly failedVolumes: number;
  readonly deletingVolumes: number;
  /** Bytes. */
  readonly totalCapacity: number;
  readonly volumes: readonly ListedVolume[];
}

export const volumeListing: Listing<Record<string, never>, Volume, ListedVolume, Result> = {
  resource: VOLUMES,
  select: () => ({}),
  compare: (a, b) => compareText(a.metadata.name, b.metadata.name),
  rowOf: listedVolume,
  resultOf: (volumes) => {
    const count = (phase: VolumePhase): number => volumes.filter((volume) => volume.phase === phase).length;
    return {
      totalVolumes: volumes.length,
      availableVolumes: count('Available'),
      boundVolumes: count('Bound'),
      attachedVolumes: count('Attached'),
      pendingVolumes: count('Pending'),
      failedVolumes: count('Failed'),
      deletingVolumes: count('Deleting'),
      totalCapacity: volumes.reduce((sum, { capacity }) => sum + capacity, 0),
      volumes,
    };
  },
};

/** `volume.list`: every volume of the namespace; the counts by phase are exclusive and sum to the total. */
export const volumeList: Command<Record<string, never>, Result> = {
  name: 'volume.list',
  summary: 'List the volumes and count them by phase.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  run: async (params, context) => volumeListing.resultOf(await rowsOf(volumeListing, params, context)),
};

export function listedVolume({ metadata, spec, status }: Volume, isGone = false): ListedVolume {
  const ready = findCondition(status?.conditions, 'Ready');
  const capacity = status?.capacity ?? spec.capacity;
  const phase = metadata.deletionTimestamp !== undefined ? 'Deleting' : (status?.phase ?? 'Pending');
  const isReady = !isGone && ready?.status === 'True';
  return {
    volumeId: metadata.name,
    type: (volumeTypeOf(spec) ?? 'unknown').toLowerCase(),
    phase: isGone ? 'Deleted' : phase,
    accessMode: accessModeOf(spec),
    capacity: capacity === undefined ? 0 : quantityToBytes(capacity),
    ...(status?.usage === undefined ? {} : { used: status.usage.usedBytes }),
    ...(status?.nodeName === undefined ? {} : { nodeName: status.nodeName }),
    ready: isReady,
    ...(isGone || isReady || ready === undefined ? {} : { reason: ready.reason, message: ready.message }),
    ...(metadata.creationTimestamp === undefined ? {} : { created_at: metadata.creationTimestamp }),
  };
}
