import { findCondition } from '../../api/conditions.ts';
import { VOLUMES } from '../../api/meta.ts';
import { quantityToBytes } from '../../api/quantity.ts';
import { accessModeOf, type Volume, type VolumePhase, volumeTypeOf } from '../../api/volume.ts';
import type { Command } from '../command.ts';
import { fromKube } from '../wait.ts';

interface ListedVolume {
  readonly volumeId: string;
  readonly type: string;
  readonly phase: VolumePhase;
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

/** `volume.list`: every volume of the namespace; the counts by phase are exclusive and sum to the total. */
export const volumeList: Command<Record<string, never>, Result> = {
  name: 'volume.list',
  summary: 'List the volumes and count them by phase.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  async run(_params, { client, namespace, signal }) {
    const { items } = await client.list<Volume>(VOLUMES, { namespace, signal }).catch((cause: unknown) => {
      throw fromKube(cause);
    });
    const volumes = items.map(listed).toSorted((a, b) => a.volumeId.localeCompare(b.volumeId));
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

function listed({ metadata, spec, status }: Volume): ListedVolume {
  const ready = findCondition(status?.conditions, 'Ready');
  const capacity = status?.capacity ?? spec.capacity;
  return {
    volumeId: metadata.name,
    type: (volumeTypeOf(spec) ?? 'unknown').toLowerCase(),
    phase: metadata.deletionTimestamp !== undefined ? 'Deleting' : (status?.phase ?? 'Pending'),
    accessMode: accessModeOf(spec),
    capacity: capacity === undefined ? 0 : quantityToBytes(capacity),
    ...(status?.usage === undefined ? {} : { used: status.usage.usedBytes }),
    ...(status?.nodeName === undefined ? {} : { nodeName: status.nodeName }),
    ready: ready?.status === 'True',
    ...(ready === undefined || ready.status === 'True' ? {} : { reason: ready.reason, message: ready.message }),
  };
}
