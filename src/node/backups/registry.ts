import type { Handlers } from '../helper/registry.ts';
import type { BackupOperations } from './operations.ts';
import { ENGINE_TIDY_MS } from './operations.ts';
import { runEngine } from './run-engine.ts';

/** Which function answers which request about backups. */
export const BACKUP_HANDLERS: Handlers<BackupOperations> = {
  runEngine: { run: runEngine, alwaysIsolated: true, changesNamespace: { tidyMs: ENGINE_TIDY_MS } },
};
