/**
 * What the agent that tends a repository says of the Backups in it. Of one that was found there it says everything; of
 * one that was made here only that its data is gone or damaged, and that it is back. Pure.
 */
import type { Backup, BackupConditionType, BackupStatus } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition, formatTime, isTrue } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import type { FoundBackup } from './catalogue.ts';

type Input = ConditionInput<BackupConditionType>;

/** What was seen of the data of one backup. */
export interface Sighting {
  /** Undefined: there is none of that ID in the repository. */
  readonly found: FoundBackup | undefined;
  /** Whether a check found it damaged; undefined when none has looked since. */
  readonly isDamaged: boolean | undefined;
}

/** Ready has one of these reasons where it was said here that the data is not what it was. */
const LOST: readonly string[] = ['BackupMissing', 'BackupDamaged'];

/** The whole of what is said; undefined where there is nothing to say and nothing was said. */
export function backupStatus(backup: Backup, sighting: Sighting, now: Date): BackupStatus | undefined {
  const trouble = troubleOf(backup, sighting);
  const inputs = trouble === undefined ? wellConditions(backup, sighting.found) : lostConditions(trouble);
  const facts = backup.spec.imported === undefined ? {} : importedFacts(backup, sighting.found);
  if (inputs.length === 0) return undefined;
  const generation = backup.metadata.generation ?? 0;
  const conditions = deriveConditions(backup.status?.conditions, inputs, generation, now);
  return { ...facts, observedGeneration: generation, conditions };
}

interface Trouble {
  readonly reason: Reason;
  readonly message: string;
}

function troubleOf({ status }: Backup, { found, isDamaged }: Sighting): Trouble | undefined {
  if (found === undefined) {
    return { reason: 'BackupMissing', message: 'Its data is not in the repository any more; it cannot be restored.' };
  }
  if (found.lackingVolumes > 0) {
    const message = `The data of ${found.lackingVolumes} of its ${found.volumes} volumes is not in the repository any more.`;
    return { reason: 'BackupMissing', message };
  }
  const wasDamaged = findCondition(status?.conditions, 'Verified')?.reason === 'BackupDamaged';
  if (isDamaged ?? wasDamaged) {
    return { reason: 'BackupDamaged', message: 'A check of its repository found that it cannot be restored wholly.' };
  }
  return undefined;
}

function lostConditions({ reason, message }: Trouble): readonly Input[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type: 'Stalled', status: 'True', reason, message },
    { type: 'DataComplete', status: 'False', reason, message },
    { type: 'Verified', status: 'False', reason, message },
  ];
}

function wellConditions(backup: Backup, found: FoundBackup | undefined): readonly Input[] {
  if (found === undefined) return [];
  const { spec, status } = backup;
  const wasLost = LOST.includes(findCondition(status?.conditions, 'Ready')?.reason ?? '');
  // What was made here is spoken for by those who made it, until it had to be said here that it is lost.
  const wasSaidHere = findCondition(status?.conditions, 'Ready')?.reason === 'BackupFound';
  if (spec.imported === undefined && !wasLost && !wasSaidHere) return [];
  const message =
    spec.imported === undefined
      ? 'Its data is in the repository again.'
      : `Found in the repository; "${found.name}" of namespace "${found.namespace}" when it was made.`;
  const ready: Input = { type: 'Ready', status: 'True', reason: 'BackupFound', message };
  const complete: Input = found.isComplete
    ? { type: 'DataComplete', status: 'True', reason: 'BackupFound', message: '' }
    : {
        type: 'DataComplete',
        status: 'False',
        reason: 'BackupFoundPartly',
        message: 'It lacked something when it was made, and was allowed to; its document says what.',
      };
  return [ready, complete];
}

/** What the status of one that was made here would say. */
function importedFacts({ status }: Backup, found: FoundBackup | undefined): BackupStatus {
  if (found === undefined) {
    const { backupID, clusterID, startTime, completionTime, items, record } = status ?? {};
    return {
      ...(backupID === undefined ? {} : { backupID }),
      ...(clusterID === undefined ? {} : { clusterID }),
      ...(startTime === undefined ? {} : { startTime }),
      ...(completionTime === undefined ? {} : { completionTime }),
      ...(items === undefined ? {} : { items }),
      ...(record === undefined ? {} : { record }),
    };
  }
  const time = formatTime(new Date(found.time));
  return {
    backupID: found.backupID,
    clusterID: found.clusterID,
    startTime: time,
    completionTime: time,
    items: { succeeded: found.volumes + found.objects, failed: 0, skipped: 0 },
    record: { snapshotID: found.documentID, objects: found.objects },
  };
}

/** Whether a Backup is, or was, written down as a whole: only then is its data expected. */
export function isRecorded({ spec, status }: Backup): boolean {
  return spec.imported !== undefined || status?.record !== undefined;
}

/** The ID that a Backup stands for; undefined before it has one. */
export function idOf({ spec, status }: Backup): string | undefined {
  return spec.imported?.backupID ?? status?.backupID;
}

/** Whether it says that its data is lost. */
export function saysLost({ status }: Backup): boolean {
  return (
    !isTrue(status?.conditions, 'Ready') && LOST.includes(findCondition(status?.conditions, 'Ready')?.reason ?? '')
  );
}
