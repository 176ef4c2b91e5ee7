/** How a Backup ends, and what is written of it on the way. */
import type { Backup, BackupConditionType, BackupStatus } from '../../api/backup.ts';
import { SAID_OF_REPOSITORY } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { findCondition, formatTime, isTrue } from '../../api/conditions.ts';
import { BACKUPS, VOLUMES } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReconcileContext } from '../../runtime/reconciler.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { discard } from '../support/transit.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { partsOf, sibling } from './dependencies.ts';
import type { Carried } from './status.ts';
import { carriedOf, deriveStatus, expirationOf } from './status.ts';

/** It is in the repository: nothing more is done for it. */
export async function succeed(
  backup: Backup,
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  const { conditions } = backup.status ?? {};
  const data = dataOf(backup);
  const isComplete = isTrue(conditions, 'DataComplete');
  await noteInVolumes(backup, deps, context.signal);
  const message = isComplete ? '' : (findCondition(conditions, 'DataComplete')?.message ?? '');
  await end(backup, carriedOf(backup), { kind: 'done', isComplete, message }, data, deps, context);
}

/** Each volume that is in it says when that was. */
async function noteInVolumes(backup: Backup, deps: BackupBindingDependencies, signal: AbortSignal): Promise<void> {
  const at = backup.status?.startTime ?? '';
  for (const { spec, status } of partsOf(backup, deps)) {
    const volume = deps.volumes.get(sibling(backup, spec.volumeRef.name));
    if (volume?.metadata.uid !== spec.volumeUID || !isTrue(status?.conditions, 'Ready')) continue;
    // Backups may end in another order than they began.
    if (volume.status?.lastBackupTime !== undefined && volume.status.lastBackupTime >= at) continue;
    await deps.volumeWriter.status(VOLUMES, volume, { lastBackupTime: at }, { signal }).catch((thrown: unknown) => {
      const error = KubeError.from(thrown);
      // It went meanwhile.
      if (!error.isNotFound && !error.isConflict) throw error;
    });
  }
}

/** It has failed, and is not tried again. */
export async function fail(
  backup: Backup,
  said: { readonly reason: Reason; readonly message: string },
  known: { readonly carried?: Carried; readonly data?: readonly ConditionInput<BackupConditionType>[] },
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  const { carried = carriedOf(backup), data = [] } = known;
  const why = { reason: ownWord(said.reason), message: said.message };
  const lacks: ConditionInput<BackupConditionType> = { type: 'DataComplete', status: 'False', ...why };
  // Whatever the volumes say: a backup that has failed is not whole.
  const others = data.filter(({ type, status }) => type !== 'DataComplete' || status === 'False');
  const own = others.map((input) => ({ ...input, reason: ownWord(input.reason) }));
  const all = own.some(({ type }) => type === 'DataComplete') ? own : [lacks, ...own];
  await end(backup, carried, { kind: 'failed', reason: why.reason, message: why.message }, all, deps, context);
}

/** Some words are for who tends the repository alone: what it says of a backup that was whole once. */
function ownWord(reason: Reason): Reason {
  return SAID_OF_REPOSITORY.includes(reason) ? 'BackupFailed' : reason;
}

async function end(
  backup: Backup,
  carried: Carried,
  outcome: Parameters<typeof deriveStatus>[2],
  data: readonly ConditionInput<BackupConditionType>[],
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  await discard(backup, deps, context.signal);
  const now = new Date(context.clock.now());
  const completionTime = formatTime(now);
  const { manifestSecretRefs: _, ...kept } = carried;
  const ended = { ...kept, completionTime, ...expirationOf(backup, completionTime) };
  const status = deriveStatus(backup, ended, outcome, data, now);
  if (!(await writeStatus(backup, status, deps, context))) return;
  const result = outcome.kind === 'done' ? (outcome.isComplete ? 'success' : 'partial') : 'failure';
  const seconds = Math.max(0, (now.getTime() - Date.parse(status.startTime ?? completionTime)) / 1000);
  deps.metrics?.backupDuration.observe({ result }, seconds);
  deps.metrics?.backupBytes.observe({ result }, status.progress?.bytesDone ?? 0);
  deps.metrics?.backupUploadedBytes.observe({ result }, status.uploadedBytes ?? 0);
}

/** Writes what differs, decided from the Backup as it was read. */
export async function writeStatus(
  backup: Backup,
  status: BackupStatus,
  { backups, writer, events }: BackupBindingDependencies,
  { signal }: ReconcileContext,
): Promise<boolean> {
  const read = backups.get(`${backup.metadata.namespace}/${backup.metadata.name}`)?.status;
  const written = await writer.status(BACKUPS, backup, status, { requireUnchanged: true, signal });
  if (written) recordConditionEvents(events, backup, read?.conditions, status.conditions);
  return written;
}

/** What was said of the data when the document was made. */
export function dataOf({ status }: Backup): readonly ConditionInput<BackupConditionType>[] {
  return (['DataComplete', 'ContentConsistent'] as const).flatMap((type) => {
    const said = findCondition(status?.conditions, type);
    if (said === undefined || !isReason(said.reason)) return [];
    return [{ type, status: said.status, reason: said.reason, message: said.message }];
  });
}
