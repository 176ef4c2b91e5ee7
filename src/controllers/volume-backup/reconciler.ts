/**
 * One VolumeBackup on its node. The reading is a job outside of the queue; what became of it stands in a record before anybody
 * is told, so that a restart tells it instead of reading again. When it has ended, well or not, it never acts again.
 */
import type { VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { findCondition, formatTime, isTrue } from '../../api/conditions.ts';
import { isDeleting, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { volumeDocument } from '../backup-binding/document.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { JobSpec, JobState, Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { Pace } from '../support/pace.ts';
import type { BackupTools } from '../support/repository-access.ts';
import { tolerateChange } from '../support/writes.ts';
import { nextVolumeBackupStep, type VolumeBackupStep } from './checks.ts';
import type { Leftovers } from './leftovers.ts';
import type { VolumeBackupFacts } from './observe.ts';
import { observeVolumeBackup } from './observe.ts';
import { readVolume } from './read-volume.ts';
import type { ReadingRecords } from './records.ts';
import type { VolumeBackupOutcome } from './status.ts';
import { deriveVolumeBackupStatus } from './status.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 5_000;
const SOON_MS = 100;
const LONGEST_WAIT_MS = 86_400_000;

export interface VolumeBackupDependencies extends AgentDependencies {
  readonly parts: { get(key: string): VolumeBackup | undefined };
  readonly tools: BackupTools;
  readonly records: ReadingRecords;
  readonly leftovers: Leftovers;
  readonly jobs: Jobs;
}

interface Dependencies extends VolumeBackupDependencies {
  /** By UID: how far each job is. */
  readonly paces: Map<string, Pace>;
}

export function volumeBackupReconciler(dependencies: VolumeBackupDependencies): Reconciler {
  const deps = { ...dependencies, paces: new Map<string, Pace>() };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const part = deps.parts.get(key);
  const isOurs = part !== undefined && part.status?.nodeName === deps.nodeName && !isDeleting(part) && !hasEnded(part);
  const stop = isOurs ? stopOf(part, context.clock) : undefined;
  // Work for an object that is gone, that had this name before, or that nobody wants any more.
  const wanted = isOurs && stop === undefined ? part.metadata.uid : undefined;
  if (!(await deps.jobs.end(key, context.signal, wanted))) return { requeueAfterMs: LOOK_AGAIN_MS };
  if (part !== undefined && hasEnded(part)) return await forget(part, deps, context);
  if (!isOurs) return DONE;
  if (isPaused(part) && !deps.jobs.has(key)) return await tell(part, { kind: 'paused' }, deps, context);
  const read = deps.records.readings.read(part.metadata.uid ?? '')?.result ?? undefined;
  // What was read before somebody stopped it was read.
  if (read !== undefined && !deps.jobs.has(key)) return await tell(part, { kind: 'read', result: read }, deps, context);
  if (stop !== undefined) return await tell(part, { kind: 'ended', ...stop }, deps, context);
  if (!deps.leftovers.isSwept) return { requeueAfterMs: SOON_MS };
  return await tell(part, await converge(key, part, deps, context), deps, context);
}

/** Why it is to end without having been read. */
function stopOf({ spec, status }: VolumeBackup, clock: Clock) {
  if (spec.cancel === true) return { reason: 'Cancelled', message: 'The backup was cancelled.' } as const;
  if (clock.now() < Date.parse(spec.deadline)) return undefined;
  const said = findCondition(status?.conditions, 'Ready')?.message ?? '';
  const message = `The deadline of the backup, ${spec.deadline}, has passed. ${said}`.trim();
  return { reason: 'DeadlineExceeded', message } as const;
}

async function converge(
  key: string,
  part: VolumeBackup,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<VolumeBackupOutcome> {
  const { signal } = context;
  try {
    const state = (await deps.jobs.settle(key, 0, signal)) ?? (await begin(key, part, deps, context));
    if (state.state === 'refused') return { kind: 'failed', failure: state.failure };
    if (state.state === 'running') return { kind: 'reading' };
    // The record alone says that it was read; what came after it is cleaned up later.
    const result = deps.records.readings.read(part.metadata.uid ?? '')?.result;
    if (result !== undefined && result !== null) return { kind: 'read', result };
    if (state.state === 'failed') throw state.error;
    throw new TypeError('a volume was read, and there is no record of it');
  } catch (thrown) {
    return { kind: 'failed', failure: failureOf(thrown, 'BackupFailed', signal) };
  }
}

type Begun = JobState | { readonly state: 'refused'; readonly failure: Failure };

/** Begins the job, if nothing speaks against it, and waits a moment for its end. */
async function begin(key: string, part: VolumeBackup, deps: Dependencies, context: ReconcileContext): Promise<Begun> {
  const refused = await deps.locks.run(part.spec.volumeUID, async () => {
    const facts = observeVolumeBackup(part, deps, deps.tools);
    const next = nextVolumeBackupStep(facts);
    if (next.step === 'refuse') return next.failure;
    deps.jobs.start(key, jobOf(part, facts, next, deps, context.clock));
    return undefined;
  });
  if (refused !== undefined) return { state: 'refused', failure: refused };
  return (await deps.jobs.settle(key, SHORT_WAIT_MS, context.signal)) ?? { state: 'running', progress: undefined };
}

function jobOf(
  part: VolumeBackup,
  { volume, elsewhere }: VolumeBackupFacts,
  { driver, words, access }: VolumeBackupStep & { readonly step: 'read' },
  deps: Dependencies,
  clock: Clock,
): JobSpec {
  const { spec, metadata } = part;
  const pace = new Pace(clock);
  deps.paces.set(metadata.uid ?? '', pace);
  return {
    uid: metadata.uid ?? '',
    queue: 'backup',
    // Several may read a volume at once, and nobody may bring it other content meanwhile.
    turn: { of: spec.volumeUID, isShared: true },
    reads: [spec.volumeUID],
    what: `backup "${spec.backupRef.name}"`,
    async work(call) {
      if (volume === undefined) return;
      await readVolume(
        {
          part,
          nodeName: deps.nodeName,
          driver,
          volume: words,
          document: volumeDocument(volume),
          elsewhere,
          wasBackedUp: volume.status?.lastBackupTime !== undefined,
          engine: deps.tools.engine,
          access,
          records: deps.records,
          onProgress: (progress) => pace.add(progress),
        },
        call,
      );
    },
  };
}

/** Derives the status, writes what differs, and says when to look again. */
async function tell(
  part: VolumeBackup,
  outcome: VolumeBackupOutcome,
  deps: Dependencies,
  { signal, clock }: ReconcileContext,
): Promise<Result> {
  const now = new Date(clock.now());
  const uid = part.metadata.uid ?? '';
  const pace = deps.paces.get(uid);
  const underway = { startTime: pace === undefined ? undefined : formatTime(now), progress: pace?.progress };
  const status = deriveVolumeBackupStatus(part, outcome, underway, now);
  if (outcome.kind === 'read' && isTrue(status.conditions, 'Ready')) {
    // Before it is told: a kill in between must not make the next backup compare with an older one.
    const { files, bytes } = outcome.result;
    deps.records.last.write(part.spec.volumeUID, { files, bytes, backupID: part.spec.backupID });
  }
  if (await deps.writer.status(VOLUME_BACKUPS, part, status, { signal })) {
    recordConditionEvents(deps.events, part, part.status?.conditions, status.conditions);
  }
  if (status.completionTime !== undefined) deps.paces.delete(uid);
  const untilDeadline = Math.max(SOON_MS, Math.min(LONGEST_WAIT_MS, Date.parse(part.spec.deadline) - clock.now()));
  if (outcome.kind === 'reading') return { requeueAfterMs: untilDeadline };
  if (outcome.kind !== 'failed' || outcome.failure.stalled) return DONE;
  if (outcome.failure.cause === undefined) return { requeueAfterMs: Math.min(LOOK_AGAIN_MS, untilDeadline) };
  throw retryOf(outcome.failure);
}

/** What has ended and is known to have ended needs no record. */
async function forget(part: VolumeBackup, deps: Dependencies, { signal }: ReconcileContext): Promise<Result> {
  const uid = part.metadata.uid ?? '';
  deps.paces.delete(uid);
  if (part.status?.nodeName !== deps.nodeName) return DONE;
  try {
    await deps.leftovers.remove(uid, signal);
    return DONE;
  } catch (thrown) {
    throw retryOf(failureOf(thrown, 'UnmountFailed', signal));
  }
}
