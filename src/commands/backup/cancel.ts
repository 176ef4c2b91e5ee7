import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { FIELD_MANAGERS } from '../../api/group.ts';
import { BACKUPS } from '../../api/meta.ts';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, waitFor } from '../wait.ts';
import { findBackup } from './find.ts';
import { idOf, stateOf } from './state.ts';

export interface Cancelled {
  readonly backupId: string;
  /** Of its object. */
  readonly name: string;
  readonly cancelled: true;
}

interface Params {
  readonly backupId: string;
}

/** `clawstore backup cancel`: answers only when it has stopped. What was read is found again by the next backup. */
export const backupCancel: Command<Params, Cancelled> = {
  name: 'backup cancel',
  summary: 'Stop a backup that goes on.',
  parameters: {
    required: ['backupId'],
    properties: { backupId: { type: 'string', description: 'ID or name of the backup.', minLength: 1 } },
  },
  async run({ backupId }, context) {
    const { client, namespace, signal } = context;
    const backup = await findBackup(backupId, context);
    const { name, uid } = backup.metadata;
    const tooLate = (): CommandError =>
      new CommandError('Refused', `backup cancel: backup "${idOf(backup) ?? name}" has ended`, { field: 'backupId' });
    if (hasEnded(backup) && backup.spec.cancel !== true) throw tooLate();
    const body = { metadata: { uid }, spec: { cancel: true } };
    const options = { type: 'merge', fieldManager: FIELD_MANAGERS.commands, signal } as const;
    await client.patch<Backup>(BACKUPS, { namespace, name }, body, options).catch((cause: unknown) => {
      throw fromKube(cause);
    });
    const isOver = (object: Backup | undefined): Backup | undefined => {
      if (object === undefined || object.metadata.uid !== uid) return backup;
      return hasEnded(object) ? object : undefined;
    };
    const ended = await waitFor<Backup, Backup>(client, BACKUPS, { namespace, name }, isOver, context);
    // It may have been done before anybody read that it was to be stopped.
    if (['succeeded', 'partial'].includes(stateOf(ended))) throw tooLate();
    return { backupId: idOf(ended) ?? name, name, cancelled: true };
  },
};
