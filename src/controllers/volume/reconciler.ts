/**
 * One Volume on its node: the finalizer before the first side effect, then observe → decide → act → status. A volume that
 * is being deleted waits for its mounts, is taken down, and then released.
 *
 * An object that is merely gone is no order: nothing happens here, and what it left shows up among the node's orphans.
 */
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting, VOLUMES } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Volume } from '../../api/volume.ts';
import type { Driver, DriverVolume } from '../../drivers/driver.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { hasFinalizer, isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { JobState, Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { progressText } from '../support/progress-text.ts';
import { tolerateChange } from '../support/writes.ts';
import { actOnVolume, fillJob, removeCopy, removeVolume } from './act.ts';
import { nextVolumeStep, storageRefusal } from './checks.ts';
import type { VolumeFacts } from './observe.ts';
import { assureNoneAwaited, observeRemoval, observeVolume, snapshotsOf } from './observe.ts';
import type { VolumeOutcome } from './status.ts';
import { deriveVolumeStatus } from './status.ts';

/** What a step is called when it fails. */
const OPERATION_FAILED: Readonly<Record<'provision' | 'fill' | 'unstage', Reason>> = {
  provision: 'ProvisionFailed',
  fill: 'CloneFailed',
  unstage: 'UnmountFailed',
};
/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;
/** The same for what keeps a volume from being deleted. */
const BLOCKED_RETRY_MS = 2000;
/** Steps that one reconcile takes at most: provision, then unstage. More would mean that a step does not do its work. */
const MAX_STEPS = 3;

export interface VolumeDependencies extends AgentDependencies {
  /** The filling of volumes that are made from something. */
  readonly jobs: Jobs;
}

export function volumeReconciler(dependencies: VolumeDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: VolumeDependencies, context: ReconcileContext): Promise<Result> {
  const volume = deps.stores.volumes.get(key);
  const isOurs = volume?.status?.nodeName === deps.nodeName;
  // Work for an object that is gone, or that had this name before.
  const uid = (isOurs ? volume.metadata.uid : undefined) ?? '';
  if (!(await deps.jobs.end(key, context.signal, uid))) return { requeueAfterMs: BLOCKED_RETRY_MS };
  if (volume === undefined || !isOurs) {
    // Another node has it now, and speaks of it.
    forgetMetrics(key, deps);
    return DONE;
  }
  if (isDeleting(volume)) return deps.locks.run(uid, () => remove(key, volume, deps, context));
  if (isPaused(volume)) {
    await report(volume, undefined, { kind: 'paused' }, deps, context);
    return DONE;
  }
  return deps.locks.run(uid, () => converge(key, volume, deps, context));
}

async function converge(
  key: string,
  volume: Volume,
  deps: VolumeDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  let current = volume;
  let facts: VolumeFacts | undefined;
  let failure: Failure | undefined;
  let left: Failure | undefined;
  let operation: Reason = 'InternalError';
  try {
    for (let taken = 0; taken < MAX_STEPS; taken++) {
      const before = facts?.observation?.stageMount?.id;
      facts = await observeVolume(volume, deps, signal);
      if (left === undefined) {
        const removal = await removeCopy(facts, signal);
        left = removal.failure;
        if (removal.tried && left === undefined) facts = await observeVolume(volume, deps, signal);
      }
      // A busy unstage changes nothing; it is tried again when a mount goes.
      if (operation === 'UnmountFailed' && facts.observation?.stageMount?.id === before) {
        failure = storageRefusal(facts);
        break;
      }
      const step = nextVolumeStep(facts);
      if (step.step === 'refuse') failure = step.failure;
      const { driver, wanted } = facts;
      if (step.step === 'refuse' || step.step === 'none' || driver === undefined || wanted === undefined) break;
      operation = OPERATION_FAILED[step.step];
      // A finalizer before the first side effect: what is made is always announced.
      current = await deps.writer.addFinalizer(VOLUMES, current, FINALIZERS.volume, signal);
      if (step.step !== 'fill') await actOnVolume(step, driver, wanted, deps.metrics, signal);
      else failure = await fillVolume(key, driver, wanted, deps, signal);
      if (failure !== undefined) break;
    }
  } catch (thrown) {
    failure = failureOf(thrown, operation, signal);
  }
  if (failure === undefined && facts?.observation?.provisioned === true) {
    // Adopted storage (made before a crash, or a host directory) gets its finalizer here.
    current = await deps.writer.addFinalizer(VOLUMES, current, FINALIZERS.volume, signal);
  }
  const outcome: VolumeOutcome = failure === undefined ? { kind: 'ready' } : { kind: 'failed', failure };
  await report(current, facts, outcome, deps, context);
  if (left !== undefined) {
    const message = `What was copied for a Restore that is gone could not be removed yet: ${left.message}`;
    deps.events.record(volume, 'Warning', left.reason, message);
  }
  if (failure === undefined && left !== undefined) throw retryOf(left);
  if (failure === undefined) return DONE;
  if (failure.stalled || failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(failure);
}

/**
 * Lets a job make the volume with its content, and waits a moment for its end. Undefined when it has ended well.
 *
 * @throws What the job ended with.
 */
async function fillVolume(
  key: string,
  driver: Driver,
  wanted: DriverVolume,
  { jobs, locks }: VolumeDependencies,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const { content } = wanted;
  if (content === undefined) return undefined;
  const begin = (): Promise<JobState | undefined> => {
    jobs.start(key, fillJob(driver, wanted, content));
    return jobs.settle(key, SHORT_WAIT_MS, signal);
  };
  // Nobody takes a source volume down or up while it is begun to be read; afterwards it counts as in use.
  const beginLocked = () => (content.from === 'volume' ? locks.run(content.volume.uid, begin) : begin());
  const state = await (jobs.has(key) ? jobs.settle(key, 0, signal) : beginLocked());
  if (state?.state === 'failed') throw state.error;
  if (state?.state !== 'running') return undefined;
  const message = `The content of the volume is being copied${progressText(state.progress)}.`;
  return { reason: 'Cloning', message, stalled: false };
}

async function remove(
  key: string,
  volume: Volume,
  deps: VolumeDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  const hasEnded = await deps.jobs.end(key, signal);
  if (!hasFinalizer(volume, FINALIZERS.volume)) return DONE;
  const block = async (outcome: VolumeOutcome, requeueAfterMs?: number): Promise<Result> => {
    await report(volume, undefined, outcome, deps, context);
    return requeueAfterMs === undefined ? DONE : { requeueAfterMs };
  };
  if (isPaused(volume)) {
    return block({ kind: 'blocked', reason: 'Paused', message: 'The volume is paused; it is deleted when that ends.' });
  }
  if (!hasEnded) {
    const message = 'The volume was being filled; that is being ended first.';
    return block({ kind: 'blocked', reason: 'Cloning', message }, BLOCKED_RETRY_MS);
  }
  const facts = observeRemoval(volume, deps);
  if (facts === undefined) {
    const message =
      'This version does not know the source of the volume, so what was made for it cannot be taken down.';
    return block({ kind: 'blocked', reason: 'TypeNotSupported', message }, LOOK_AGAIN_MS);
  }
  const { driver, wanted, users, resolved } = facts;
  if (users.length > 0) {
    const shown = users.slice(0, 5).join(', ') + (users.length > 5 ? ` and ${users.length - 5} more` : '');
    const message = `Still used by ${shown}; the deletion goes on by itself when they are gone.`;
    return block({ kind: 'blocked', reason: 'VolumeInUse', message });
  }
  const retains = (volume.spec.reclaimPolicy ?? volume.status?.reclaimPolicy ?? resolved.reclaimPolicy) !== 'Delete';
  if (driver === undefined) {
    const message = `This node has no driver for ${resolved.type} volumes any more, so what it made cannot be taken down.`;
    return block({ kind: 'blocked', reason: 'TypeNotSupported', message }, LOOK_AGAIN_MS);
  }
  if (!retains) await assureNoneAwaited(volume, deps, signal);
  let kept: string | undefined;
  try {
    const removal = await removeVolume(driver, wanted, !retains, deps.metrics, signal);
    if (!removal.done) return await block({ kind: 'blocked', ...removal.obstacle }, BLOCKED_RETRY_MS);
    ({ kept } = removal);
  } catch (thrown) {
    const failure = failureOf(thrown, 'DeleteFailed', signal);
    await block({ kind: 'blocked', reason: failure.reason, message: failure.message });
    throw retryOf(failure);
  }
  const stay = stayingText(snapshotsOf(volume, deps).length);
  if (kept !== undefined) {
    deps.events.record(volume, 'Warning', 'DataRetained', `The volume is released; its data is kept: ${kept}${stay}`);
  } else if (retains) {
    deps.events.record(volume, 'Normal', 'Retained', `The volume is released; its data is kept.${stay}`);
  } else {
    deps.events.record(volume, 'Normal', 'Deleted', `What was made for the volume is removed.${stay}`);
  }
  await deps.writer.removeFinalizer(VOLUMES, volume, FINALIZERS.volume, signal);
  forgetMetrics(key, deps);
  return DONE;
}

/** What becomes of the snapshots of a volume that goes. */
function stayingText(count: number): string {
  if (count === 0) return '';
  return count === 1 ? ' Its snapshot stays usable.' : ` Its ${count} snapshots stay usable.`;
}

/** Derives the status and writes what differs. */
async function report(
  volume: Volume,
  facts: VolumeFacts | undefined,
  outcome: VolumeOutcome,
  deps: AgentDependencies,
  context: ReconcileContext,
): Promise<void> {
  const { signal, clock } = context;
  const resolved = facts?.resolution.ok === true ? facts.resolution.resolved : undefined;
  const usage = outcome.kind === 'ready' ? await usageOf(volume, facts, signal) : undefined;
  const now = new Date(clock.now());
  const snapshots = snapshotsOf(volume, deps);
  const observation = facts?.observation;
  const lacking = facts?.lacking;
  const status = deriveVolumeStatus({ volume, resolved, observation, usage, lacking, snapshots, outcome, now });
  if (await deps.writer.status(VOLUMES, volume, status, { signal })) {
    recordConditionEvents(deps.events, volume, volume.status?.conditions, status.conditions);
  }
  const labels = { namespace: volume.metadata.namespace ?? '', name: volume.metadata.name };
  deps.metrics?.volumeReady.set(labels, outcome.kind === 'ready' ? 1 : 0);
  if (resolved?.capacityBytes !== undefined) deps.metrics?.volumeCapacity.set(labels, Number(resolved.capacityBytes));
  if (usage !== undefined) deps.metrics?.volumeUsed.set(labels, Number(usage.usedBytes));
}

/** Space in use of storage that is mounted, or present and limited. A figure that cannot be had is no failure of the volume. */
async function usageOf(volume: Volume, facts: VolumeFacts | undefined, signal: AbortSignal) {
  const { driver, wanted, observation } = facts ?? {};
  // Not for a volume that has just been made: its first Ready must not wait for it.
  if (driver === undefined || wanted === undefined || volume.status?.conditions === undefined) return undefined;
  const isLimited = observation?.enforcedBytes !== undefined && observation.staged;
  if (observation?.stageMount === undefined && !isLimited) return undefined;
  return driver.usage(wanted, signal).catch(() => undefined);
}

function forgetMetrics(key: string, { metrics }: AgentDependencies): void {
  const [namespace = '', name = ''] = key.split('/');
  const labels = { namespace, name };
  metrics?.volumeReady.remove(labels);
  metrics?.volumeCapacity.remove(labels);
  metrics?.volumeUsed.remove(labels);
}
