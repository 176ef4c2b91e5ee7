/**
 * A Restore from a backup, step by step: which backup, and where; its document, read by the agent of the repository's node;
 * the plan, made once; objects that others name; the volumes; what uses them. What is not decided in the status is found
 * again in the API. It is Ready only when all of it is done, and each volume was read back; and when it has ended, well or
 * not, it never acts again.
 */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { formatTime } from '../../api/conditions.ts';
import type { Secret } from '../../api/core.ts';
import { FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, isDeleting, keyOf, RESTORES, SECRETS } from '../../api/meta.ts';
import { shortHash } from '../../api/names.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { PlannedVolume, Restore, RestoreStatus } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { EventSink } from '../../kube/events.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { APPLIED_TOGETHER_MS } from '../backup-binding/patience.ts';
import type { BackupPlace } from '../policy/backup-source.ts';
import { placeIn } from '../policy/backup-source.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';
import type { Live } from '../support/live.ts';
import { CacheBehind } from '../support/live.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import type { RestoreContent } from './content.ts';
import { CONTENT_KEY, unpackContent } from './content.ts';
import { lackedBy } from './lacking.ts';
import type { WantedObjects } from './manifests.ts';
import { restoresObjects, wantedObjects } from './manifests.ts';
import type { ObjectOrder, ObjectResult } from './objects.ts';
import { conflictsOf, restoreObjects } from './objects.ts';
import { planOf } from './plan.ts';
import { findSource } from './source.ts';
import type { RestoreDecisions, RestoreResults, RestoreSaid } from './status.ts';
import { decisionsOf, deriveRestoreStatus, progressSaid, resultsOf } from './status.ts';
import type { VolumeState } from './volumes.ts';
import { advanceVolume, ownedBy, safetyNameOf } from './volumes.ts';
import { wayBack } from './way-back.ts';

export interface BackupRestoreDependencies {
  readonly restores: ReadStore<Restore>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly backups: ReadStore<Backup>;
  readonly repositories: ReadStore<BackupRepository>;
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  readonly nodes: ReadStore<StorageNode>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  readonly client: Pick<KubeClient, 'create' | 'get' | 'replace' | 'patch' | 'delete'>;
  /** Right before it is ended for good. */
  readonly live: Live;
  readonly writer: Writer;
  readonly events: EventSink;
  readonly metrics?: Metrics | undefined;
}

/** How soon a Restore that was just made and would be refused is judged again, in milliseconds. */
const LOOK_AGAIN_MS = 200;
/** The same for what nobody tells us of. */
const LOOK_LATER_MS = 10_000;
/** The same for a backup that is expected at any moment. */
const LOOK_SOON_MS = 1_000;
/** How often progress is gathered at most, in milliseconds: each time is a status write. */
const PROGRESS_MS = 5_000;

/** What was read and done for one Restore; a restart reads and finds it again. */
interface Memory {
  content?: RestoreContent;
  /** Objects that were made before and after the volumes. */
  first?: ObjectResult;
  last?: ObjectResult;
  /** When progress was written last, on the clock that never jumps. */
  writtenAt?: number;
}

interface Dependencies extends BackupRestoreDependencies {
  readonly memories: Map<string, Memory>;
}

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

/** Finds the backup, and gives the Restore to the node that can read it. */
async function bind(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const now = context.clock.now();
  const { namespace, name, uid = '' } = restore.metadata;
  const inNamespace = <T extends Backup | BackupRepository>(store: ReadStore<T>): readonly T[] =>
    store.list().filter(({ metadata }) => metadata.namespace === namespace);
  const place = findSource(restore, {
    backups: inNamespace(deps.backups),
    repositories: inNamespace(deps.repositories),
  });
  if (!place.ok) {
    // What it names may be on its way to us still.
    if (isFresh(restore, now)) return { requeueAfterMs: Math.min(LOOK_AGAIN_MS, untilNotFresh(restore, now)) };
    const { reason, message, stalled } = place.refusal;
    const isOnItsWay = reason === 'BackupNotFound' && now - appliedAt(restore) < APPLIED_TOGETHER_MS;
    const passes =
      reason === 'RepositoryNotReady' || ((reason === 'BackupNotReady' || isOnItsWay) && replacesNothing(restore));
    if (stalled || !passes || restore.spec.cancel === true)
      return await end(restore, {}, failedBy(reason, message), deps, context);
    await write(restore, decisionsOf(restore), {}, { kind: 'working', reason, message }, deps, context);
    return { requeueAfterMs: isOnItsWay ? LOOK_SOON_MS : LOOK_LATER_MS };
  }
  const secretName = `restore-${shortHash(uid)}`;
  const secret: Secret = {
    apiVersion: 'v1',
    kind: SECRETS.kind,
    metadata: {
      name: secretName,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.restore]: name },
      ownerReferences: [ownedBy(restore)],
    },
    type: SECRET_TYPE,
  };
  await deps.client
    .create(SECRETS, secret, { fieldManager: FIELD_MANAGERS.controller, signal: context.signal })
    .catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
    });
  const decisions: RestoreDecisions = {
    nodeName: place.nodeName,
    backupID: place.backupID,
    repositoryRef: { name: place.repository.metadata.name },
    startTime: restore.status?.startTime ?? formatTime(new Date(now)),
    manifestSecretRef: { name: secretName },
  };
  const message = `Backup "${place.backupID}" is being looked up in BackupRepository "${place.repository.metadata.name}".`;
  await write(restore, decisions, {}, { kind: 'working', reason: 'ReadingBackup', message }, deps, context);
  return DONE;
}

/**
 * Whoever applies a Backup and a Restore of it together wants the one after the other. What would replace something hours
 * later, when nobody thinks of it any more, is refused instead.
 */
function replacesNothing({ spec: { volumes = [], objects } }: Restore): boolean {
  return objects === undefined && volumes.length > 0 && volumes.every(({ mode }) => mode !== 'InPlace');
}

/** Milliseconds since the epoch; long ago where the server does not say. */
function appliedAt({ metadata }: Restore): number {
  const at = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(at) ? Number.NEGATIVE_INFINITY : at;
}

const SECRET_TYPE = 'storage.clawbernetes.io/restore';

/** The agent of the repository's node has not read the document, or could not. */
async function awaitRecord(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { nodeName = '', record, backupID } = restore.status ?? {};
  if (record?.failure !== undefined) {
    const { reason, message, isFinal } = record.failure;
    const word = isReason(reason) ? reason : 'RestoreFailed';
    if (isFinal) return await end(restore, {}, failedBy(word, `${message} Nothing was changed.`), deps, context);
    await write(restore, decisionsOf(restore), {}, { kind: 'working', reason: word, message }, deps, context);
    return DONE;
  }
  // Another node tends the repository by now, and reads as well.
  const tending = placeOf(restore, deps);
  if (tending.ok && tending.nodeName !== nodeName) {
    const message = `The document of backup "${backupID}" is being read.`;
    const decisions = { ...decisionsOf(restore), nodeName: tending.nodeName };
    await write(restore, decisions, {}, { kind: 'working', reason: 'ReadingBackup', message }, deps, context);
    return DONE;
  }
  const said: RestoreSaid = deps.isLost(nodeName)
    ? { kind: 'lost', message: `Node "${nodeName}", which is to read the backup, has not renewed its Lease.` }
    : { kind: 'working', reason: 'ReadingBackup', message: `The document of backup "${backupID}" is being read.` };
  await write(restore, decisionsOf(restore), {}, said, deps, context);
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

/** Goes on with what is planned, until all of it has ended. */
async function advance(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
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

function verdictOf(
  restore: Restore,
  states: readonly VolumeState[],
  { items }: RestoreResults,
  isCancelled: boolean,
): RestoreSaid {
  const failures = states.flatMap((state) => (state.state === 'failed' ? [state] : []));
  const [first] = failures;
  const back = wayBack(restore, restore.status?.volumes ?? [], states);
  if (isCancelled && (first !== undefined || states.length === 0)) {
    return failedBy(
      'RestoreCancelled',
      `It was cancelled; ${items?.succeeded ?? 0} volumes and objects were restored.${back}`,
    );
  }
  if (first !== undefined || (items?.failed ?? 0) > 0) {
    const reason: Reason =
      failures.length === 1 && items?.failed === 1 && first !== undefined ? first.reason : 'RestoreIncomplete';
    const said = first === undefined ? 'Objects could not be restored; status.skipped names them.' : first.message;
    return failedBy(
      reason,
      `${items?.failed ?? 0} of ${total(items)} volumes and objects were not restored. ${said}${back}`,
    );
  }
  if (restore.spec.dryRun === true) {
    const message = `Nothing was changed. ${items?.succeeded ?? 0} volumes and objects would be restored, ${items?.skipped ?? 0} left as they are; see status.volumes, status.skipped and the VolumeRestores.`;
    return { kind: 'succeeded', reason: 'RestorePlanned', message };
  }
  const skipped = (items?.skipped ?? 0) === 0 ? '' : ` ${items?.skipped} objects were left as they are.`;
  const message = `${items?.succeeded ?? 0} volumes and objects of backup "${restore.status?.backupID}" were restored; what was written was read back and compared.${skipped}`;
  return { kind: 'succeeded', reason: 'Restored', message };
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

async function end(
  restore: Restore,
  results: RestoreResults,
  said: RestoreSaid,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  await write(restore, decisionsOf(restore), results, said, deps, context);
  const { manifestSecretRef, startTime } = restore.status ?? {};
  const { namespace, uid = '' } = restore.metadata;
  deps.memories.delete(uid);
  if (startTime !== undefined && restore.spec.dryRun !== true) {
    const seconds = (context.clock.now() - Date.parse(startTime)) / 1000;
    deps.metrics?.restoreDuration.observe(
      { result: said.kind === 'succeeded' ? 'success' : 'failure' },
      Math.max(0, seconds),
    );
  }
  if (manifestSecretRef !== undefined) {
    // Of no use any more; with the Restore it would go anyway.
    await deps.client
      .delete(SECRETS, { namespace, name: manifestSecretRef.name }, { signal: context.signal })
      .catch((thrown: unknown) => {
        if (!KubeError.from(thrown).isNotFound) throw thrown;
      });
  }
  return DONE;
}

/** What the agent has put into the Secret; undefined when it is not there. */
async function contentOf(
  restore: Restore,
  deps: Dependencies,
  signal: AbortSignal,
): Promise<RestoreContent | undefined> {
  const memory = memoryOf(restore, deps);
  if (memory.content !== undefined) return memory.content;
  const { namespace } = restore.metadata;
  const name = restore.status?.manifestSecretRef?.name ?? '';
  const secret = await getIfPresent<Secret>(deps.client, SECRETS, { namespace, name }, { signal });
  const content = secret === undefined ? undefined : await unpackContent(secret.data?.[CONTENT_KEY]);
  if (content !== undefined) memory.content = content;
  return content;
}

function wantedOf(
  restore: Restore,
  content: RestoreContent,
  planned: readonly PlannedVolume[],
  { nodes }: Dependencies,
): WantedObjects {
  return wantedObjects(restore, content, planned, (name) => nodes.get(name) !== undefined);
}

function onlyNodeOf(restore: Restore, deps: Dependencies): string | undefined {
  const place = placeOf(restore, deps);
  return place.ok ? place.onlyNode : undefined;
}

function placeOf(restore: Restore, deps: Dependencies): BackupPlace {
  const { repositoryRef, backupID = '' } = restore.status ?? {};
  const name = repositoryRef?.name ?? '';
  return placeIn(name, deps.repositories.get(`${restore.metadata.namespace}/${name}`), backupID);
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

function orderOf({ spec, metadata }: Restore): ObjectOrder {
  return {
    policy: spec.objects?.conflictPolicy ?? 'Skip',
    restoreUID: metadata.uid ?? '',
    dryRun: spec.dryRun === true,
  };
}

function memoryOf({ metadata }: Restore, { memories }: Dependencies): Memory {
  const uid = metadata.uid ?? '';
  const memory = memories.get(uid) ?? {};
  memories.set(uid, memory);
  return memory;
}

function doneObjects({ first, last }: Memory): readonly ObjectResult[] {
  return [first, last].flatMap((result) => result ?? []);
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

function failedBy(reason: Reason, message: string): RestoreSaid {
  return { kind: 'failed', reason, message };
}

function total(items: RestoreResults['items']): number {
  return items === undefined ? 0 : items.succeeded + items.failed + items.skipped;
}

async function write(
  restore: Restore,
  decisions: RestoreDecisions,
  results: RestoreResults,
  said: RestoreSaid,
  { writer, events }: Dependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const next = deriveRestoreStatus(restore, decisions, results, said, new Date(clock.now()));
  // What is decided from the Restore as it was read must not meet another one.
  if (await writer.status(RESTORES, restore, next, { requireUnchanged: true, signal })) {
    recordConditionEvents(events, restore, restore.status?.conditions, next.conditions);
  }
}
