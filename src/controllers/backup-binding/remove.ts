/** The controller's part of a Backup's deletion: what runs is stopped first, and what no agent can do is let go. */
import type { Backup, BackupStatus } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { deriveConditions } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { ReconcileContext, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { hasFinalizer, isPaused } from '../support/annotations.ts';
import type { Live } from '../support/live.ts';
import { CacheBehind } from '../support/live.ts';
import { releaseByForce } from '../support/release.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { repositoryOf } from './dependencies.ts';
import { dataOf, writeStatus } from './end.ts';
import type { Input } from './status.ts';
import { carriedOf, deriveStatus, endedStatus } from './status.ts';

const LOOK_AGAIN_MS = 2_000;
const WAIT_MS = 30_000;

/** @param halt Stops the Backup, and says whether it has ended. */
export async function remove(
  backup: Backup,
  halt: (stop: { readonly reason: Reason; readonly message: string }) => Promise<boolean>,
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<Result> {
  if (!hasFinalizer(backup, FINALIZERS.backup)) return DONE;
  const now = new Date(context.clock.now());
  if (isPaused(backup)) {
    const isOver = backup.spec.imported !== undefined || hasEnded(backup);
    const status = isOver
      ? blockedStatus(backup, repositoryOf(backup, deps)?.status?.nodeName, [PAUSED], now, deps)
      : deriveStatus(backup, carriedOf(backup), { kind: 'paused' }, [...dataOf(backup), PAUSED], now);
    await writeStatus(backup, status, deps, context);
    return DONE;
  }
  const isImported = backup.spec.imported !== undefined;
  const wasBegun = backup.status?.backupID !== undefined;
  if (!isImported && wasBegun && !hasEnded(backup)) {
    const hasStopped = await halt({ reason: 'Cancelled', message: 'The backup is being deleted.' });
    return { requeueAfterMs: hasStopped ? 0 : LOOK_AGAIN_MS };
  }
  const wasPrepared = backup.status?.items !== undefined || backup.status?.record !== undefined;
  // Nothing of it was ever in a repository.
  if (!isImported && !wasPrepared) return release(backup, undefined, deps, context);
  const repository = repositoryOf(backup, deps);
  if (repository === undefined) {
    await assureRepositoryGone(backup, deps.live, context.signal);
    const message =
      'Its BackupRepository is gone, so that what is in the repository cannot be reached any more; it stays there.';
    return release(backup, message, deps, context);
  }
  const nodeName = repository.status?.nodeName;
  const status = blockedStatus(backup, nodeName, obstacle(nodeName, deps), now, deps);
  await writeStatus(backup, status, deps, context);
  if (nodeName !== undefined && deps.isLost(nodeName)) await releaseByForce(backup, deps, context.signal);
  return { requeueAfterMs: WAIT_MS };
}

/** @throws CacheBehind when the repository is there: its data could be deleted as it is wanted. */
async function assureRepositoryGone(
  { metadata, spec, status }: Backup,
  live: Live,
  signal: AbortSignal,
): Promise<void> {
  const name = status?.repositoryRef?.name ?? spec.repositoryRef?.name;
  if (name === undefined) return;
  const { namespace } = metadata;
  if ((await live.get(BACKUP_REPOSITORIES, { namespace, name }, signal)) === undefined) return;
  throw new CacheBehind(`BackupRepository "${name}" is there`);
}

const PAUSED: Input = {
  type: 'DeletionBlocked',
  status: 'True',
  reason: 'Paused',
  message: 'The backup is paused; it is deleted when that ends.',
};

/** The same as before, and what its deletion waits for. */
function blockedStatus(
  backup: Backup,
  nodeName: string | undefined,
  blocked: readonly Input[],
  now: Date,
  deps: BackupBindingDependencies,
): BackupStatus {
  if (backup.spec.imported === undefined) return endedStatus(backup, nodeName, blocked, now);
  const generation = backup.metadata.generation ?? 0;
  const conditions = deriveConditions(backup.status?.conditions, blocked, generation, now);
  return { ...adoptedStatus(backup, deps), ...(blocked.length === 0 ? {} : { conditions }) };
}

/** All that the controller says of a Backup that was found in its repository. */
export function adoptedStatus(backup: Backup, deps: Pick<BackupBindingDependencies, 'repositories'>): BackupStatus {
  const repository = repositoryOf(backup, deps);
  const nodeName = repository?.status?.nodeName;
  return {
    ...(repository === undefined ? {} : { repositoryRef: { name: repository.metadata.name } }),
    ...(nodeName === undefined ? {} : { nodeName }),
  };
}

function obstacle(nodeName: string | undefined, { isLost }: BackupBindingDependencies): readonly Input[] {
  if (nodeName === undefined) {
    const message = 'The BackupRepository has no node that could delete the data.';
    return [{ type: 'DeletionBlocked', status: 'True', reason: 'RepositoryNotReady', message }];
  }
  if (!isLost(nodeName)) return [];
  const message = `Node "${nodeName}", which tends the repository, is lost. To release the Backup without it, annotate it with force-delete and its UID; the data stays.`;
  return [{ type: 'DeletionBlocked', status: 'True', reason: 'NodeLost', message }];
}

async function release(
  backup: Backup,
  retained: string | undefined,
  { writer, events }: BackupBindingDependencies,
  { signal }: ReconcileContext,
): Promise<Result> {
  if (retained !== undefined) events.record(backup, 'Warning', 'DataRetained', retained);
  await writer.removeFinalizer(BACKUPS, backup, FINALIZERS.backup, signal);
  return DONE;
}
