/** Which backups the retention of a repository no longer keeps. Pure. */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { isTrue } from '../../api/conditions.ts';
import { LABELS } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import { datedBy, expired } from '../schedule/retention.ts';
import { isPaused } from '../support/annotations.ts';
import { isIn } from './users.ts';

/**
 * Backups of this cluster that no rule keeps, group by group. What was found in the repository is somebody else's, or was
 * let go before: it is neither counted nor deleted. What is not Ready is not counted as kept either.
 */
export function expiredBackups(
  repository: BackupRepository,
  backups: readonly Backup[],
  clusterID: string | undefined,
  /** Milliseconds since the epoch. */
  now: number,
): readonly Backup[] {
  const { retention, accessMode } = repository.spec;
  if (retention === undefined || accessMode === 'ReadOnly' || clusterID === undefined) return [];
  // What cannot be reached, or is damaged, is left as it is.
  if (isDeleting(repository) || isPaused(repository) || !isTrue(repository.status?.conditions, 'Ready')) return [];
  const groups = new Map<string, { readonly name: string; readonly at: number; readonly backup: Backup }[]>();
  for (const backup of backups) {
    if (!isIn(backup, repository) || !counts(backup, clusterID)) continue;
    const { metadata, status } = backup;
    const at = Date.parse(status?.startTime ?? metadata.creationTimestamp ?? '');
    const group = groups.get(groupOf(backup)) ?? [];
    groups.set(groupOf(backup), group);
    group.push({ name: metadata.name, at, backup });
  }
  return [...groups.values()].flatMap((group) => {
    const inOrder = group.sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1));
    return expired(datedBy(inOrder, now), retention, 'UTC').map(({ backup }) => backup);
  });
}

function counts(backup: Backup, clusterID: string): boolean {
  return (
    backup.spec.imported === undefined &&
    backup.status?.clusterID === clusterID &&
    hasEnded(backup) &&
    isTrue(backup.status.conditions, 'Ready') &&
    !isDeleting(backup) &&
    !isPaused(backup)
  );
}

/** Those of one schedule, or those made by hand of the same things. */
function groupOf({ metadata, spec }: Backup): string {
  const schedule = metadata.labels?.[LABELS.schedule];
  if (schedule !== undefined) return `schedule ${schedule}`;
  const volumes = spec.volumeRefs?.map(({ name }) => name).sort();
  return JSON.stringify([spec.scope, volumes ?? null, spec.volumeSelector ?? null]);
}
