/** The work of a Restore: objects that others name, the volumes, what uses them, and the end. */
import type { Backup } from '../../api/backup.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import type { PlannedVolume, Restore } from '../../api/restore.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { ReconcileContext, Result } from '../../runtime/reconciler.ts';
import { CacheBehind } from '../support/live.ts';
import type { Dependencies, Memory } from './dependencies.ts';
import { memoryOf } from './dependencies.ts';
import { contentOf, onlyNodeOf, orderOf, wantedOf } from './facts.ts';
import { lackedBy } from './lacking.ts';
import type { ObjectResult } from './objects.ts';
import { restoreObjects } from './objects.ts';
import { LOOK_LATER_MS } from './pace.ts';
import { end, write } from './say.ts';
import type { RestoreSaid } from './status.ts';
import { decisionsOf, failedBy, progressSaid, resultsOf } from './status.ts';
import { verdictOf } from './verdict.ts';
import type { VolumeState } from './volumes.ts';
import { advanceVolume } from './volumes.ts';

/** How often progress is gathered at most, in milliseconds: each time is a status write. */
const PROGRESS_MS = 5_000;

/** Goes on with what is planned, until all of it has ended. */
export async function advance(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { signal } = context;
  const planned = restore.status?.volumes ?? [];
  const { backupID = '', repositoryRef } = restore.status ?? {};
  const isCancelled = restore.spec.cancel === true;
  const content = await contentOf(restore, deps, signal);
  const repository = deps.repositories.get(`${restore.metadata.namespace}/${repositoryRef?.name}`);
  if (content === undefined || repository === undefined) {
    if (content !== undefined) await assureRepositoryGone(restore, deps, signal);
    const what =
      content === undefined
        ? 'The Secret with the document of the backup'
        : `BackupRepository "${repositoryRef?.name}"`;
    const message = `${what} is gone, so the restore cannot go on. Make a new one.`;
    return await endWhenStill(restore, planned, failedBy('RestoreFailed', message), deps, context);
  }
  const memory = memoryOf(restore, deps);
  const wanted = wantedOf(restore, content, planned, deps);
  const order = orderOf(restore);
  if (!isCancelled) memory.first ??= await restoreObjects(wanted.first, order, deps.client, signal);
  const work = {
    restore,
    backupID,
    repository,
    document: content.document,
    planned,
    volumes: deps.volumes,
    volumeRestores: deps.volumeRestores,
    isKnownNode: (name: string) => deps.nodes.get(name) !== undefined,
    onlyNode: onlyNodeOf(restore, deps),
    client: deps.client,
  };
  const states: VolumeState[] = [];
  for (const one of planned) states.push(await advanceVolume(one, work, isCancelled, signal));
  if (states.some(({ state }) => state === 'waiting')) return await report(restore, states, deps, context);
  const isWhole = states.every(({ state }) => state === 'done');
  // What would use a volume that lacks something is not made.
  if (isWhole && !isCancelled) memory.last ??= await restoreObjects(wanted.last, order, deps.client, signal);
  const leftOut: ObjectResult = { succeeded: 0, failed: [], skipped: wanted.leftOut };
  const results = resultsOf(planned, states, [...doneObjects(memory), leftOut]);
  const verdict = verdictOf(restore, states, results, isCancelled);
  if (verdict.kind !== 'succeeded') return await end(restore, results, verdict, deps, context);
  const lacked = lackedBy(content.document, planned, objectOf(restore, backupID, deps));
  return await end(restore, results, { ...verdict, message: `${verdict.message}${lacked}` }, deps, context);
}

/** The Backup that stands for what is restored, if there is one. */
function objectOf({ metadata }: Restore, backupID: string, { backups }: Dependencies): Backup | undefined {
  return backups
    .list()
    .find(
      ({ metadata: { namespace }, spec, status }) =>
        namespace === metadata.namespace && (spec.imported?.backupID ?? status?.backupID) === backupID,
    );
}

/** @throws CacheBehind when the repository is there, and the cache does not show it. */
async function assureRepositoryGone(
  { metadata, status }: Restore,
  { live }: Dependencies,
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = metadata;
  const name = status?.repositoryRef?.name ?? '';
  if ((await live.get(BACKUP_REPOSITORIES, { namespace, name }, signal)) === undefined) return;
  throw new CacheBehind(`BackupRepository "${name}" is there`);
}

/** What is going on; written at most every few seconds, unless something more than the numbers has changed. */
async function report(
  restore: Restore,
  states: readonly VolumeState[],
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  const memory = memoryOf(restore, deps);
  const planned = restore.status?.volumes ?? [];
  const results = resultsOf(planned, states, doneObjects(memory));
  const now = context.clock.monotonic();
  const since = now - (memory.writtenAt ?? Number.NEGATIVE_INFINITY);
  const ended = states.filter(({ state }) => state !== 'waiting').length;
  const had = restore.status?.items;
  const isNews = had?.succeeded !== results.items?.succeeded || had?.failed !== results.items?.failed;
  if (since < PROGRESS_MS && !isNews) return { requeueAfterMs: PROGRESS_MS - since };
  const what = restore.spec.cancel === true ? 'It is being cancelled' : 'Volumes are being restored';
  const waits = states.flatMap(({ state, part }) => (state === 'waiting' ? (obstacleOf(part) ?? []) : []));
  const obstacle = waits[0] === undefined ? '' : ` ${waits[0]}`;
  const message = `${what}: ${ended} of ${planned.length} have ended${progressSaid(results)}.${obstacle}`;
  await write(restore, decisionsOf(restore), results, { kind: 'working', reason: 'Restoring', message }, deps, context);
  memory.writtenAt = now;
  return { requeueAfterMs: LOOK_LATER_MS };
}

/** What one part says that is no progress. */
function obstacleOf(part: VolumeRestore | undefined): string | undefined {
  const ready = part?.status?.conditions?.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.reason === 'Restoring' ? undefined : ready.message;
}

/** Ends it, once nothing of it is going on any more. */
async function endWhenStill(
  restore: Restore,
  planned: readonly PlannedVolume[],
  said: RestoreSaid,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  const parts = deps.volumeRestores
    .list()
    .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === restore.metadata.uid) === true);
  const running = parts.filter((part) => !hasRestoreEnded(part));
  if (running.length > 0) {
    const message = 'Volumes are being restored.';
    await write(restore, decisionsOf(restore), {}, { kind: 'working', reason: 'Restoring', message }, deps, context);
    return { requeueAfterMs: LOOK_LATER_MS };
  }
  const done = parts.filter((part) =>
    part.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
  const items = { succeeded: done.length, failed: planned.length - done.length, skipped: 0 };
  return await end(restore, { items }, said, deps, context);
}

function doneObjects({ first, last }: Memory): readonly ObjectResult[] {
  return [first, last].flatMap((result) => result ?? []);
}
