/** What a backup that is restored did not have itself: a Restore that brings back all of it brings back no more. Pure. */
import type { Backup } from '../../api/backup.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import type { PlannedVolume } from '../../api/restore.ts';
import type { BackupDocument } from '../../backup/catalogue.ts';

/** Volumes that a message has at most. */
const MOST = 5;

/**
 * A sentence where the backup was allowed to lack something (`onPartial: Allow`); empty where it was whole, as far as is known.
 *
 * @param backup The object that stands for it, if there is one: volumes that could not be read at all are in no document.
 */
export function lackedBy(
  { volumes }: BackupDocument,
  planned: readonly PlannedVolume[],
  backup: Backup | undefined,
): string {
  const names = volumes
    .filter(({ name, isComplete }) => !isComplete && planned.some(({ from }) => from === name))
    .map(({ name }) => `"${name}"`);
  const conditions = backup?.status?.conditions;
  const said = isTrue(conditions, 'Ready') ? findCondition(conditions, 'DataComplete') : undefined;
  const wasPartial = said?.status === 'False';
  if (names.length === 0 && !wasPartial) return '';
  const more = names.length > MOST ? ` and ${names.length - MOST} more` : '';
  const of = names.length === 0 ? '' : ` of volume ${names.slice(0, MOST).join(', ')}${more}`;
  const why = wasPartial && said.message !== '' ? `: ${said.message}` : '.';
  return ` The backup itself is not whole: something${of} was lacking when it was made${why}`;
}
