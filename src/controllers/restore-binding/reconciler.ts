/**
 * The controller's part of a Restore: which node does it, of which Snapshot and Volume (by UID), in one write; the Snapshot
 * of what is replaced; and what is said while there is no node, or the node is lost.
 */
import { formatTime } from '../../api/conditions.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS, RESTORE_UID_ANNOTATION } from '../../api/group.ts';
import { isDeleting, keyOf, RESTORES, SNAPSHOTS, VOLUME_MOUNTS } from '../../api/meta.ts';
import type { Restore, RestoreConditionType, RestoreStatus } from '../../api/restore.ts';
import { isFinished, SAFETY_SUFFIX } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { remounts, stillAttached } from '../restore/attached.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';
import type { Live } from '../support/live.ts';
import { CacheBehind } from '../support/live.ts';
import type { StandIn } from '../support/stand-in.ts';
import { lostStandIn, standInStatus } from '../support/stand-in.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import { restoreBindingOf } from './checks.ts';

export interface RestoreBindingDependencies {
  readonly restores: ReadStore<Restore>;
  readonly snapshots: ReadStore<Snapshot>;
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  readonly client: Pick<KubeClient, 'create' | 'get'>;
  /** Right before what is there is kept. */
  readonly live: Live;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** How soon a Restore that was just made and would be refused is judged again, in milliseconds. */
const LOOK_AGAIN_MS = 200;

type Bound = Required<Pick<RestoreStatus, 'nodeName' | 'source' | 'startTime'>>;

export function restoreBindingReconciler(dependencies: RestoreBindingDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(key: string, deps: RestoreBindingDependencies, context: ReconcileContext): Promise<Result> {
  const restore = deps.restores.get(key);
  if (restore === undefined || isDeleting(restore) || isFinished(restore)) return DONE;
  if (restore.spec.source.snapshotRef === undefined) return DONE;
  const { nodeName, source, startTime } = restore.status ?? {};
  if (nodeName === undefined || source === undefined || startTime === undefined) {
    return bind(restore, deps, context);
  }
  const bound = { nodeName, source, startTime };
  const standIn = lostStandIn(restore, nodeName, deps.isLost(nodeName));
  // What is written until the mounts are gone is kept too.
  const isAttached = remounts(restore) && attachedTo(restore, source, deps).length > 0;
  if (isAttached && restore.spec.safetySnapshot !== false && restore.status?.safetySnapshotRef === undefined) {
    await write(restore, bound, standIn, deps, context);
    return { requeueAfterMs: LOOK_AGAIN_MS };
  }
  await assureDetached(restore, source, deps, context.signal);
  const safety = await keepPresent(restore, bound, deps, context.signal);
  if (safety === 'taken') {
    const message = `Snapshot "${safetyName(restore)}" exists and is not of this Restore, so what the volume has now could not be kept. Nothing was replaced.`;
    await end(restore, bound, { kind: 'stalled', reason: 'SafetySnapshotFailed', message }, deps, context);
    return DONE;
  }
  await write(restore, { ...bound, ...safety }, standIn, deps, context);
  return DONE;
}

/** Gives it to the node of its volume, or refuses it. */
async function bind(restore: Restore, deps: RestoreBindingDependencies, context: ReconcileContext): Promise<Result> {
  const namespace = restore.metadata.namespace ?? '';
  const sibling = (name: string): string => keyOf({ metadata: { namespace, name } });
  const snapshot = deps.snapshots.get(sibling(restore.spec.source.snapshotRef?.name ?? ''));
  const volumeKey = sibling(snapshot?.status?.source?.volumeName ?? '');
  const volumeUID = snapshot?.status?.source?.volumeUID;
  const verdict = restoreBindingOf({
    restore,
    snapshot,
    volume: deps.volumes.get(volumeKey),
    mounts: deps.mounts.byIndex(BY_VOLUME, volumeKey),
    rival: volumeUID === undefined ? undefined : rivalOf(volumeUID, deps),
  });
  if (verdict.bound) {
    const startTime = formatTime(new Date(context.clock.now()));
    await write(restore, { ...verdict.binding, startTime }, undefined, deps, context);
    return DONE;
  }
  if (verdict.standIn.kind !== 'stalled') {
    await write(restore, {}, verdict.standIn, deps, context);
    return DONE;
  }
  // A refusal is for good: what it is made of may be on its way to us still (an unmount, a snapshot of this moment).
  const now = context.clock.now();
  if (isFresh(restore, now)) return { requeueAfterMs: Math.min(LOOK_AGAIN_MS, untilNotFresh(restore, now)) };
  await end(restore, {}, verdict.standIn, deps, context);
  return DONE;
}

/** Mounts of the volume that have not been taken down. */
function attachedTo(
  { metadata: { namespace = '', name } }: Restore,
  { volumeName }: Bound['source'],
  { mounts }: RestoreBindingDependencies,
): readonly VolumeMount[] {
  const key = keyOf({ metadata: { namespace, name: volumeName } });
  return mounts.byIndex(BY_VOLUME, key).filter((mount) => stillAttached(mount, name));
}

/**
 * What a mount that is to be taken down goes on writing after the Snapshot would be lost.
 *
 * @throws CacheBehind when there is one that the cache does not show as begun yet.
 */
async function assureDetached(
  restore: Restore,
  { volumeName }: Bound['source'],
  { live }: RestoreBindingDependencies,
  signal: AbortSignal,
): Promise<void> {
  if (!remounts(restore) || restore.spec.safetySnapshot === false || restore.status?.safetySnapshotRef !== undefined)
    return;
  const { namespace, name } = restore.metadata;
  const fieldSelector = `spec.volumeRef.name=${volumeName}`;
  const mounts = await live.list<VolumeMount>(VOLUME_MOUNTS, { namespace, fieldSelector }, signal);
  const attached = mounts.find((mount) => stillAttached(mount, name));
  if (attached !== undefined) throw new CacheBehind(`VolumeMount "${attached.metadata.name}" is attached`);
}

/** What else takes the volume back, or writes into it. */
function rivalOf(volumeUID: string, { restores, volumeRestores }: RestoreBindingDependencies): string | undefined {
  const revert = restores.list().find((other) => !isFinished(other) && other.status?.source?.volumeUID === volumeUID);
  const part = volumeRestores
    .byIndex(BY_VOLUME_UID, volumeUID)
    .find((other) => !hasRestoreEnded(other) && other.spec.dryRun !== true);
  return revert?.metadata.name ?? part?.spec.restoreRef?.name ?? part?.metadata.name;
}

/** Makes sure of the Snapshot of what is there now; `taken` when its name is another one's. */
async function keepPresent(
  restore: Restore,
  { source }: Bound,
  deps: RestoreBindingDependencies,
  signal: AbortSignal,
): Promise<Pick<RestoreStatus, 'safetySnapshotRef'> | 'taken'> {
  const { safetySnapshotRef } = restore.status ?? {};
  if (safetySnapshotRef !== undefined) return { safetySnapshotRef };
  if (restore.spec.safetySnapshot === false) return {};
  const { namespace, uid } = restore.metadata;
  const name = safetyName(restore);
  const snapshot: Snapshot = {
    apiVersion: API_VERSION,
    kind: SNAPSHOTS.kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.restore]: restore.metadata.name, [LABELS.volume]: source.volumeName },
      annotations: { [RESTORE_UID_ANNOTATION]: uid ?? '' },
    },
    spec: { volumeRef: { name: source.volumeName } },
  };
  try {
    await deps.client.create(SNAPSHOTS, snapshot, { fieldManager: FIELD_MANAGERS.controller, signal });
  } catch (thrown) {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
    const there = await deps.client.get<Snapshot>(SNAPSHOTS, { namespace, name }, { signal });
    if (there.metadata.annotations?.[RESTORE_UID_ANNOTATION] !== uid) return 'taken';
  }
  return { safetySnapshotRef: { name } };
}

function safetyName({ metadata }: Restore): string {
  return `${metadata.name}${SAFETY_SUFFIX}`;
}

/** Writes that it has ended without anything having been done. */
function end(
  restore: Restore,
  status: RestoreStatus,
  standIn: StandIn,
  deps: RestoreBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  const completionTime = formatTime(new Date(context.clock.now()));
  return write(restore, { ...status, completionTime }, standIn, deps, context);
}

async function write(
  restore: Restore,
  status: RestoreStatus,
  standIn: StandIn | undefined,
  { writer, events }: RestoreBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const conditions = standInStatus<RestoreConditionType>(restore, standIn, new Date(clock.now()));
  const next: RestoreStatus = { ...status, ...conditions };
  // What is decided from the Restore as it was read must not meet another one.
  if ((await writer.status(RESTORES, restore, next, { requireUnchanged: true, signal })) && standIn !== undefined) {
    recordConditionEvents(events, restore, restore.status?.conditions, next.conditions);
  }
}
