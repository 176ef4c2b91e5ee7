/**
 * The controller's part of a Backup.
 *
 *   begun        it has its ID; the repository is found or made, and waited for
 *   prepared     what it is of lies in Secrets, and there is one VolumeBackup per volume: status.items
 *   running      the parts are given to their nodes in turn, and counted
 *   recording    they have ended well enough; the document lies in a Secret, and the repository's node writes it down
 *   ended        status.completionTime: nothing is ever done for it again, but its deletion
 *
 * Where it is on this way is read from the objects each time: any step may have been the last one of a killed controller.
 */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { formatTime } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import { BACKUPS, isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { isPaused } from '../support/annotations.ts';
import { tolerateChange } from '../support/writes.ts';
import { missingVolumes } from './choose.ts';
import { conclude } from './conclude.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { partsOf, sibling } from './dependencies.ts';
import { dataOf, fail, writeStatus } from './end.ts';
import { backupIDOf, clusterIDOf } from './identity.ts';
import { APPLIED_TOGETHER_MS, patienceLeft } from './patience.ts';
import { prepare } from './prepare.ts';
import { adoptedStatus, remove } from './remove.ts';
import { findRepository } from './repository.ts';
import { expire, restOf } from './rest.ts';
import { runParts, stopParts } from './run-parts.ts';
import type { Carried } from './status.ts';
import { carriedOf, deadlineOf, deriveStatus } from './status.ts';
import { sumsOf } from './sums.ts';
import { dataConditions } from './verdict.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 2_000;
const SOON_MS = 50;
/** A timer is set for no longer than this, in milliseconds. */
const LONGEST_WAIT_MS = 86_400_000;
/** A status that says nothing new but how far it is is written at most so often, in milliseconds. */
const PROGRESS_MS = 2_000;

/** Why a Backup is to stop before it is done. */
export interface Stop {
  readonly reason: Reason;
  readonly message: string;
}

export function backupBindingReconciler(dependencies: BackupBindingDependencies): Reconciler {
  const written = new Map<string, number>();
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, written, context));
}

async function reconcile(
  key: string,
  deps: BackupBindingDependencies,
  written: Map<string, number>,
  context: ReconcileContext,
): Promise<Result> {
  const backup = deps.backups.get(key);
  if (backup === undefined || hasEnded(backup) || isDeleting(backup)) written.delete(key);
  if (backup === undefined) return DONE;
  if (isDeleting(backup)) return remove(backup, (stop) => halt(backup, stop, deps, context), deps, context);
  if (backup.spec.imported !== undefined) return adopt(backup, deps, context);
  if (hasEnded(backup)) {
    await restOf(backup, deps, context);
    return expire(backup, deps, context);
  }
  if (isPaused(backup)) {
    const now = new Date(context.clock.now());
    const status = deriveStatus(backup, carriedOf(backup), { kind: 'paused' }, dataOf(backup), now);
    await writeStatus(backup, status, deps, context);
    return DONE;
  }
  return advance(backup, deps, written, context);
}

/** One that was found in a repository: whoever tends that speaks for it. */
async function adopt(backup: Backup, deps: BackupBindingDependencies, context: ReconcileContext): Promise<Result> {
  const finalized = await deps.writer.addFinalizer(BACKUPS, backup, FINALIZERS.backup, context.signal);
  await writeStatus(finalized, adoptedStatus(backup, deps), deps, context);
  return DONE;
}

async function advance(
  found: Backup,
  deps: BackupBindingDependencies,
  written: Map<string, number>,
  context: ReconcileContext,
): Promise<Result> {
  const clusterID = clusterIDOf((name) => deps.namespaces.get(name));
  if (clusterID === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  // Before anything is made for it.
  const finalized = await deps.writer.addFinalizer(BACKUPS, found, FINALIZERS.backup, context.signal);
  const backup = begun(finalized, clusterID, context);
  const stop = stopOf(backup, context);
  if (stop !== undefined) {
    await halt(backup, stop, deps, context);
    return { requeueAfterMs: LOOK_AGAIN_MS };
  }
  if (backup.status?.items === undefined) return start(backup, deps, context);
  const running = await runParts(backup, deps, context);
  if (running.haveEnded) {
    const conclusion = await conclude(backup, deps, context);
    return conclusion === 'ended'
      ? DONE
      : { requeueAfterMs: conclusion === 'again' ? SOON_MS : untilDeadline(backup, context) };
  }
  const key = `${backup.metadata.namespace}/${backup.metadata.name}`;
  const sinceMs = context.clock.monotonic() - (written.get(key) ?? Number.NEGATIVE_INFINITY);
  if (sinceMs < PROGRESS_MS) return { requeueAfterMs: PROGRESS_MS - sinceMs };
  written.set(key, context.clock.monotonic());
  await writeStatus(backup, running.status, deps, context);
  return { requeueAfterMs: Math.min(running.lookAgainMs, untilDeadline(backup, context)) };
}

/** With what it has from its first moment on. */
function begun(backup: Backup, clusterID: string, { clock }: ReconcileContext): Backup {
  const { status = {} } = backup;
  const {
    backupID = backupIDOf(backup),
    startTime = formatTime(new Date(clock.now())),
    clusterID: known = clusterID,
  } = status;
  return { ...backup, status: { ...status, backupID, clusterID: known, startTime } };
}

/** Waits for the repository, and makes the parts. */
async function start(backup: Backup, deps: BackupBindingDependencies, context: ReconcileContext): Promise<Result> {
  const now = new Date(context.clock.now());
  const found = await findRepository(backup, deps, context);
  if (found.kind === 'refused') {
    await fail(backup, found, {}, deps, context);
    return DONE;
  }
  const { metadata, status } = found.repository ?? {};
  const carried: Carried = {
    ...carriedOf(backup),
    ...(metadata === undefined ? {} : { repositoryRef: { name: metadata.name } }),
    ...(status?.nodeName === undefined ? {} : { nodeName: status.nodeName }),
  };
  if (found.kind === 'waiting') {
    const { reason, message, lookAgainMs } = found;
    await writeStatus(
      backup,
      deriveStatus(backup, carried, { kind: 'waiting', reason, message }, [], now),
      deps,
      context,
    );
    return { requeueAfterMs: Math.min(lookAgainMs, untilDeadline(backup, context)) };
  }
  const absent = absentOf(backup, deps, context);
  if (absent !== undefined) {
    const outcome = { kind: 'waiting', reason: 'VolumeNotFound', message: absent.message } as const;
    await writeStatus(backup, deriveStatus(backup, carried, outcome, [], now), deps, context);
    return { requeueAfterMs: Math.min(absent.leftMs, untilDeadline(backup, context)) };
  }
  const prepared = await prepare(backup, found.repository, deadlineOf(backup), deps, context);
  if (prepared === undefined) return { requeueAfterMs: SOON_MS };
  const outcome = { kind: 'waiting', reason: 'BackingUp', message: 'The backup begins.' } as const;
  await writeStatus(backup, deriveStatus(backup, { ...carried, ...prepared }, outcome, [], now), deps, context);
  return { requeueAfterMs: SOON_MS };
}

/** Volumes that it names and that may be on their way; undefined when there are none, or it has waited long enough. */
function absentOf(
  backup: Backup,
  { volumes }: BackupBindingDependencies,
  { clock }: ReconcileContext,
): { readonly message: string; readonly leftMs: number } | undefined {
  const names = (backup.spec.volumeRefs ?? []).map(({ name }) => name);
  const there = names.filter((name) => volumes.get(sibling(backup, name)) !== undefined);
  const [first, ...others] = missingVolumes(backup, there);
  const leftMs = patienceLeft(backup, APPLIED_TOGETHER_MS, clock.now());
  if (first === undefined || leftMs === 0) return undefined;
  const more = others.length === 0 ? '' : ` The same is so of ${others.length} more.`;
  return { message: `Volume "${first}" does not exist; the backup waits for it.${more}`, leftMs };
}

/** Stops what runs, and ends the Backup when nothing does. @returns whether it has ended. */
async function halt(
  backup: Backup,
  stop: Stop,
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<boolean> {
  if (backup.status?.record !== undefined) {
    // It was whole before anybody wanted to stop it.
    return (await conclude(backup, deps, context)) === 'ended';
  }
  if (!(await stopParts(backup, stop, deps, context))) return false;
  const parts = partsOf(backup, deps);
  const names = parts.map(({ spec }) => spec.volumeRef.name);
  const missing = backup.status?.items === undefined ? [] : missingVolumes(backup, names);
  const known =
    parts.length === 0
      ? {}
      : { carried: { ...carriedOf(backup), ...sumsOf(parts, missing) }, data: dataConditions(parts, missing) };
  await fail(backup, stop, known, deps, context);
  return true;
}

function stopOf(backup: Backup, { clock }: ReconcileContext): Stop | undefined {
  if (backup.spec.cancel === true) return { reason: 'Cancelled', message: 'The backup was cancelled.' };
  if (clock.now() < deadlineOf(backup)) return undefined;
  const waited = backup.status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
  const message = `The backup took longer than activeDeadlineSeconds allows. ${waited}`.trim();
  return { reason: 'DeadlineExceeded', message };
}

function untilDeadline(backup: Backup, { clock }: ReconcileContext): number {
  return Math.min(LONGEST_WAIT_MS, Math.max(SOON_MS, deadlineOf(backup) - clock.now()));
}
