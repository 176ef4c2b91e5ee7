import { findCondition } from '../../api/conditions.ts';
import { VOLUME_MOUNTS } from '../../api/meta.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, waitFor } from '../wait.ts';
import { getVolume, mountsOf, workloadsOf } from './mounts-of.ts';

interface Params {
  readonly volumeId: string;
  readonly workloadId?: string;
}

export interface UnmountedVolume {
  readonly volumeId: string;
  readonly unmounted: true;
}

/** `volume.unmount`: takes one workload's mount down and says so only when it is really gone. */
export const volumeUnmount: Command<Params, UnmountedVolume> = {
  name: 'volume.unmount',
  summary: "Take down a workload's mount of a volume.",
  parameters: {
    required: ['volumeId'],
    properties: {
      volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 },
      workloadId: { type: 'string', description: 'Whose mount; required when there are several.', minLength: 1 },
    },
  },
  async run(params, context) {
    const { volumeId, workloadId } = params;
    await getVolume(volumeId, context);
    const all = await mountsOf(volumeId, context);
    const mine = workloadId === undefined ? all : all.filter(({ spec }) => spec.workloadId === workloadId);
    if (workloadId === undefined && all.length > 1) {
      throw new CommandError(
        'InvalidParameter',
        `volume.unmount: parameter "workloadId" is required: volume "${volumeId}" is mounted by ${workloadsOf(all)}`,
        { field: 'workloadId' },
      );
    }
    if (workloadId !== undefined && mine.length === 0 && all.length > 0) {
      throw new CommandError(
        'NotFound',
        `volume.unmount: workload "${workloadId}" has no mount of volume "${volumeId}"; it is mounted by ${workloadsOf(all)}`,
        { field: 'workloadId' },
      );
    }
    for (const mount of mine) await takeDown(mount, context);
    return { volumeId, unmounted: true };
  },
};

async function takeDown(mount: VolumeMount, context: Parameters<typeof volumeUnmount.run>[1]): Promise<void> {
  const { namespace, name, uid } = mount.metadata;
  const { client, signal } = context;
  try {
    await client.delete(VOLUME_MOUNTS, { namespace, name }, { preconditions: { uid }, signal });
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isNotFound) throw fromKube(error);
  }
  await waitFor<VolumeMount, true>(client, VOLUME_MOUNTS, { namespace, name }, (object) => goneOrBlocked(object, uid), {
    ...context,
    pending: 'volume.unmount: still unmounting',
  });
}

function goneOrBlocked(object: VolumeMount | undefined, uid: string | undefined): true | undefined {
  if (object === undefined || object.metadata.uid !== uid) return true;
  const blocked = findCondition(object.status?.conditions, 'DeletionBlocked');
  if (blocked?.status !== 'True') return undefined;
  throw new CommandError('Refused', `volume.unmount: not unmounted yet: ${blocked.message}`, {
    reason: blocked.reason,
  });
}
