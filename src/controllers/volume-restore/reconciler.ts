/**
 * One VolumeRestore on its node. From the moment that the node has it until its end no mount of its volume is begun here
 * (`mount/checks.ts`). The work may be begun again at any time; that something was written is written down before. When it
 * has ended, well or not, it never acts again.
 */
import { formatTime } from '../../api/conditions.ts';
import { isDeleting, VOLUME_RESTORES } from '../../api/meta.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { BackupProgress, RestoreSummary } from '../../backup/engine.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { JobSpec, JobState, Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { assureUnended } from '../support/live.ts';
import { liveUse } from '../support/live-use.ts';
import { Pace } from '../support/pace.ts';
import { tolerateChange } from '../support/writes.ts';
import { isFinal, restoreVolume } from './act.ts';
import type { Prepared } from './checks.ts';
import { nextVolumeRestoreStep } from './checks.ts';
import type { VolumeRestoreDependencies } from './observe.ts';
import { observeVolumeRestore } from './observe.ts';
import type { Underway, VolumeRestoreOutcome } from './status.ts';
import { deriveVolumeRestoreStatus } from './status.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 10_000;

interface Dependencies extends VolumeRestoreDependencies {
  readonly jobs: Jobs;
  /** By UID. */
  readonly works: Map<string, Work>;
}

/** What is remembered of the work for one VolumeRestore; a restart forgets it, and begins the work again. */
class Work implements Underway {
  startTime: string | undefined;
  summary: RestoreSummary | undefined;
  readonly #pace: Pace;

  constructor(clock: Clock) {
    this.#pace = new Pace(clock);
  }

  get progress() {
    return this.#pace.progress;
  }

  onProgress(progress: BackupProgress): void {
    this.#pace.add(progress);
  }
}

export function volumeRestoreReconciler(dependencies: VolumeRestoreDependencies & { readonly jobs: Jobs }): Reconciler {
  const deps = { ...dependencies, works: new Map<string, Work>() };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const restore = deps.stores.volumeRestores.get(key);
  const isOver = restore === undefined || restore.status?.nodeName !== deps.nodeName || isDeleting(restore);
  const isCancelled = restore?.spec.cancel === true;
  // Work for an object that is gone, that had this name before, or that nobody wants any more.
  const wanted = isOver || isCancelled ? undefined : restore.metadata.uid;
  if (!(await deps.jobs.end(key, context.signal, wanted))) return { requeueAfterMs: LOOK_AGAIN_MS };
  if (isOver || hasRestoreEnded(restore)) return DONE;
  if (isCancelled) return await conclude(restore, { kind: 'cancelled' }, deps, context);
  if (isPaused(restore) && !deps.jobs.has(key)) return await conclude(restore, { kind: 'paused' }, deps, context);
  return await conclude(restore, await converge(key, restore, deps, context), deps, context);
}

async function converge(
  key: string,
  restore: VolumeRestore,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<VolumeRestoreOutcome> {
  const { signal } = context;
  try {
    const state = (await deps.jobs.settle(key, 0, signal)) ?? (await begin(key, restore, deps, context));
    switch (state.state) {
      case 'refused':
        return { kind: 'failed', failure: state.failure };
      case 'running':
        return { kind: 'restoring' };
      case 'failed':
        return { kind: 'failed', failure: endOf(state.error, signal) };
      case 'done': {
        const summary = workOf(restore, deps, context.clock).summary;
        if (summary === undefined) throw new TypeError('a restore ended well and says nothing of what it did');
        return { kind: 'done', summary };
      }
    }
  } catch (thrown) {
    return { kind: 'failed', failure: failureOf(thrown, 'RestoreFailed', signal) };
  }
}

/** What passes by itself is tried again, however often; everything else is an end. */
function endOf(thrown: unknown, signal: AbortSignal): Failure {
  return { ...failureOf(thrown, 'RestoreFailed', signal), stalled: isFinal(thrown) };
}

type Begun = JobState | { readonly state: 'refused'; readonly failure: Failure };

/**
 * Begins the job, if nothing speaks against it, and waits a moment for its end. Whoever holds the volume's lock sees the
 * same mounts until then.
 */
function begin(key: string, restore: VolumeRestore, deps: Dependencies, context: ReconcileContext): Promise<Begun> {
  return deps.locks.run(restore.spec.volumeUID, async () => {
    const { signal } = context;
    const facts = await observeVolumeRestore(restore, deps, signal);
    const likely = nextVolumeRestoreStep(facts);
    if (likely.step === 'refuse') return { state: 'refused', failure: likely.failure };
    // The caches may lack a mount that was begun here a moment ago, or a grant, or that this has been done already.
    await assureUnended(deps.live, VOLUME_RESTORES, restore, hasRestoreEnded, signal);
    const next = nextVolumeRestoreStep({ ...facts, ...(await liveUse(facts, deps, signal)) });
    if (next.step === 'refuse') return { state: 'refused', failure: next.failure };
    deps.jobs.start(key, jobOf(restore, next, deps, context));
    return (await deps.jobs.settle(key, SHORT_WAIT_MS, context.signal)) ?? { state: 'running', progress: undefined };
  });
}

function jobOf(restore: VolumeRestore, prepared: Prepared, deps: Dependencies, context: ReconcileContext): JobSpec {
  const { spec, metadata } = restore;
  const { clock } = context;
  const work = workOf(restore, deps, clock);
  const isFirst = (restore.status?.startTime ?? work.startTime) === undefined;
  const onBegin = async (): Promise<void> => {
    work.startTime ??= formatTime(new Date(clock.now()));
    if (restore.status?.startTime !== undefined) return;
    const status = deriveVolumeRestoreStatus(restore, { kind: 'restoring' }, work, new Date(clock.now()));
    await deps.writer.status(VOLUME_RESTORES, restore, status, { signal: AbortSignal.timeout(BEGIN_MS) });
  };
  return {
    uid: metadata.uid ?? '',
    queue: 'restore',
    turn: { of: spec.volumeUID, isShared: false },
    // It is not taken down, grown or removed meanwhile.
    reads: [spec.volumeUID],
    what: `restore "${spec.restoreRef?.name ?? metadata.name}"`,
    async work(call) {
      const onProgress = (progress: BackupProgress): void => work.onProgress(progress);
      const { engine } = deps;
      const { summary } = await restoreVolume({ engine, restore, prepared, isFirst, onBegin, onProgress }, call);
      work.summary = summary;
    },
  };
}

/** How long the write that announces the first change may take, in milliseconds. */
const BEGIN_MS = 30_000;

function workOf({ metadata }: VolumeRestore, { works }: Dependencies, clock: Clock): Work {
  const uid = metadata.uid ?? '';
  const work = works.get(uid) ?? new Work(clock);
  works.set(uid, work);
  return work;
}

/** Derives the status, writes what differs, and says when to look again. */
async function conclude(
  restore: VolumeRestore,
  outcome: VolumeRestoreOutcome,
  deps: Dependencies,
  { signal, clock }: ReconcileContext,
): Promise<Result> {
  const now = new Date(clock.now());
  const status = deriveVolumeRestoreStatus(restore, outcome, workOf(restore, deps, clock), now);
  if (await deps.writer.status(VOLUME_RESTORES, restore, status, { signal })) {
    recordConditionEvents(deps.events, restore, restore.status?.conditions, status.conditions);
  }
  if (status.completionTime !== undefined) deps.works.delete(restore.metadata.uid ?? '');
  if (outcome.kind !== 'failed' || outcome.failure.stalled) return DONE;
  if (outcome.failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(outcome.failure);
}
