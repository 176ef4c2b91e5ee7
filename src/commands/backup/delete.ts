import type { Backup } from '../../api/backup.ts';
import { findCondition } from '../../api/conditions.ts';
import { FIELD_MANAGERS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS } from '../../api/meta.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, waitFor } from '../wait.ts';
import { findBackup } from './find.ts';
import { idOf } from './state.ts';

interface Params {
  readonly backupId: string;
  readonly data?: 'delete' | 'keep';
}

export interface DeletedBackup {
  readonly backupId: string;
  /** Of its object. */
  readonly name: string;
  readonly deleted: true;
  /** What became of its data in the repository. */
  readonly data: 'deleted' | 'kept';
}

/** `clawstore backup delete`: answers only when the object is gone, and with `data: delete` the data too. */
export const backupDelete: Command<Params, DeletedBackup> = {
  name: 'backup delete',
  summary: 'Delete a backup.',
  parameters: {
    required: ['backupId'],
    properties: {
      backupId: { type: 'string', description: 'ID or name of the backup.', minLength: 1 },
      data: {
        type: 'string',
        description: 'What becomes of its data; without it what its deletionPolicy says.',
        enum: ['delete', 'keep'],
      },
    },
  },
  async run({ backupId, data }, context) {
    const found = await findBackup(backupId, context);
    const unreachable = await goneRepository(found, context);
    if (unreachable !== undefined && data === 'delete') {
      const message = `BackupRepository "${unreachable}" is gone, so that the data of the backup cannot be reached: add it again, or delete the object alone with --data keep`;
      throw new CommandError('Refused', message, { field: 'data' });
    }
    const backup = await decided(found, data, context);
    const { client, namespace, signal } = context;
    const { name, uid, resourceVersion } = backup.metadata;
    const ref = { namespace, name };
    // What was not decided in this call may change meanwhile without harm: it is the same object.
    const preconditions = data === undefined ? { uid } : { uid, resourceVersion };
    await client.delete(BACKUPS, ref, { preconditions, signal }).catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isNotFound) throw fromKube(thrown);
    });
    const isGone = (object: Backup | undefined): true | undefined => {
      if (object === undefined || object.metadata.uid !== uid) return true;
      const blocked = findCondition(object.status?.conditions, 'DeletionBlocked');
      if (blocked?.status !== 'True') return undefined;
      throw new CommandError('Refused', `backup delete: ${blocked.message}`, { reason: blocked.reason });
    };
    await waitFor<Backup, true>(client, BACKUPS, ref, isGone, context);
    const isLost = backup.spec.deletionPolicy === 'Delete' && unreachable === undefined;
    return { backupId: idOf(backup) ?? name, name, deleted: true, data: isLost ? 'deleted' : 'kept' };
  },
};

/** Name of the repository that the backup lies in, where that is not known here any more: nobody can remove anything from it. */
async function goneRepository(
  { spec, status }: Backup,
  { client, namespace, signal }: CommandContext,
): Promise<string | undefined> {
  const name = status?.repositoryRef?.name ?? spec.repositoryRef?.name;
  if (name === undefined) return undefined;
  try {
    await client.get(BACKUP_REPOSITORIES, { namespace, name }, { signal });
    return undefined;
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (error.isNotFound) return name;
    // Whoever may not see it is told by the Backup itself.
    if (error.isForbidden) return undefined;
    throw fromKube(error);
  }
}

async function decided(backup: Backup, data: Params['data'], context: CommandContext): Promise<Backup> {
  if (data === undefined) return backup;
  const deletionPolicy = data === 'delete' ? 'Delete' : 'Retain';
  if ((backup.spec.deletionPolicy ?? 'Retain') === deletionPolicy) return backup;
  const { client, namespace, signal } = context;
  const { name, uid } = backup.metadata;
  const body = { metadata: { uid }, spec: { deletionPolicy } };
  const options = { type: 'merge', fieldManager: FIELD_MANAGERS.commands, signal } as const;
  return client.patch<Backup>(BACKUPS, { namespace, name }, body, options).catch((cause: unknown) => {
    throw fromKube(cause);
  });
}
