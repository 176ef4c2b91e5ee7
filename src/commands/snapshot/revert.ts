import { findCondition, isTrue } from '../../api/conditions.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { RESTORES, SNAPSHOTS, VOLUME_MOUNTS } from '../../api/meta.ts';
import type { Restore, WhenAttached } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { mountsOf } from '../volume/mounts-of.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';

interface Params {
  readonly snapshotId: string;
  readonly safetySnapshot?: boolean;
  readonly whenAttached?: WhenAttached;
}

export interface RevertResult {
  readonly snapshotId: string;
  readonly volumeId: string;
  readonly restoreId: string;
  /** The Snapshot of what was there before. */
  readonly safetySnapshotId?: string;
  /** `running`: it goes on; the same call again tells how that went. */
  readonly state: 'done' | 'running';
  readonly success: boolean;
}

/** Several may be wanted in one second. */
const MAX_NAMES = 100;

/** `clawstore snapshot revert`: a volume goes back to a snapshot of it. One that is going on is answered, not begun twice. */
export const snapshotRevert: Command<Params, RevertResult> = {
  name: 'snapshot revert',
  summary: 'Take a volume back to a snapshot of it.',
  parameters: {
    required: ['snapshotId'],
    properties: {
      snapshotId: { type: 'string', description: 'Name of the snapshot.', minLength: 1 },
      safetySnapshot: { type: 'boolean', description: 'Keep what the volume has now as a snapshot first.' },
      whenAttached: {
        type: 'string',
        description: 'Remount: mounts of the volume are taken down first and made again afterwards.',
        enum: ['Refuse', 'Remount'],
      },
    },
  },
  async run(params, context) {
    await mustExist(params.snapshotId, context);
    const restore = (await unfinished(params.snapshotId, context)) ?? (await create(params, context));
    const { namespace, name, uid } = restore.metadata;
    let last: Restore = restore;
    const done = (object: Restore | undefined): Restore | undefined => {
      if (object === undefined || object.metadata.uid !== uid) {
        throw new CommandError('NotFound', `snapshot revert: restore "${name}" was deleted while we waited`);
      }
      last = object;
      return readyOrStalled(object);
    };
    const options = { ...context, pending: 'snapshot revert: still going back' };
    try {
      last = await waitFor<Restore, Restore>(context.client, RESTORES, { namespace, name }, done, options);
    } catch (thrown) {
      const goesOn = thrown instanceof CommandError && thrown.code === 'Timeout' && last.status?.nodeName !== undefined;
      if (goesOn) return answerOf(last);
      throw thrown;
    }
    await mountsAreBack(last, context);
    return answerOf(last);
  },
};

/** Waits until the mounts that were taken down for it are there again: whoever is told that it is done uses them. */
async function mountsAreBack({ spec, status }: Restore, context: CommandContext): Promise<void> {
  const volumeId = status?.source?.volumeName;
  if (spec.whenAttached !== 'Remount' || volumeId === undefined) return;
  const isDown = (mount: VolumeMount): boolean =>
    findCondition(mount.status?.conditions, 'Ready')?.reason === 'RestoreInProgress';
  const down = (await mountsOf(volumeId, context)).filter(isDown);
  const pending = 'snapshot revert: the volume has gone back; still mounting it again';
  for (const { metadata } of down) {
    const ref = { namespace: metadata.namespace, name: metadata.name };
    await waitFor<VolumeMount, VolumeMount>(context.client, VOLUME_MOUNTS, ref, readyOrStalled, {
      ...context,
      pending,
    });
  }
}

async function mustExist(name: string, { client, namespace, signal }: CommandContext): Promise<void> {
  try {
    await client.get<Snapshot>(SNAPSHOTS, { namespace, name }, { signal });
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isNotFound) throw fromKube(error);
    const message = `there is no snapshot "${name}" in namespace ${namespace}`;
    throw new CommandError('NotFound', message, { field: 'snapshotId', cause: error });
  }
}

/** One that an earlier call began and that has not ended. */
async function unfinished(
  snapshotId: string,
  { client, namespace, signal }: CommandContext,
): Promise<Restore | undefined> {
  const labelSelector = `${LABELS.managedBy}=clawstore`;
  const list = client.list<Restore>(RESTORES, { namespace, labelSelector, signal });
  const { items } = await list.catch((cause: unknown) => {
    throw fromKube(cause);
  });
  return items.find((restore) => restore.spec.source.snapshotRef?.name === snapshotId && !isFinished(restore));
}

/** Makes one with the time in its name, e.g. `revert-20261127-165601`. */
async function create({ snapshotId, safetySnapshot, whenAttached }: Params, context: CommandContext): Promise<Restore> {
  const { client, namespace, signal } = context;
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  for (let turn = 1; ; turn++) {
    const name = `revert-${time}${turn === 1 ? '' : `-${turn}`}`;
    const restore: Restore = {
      apiVersion: API_VERSION,
      kind: RESTORES.kind,
      metadata: { name, namespace, labels: { [LABELS.managedBy]: 'clawstore' } },
      spec: {
        source: { snapshotRef: { name: snapshotId } },
        ...(safetySnapshot === undefined ? {} : { safetySnapshot }),
        ...(whenAttached === undefined ? {} : { whenAttached }),
      },
    };
    try {
      return await client.create(RESTORES, restore, { fieldManager: FIELD_MANAGERS.commands, signal });
    } catch (thrown) {
      if (!KubeError.from(thrown).isAlreadyExists || turn >= MAX_NAMES) throw fromKube(thrown);
    }
  }
}

function answerOf({ metadata, spec, status }: Restore): RevertResult {
  const isDone = isTrue(status?.conditions, 'Ready');
  const safety = status?.safetySnapshotRef?.name;
  return {
    snapshotId: spec.source.snapshotRef?.name ?? '',
    volumeId: status?.source?.volumeName ?? '',
    restoreId: metadata.name,
    ...(safety === undefined ? {} : { safetySnapshotId: safety }),
    state: isDone ? 'done' : 'running',
    success: isDone,
  };
}
