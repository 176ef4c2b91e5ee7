/**
 * The controller's part of a VolumeRestore: which node does it, the one that its volume is on; what is said while there is
 * none, or the node is lost; and its end when the volume is gone. From when it is there until its end the controller grants
 * the volume to nobody (`placement/grants.ts`), so it is given to a node only when it has been seen here.
 */
import { formatTime } from '../../api/conditions.ts';
import { isDeleting, keyOf, VOLUME_RESTORES } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore, VolumeRestoreConditionType, VolumeRestoreStatus } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { BY_VOLUME } from '../support/indexes.ts';
import type { BindingVerdict, StandIn } from '../support/stand-in.ts';
import { lostStandIn, standInStatus } from '../support/stand-in.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';

export interface VolumeRestoreBindingDependencies {
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** Decides about one that has no node yet. Pure. */
export function volumeRestoreBindingOf(
  { spec }: VolumeRestore,
  volume: Volume | undefined,
  mounts: readonly VolumeMount[],
): BindingVerdict<{ readonly nodeName: string }> {
  const { name } = spec.volumeRef;
  if (volume === undefined) return refuse('stalled', 'VolumeNotFound', `Volume "${name}" does not exist any more.`);
  if (isDeleting(volume)) return refuse('stalled', 'VolumeDeleting', `Volume "${name}" is being deleted.`);
  const users = [
    ...mounts.map(({ metadata }) => `VolumeMount "${metadata.name}"`),
    ...(volume.status?.attachments ?? []).map(({ workloadId }) => `workload "${workloadId}"`),
  ];
  if (spec.mode === 'InPlace' && users.length > 0) {
    const message = `Volume "${name}" is in use by ${users.slice(0, 5).join(', ')}. Unmount it, then make a new Restore.`;
    return refuse('stalled', 'VolumeInUse', message);
  }
  const { nodeName } = volume.status ?? {};
  if (nodeName !== undefined) return { bound: true, binding: { nodeName } };
  return refuse('waiting', 'VolumeNotReady', `Volume "${name}" has no node yet.`);
}

export function volumeRestoreBindingReconciler(dependencies: VolumeRestoreBindingDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile(
  key: string,
  deps: VolumeRestoreBindingDependencies,
  context: ReconcileContext,
): Promise<Result> {
  const restore = deps.volumeRestores.get(key);
  if (restore === undefined || isDeleting(restore) || hasRestoreEnded(restore)) return DONE;
  const { namespace } = restore.metadata;
  const named = deps.volumes.get(`${namespace}/${restore.spec.volumeRef.name}`);
  // One that has the name by now is another one.
  const volume = named?.metadata.uid === restore.spec.volumeUID ? named : undefined;
  const { nodeName } = restore.status ?? {};
  if (nodeName !== undefined && volume !== undefined) {
    await write(restore, { nodeName }, lostStandIn(restore, nodeName, deps.isLost(nodeName)), deps, context);
    return DONE;
  }
  const now = context.clock.now();
  if (nodeName === undefined && restore.spec.cancel === true) {
    await end(
      restore,
      {},
      { kind: 'stalled', reason: 'RestoreCancelled', message: 'It was cancelled before it was begun.' },
      deps,
      context,
    );
    return DONE;
  }
  const mounts = volume === undefined ? [] : deps.mounts.byIndex(BY_VOLUME, keyOf(volume));
  const verdict = volumeRestoreBindingOf(restore, volume, mounts);
  if (verdict.bound) {
    await write(restore, verdict.binding, undefined, deps, context);
    return DONE;
  }
  // What it is about may be on its way to us still.
  if (isFresh(restore, now)) return { requeueAfterMs: Math.min(LOOK_AGAIN_MS, untilNotFresh(restore, now)) };
  const kept = nodeName === undefined ? {} : { nodeName };
  if (verdict.standIn.kind === 'stalled') await end(restore, kept, verdict.standIn, deps, context);
  else await write(restore, kept, verdict.standIn, deps, context);
  return DONE;
}

/** How soon one that was just made and would be refused is judged again, in milliseconds. */
const LOOK_AGAIN_MS = 200;

function refuse(kind: 'waiting' | 'stalled', reason: Extract<StandIn, { reason: unknown }>['reason'], message: string) {
  return { bound: false, standIn: { kind, reason, message } } as const;
}

function end(
  restore: VolumeRestore,
  status: VolumeRestoreStatus,
  standIn: StandIn,
  deps: VolumeRestoreBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  return write(
    restore,
    { ...status, completionTime: formatTime(new Date(context.clock.now())) },
    standIn,
    deps,
    context,
  );
}

async function write(
  restore: VolumeRestore,
  status: VolumeRestoreStatus,
  standIn: StandIn | undefined,
  { writer, events }: VolumeRestoreBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const conditions = standInStatus<VolumeRestoreConditionType>(restore, standIn, new Date(clock.now()));
  const next: VolumeRestoreStatus = { ...status, ...conditions };
  if (
    (await writer.status(VOLUME_RESTORES, restore, next, { requireUnchanged: true, signal })) &&
    standIn !== undefined
  ) {
    recordConditionEvents(events, restore, restore.status?.conditions, next.conditions);
  }
}
