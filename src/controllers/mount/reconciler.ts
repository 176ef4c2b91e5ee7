/**
 * One VolumeMount on its node: checked against what the API says (volume, grant, policy, target), announced by a
 * finalizer, staged, published, and then looked at again; Ready is what was seen last.
 *
 * Taking down happens only for an object that was read with a deletionTimestamp and our finalizer, and never lazily.
 */
import { isTrue } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting, VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { MountObservation, VolumeObservation } from '../../drivers/driver.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { startsFromBackup } from '../policy/first-content.ts';
import { storageObjection } from '../policy/judge-storage.ts';
import { wantedHostPath } from '../policy/resolve-target.ts';
import { sourceOf } from '../policy/sources/index.ts';
import { takenDownFor, wasTakenDown } from '../restore/attached.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { hasFinalizer, isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import type { Obstacle } from '../support/holders.ts';
import { BY_VOLUME, volumeKeyOf } from '../support/indexes.ts';
import { CacheBehind } from '../support/live.ts';
import { Recent } from '../support/recent.ts';
import { tolerateChange } from '../support/writes.ts';
import { actOnMount, removeMount, stage, unstage } from './act.ts';
import type { Permission } from './checks.ts';
import { mayMount, nextMountStep } from './checks.ts';
import type { MountFacts, MountRemoval } from './observe.ts';
import { driverWords, observeMount, observeMountRemoval } from './observe.ts';
import type { MountOutcome } from './status.ts';
import { deriveMountStatus } from './status.ts';

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;
/** The same for what keeps a mount from being taken down: a process that lets go makes no event. */
const BLOCKED_RETRY_MS = 1000;

/** Waits that usually end before anybody could read of them. */
const PASSING: readonly string[] = ['VolumeNotFound', 'VolumeNotReady', 'WaitingForGrant'];

export interface MountDependencies extends AgentDependencies {
  /**
   * Runs the work on a key during which changes at its target are our own. `settled` is told which mount was seen
   * last, so that a change by somebody else in between is noticed.
   */
  readonly quietly: <T>(key: string, target: string, work: (settled: Settled) => Promise<T>) => Promise<T>;
}

/** Says which mount is at the target now; undefined for none. */
export type Settled = (entry: MountEntry | undefined) => void;

/** Mounts reported of late: more are never made between two looks at the cache. */
const RECENT_MOUNTS = 1000;

interface Dependencies extends MountDependencies {
  /** UIDs of the mounts that were reported as made: somebody may unmount one before the cache shows the report. */
  readonly reported: Recent;
}

/** What became of the work at the target. */
interface Worked {
  readonly outcome: MountOutcome;
  readonly observation: MountObservation | undefined;
}

export function mountReconciler(dependencies: MountDependencies): Reconciler {
  const deps = { ...dependencies, reported: new Recent(RECENT_MOUNTS) };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const mount = deps.stores.mounts.get(key);
  if (mount === undefined || mount.status?.nodeName !== deps.nodeName) return DONE;
  if (isDeleting(mount)) return remove(key, mount, deps, context);
  if (isPaused(mount)) {
    await report(mount, undefined, { outcome: { kind: 'paused' }, observation: undefined }, deps, context);
    return DONE;
  }
  const facts = observeMount(mount, deps);
  const verdict = mayMount(facts);
  if (!verdict.allowed) {
    const isInTheWay = verdict.failure.reason === 'RestoreInProgress' && facts.isTakenDown;
    if (isInTheWay && hasFinalizer(mount, FINALIZERS.mount)) return takeDown(key, mount, facts, deps, context);
    return refuse(mount, verdict.failure, deps, context);
  }
  const volumeUid = verdict.volume.metadata.uid ?? '';
  const { hostPath } = verdict.target;
  return deps.locks.run(volumeUid, () =>
    deps.quietly(key, hostPath, (settled) => converge(mount, verdict, settled, deps, context)),
  );
}

/** Says what is missing, unless the mount is so new that it will be there before anybody reads of it. */
async function refuse(
  mount: VolumeMount,
  failure: Failure,
  deps: MountDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const now = context.clock.now();
  if (PASSING.includes(failure.reason) && isFresh(mount, now)) return { requeueAfterMs: untilNotFresh(mount, now) };
  const worked: Worked = { outcome: { kind: 'failed', failure }, observation: lookWithoutAsking(mount, deps) };
  await report(mount, undefined, worked, deps, context);
  if (failure.cause !== undefined && !failure.stalled) throw retryOf(failure);
  return { requeueAfterMs: LOOK_AGAIN_MS };
}

/**
 * What the mount table alone says of a mount that its status takes for made, and that went with a reboot or was taken down.
 * Only below the mount root: elsewhere the table may know the target by another path.
 */
function lookWithoutAsking(mount: VolumeMount, { node }: MountDependencies): MountObservation | undefined {
  const isSaidToBeThere = mount.spec.hostPath === undefined && isTrue(mount.status?.conditions, 'Mounted');
  const isGone = isSaidToBeThere && node.table.at(wantedHostPath(mount, node.mountRoot)) === undefined;
  return isGone ? NOTHING_THERE : undefined;
}

async function converge(
  mount: VolumeMount,
  permission: Permission,
  settled: Settled,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  const { volume, resolved, target, driver } = permission;
  const words = driverWords(driver, volume, resolved, mount, target, deps.named);
  let current = mount;
  let worked: Worked;
  try {
    const storage = await driver.observeVolume(words.volume, signal);
    // Of storage that another node owns, that node says whether it is there; of what is filled, its own reconcile.
    const isSaid = isTrue(volume.status?.conditions, 'Provisioned');
    const isFilled = (volume.spec.dataSource === undefined && !startsFromBackup(volume)) || isSaid;
    const isThere = isOwn(volume, deps) ? storage.provisioned && isFilled : isSaid;
    const objection = storageObjection(volume, resolved, storage) ?? (isThere ? undefined : missing(volume));
    // A mount that was made is kept, and healed while its storage is there; a new one is not begun.
    if (objection !== undefined && !(isThere && hasFinalizer(mount, FINALIZERS.mount))) {
      return await refuse(mount, objection, deps, context);
    }
    const read = whileRead(volume, storage, deps);
    if (read !== undefined) return await refuse(mount, read, deps, context);
    // A finalizer before the first side effect: what is mounted is always announced.
    current = await deps.writer.addFinalizer(VOLUME_MOUNTS, current, FINALIZERS.mount, signal);
    await stage(words, storage, deps.metrics, signal);
    const seen = await driver.observeMount(words.volume, words.mount, signal);
    const wasMade = mount.status?.mountedAt !== undefined || deps.reported.has(mount.metadata.uid ?? '');
    const wasMounted = wasMade && !wasTakenDown(mount);
    const step = nextMountStep(seen, wasMounted, target.hostPath);
    if (step.step === 'refuse') {
      worked = { outcome: { kind: 'failed', failure: step.failure }, observation: seen };
    } else if (step.step === 'none') {
      worked = { outcome: { kind: 'mounted', made: false, drift: undefined }, observation: seen };
    } else {
      if (step.drift !== undefined) {
        deps.metrics?.remounts.inc({ reason: step.drift });
        deps.events.record(mount, 'Warning', step.drift, driftMessage(target.hostPath, seen));
      }
      const { observation, obstacle } = await actOnMount(step, words, deps.metrics, signal);
      worked = { outcome: verified(observation, step.drift, target.hostPath, obstacle), observation };
    }
  } catch (thrown) {
    const failure = failureOf(thrown, 'MountFailed', signal);
    worked = { outcome: { kind: 'failed', failure }, observation: await lookAgain() };
  }
  settled(worked.observation?.entry);
  await report(current, target.hostPath, worked, deps, context);
  const { outcome } = worked;
  if (outcome.kind === 'mounted') deps.reported.add(mount.metadata.uid ?? '');
  if (outcome.kind !== 'failed') {
    // A workload that ends makes no event.
    return worked.observation?.reason === 'StaleInWorkload' ? { requeueAfterMs: LOOK_AGAIN_MS } : DONE;
  }
  if (outcome.failure.cause !== undefined && !outcome.failure.stalled) throw retryOf(outcome.failure);
  return { requeueAfterMs: outcome.obstacle === undefined ? LOOK_AGAIN_MS : BLOCKED_RETRY_MS };

  async function lookAgain(): Promise<MountObservation | undefined> {
    try {
      return await driver.observeMount(words.volume, words.mount, signal);
    } catch {
      // The first failure is the one to report.
      return undefined;
    }
  }
}

/** Takes the mount down for a Restore that asks for it. It stays announced, and is made again when that has ended. */
function takeDown(
  key: string,
  mount: VolumeMount,
  { restore = '' }: MountFacts,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  const { signal } = context;
  const removal = observeMountRemoval(mount, deps);
  const { hostPath } = removal.target;
  const down = { reason: 'RestoreInProgress', message: takenDownFor(restore), stalled: false } as const;
  return deps.locks.run(removal.words?.volume.uid ?? `mount/${mount.metadata.uid}`, () =>
    deps.quietly(key, hostPath, async (settled) => {
      let worked: Worked;
      try {
        const obstacle = await removeMount(removal, deps.node, deps.metrics, signal);
        settled(deps.node.table.at(hostPath));
        worked =
          obstacle === undefined
            ? { outcome: { kind: 'failed', failure: down }, observation: NOTHING_THERE }
            : {
                outcome: { kind: 'failed', failure: { ...obstacle, stalled: false }, obstacle },
                observation: undefined,
              };
      } catch (thrown) {
        const failure = failureOf(thrown, 'UnmountFailed', signal);
        worked = { outcome: { kind: 'failed', failure }, observation: undefined };
      }
      await report(mount, hostPath, worked, deps, context);
      const isDown = worked.observation !== undefined;
      return { requeueAfterMs: isDown ? LOOK_AGAIN_MS : BLOCKED_RETRY_MS };
    }),
  );
}

/** What is at a target that was taken down. */
const NOTHING_THERE: MountObservation = { state: 'absent', entry: undefined, source: undefined, message: '' };

function missing({ metadata }: Volume): Failure {
  const message = `The storage of volume "${metadata.name}" is not there yet.`;
  return { reason: 'VolumeNotReady', message, stalled: false };
}

/** An image that is copied as it lies must not begin to change; what is mounted already is held by who copies it. */
function whileRead(
  { metadata, spec }: Volume,
  { staged }: VolumeObservation,
  { uses }: MountDependencies,
): Failure | undefined {
  const readers = uses.of(metadata.uid ?? '');
  if (staged || readers.length === 0 || sourceOf(spec)?.allocates !== true) return undefined;
  const message = `The storage of volume "${metadata.name}" is being copied for ${readers.slice(0, 5).join(', ')}; the mount goes on by itself.`;
  return { reason: 'VolumeNotReady', message, stalled: false };
}

/** What was seen after mounting decides, not that the call returned. */
function verified(
  observation: MountObservation,
  drift: Extract<MountOutcome, { readonly kind: 'mounted' }>['drift'],
  hostPath: string,
  obstacle: Extract<MountOutcome, { readonly kind: 'failed' }>['obstacle'],
): MountOutcome {
  if (obstacle !== undefined) {
    const { message } = obstacle;
    return { kind: 'failed', failure: { reason: drift ?? 'Busy', message, stalled: false }, obstacle };
  }
  if (observation.state === 'mounted') return { kind: 'mounted', made: true, drift };
  const next = nextMountStep(observation, true, hostPath);
  if (next.step === 'refuse') return { kind: 'failed', failure: next.failure };
  const message = `Mounted at ${hostPath}, but it is not as wanted: ${observation.message}`;
  return { kind: 'failed', failure: { reason: 'MountFailed', message, stalled: false, cause: new Error(message) } };
}

function driftMessage(hostPath: string, { message }: MountObservation): string {
  return `The mount at ${hostPath} is not as it was left and is made again${message === '' ? '.' : `: ${message}`}`;
}

async function remove(
  key: string,
  mount: VolumeMount,
  deps: MountDependencies,
  context: ReconcileContext,
): Promise<Result> {
  if (!hasFinalizer(mount, FINALIZERS.mount)) return DONE;
  const removal = observeMountRemoval(mount, deps);
  const { hostPath } = removal.target;
  if (isPaused(mount)) {
    const message = 'The mount is paused; it is taken down when that ends.';
    return block({ kind: 'blocked', obstacle: { reason: 'Paused', message, holders: [] } });
  }
  await assureVolumeGone(mount, deps, context.signal);
  const lock = removal.words?.volume.uid ?? `mount/${mount.metadata.uid}`;
  return deps.locks.run(lock, () =>
    deps.quietly(key, hostPath, async (settled) => {
      const { signal } = context;
      try {
        const obstacle = await removeMount(removal, deps.node, deps.metrics, signal);
        settled(deps.node.table.at(hostPath));
        if (obstacle !== undefined) return await block({ kind: 'blocked', obstacle }, BLOCKED_RETRY_MS);
        const rest = await unstageForeign(mount, removal, deps, signal);
        if (rest !== undefined) return await block({ kind: 'blocked', obstacle: rest }, BLOCKED_RETRY_MS);
      } catch (thrown) {
        const failure = failureOf(thrown, 'UnmountFailed', signal);
        // The node makes nothing at a target that it refuses, so there is nothing to take down either.
        const isRefused = failure.reason === 'HostPathNotAllowed' && deps.node.table.at(hostPath) === undefined;
        if (!isRefused) {
          await block({ kind: 'blocked', obstacle: { ...failure, holders: [] } });
          throw retryOf(failure);
        }
      }
      deps.events.record(mount, 'Normal', 'Unmounted', `Unmounted from ${hostPath}.`);
      await deps.writer.removeFinalizer(VOLUME_MOUNTS, mount, FINALIZERS.mount, signal);
      const { namespace = '', name } = mount.metadata;
      deps.metrics?.mountHealthy.remove({ namespace, name });
      return DONE;
    }),
  );

  async function block(outcome: MountOutcome, requeueAfterMs?: number): Promise<Result> {
    await report(mount, hostPath, { outcome, observation: undefined }, deps, context);
    return requeueAfterMs === undefined ? DONE : { requeueAfterMs };
  }
}

/**
 * Without its volume a mount is taken down by the node layer alone, which neither waits for what is still on its way to a
 * server nor gives anything back; then the grant ends.
 *
 * @throws CacheBehind when the volume is there, and this node's cache does not show it.
 */
async function assureVolumeGone(
  mount: VolumeMount,
  { stores, live }: MountDependencies,
  signal: AbortSignal,
): Promise<void> {
  if (stores.volumes.get(volumeKeyOf(mount)) !== undefined) return;
  const { name } = mount.spec.volumeRef;
  const volume = await live.get<Volume>(VOLUMES, { namespace: mount.metadata.namespace, name }, signal);
  if (volume !== undefined) throw new CacheBehind(`volume "${name}" is there`);
}

/**
 * The last mount of a volume that another node owns takes the storage's presence on this node with it, before the grant
 * ends: until then this node may still be writing. The owner's own is given back by the volume's reconcile.
 */
async function unstageForeign(
  mount: VolumeMount,
  { words }: MountRemoval,
  deps: MountDependencies,
  signal: AbortSignal,
): Promise<Obstacle | undefined> {
  const key = volumeKeyOf(mount);
  const volume = deps.stores.volumes.get(key);
  if (words === undefined || volume === undefined || isOwn(volume, deps)) return undefined;
  const others = deps.stores.mounts
    .byIndex(BY_VOLUME, key)
    .filter((other) => other.metadata.uid !== mount.metadata.uid && other.status?.nodeName === deps.nodeName);
  if (others.some((other) => !isDeleting(other) || hasFinalizer(other, FINALIZERS.mount))) return undefined;
  return unstage(words, deps.metrics, signal);
}

function isOwn(volume: Volume, { nodeName }: MountDependencies): boolean {
  return volume.status?.nodeName === nodeName;
}

/** Derives the status and writes what differs. */
async function report(
  mount: VolumeMount,
  hostPath: string | undefined,
  { outcome, observation }: Worked,
  deps: MountDependencies,
  { signal, clock }: ReconcileContext,
): Promise<void> {
  const status = deriveMountStatus({ mount, hostPath, observation, outcome, now: new Date(clock.now()) });
  if (await deps.writer.status(VOLUME_MOUNTS, mount, status, { signal })) {
    recordConditionEvents(deps.events, mount, mount.status?.conditions, status.conditions);
    if (outcome.kind === 'mounted' && outcome.drift !== undefined) {
      deps.events.record(mount, 'Normal', 'Remounted', `Mounted again at ${hostPath}.`);
    }
  }
  const { namespace = '', name } = mount.metadata;
  deps.metrics?.mountHealthy.set({ namespace, name }, outcome.kind === 'mounted' ? 1 : 0);
}
