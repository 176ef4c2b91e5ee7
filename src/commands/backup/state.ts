/** What commands say of a Backup, in the words that callers compare. */
import type { Backup, BackupScope } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';

/**
 * `partial`: it was allowed to lack something, and does. `unknown`: it has ended, and whether it is there cannot be said
 * now.
 */
export type BackupState = (typeof BACKUP_STATES)[number];
export const BACKUP_STATES = ['running', 'succeeded', 'partial', 'failed', 'unknown', 'deleting'] as const;

export type CommandScope = 'full' | 'volumes' | 'configs';

export const SCOPES: Readonly<Record<CommandScope, BackupScope>> = {
  full: 'Full',
  volumes: 'Volumes',
  configs: 'Configs',
};

export function stateOf(backup: Backup): BackupState {
  if (isDeleting(backup)) return 'deleting';
  const conditions = backup.status?.conditions;
  if (isTrue(conditions, 'Ready')) {
    return findCondition(conditions, 'DataComplete')?.status === 'False' ? 'partial' : 'succeeded';
  }
  if (isTrue(conditions, 'Stalled')) return 'failed';
  return hasEnded(backup) ? 'unknown' : 'running';
}

export function scopeOf({ spec }: Backup): CommandScope {
  const entry = Object.entries(SCOPES).find(([, scope]) => scope === spec.scope);
  return (entry?.[0] ?? 'full') as CommandScope;
}

/** Its ID in the repository; undefined until somebody has acted on it. */
export function idOf({ spec, status }: Backup): string | undefined {
  return status?.backupID ?? spec.imported?.backupID;
}

/** What a person should know of it now: why it waits, or how it failed. */
export function messageOf({ status }: Backup): string {
  const conditions = status?.conditions;
  return (findCondition(conditions, 'Stalled') ?? findCondition(conditions, 'Ready'))?.message ?? '';
}
