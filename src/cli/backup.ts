/** `clawstore backup create|list|restore|delete|cancel`, for people: the commands' own code, with tables and progress. */
import { backupCancel } from '../commands/backup/cancel.ts';
import { backupCreateDetailed } from '../commands/backup/create.ts';
import { backupDelete } from '../commands/backup/delete.ts';
import { backupListSome } from '../commands/backup/list.ts';
import { backupRestoreDetailed } from '../commands/backup/restore.ts';
import { answerGiven, type Given } from './answer-command.ts';
import type { Asked } from './client-options.ts';
import type { ExitCode } from './exit-code.ts';

export function createBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(
    backupCreateDetailed(() => undefined),
    given,
    answer,
  );
}

export function restoreBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(
    backupRestoreDetailed(() => undefined),
    given,
    answer,
  );
}

export function listBackups(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(backupListSome, given, answer);
}

export function deleteBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(backupDelete, given, answer);
}

export function cancelBackup(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(backupCancel, given, answer);
}
