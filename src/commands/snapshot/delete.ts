import { findCondition } from '../../api/conditions.ts';
import { SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, waitFor } from '../wait.ts';

interface Params {
  readonly snapshotId: string;
}

/** `clawstore snapshot delete`: answers only when the object is gone. */
export const snapshotDelete: Command<Params, { readonly snapshotId: string; readonly deleted: true }> = {
  name: 'snapshot delete',
  summary: 'Delete a snapshot.',
  parameters: {
    required: ['snapshotId'],
    properties: { snapshotId: { type: 'string', description: 'Name of the snapshot.', minLength: 1 } },
  },
  async run({ snapshotId }, context) {
    const { client, namespace, signal } = context;
    const ref = { namespace, name: snapshotId };
    let uid: string | undefined;
    try {
      ({ uid } = (await client.get<Snapshot>(SNAPSHOTS, ref, { signal })).metadata);
      await client.delete(SNAPSHOTS, ref, { preconditions: { uid }, signal });
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (!error.isNotFound) throw fromKube(error);
      if (uid !== undefined) return { snapshotId, deleted: true };
      const message = `there is no snapshot "${snapshotId}" in namespace ${namespace}`;
      throw new CommandError('NotFound', message, { field: 'snapshotId', cause: error });
    }
    const isGone = (object: Snapshot | undefined): true | undefined => {
      if (object === undefined || object.metadata.uid !== uid) return true;
      const blocked = findCondition(object.status?.conditions, 'DeletionBlocked');
      if (blocked?.status !== 'True') return undefined;
      throw new CommandError('Refused', `snapshot delete: ${blocked.message}`, { reason: blocked.reason });
    };
    await waitFor<Snapshot, true>(client, SNAPSHOTS, ref, isGone, {
      ...context,
      pending: 'snapshot delete: still deleting',
    });
    return { snapshotId, deleted: true };
  },
};
