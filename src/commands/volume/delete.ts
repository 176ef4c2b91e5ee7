import { findCondition } from '../../api/conditions.ts';
import { VOLUMES } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, waitFor } from '../wait.ts';
import { getVolume, mountsOf, workloadsOf } from './mounts-of.ts';

interface Params {
  readonly volumeId: string;
}

export interface DeletedVolume {
  readonly volumeId: string;
  readonly deleted: true;
}

/** `volume.delete`: refused while a workload mounts the volume; answers only when the object is gone. */
export const volumeDelete: Command<Params, DeletedVolume> = {
  name: 'volume.delete',
  summary: 'Delete a volume that nobody mounts.',
  parameters: {
    required: ['volumeId'],
    properties: { volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 } },
  },
  async run({ volumeId }, context) {
    const { client, namespace, signal } = context;
    const volume = await getVolume(volumeId, context);
    const mounts = await mountsOf(volumeId, context);
    if (mounts.length > 0) {
      throw new CommandError(
        'Refused',
        `volume.delete: volume "${volumeId}" is mounted by ${workloadsOf(mounts)}; unmount it first`,
        { field: 'volumeId', reason: 'VolumeInUse' },
      );
    }
    const { uid } = volume.metadata;
    try {
      await client.delete(VOLUMES, { namespace, name: volumeId }, { preconditions: { uid }, signal });
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (!error.isNotFound) throw fromKube(error);
    }
    await waitFor<Volume, true>(
      client,
      VOLUMES,
      { namespace, name: volumeId },
      (object) => {
        if (object === undefined || object.metadata.uid !== uid) return true;
        const blocked = findCondition(object.status?.conditions, 'DeletionBlocked');
        if (blocked?.status !== 'True') return undefined;
        throw new CommandError('Refused', `volume.delete: ${blocked.message}`, { reason: blocked.reason });
      },
      { ...context, pending: 'volume.delete: still deleting' },
    );
    return { volumeId, deleted: true };
  },
};
