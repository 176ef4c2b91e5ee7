/**
 * The controller's part of a Snapshot: which node takes it, of which volume (by UID), in one write; what is said while
 * there is no node, or the node is lost; and its end, when its ttl has passed.
 */
import { durationMs } from '../../api/duration.ts';
import { isDeleting, keyOf, SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot, SnapshotStatus } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Expiry } from '../support/expiry.ts';
import { expiryOf } from '../support/expiry.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { volumeKeyOfSnapshot } from '../support/indexes.ts';
import { releaseByForce, releaseUnplaced } from '../support/release.ts';
import type { StandIn } from '../support/stand-in.ts';
import { lostStandIn, standInStatus } from '../support/stand-in.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import type { Binding } from './checks.ts';
import { bindingOf } from './checks.ts';

export interface BindingDependencies {
  readonly snapshots: ReadStore<Snapshot>;
  readonly volumes: ReadStore<Volume>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  readonly client: Pick<KubeClient, 'delete'>;
  readonly expiry: Expiry;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** A timer is set for no longer than this, in milliseconds; then it is looked at again. */
const LONGEST_WAIT_MS = 86_400_000;

export function snapshotBindingReconciler(dependencies: BindingDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: BindingDependencies, context: ReconcileContext): Promise<Result> {
  const snapshot = deps.snapshots.get(key);
  if (snapshot === undefined) return DONE;
  const { nodeName, source } = snapshot.status ?? {};
  if (nodeName === undefined || source === undefined) return bind(snapshot, deps, context);
  const standIn = lostStandIn(snapshot, nodeName, deps.isLost(nodeName));
  await write(snapshot, { nodeName, source }, standIn, deps, context);
  if (standIn !== undefined && deps.isLost(nodeName)) await releaseByForce(snapshot, deps, context.signal);
  return expire(snapshot, deps, context);
}

/** Gives it to the node of its volume, or says what it waits for. */
async function bind(snapshot: Snapshot, deps: BindingDependencies, context: ReconcileContext): Promise<Result> {
  const now = context.clock.now();
  if (await releaseUnplaced(snapshot, undefined, deps.writer, context.signal)) return DONE;
  const verdict = bindingOf({ snapshot, volume: deps.volumes.get(volumeKeyOfSnapshot(snapshot)) });
  if (verdict.bound) {
    await write(snapshot, verdict.binding, undefined, deps, context);
    return DONE;
  }
  const { standIn } = verdict;
  if (standIn.kind === 'waiting' && isFresh(snapshot, now)) return { requeueAfterMs: untilNotFresh(snapshot, now) };
  await write(snapshot, undefined, standIn, deps, context);
  return DONE;
}

async function write(
  snapshot: Snapshot,
  binding: Binding | undefined,
  standIn: StandIn | undefined,
  { writer, events }: BindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const conditions = standInStatus<NonNullable<SnapshotStatus['conditions']>[number]['type']>(
    snapshot,
    standIn,
    new Date(clock.now()),
  );
  const status: SnapshotStatus = { ...binding, ...conditions };
  // What is decided from the Snapshot as it was read must not meet another one.
  if ((await writer.status(SNAPSHOTS, snapshot, status, { requireUnchanged: true, signal })) && standIn !== undefined) {
    recordConditionEvents(events, snapshot, snapshot.status?.conditions, status.conditions);
  }
}

/** Deletes it when it is older than its ttl, as its node has dated it, by a clock that can be believed. */
async function expire(
  snapshot: Snapshot,
  { client, events, expiry }: BindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<Result> {
  const { ttl } = snapshot.spec;
  const { creationTime } = snapshot.status ?? {};
  if (ttl === undefined || creationTime === undefined) return DONE;
  if (isDeleting(snapshot) || isPaused(snapshot)) return DONE;
  const expiresAt = expiryOf(creationTime, snapshot.metadata.creationTimestamp, durationMs(ttl));
  const remainingMs = expiresAt - clock.now();
  if (remainingMs > 0) return { requeueAfterMs: Math.min(remainingMs, LONGEST_WAIT_MS) };
  const held = await expiry.held(expiresAt, signal);
  if (held !== undefined) {
    events.record(snapshot, 'Warning', 'ExpiryHeld', `Its ttl of ${ttl} has passed, but ${held.because}.`);
    return { requeueAfterMs: held.lookAgainMs };
  }
  const { namespace, name, uid, resourceVersion } = snapshot.metadata;
  const preconditions = { uid, resourceVersion };
  await client.delete(SNAPSHOTS, { namespace, name }, { preconditions, signal });
  events.record(snapshot, 'Normal', 'Expired', `Snapshot ${keyOf(snapshot)} is older than its ttl of ${ttl}.`);
  return DONE;
}
