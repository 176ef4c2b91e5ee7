import type { Handlers } from '../helper/registry.ts';
import { pathOf } from '../trees/directories.ts';
import { fileNames } from './file-names.ts';
import type { BackupOperations } from './operations.ts';
import { ENGINE_TIDY_MS } from './operations.ts';
import { runEngine } from './run-engine.ts';

/** Which function answers which request about backups. */
export const BACKUP_HANDLERS: Handlers<BackupOperations> = {
  runEngine: { run: runEngine, alwaysIsolated: true, changesNamespace: { tidyMs: ENGINE_TIDY_MS } },
  fileNames: { run: fileNames, paths: ({ source }) => [pathOf(source)] },
};
