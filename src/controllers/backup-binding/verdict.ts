/** What parts that have all ended make of their Backup. Pure. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';

export interface EndedParts {
  readonly backup: Pick<Backup, 'spec'>;
  readonly parts: readonly VolumeBackup[];
  /** Names of volumes that were asked for and are not there. */
  readonly missing: readonly string[];
  /** Manifests on their way into the repository. */
  readonly manifests: number;
}

export type Verdict =
  /** What there is goes into the repository as a whole. */
  | { readonly ok: true; readonly isComplete: boolean }
  | { readonly ok: false; readonly reason: Reason; readonly message: string };

/** Names that a message has at most. */
const MOST_NAMES = 5;

export function verdictOf({ backup, parts, missing, manifests }: EndedParts): Verdict {
  const succeeded = parts.filter(isReady);
  const failed = parts.filter((part) => !isReady(part));
  const hasAll = failed.length === 0 && missing.length === 0;
  const isComplete = hasAll && succeeded.every(({ status }) => isTrue(status?.conditions, 'DataComplete'));
  if (parts.length === 0 && missing.length === 0 && (backup.spec.scope !== 'Configs' || manifests === 0)) {
    const what = backup.spec.scope === 'Configs' ? 'no object' : 'no volume';
    return { ok: false, reason: 'NothingToBackUp', message: `There is ${what} that the backup is of.` };
  }
  if (!isComplete && backup.spec.onPartial !== 'Allow') {
    return { ok: false, reason: reasonOf(failed, missing), message: lackingText(failed, missing) };
  }
  if (!hasAll && succeeded.length === 0 && manifests === 0) {
    const message = `Nothing could be backed up. ${lackingText(failed, missing)}`;
    return { ok: false, reason: reasonOf(failed, missing), message };
  }
  return { ok: true, isComplete };
}

/** Conditions that are about the data, from parts that have ended. */
export function dataConditions(
  parts: readonly VolumeBackup[],
  missing: readonly string[],
): readonly ConditionInput<'DataComplete' | 'ContentConsistent'>[] {
  const failed = parts.filter((part) => !isReady(part));
  const partial = parts.filter((part) => isReady(part) && !isTrue(part.status?.conditions, 'DataComplete'));
  const torn = parts.filter((part) => isReady(part) && !isTrue(part.status?.conditions, 'ContentConsistent'));
  const lacks = failed.length + missing.length + partial.length > 0;
  const complete: ConditionInput<'DataComplete'> = lacks
    ? {
        type: 'DataComplete',
        status: 'False',
        reason: failed.length + missing.length > 0 ? reasonOf(failed, missing) : 'FilesSkipped',
        message: lackingText([...failed, ...partial], missing),
      }
    : { type: 'DataComplete', status: 'True', reason: 'Complete', message: '' };
  if (parts.length === failed.length) return [complete];
  const [first] = torn;
  const consistent: ConditionInput<'ContentConsistent'> =
    first === undefined
      ? { type: 'ContentConsistent', status: 'True', reason: 'Unchanged', message: '' }
      : { type: 'ContentConsistent', status: 'False', ...inconsistency(first, torn.length - 1) };
  return [complete, consistent];
}

function inconsistency(first: VolumeBackup, others: number): { readonly reason: Reason; readonly message: string } {
  const said = findCondition(first.status?.conditions, 'ContentConsistent');
  const more = others === 0 ? '' : ` The same is so of ${others} more.`;
  return {
    reason: said !== undefined && isReason(said.reason) ? said.reason : 'ChangedDuringRead',
    message: `Volume "${first.spec.volumeRef.name}": ${said?.message ?? 'it is not known whether it is of one moment.'}${more}`,
  };
}

function isReady({ status }: VolumeBackup): boolean {
  return isTrue(status?.conditions, 'Ready');
}

function reasonOf(failed: readonly VolumeBackup[], missing: readonly string[]): Reason {
  if (failed.length + missing.length > 1) return 'VolumesLacking';
  if (missing.length > 0) return 'VolumeNotFound';
  const reason = findCondition(failed[0]?.status?.conditions, 'Ready')?.reason ?? '';
  return isReason(reason) ? reason : 'BackupFailed';
}

function lackingText(parts: readonly VolumeBackup[], missing: readonly string[]): string {
  const sentences = [
    ...missing.map((name) => `Volume "${name}" does not exist.`),
    ...parts.map(({ spec, status }) => {
      const said = (['Ready', 'DataComplete'] as const)
        .map((type) => findCondition(status?.conditions, type))
        .find((condition) => condition !== undefined && condition.status !== 'True');
      return `Volume "${spec.volumeRef.name}": ${said?.message ?? 'it is not known why it failed.'}`;
    }),
  ];
  const rest = sentences.length - MOST_NAMES;
  return `${sentences.slice(0, MOST_NAMES).join(' ')}${rest > 0 ? ` And ${rest} more.` : ''}`;
}
