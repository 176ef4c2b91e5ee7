import { findCondition } from '../../api/conditions.ts';
import { FIELD_MANAGERS } from '../../api/group.ts';
import { VOLUMES } from '../../api/meta.ts';
import { compareQuantities, quantityToBytes } from '../../api/quantity.ts';
import type { Volume } from '../../api/volume.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';
import { capacityOf, MAX_SIZE_GIB } from './capacity.ts';
import { getVolume } from './mounts-of.ts';

interface Params {
  readonly volumeId: string;
  readonly sizeGb: number;
}

export interface GrownVolume {
  readonly volumeId: string;
  /** What it has now; bytes. */
  readonly capacity: number;
  /** Whether a writer meets that limit, and if not why. */
  readonly enforced: boolean;
  readonly reason?: string;
  readonly success: true;
}

/** Somebody else may have changed it between our read and our write. */
const MAX_TURNS = 10;

/** `clawstore volume grow`: raises `spec.capacity` and answers when the volume has that much. */
export const volumeGrow: Command<Params, GrownVolume> = {
  name: 'volume grow',
  summary: 'Make a volume larger, while it is used or not.',
  parameters: {
    required: ['volumeId', 'sizeGb'],
    properties: {
      volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 },
      sizeGb: { type: 'number', description: 'Its new size in GiB.', exclusiveMinimum: 0, maximum: MAX_SIZE_GIB },
    },
  },
  async run({ volumeId, sizeGb }, context) {
    const capacity = capacityOf(sizeGb);
    const { uid } = (await raise(volumeId, capacity, context)).metadata;
    const done = (object: Volume | undefined): Volume | undefined => {
      if (object !== undefined && object.metadata.uid !== uid) {
        throw new CommandError('NotFound', `volume grow: volume "${volumeId}" was deleted while we waited`);
      }
      const ready = readyOrStalled(object);
      const has = ready?.status?.capacity;
      return has !== undefined && compareQuantities(has, capacity) >= 0 ? ready : undefined;
    };
    const grown = await waitFor<Volume, Volume>(
      context.client,
      VOLUMES,
      { namespace: context.namespace, name: volumeId },
      done,
      { ...context, pending: 'volume grow: still growing' },
    );
    const enforced = findCondition(grown.status?.conditions, 'CapacityEnforced');
    return {
      volumeId,
      capacity: quantityToBytes(grown.status?.capacity ?? capacity),
      enforced: enforced?.status === 'True',
      ...(enforced === undefined || enforced.status === 'True' ? {} : { reason: enforced.reason }),
      success: true,
    };
  },
};

/** Returns the volume with the wanted capacity in its spec: that it had before, or has now. */
async function raise(volumeId: string, capacity: string, context: CommandContext): Promise<Volume> {
  const { client, namespace, signal } = context;
  for (let turn = 1; ; turn++) {
    const volume = await getVolume(volumeId, context);
    const { capacity: present = volume.status?.capacity } = volume.spec;
    const order = present === undefined ? 1 : compareQuantities(capacity, present);
    if (order === 0 && volume.spec.capacity !== undefined) return volume;
    if (order < 0) {
      const text = `volume grow: parameter "sizeGb" is less than volume "${volumeId}" has (${present}); volumes only grow`;
      throw new CommandError('InvalidParameter', text, { field: 'sizeGb' });
    }
    const { resourceVersion } = volume.metadata;
    const body = { metadata: { resourceVersion }, spec: { capacity } };
    try {
      return await client.patch<Volume>(VOLUMES, { namespace, name: volumeId }, body, {
        type: 'merge',
        fieldManager: FIELD_MANAGERS.commands,
        signal,
      });
    } catch (thrown) {
      if (!KubeError.from(thrown).isConflict || turn >= MAX_TURNS) throw fromKube(thrown);
    }
  }
}
