/** `clawstore backup create|list|restore|delete|cancel`, for people: the commands' own code, with tables and progress. */
import { BACKUPS, RESTORES } from '../api/meta.ts';
import { backupCancel, type Cancelled } from '../commands/backup/cancel.ts';
import { backupCreateDetailed, type CreatedBackup } from '../commands/backup/create.ts';
import { backupDelete, type DeletedBackup } from '../commands/backup/delete.ts';
import type { ListedBackup } from '../commands/backup/list.ts';
import { backupRestoreDetailed, type RestoreResult } from '../commands/backup/restore.ts';
import { answerCommand, answerGiven, type Given } from './answer-command.ts';
import type { Asked } from './client-options.ts';
import type { ExitCode } from './exit-code.ts';
import type { Subject, TableView, View } from './output.ts';
import { age, humanBytes } from './units.ts';

export const BACKUP_LIST: TableView<ListedBackup> = {
  resource: BACKUPS,
  nameOf: ({ name }) => name,
  columns: [
    { heading: 'backup', cell: ({ backupId }) => backupId },
    { heading: 'scope', cell: ({ scope }) => scope },
    { heading: 'destination', cell: ({ destination }) => destination },
    { heading: 'state', cell: ({ state }) => state },
    { heading: 'size', cell: ({ bytes }) => (bytes === undefined ? '' : humanBytes(bytes)) },
    { heading: 'age', cell: ({ created_at }) => age(created_at) },
    { heading: 'name', wide: true, cell: ({ name }) => name },
    { heading: 'schedule', wide: true, cell: ({ schedule }) => schedule },
    { heading: 'begun', wide: true, cell: ({ created_at }) => created_at },
    { heading: 'message', cell: ({ message }) => message?.replaceAll(/\s+/g, ' ') },
  ],
};

const RESTORED: Subject<RestoreResult> = { resource: RESTORES, nameOf: ({ restoreId }) => restoreId };

const DELETED: View<DeletedBackup, DeletedBackup> = {
  resource: BACKUPS,
  rows: (result) => [result],
  nameOf: ({ name }) => name,
  columns: [
    { heading: 'backup', cell: ({ backupId }) => backupId },
    { heading: 'deleted', cell: ({ deleted }) => deleted },
    { heading: 'data', cell: ({ data }) => data },
    { heading: 'name', wide: true, cell: ({ name }) => name },
  ],
};

const CANCELLED: View<Cancelled, Cancelled> = {
  resource: BACKUPS,
  rows: (result) => [result],
  nameOf: ({ name }) => name,
  columns: [
    { heading: 'backup', cell: ({ backupId }) => backupId },
    { heading: 'cancelled', cell: ({ cancelled }) => cancelled },
    { heading: 'name', wide: true, cell: ({ name }) => name },
  ],
};

export function createBackup(given: Given, answer: Asked): Promise<ExitCode> {
  let name = '';
  const create = backupCreateDetailed(({ metadata }) => {
    name = metadata.name;
  });
  const subject: Subject<CreatedBackup> = { resource: BACKUPS, nameOf: () => name };
  return answerGiven(create, given, answer, subject);
}

export function restoreBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(
    backupRestoreDetailed(() => undefined),
    given,
    answer,
    RESTORED,
  );
}

export function deleteBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(backupDelete, given, answer, DELETED);
}

export function cancelBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerCommand(answer, backupCancel, given, CANCELLED);
}
