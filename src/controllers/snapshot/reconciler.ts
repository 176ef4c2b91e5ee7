/**
 * One Snapshot on its node. The controller has said which volume, by UID; the finalizer comes before the first side effect;
 * then observe → decide → take, as a job outside of the queue → observe again → status. What was taken once is never taken
 * anew. From then on nothing needs the Volume: the deletion works from `status.source`.
 *
 * An object that is merely gone is no order: what it left shows up among the node's orphans.
 */
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting, SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot, SnapshotSource } from '../../api/snapshot.ts';
import { DriverError } from '../../drivers/driver.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { hasFinalizer, isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { JobState, Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { tolerateChange } from '../support/writes.ts';
import { deleteSnapshot, takeJob } from './act.ts';
import { nextSnapshotStep } from './checks.ts';
import type { SnapshotFacts } from './observe.ts';
import { assureNoClones, clonesOf, observeSnapshot, observeSnapshotRemoval, volumeOf } from './observe.ts';
import type { SnapshotOutcome } from './status.ts';
import { deriveSnapshotStatus } from './status.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;
/** The same for what keeps a snapshot from being deleted. */
const BLOCKED_RETRY_MS = 2000;

export interface SnapshotDependencies extends AgentDependencies {
  readonly jobs: Jobs;
}

export function snapshotReconciler(dependencies: SnapshotDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: SnapshotDependencies, context: ReconcileContext): Promise<Result> {
  const snapshot = deps.stores.snapshots.get(key);
  const source = snapshot?.status?.nodeName === deps.nodeName ? snapshot.status.source : undefined;
  const uid = source === undefined ? undefined : snapshot?.metadata.uid;
  // Work for an object that is gone, or that had this name before.
  if (!(await deps.jobs.end(key, context.signal, uid))) return { requeueAfterMs: BLOCKED_RETRY_MS };
  if (snapshot === undefined || source === undefined) return DONE;
  if (isDeleting(snapshot)) return remove(key, snapshot, source, deps, context);
  if (isPaused(snapshot)) {
    await report(snapshot, source, undefined, { kind: 'paused' }, deps, context);
    return DONE;
  }
  return converge(key, snapshot, source, deps, context);
}

async function converge(
  key: string,
  snapshot: Snapshot,
  source: SnapshotSource,
  deps: SnapshotDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  let current = snapshot;
  let facts: SnapshotFacts | undefined;
  let outcome: SnapshotOutcome;
  try {
    let state = await deps.jobs.settle(key, 0, signal);
    if (state === undefined) {
      facts = await observeSnapshot(snapshot, source, deps, signal);
      if (nextSnapshotStep(facts).step === 'take') {
        current = await deps.writer.addFinalizer(SNAPSHOTS, current, FINALIZERS.snapshot, signal);
        state = await take(key, current, source, deps, signal);
      }
    }
    if (state?.state === 'failed') throw state.error;
    // What has been done is looked at, not believed.
    if (state?.state === 'done') facts = await observeSnapshot(snapshot, source, deps, signal);
    if (state?.state === 'running') outcome = { kind: 'taking', progress: state.progress };
    else outcome = outcomeOf(facts, state);
  } catch (thrown) {
    outcome = { kind: 'failed', failure: failureOf(thrown, 'SnapshotFailed', signal) };
  }
  if (outcome.kind === 'ready') {
    // What was taken before a crash gets its finalizer here.
    current = await deps.writer.addFinalizer(SNAPSHOTS, current, FINALIZERS.snapshot, signal);
  }
  await report(current, source, facts, outcome, deps, context);
  if (outcome.kind !== 'failed') return DONE;
  const { failure } = outcome;
  if (failure.stalled || failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(failure);
}

/** Begins the job and waits a moment for its end. Begun while nobody has the volume; from then on it counts as in use. */
async function take(
  key: string,
  snapshot: Snapshot,
  source: SnapshotSource,
  deps: SnapshotDependencies,
  signal: AbortSignal,
): Promise<JobState | undefined> {
  const hasBegun = await deps.locks.run(source.volumeUID, async () => {
    // The volume may have changed while others had it.
    const facts = await observeSnapshot(snapshot, source, deps, signal);
    const { driver, wanted } = facts;
    if (nextSnapshotStep(facts).step !== 'take' || driver === undefined || wanted === undefined) return false;
    deps.jobs.start(key, takeJob(driver, wanted, deps.metrics));
    return true;
  });
  return hasBegun ? deps.jobs.settle(key, SHORT_WAIT_MS, signal) : { state: 'done' };
}

function outcomeOf(facts: SnapshotFacts | undefined, state: JobState | undefined): SnapshotOutcome {
  const step = facts === undefined ? undefined : nextSnapshotStep(facts);
  switch (step?.step) {
    case 'none':
      return { kind: 'ready' };
    case 'refuse':
      return { kind: 'failed', failure: step.failure };
    default: {
      const message = `The driver was done, but the snapshot is not there (${state?.state ?? 'not begun'}).`;
      return { kind: 'failed', failure: failed(message) };
    }
  }
}

function failed(message: string): Failure {
  return { reason: 'SnapshotFailed', message, stalled: false, cause: new DriverError('SnapshotFailed', message) };
}

async function remove(
  key: string,
  snapshot: Snapshot,
  source: SnapshotSource,
  deps: SnapshotDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  if (!(await deps.jobs.end(key, signal))) {
    const message = 'The snapshot was being taken; that is being ended first.';
    return block({ kind: 'blocked', reason: 'Snapshotting', message }, BLOCKED_RETRY_MS);
  }
  if (!hasFinalizer(snapshot, FINALIZERS.snapshot)) return DONE;
  if (isPaused(snapshot)) {
    const message = 'The snapshot is paused; it is deleted when that ends.';
    return block({ kind: 'blocked', reason: 'Paused', message });
  }
  const users = usersOf(snapshot, deps);
  if (users.length > 0) {
    const message = `${users.slice(0, 5).join(', ')} ${users.length === 1 ? 'is' : 'are'} being made from it; the deletion goes on by itself afterwards.`;
    return block({ kind: 'blocked', reason: 'SnapshotInUse', message }, LOOK_AGAIN_MS);
  }
  await assureNoClones(snapshot, deps, signal);
  if (snapshot.spec.deletionPolicy === 'Retain') {
    deps.events.record(snapshot, 'Normal', 'Retained', 'The snapshot is released; its data is kept.');
  } else {
    const { driver, wanted } = observeSnapshotRemoval(snapshot, source, deps);
    if (driver === undefined || wanted === undefined) {
      const message = 'This node has no driver for the type of the volume any more, so what it made cannot be deleted.';
      return block({ kind: 'blocked', reason: 'TypeNotSupported', message }, LOOK_AGAIN_MS);
    }
    try {
      await deleteSnapshot(driver.snapshots, wanted, signal);
    } catch (thrown) {
      const failure = failureOf(thrown, 'DeleteFailed', signal);
      await block({ kind: 'blocked', reason: failure.reason, message: failure.message });
      throw retryOf(failure);
    }
    deps.events.record(snapshot, 'Normal', 'Deleted', 'What was kept for the snapshot is removed.');
  }
  await deps.writer.removeFinalizer(SNAPSHOTS, snapshot, FINALIZERS.snapshot, signal);
  return DONE;

  async function block(outcome: SnapshotOutcome, requeueAfterMs?: number): Promise<Result> {
    await report(snapshot, source, undefined, outcome, deps, context);
    return requeueAfterMs === undefined ? DONE : { requeueAfterMs };
  }
}

/** Volumes that are made from it: those that are being filled now, and those that will be. */
function usersOf(snapshot: Snapshot, deps: SnapshotDependencies): readonly string[] {
  const names = clonesOf('Snapshot', snapshot, deps).map(({ metadata }) => `volume "${metadata.name}"`);
  return [...new Set([...names, ...deps.uses.of(snapshot.metadata.uid ?? '')])];
}

/** Derives the status and writes what differs. */
async function report(
  snapshot: Snapshot,
  source: SnapshotSource,
  facts: SnapshotFacts | undefined,
  outcome: SnapshotOutcome,
  deps: SnapshotDependencies,
  { signal, clock }: ReconcileContext,
): Promise<void> {
  const isAlone = volumeOf(source, deps) === undefined;
  const now = new Date(clock.now());
  const status = deriveSnapshotStatus({ snapshot, observation: facts?.observation, isAlone, outcome, now });
  if (await deps.writer.status(SNAPSHOTS, snapshot, status, { signal })) {
    recordConditionEvents(deps.events, snapshot, snapshot.status?.conditions, status.conditions);
  }
}
