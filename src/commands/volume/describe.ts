import type { Condition } from '../../api/meta.ts';
import { isDeleting } from '../../api/meta.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import type { Command } from '../command.ts';
import { snapshotsOf } from '../snapshot/of-volume.ts';
import { type ListedVolume, listedVolume } from './list.ts';
import { getVolume, mountsOf } from './mounts-of.ts';

interface Params {
  readonly volumeId: string;
}

export interface DescribedVolume extends ListedVolume {
  readonly namespace: string;
  /** The source as the spec has it. */
  readonly source: Readonly<Record<string, unknown>>;
  readonly storageClass?: string;
  readonly reclaimPolicy?: string;
  readonly conditions: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'message'>[];
  readonly mounts: readonly {
    readonly workloadId: string;
    readonly nodeName?: string;
    readonly phase: string;
    readonly readOnly: boolean;
    readonly hostPath?: string;
  }[];
  readonly snapshots: readonly { readonly snapshotId: string; readonly ready: boolean; readonly created_at?: string }[];
}

/** `clawstore volume describe`: what is known of a volume, who mounts it and what was kept of it. */
export const volumeDescribe: Command<Params, DescribedVolume> = {
  name: 'volume describe',
  summary: 'Say what is known of a volume.',
  parameters: {
    required: ['volumeId'],
    properties: { volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 } },
  },
  async run({ volumeId }, context) {
    const volume = await getVolume(volumeId, context);
    const [mounts, snapshots] = await Promise.all([mountsOf(volumeId, context), snapshotsOf(volumeId, context)]);
    const { spec, status } = volume;
    const type = volumeTypeOf(spec);
    const { reclaimPolicy = spec.reclaimPolicy } = status ?? {};
    return {
      ...listedVolume(volume),
      namespace: context.namespace,
      source: type === undefined ? {} : { ...spec[type] },
      ...(spec.volumeClassName === undefined ? {} : { storageClass: spec.volumeClassName }),
      ...(reclaimPolicy === undefined ? {} : { reclaimPolicy }),
      conditions: (status?.conditions ?? []).map((one) => ({
        type: one.type,
        status: one.status,
        reason: one.reason,
        message: one.message,
      })),
      mounts: mounts.map((mount) => ({
        workloadId: mount.spec.workloadId,
        ...(mount.status?.nodeName === undefined ? {} : { nodeName: mount.status.nodeName }),
        phase: isDeleting(mount) ? 'Unmounting' : (mount.status?.phase ?? 'Pending'),
        readOnly: mount.spec.readOnly ?? spec.accessModes?.[0] === 'ReadOnlyMany',
        ...(mount.status?.hostPath === undefined ? {} : { hostPath: mount.status.hostPath }),
      })),
      snapshots: snapshots.map(({ metadata, status: taken }) => ({
        snapshotId: metadata.name,
        ready: taken?.readyToUse === true,
        ...(taken?.creationTime === undefined ? {} : { created_at: taken.creationTime }),
      })),
    };
  },
};
