/**
 * A Restore from a backup, step by step: which backup, and where; its document, read by the agent of the repository's node
 * (`bind.ts`); the plan, made once; objects that others name; the volumes; what uses them (`advance.ts`). What is not decided in
 * the status is found again in the API. It is Ready only when all of it is done, and each volume was read back; and when it has
 * ended, well or not, it never acts again.
 */
import { isDeleting, keyOf, RESTORES } from '../../api/meta.ts';
import type { Restore, RestoreStatus } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { isPaused } from '../support/annotations.ts';
import { BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';
import { tolerateChange } from '../support/writes.ts';
import { advance } from './advance.ts';
import { awaitRecord, bind } from './bind.ts';
import type { BackupRestoreDependencies, Dependencies, Memory } from './dependencies.ts';
import { contentOf, onlyNodeOf, orderOf, wantedOf } from './facts.ts';
import { restoresObjects } from './manifests.ts';
import { conflictsOf } from './objects.ts';
import { LOOK_AGAIN_MS } from './pace.ts';
import { planOf } from './plan.ts';
import { end, write } from './say.ts';
import type { RestoreDecisions, RestoreResults } from './status.ts';
import { decisionsOf, failedBy } from './status.ts';
import { safetyNameOf } from './volumes.ts';

export function backupRestoreReconciler(dependencies: BackupRestoreDependencies): Reconciler {
  const deps = { ...dependencies, memories: new Map<string, Memory>() };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const restore = deps.restores.get(key);
  if (restore === undefined || isDeleting(restore)) return DONE;
  if (restore.spec.source.snapshotRef !== undefined) return DONE;
  if (isFinished(restore)) return await acknowledge(restore, deps, context);
  const { backupID, repositoryRef, nodeName, manifestSecretRef, startTime } = restore.status ?? {};
  if (isPaused(restore)) {
    await write(restore, decisionsOf(restore), previousResults(restore), { kind: 'paused' }, deps, context);
    return DONE;
  }
  const isBound = backupID !== undefined && repositoryRef !== undefined && nodeName !== undefined;
  if (!isBound || manifestSecretRef === undefined || startTime === undefined) return await bind(restore, deps, context);
  if (restore.status?.volumes !== undefined) return await advance(restore, deps, context);
  if (restore.spec.cancel === true) {
    return await end(
      restore,
      {},
      failedBy('RestoreCancelled', 'It was cancelled; nothing was changed.'),
      deps,
      context,
    );
  }
  const { record } = restore.status ?? {};
  if (record === undefined || record.failure !== undefined) return await awaitRecord(restore, deps, context);
  return await plan(restore, deps, context);
}

/**
 * It never acts again, but whoever compares generations would wait for ever: a `cancel` that comes too late has been seen.
 */
async function acknowledge(restore: Restore, { writer }: Dependencies, { signal }: ReconcileContext): Promise<Result> {
  const { record: _, ...own } = restore.status ?? {};
  const { generation = 0 } = restore.metadata;
  if (own.observedGeneration === generation) return DONE;
  const status: RestoreStatus = { ...own, observedGeneration: generation };
  await writer.status(RESTORES, restore, status, { requireUnchanged: true, signal });
  return DONE;
}

/** Decides what is to be done, all of it, before anything is. */
async function plan(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const content = await contentOf(restore, deps, context.signal);
  if (content === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  const { namespace } = restore.metadata;
  const made = planOf({
    restore,
    document: content.document,
    volumes: deps.volumes.list().filter(({ metadata }) => metadata.namespace === namespace),
    mountsOf: (volume) => deps.mounts.byIndex(BY_VOLUME, keyOf(volume)),
    rivalOf: (volumeUID) => rivalOf(restore, volumeUID, deps),
    onlyNode: onlyNodeOf(restore, deps),
  });
  if (!made.ok) return await end(restore, {}, failedBy(made.problem.reason, made.problem.message), deps, context);
  const wanted = wantedOf(restore, content, made.volumes, deps);
  const objects = [...wanted.first, ...wanted.last];
  if (made.volumes.length === 0 && objects.length === 0) {
    const chosen = restoresObjects(restore) ? '' : ' of what was asked for';
    const message = `The backup has nothing${chosen}: no volumes, and no objects that can be restored.`;
    return await end(restore, {}, failedBy('NothingToRestore', message), deps, context);
  }
  const conflicts = await conflictsOf(objects, orderOf(restore), deps.client, context.signal);
  if (conflicts.length > 0) {
    const shown = `${conflicts.slice(0, 5).join(', ')}${conflicts.length > 5 ? ` and ${conflicts.length - 5} more` : ''}`;
    const message = `conflictPolicy is Fail, and these exist and are different: ${shown}. Nothing was changed.`;
    return await end(restore, {}, failedBy('ObjectsExist', message), deps, context);
  }
  const safeties = made.volumes.flatMap((planned) => safetyNameOf(restore, planned, made.volumes) ?? []);
  const [safety, ...others] = safeties;
  const decisions: RestoreDecisions = {
    ...decisionsOf(restore),
    volumes: made.volumes,
    ...(safety === undefined || others.length > 0 ? {} : { safetySnapshotRef: { name: safety } }),
  };
  const message = `It is planned: ${made.volumes.length} volumes and ${objects.length} objects.`;
  await write(restore, decisions, {}, { kind: 'working', reason: 'Restoring', message }, deps, context);
  return DONE;
}

/** Another Restore that writes into a volume, or takes it back. */
function rivalOf(restore: Restore, volumeUID: string, deps: Dependencies): string | undefined {
  const part = deps.volumeRestores
    .byIndex(BY_VOLUME_UID, volumeUID)
    .find((other) => !hasRestoreEnded(other) && other.spec.dryRun !== true);
  const revert = deps.restores
    .list()
    .find((other) => !isFinished(other) && other !== restore && other.status?.source?.volumeUID === volumeUID);
  return part?.spec.restoreRef?.name ?? part?.metadata.name ?? revert?.metadata.name;
}

function previousResults({ status }: Restore): RestoreResults {
  const { progress, items, skipped, skippedCount } = status ?? {};
  return {
    ...(progress === undefined ? {} : { progress }),
    ...(items === undefined ? {} : { items }),
    ...(skipped === undefined ? {} : { skipped }),
    ...(skippedCount === undefined ? {} : { skippedCount }),
  };
}
