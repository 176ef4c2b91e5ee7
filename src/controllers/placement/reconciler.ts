/**
 * Placement and grants: one reconcile per Volume, together with all VolumeMounts that name it, so that a volume and its
 * mounts are decided from the same facts and written with one patch each.
 *
 * The volume is written before its mounts: a mount that has a node has its grant. Both are
 * written only if they have not changed since they were read: a controller that was held up for longer than its Lease holds
 * must not undo what its successor has decided.
 */
import { DEFAULT_VOLUME_CLASS } from '../../api/group.ts';
import { isDeleting, VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import type { Volume, VolumeStatus } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { EventSink } from '../../kube/events.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { backupPlaceOf } from '../backup-restore/first-content.ts';
import { resolveVolume, wasProvisioned } from '../policy/resolve-volume.ts';
import { isNodeLocal } from '../policy/sources/index.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import { BY_NODE, BY_VOLUME } from '../support/indexes.ts';
import type { Live } from '../support/live.ts';
import { releaseByForce, releaseUnplaced } from '../support/release.ts';
import type { StandIn } from '../support/stand-in.ts';
import { lostStandIn } from '../support/stand-in.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import { AssumedPlacements } from './assumed.ts';
import { assureFenced, assureHandOver, assureMountsGone } from './assure.ts';
import type { Placement } from './choose-node.ts';
import { chooseNode } from './choose-node.ts';
import type { MountDecision } from './grants.ts';
import { decideGrants } from './grants.ts';
import { mayHandOver } from './hand-over.ts';
import type { PlacementStores } from './observe.ts';
import { isFenced, isGone, isLost, policyFacts, promisedBytes, restoreInto } from './observe.ts';
import { deriveMountStatus, deriveVolumeStatus } from './status.ts';

export interface PlacementDependencies {
  readonly stores: PlacementStores;
  readonly writer: Writer;
  readonly events: EventSink;
  /** Milliseconds until the Lease of a node has run out; 0 when it has. Only asked of nodes without a StorageNode. */
  readonly leaseLeft: (nodeName: string) => number;
  /** For the moment before somebody else may write. */
  readonly live: Live;
}

interface Deciding extends PlacementDependencies {
  readonly assumed: AssumedPlacements;
}

/** Where the volume is or goes, or who speaks for it while it has no node. */
interface Located {
  readonly nodeName: string | undefined;
  readonly standIn: StandIn | undefined;
  /** When to look again although nothing changes, in milliseconds. */
  readonly retryMs?: number;
}

export function placementReconciler(dependencies: PlacementDependencies): Reconciler {
  const assumed = new AssumedPlacements(dependencies.stores.volumes);
  return (key, context) => tolerateChange(() => reconcile(key, { ...dependencies, assumed }, context));
}

async function reconcile(key: string, deps: Deciding, context: ReconcileContext): Promise<Result> {
  const { stores } = deps;
  const volume = stores.volumes.get(key);
  const mounts = stores.mounts.byIndex(BY_VOLUME, key);
  let retry: number | undefined;
  const later = (delay: number | undefined): void => {
    if (delay !== undefined) retry = Math.min(delay, retry ?? delay);
  };
  if (volume === undefined) {
    for (const mount of mounts) later(await settleMount(mount, missing(mount), deps, context));
    return result(retry);
  }
  await assureMountsGone(volume, mounts, deps.live, context.signal);
  deps.assumed.note(key, undefined);
  const located = locate(volume, mounts, deps);
  later(located.retryMs);
  const isHandedOver = volume.status?.nodeName !== undefined && located.nodeName !== volume.status.nodeName;
  if (isHandedOver) await assureHandOver(volume, stores, deps.live, context.signal);
  if (located.nodeName !== volume.status?.nodeName) deps.assumed.note(key, located.nodeName);
  const { attachments, decisions } = decideGrants({
    volume,
    nodeName: located.nodeName,
    mountNode: mountNodeOf(volume, located.nodeName, mounts, deps),
    unplaced: unplacedOf(located.standIn),
    nodeLocal: isNodeLocal(volume.spec),
    isKnownNode: (name) => stores.nodes.get(name) !== undefined,
    restore: restoreInto(volume, stores),
    mounts,
    isFenced: (mount, nodeName) => isFenced(stores, mount, nodeName),
  });
  await assureFenced(volume, attachments, mounts, deps.live, context.signal);
  const now = new Date(context.clock.now());
  const status = deriveVolumeStatus({ volume, ...located, attachments, mounts, now });
  later(await settleVolume(volume, status, located, mounts, deps, context));
  const settled = mounts.map((mount) => settleMount(mount, decisions.get(mount.metadata.uid ?? ''), deps, context));
  for (const delay of await Promise.all(settled)) later(delay);
  return result(retry);
}

/** Chooses the node of a volume that has none, or whose node is lost, and says who speaks for it. */
function locate(volume: Volume, mounts: readonly VolumeMount[], deps: Deciding): Located {
  const { stores } = deps;
  const placed = volume.status?.nodeName;
  if (placed !== undefined) {
    if (isLost(stores, placed)) return succeed(volume, placed, mounts, deps);
    return { nodeName: placed, standIn: lostStandIn(volume, placed, false) };
  }
  if (isDeleting(volume)) {
    const standIn = { kind: 'waiting', reason: 'Deleting', message: 'The volume is being deleted.' } as const;
    return { nodeName: undefined, standIn };
  }
  if (isPaused(volume)) return { nodeName: undefined, standIn: { kind: 'paused' } };
  const placement = place(volume, mounts, deps);
  if (placement.placed) return { nodeName: placement.nodeName, standIn: undefined };
  const { reason, message, stalled } = placement.why;
  return { nodeName: undefined, standIn: { kind: stalled ? 'stalled' : 'waiting', reason, message } };
}

/** The next owner of a volume whose node is lost: another node where that may be, else still the same. */
function succeed(volume: Volume, placed: string, mounts: readonly VolumeMount[], deps: Deciding): Located {
  const { stores, leaseLeft } = deps;
  const stays = (wayOut?: string): Located => {
    return { nodeName: placed, standIn: { kind: 'lost', nodeName: placed, wayOut } };
  };
  const retryMs = stores.nodes.get(placed) === undefined && !isNodeLocal(volume.spec) ? leaseLeft(placed) : 0;
  if (retryMs > 0) return { ...stays(), retryMs };
  const verdict = mayHandOver({
    volume,
    nodeName: placed,
    isGone: isGone(stores, placed),
    restore: restoreInto(volume, stores),
  });
  if (!verdict.may) return stays(verdict.wayOut);
  const placement = place(volume, mounts, deps);
  if (!placement.placed) return stays(`It goes to another node by itself: ${placement.why.message}`);
  const { nodeName } = placement;
  const message = `Node "${nodeName}" has it in place of node "${placed}", which is lost, and has not looked at it yet.`;
  return { nodeName, standIn: { kind: 'handed-over', message } };
}

/** The node that is best for a volume as things are now. */
function place(volume: Volume, mounts: readonly VolumeMount[], { stores, assumed }: Deciding): Placement {
  const facts = policyFacts(stores, volume);
  const resolution = resolveVolume(facts);
  if (!resolution.ok) return { placed: false, why: resolution.refusal };
  const backup = wasProvisioned(volume.status) ? undefined : backupPlaceOf(volume, stores);
  if (backup?.ok === false) return { placed: false, why: backup.refusal };
  const granted = (volume.status?.attachments ?? []).map(({ nodeName }) => nodeName);
  return chooseNode({
    volume,
    resolved: resolution.resolved,
    nodes: stores.nodes.list(),
    onlyNode: facts.content?.ok === true ? facts.content.nodeName : (volume.spec.nodeName ?? backup?.onlyNode),
    preferred: [...granted, ...mounts.flatMap((mount) => mount.spec.nodeName ?? [])],
    volumesOn: (nodeName) => stores.volumes.countByIndex(BY_NODE, nodeName) + assumed.countOn(nodeName),
    promisedOn: (nodeName, pool) => promisedBytes(stores, nodeName, pool, assumed.keysOn(nodeName)),
  });
}

/** Where mounts go that name no node: to the volume's own, unless that takes nothing new and another one can. */
function mountNodeOf(
  volume: Volume,
  nodeName: string | undefined,
  mounts: readonly VolumeMount[],
  deps: Deciding,
): string | undefined {
  const { stores } = deps;
  if (nodeName === undefined || isNodeLocal(volume.spec) || volume.spec.nodeName !== undefined) return nodeName;
  if (stores.nodes.get(nodeName)?.spec?.unschedulable !== true) return nodeName;
  const placement = place(volume, mounts, deps);
  return placement.placed ? placement.nodeName : nodeName;
}

/** Writes what differs of the volume; returns when to look again, if that is needed. */
async function settleVolume(
  volume: Volume,
  status: VolumeStatus,
  { standIn }: Located,
  mounts: readonly VolumeMount[],
  { writer, events, stores }: PlacementDependencies,
  context: ReconcileContext,
): Promise<number | undefined> {
  const now = context.clock.now();
  if (await releaseUnplaced(volume, status.nodeName, writer, context.signal)) return undefined;
  const mayPass = standIn?.kind === 'waiting' || (standIn?.kind === 'stalled' && lacksClass(volume, stores));
  if (mayPass && isFresh(volume, now)) return untilNotFresh(volume, now);
  const passing = standIn === undefined ? mounts.filter((mount) => isFresh(mount, now)) : [];
  if (passing.length > 0 && isPassing(volume, status)) return Math.min(...passing.map((it) => untilNotFresh(it, now)));
  const { signal } = context;
  const written = await writer.status(VOLUMES, volume, status, { requireUnchanged: true, signal });
  if (written && standIn !== undefined) {
    recordConditionEvents(events, volume, volume.status?.conditions, status.conditions);
  }
  if (standIn?.kind === 'lost' && isLost(stores, standIn.nodeName)) {
    await releaseByForce(volume, { writer, events }, signal);
  }
  return undefined;
}

/** What the class would allow may be allowed in a moment: it may be applied together with the volume, after it. */
function lacksClass({ spec }: Volume, { classes }: PlacementStores): boolean {
  return classes.get(spec.volumeClassName ?? DEFAULT_VOLUME_CLASS) === undefined;
}

/**
 * Bound is a phase that a volume made together with its mount passes within milliseconds. Writing it down would cost a
 * request per volume and tell nobody anything; it is written when the mount takes longer.
 */
function isPassing(volume: Volume, next: VolumeStatus): boolean {
  const { phase, mounts: counts, attachments, nodeName } = volume.status ?? {};
  if (next.phase !== 'Bound' || phase !== 'Pending' || next.mounts?.ready !== 0) return false;
  return sameValue(
    { nodeName, attachments: attachments ?? [], mounts: counts },
    { nodeName: next.nodeName, attachments: next.attachments ?? [], mounts: next.mounts },
  );
}

async function settleMount(
  mount: VolumeMount,
  decision: MountDecision | undefined,
  deps: PlacementDependencies,
  context: ReconcileContext,
): Promise<number | undefined> {
  const { writer, events, stores } = deps;
  const nodeName = mount.status?.nodeName ?? (decision?.granted === true ? decision.nodeName : undefined);
  const now = context.clock.now();
  if (await releaseUnplaced(mount, nodeName, writer, context.signal)) return undefined;
  const standIn = mountStandIn(mount, nodeName, decision, stores);
  if (nodeName === undefined && standIn === undefined) return undefined;
  if (standIn?.kind === 'waiting' && canPass(standIn.reason) && isFresh(mount, now)) return untilNotFresh(mount, now);
  const status = deriveMountStatus(mount, nodeName, standIn, new Date(now));
  const { signal } = context;
  const written = await writer.status(VOLUME_MOUNTS, mount, status, { requireUnchanged: true, signal });
  if (written && standIn !== undefined) {
    recordConditionEvents(events, mount, mount.status?.conditions, status.conditions);
  }
  if (standIn?.kind === 'lost' && isLost(stores, standIn.nodeName)) {
    await releaseByForce(mount, deps, context.signal);
  }
  return undefined;
}

function mountStandIn(
  mount: VolumeMount,
  nodeName: string | undefined,
  decision: MountDecision | undefined,
  stores: PlacementStores,
): StandIn | undefined {
  if (nodeName !== undefined) return lostStandIn(mount, nodeName, isLost(stores, nodeName));
  if (isDeleting(mount) || decision === undefined || decision.granted) return undefined;
  if (isPaused(mount)) return { kind: 'paused' };
  const { reason, message, stalled } = decision;
  return { kind: stalled ? 'stalled' : 'waiting', reason, message };
}

/** Waits that usually end before anybody could read of them; a conflict over the access mode does not. */
function canPass(reason: string): boolean {
  return reason === 'VolumeNotFound' || reason === 'VolumeNotReady';
}

function missing(mount: VolumeMount): MountDecision {
  const { name } = mount.spec.volumeRef;
  const message = `Volume "${name}" does not exist in namespace "${mount.metadata.namespace ?? ''}"; the mount waits for it.`;
  return { granted: false, reason: 'VolumeNotFound', message, stalled: false };
}

function unplacedOf(standIn: StandIn | undefined) {
  if (standIn === undefined || standIn.kind === 'lost' || standIn.kind === 'handed-over') return undefined;
  return standIn.kind === 'paused' ? ({ reason: 'Paused', message: 'it is paused' } as const) : standIn;
}

function result(retry: number | undefined): Result {
  return retry === undefined ? DONE : { requeueAfterMs: retry };
}
