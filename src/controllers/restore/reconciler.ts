/**
 * One Restore on its node. Until it has ended no mount of its volume is begun here (`mount/checks.ts`); what is replaced is
 * kept first; and when it has ended, well or not, it never acts again. It has no finalizer: deleting it undoes nothing.
 */
import { isDeleting, RESTORES } from '../../api/meta.ts';
import type { Restore, RestoreOrigin } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { JobSpec, JobState, Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { assureUnended } from '../support/live.ts';
import { liveUse } from '../support/live-use.ts';
import { tolerateChange } from '../support/writes.ts';
import { nextRestoreStep } from './checks.ts';
import type { RestoreFacts } from './observe.ts';
import { observeRestore } from './observe.ts';
import type { RestoreOutcome } from './status.ts';
import { deriveRestoreStatus } from './status.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;
/** The same while mounts are taken down for it: that has a deadline. */
const TAKING_DOWN_MS = 5_000;

export interface RestoreDependencies extends AgentDependencies {
  readonly jobs: Jobs;
}

export function restoreReconciler(dependencies: RestoreDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: RestoreDependencies, context: ReconcileContext): Promise<Result> {
  const restore = deps.stores.restores.get(key);
  const source = restore?.status?.nodeName === deps.nodeName ? restore.status.source : undefined;
  const isOver = restore === undefined || source === undefined || isDeleting(restore);
  // Work for an object that is gone, or that had this name before.
  if (!(await deps.jobs.end(key, context.signal, isOver ? undefined : restore.metadata.uid))) {
    return { requeueAfterMs: LOOK_AGAIN_MS };
  }
  if (isOver || isFinished(restore)) return DONE;
  if (isPaused(restore)) {
    await report(restore, { kind: 'paused' }, deps, context);
    return DONE;
  }
  const outcome = await converge(key, restore, source, deps, context);
  await report(restore, outcome, deps, context);
  if (outcome.kind !== 'failed' || outcome.failure.stalled) return DONE;
  if (outcome.failure.reason === 'WaitingForUnmount') return { requeueAfterMs: TAKING_DOWN_MS };
  if (outcome.failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(outcome.failure);
}

async function converge(
  key: string,
  restore: Restore,
  source: RestoreOrigin,
  deps: RestoreDependencies,
  context: ReconcileContext,
): Promise<RestoreOutcome> {
  const { signal } = context;
  try {
    const state = (await deps.jobs.settle(key, 0, signal)) ?? (await begin(key, restore, source, deps, context));
    switch (state.state) {
      case 'refused':
        return { kind: 'failed', failure: state.failure };
      case 'running':
        return { kind: 'reverting', progress: state.progress };
      case 'failed':
        return { kind: 'failed', failure: failureOf(state.error, 'RevertFailed', signal) };
      case 'done':
        return { kind: 'done' };
    }
  } catch (thrown) {
    return { kind: 'failed', failure: failureOf(thrown, 'RevertFailed', signal) };
  }
}

type Begun = JobState | { readonly state: 'refused'; readonly failure: ReturnType<typeof failureOf> };

/**
 * Begins the job, if nothing speaks against it, and waits a moment for its end. Whoever holds the volume's lock sees the
 * same mounts until then.
 */
function begin(
  key: string,
  restore: Restore,
  source: RestoreOrigin,
  deps: RestoreDependencies,
  { signal, clock }: ReconcileContext,
): Promise<Begun> {
  return deps.locks.run(source.volumeUID, async () => {
    const facts = observeRestore(restore, source, deps, clock.now());
    const likely = nextRestoreStep(facts);
    if (likely.step === 'refuse') return { state: 'refused', failure: likely.failure };
    // The caches may lack a mount that was begun here a moment ago, or a grant, or that this has been done already.
    await assureUnended(deps.live, RESTORES, restore, isFinished, signal);
    const next = nextRestoreStep({ ...facts, ...(await liveUse(facts, deps, signal)) });
    if (next.step === 'refuse') return { state: 'refused', failure: next.failure };
    deps.jobs.start(key, revertJob(facts));
    return (await deps.jobs.settle(key, SHORT_WAIT_MS, signal)) ?? { state: 'running', progress: undefined };
  });
}

function revertJob({ restore, source, driver, words }: RestoreFacts): JobSpec {
  const { uid = '', name } = restore.metadata;
  return {
    uid,
    queue: driver?.type ?? '',
    turn: { of: source.volumeUID, isShared: false },
    // Neither is taken down, grown or removed meanwhile.
    reads: [source.volumeUID, source.snapshotUID],
    what: `restore "${name}"`,
    async work(call) {
      if (words === undefined) throw new TypeError('a restore without its volume or its snapshot was begun');
      await driver?.revert?.(words.volume, words.snapshot, { uid, name }, call);
    },
  };
}

/** Derives the status and writes what differs. */
async function report(
  restore: Restore,
  outcome: RestoreOutcome,
  deps: RestoreDependencies,
  { signal, clock }: ReconcileContext,
): Promise<void> {
  const status = deriveRestoreStatus(restore, outcome, new Date(clock.now()));
  if (await deps.writer.status(RESTORES, restore, status, { signal })) {
    recordConditionEvents(deps.events, restore, restore.status?.conditions, status.conditions);
  }
}
