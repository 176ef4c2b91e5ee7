/** `clawstore backup create|list|restore|delete|cancel`, for people: the commands' own code, with tables and progress. */
import type { Backup } from '../api/backup.ts';
import type { Restore } from '../api/restore.ts';
import { backupCancel } from '../commands/backup/cancel.ts';
import { backupCreateDetailed } from '../commands/backup/create.ts';
import { backupDelete } from '../commands/backup/delete.ts';
import { backupListSome } from '../commands/backup/list.ts';
import { backupRestoreDetailed } from '../commands/backup/restore.ts';
import { answerGiven, type Given } from './answer.ts';
import type { ExitCode } from './exit-code.ts';
import type { Answer } from './options.ts';
import { progressLine } from './progress-line.ts';

export function createBackup(given: Given, answer: Answer): Promise<ExitCode> {
  const { show, end } = progress();
  return answerGiven(backupCreateDetailed(show), given, answer).finally(end);
}

export function restoreBackup(given: Given, answer: Answer): Promise<ExitCode> {
  const { show, end } = progress();
  return answerGiven(backupRestoreDetailed(show), given, answer).finally(end);
}

export function listBackups(given: Given, answer: Answer): Promise<ExitCode> {
  return answerGiven(backupListSome, given, answer);
}

export function deleteBackup(given: Given, answer: Answer): Promise<ExitCode> {
  return answerGiven(backupDelete, given, answer);
}

export function cancelBackup(given: Given, answer: Answer): Promise<ExitCode> {
  return answerGiven(backupCancel, given, answer);
}

function progress(): { readonly show: (object: Backup | Restore) => void; readonly end: () => void } {
  if (!process.stderr.isTTY) return { show: () => undefined, end: () => undefined };
  const line = progressLine(process.stderr);
  return {
    show: ({ metadata, status }) =>
      line(metadata.name, status?.completionTime === undefined ? status?.progress : undefined),
    end: () => line('', undefined),
  };
}
