/**
 * Lost nodes. When the Lease of an agent has run out, its StorageNode says Ready=Unknown/NodeLost; placement reads that
 * from there and marks the node's volumes and mounts. When the agent is back it takes its Ready condition back.
 */
import { findCondition } from '../../api/conditions.ts';
import type { Lease } from '../../api/core.ts';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../../api/group.ts';
import { STORAGE_NODES } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import type { Liveness } from './lease-tracker.ts';
import { LeaseTracker } from './lease-tracker.ts';
import { deriveLifecycleStatus } from './status.ts';

/** What holds when a Lease does not say how long it holds, in seconds. */
const DEFAULT_LEASE_SECONDS = 40;

export interface NodeLifecycleDependencies {
  readonly nodes: ReadStore<StorageNode>;
  /** Leases of the system namespace. */
  readonly leases: ReadStore<Lease>;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** Returns the node that a heartbeat Lease belongs to, or undefined for another Lease. */
export function nodeOfLease(lease: Lease): string | undefined {
  const prefix = nodeLeaseName('');
  const { name } = lease.metadata;
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

/** Looks at the Lease of a node as it is now. */
export function livenessOf(name: string, leases: ReadStore<Lease>, tracker: LeaseTracker, clock: Clock): Liveness {
  const lease = leases.get(`${SYSTEM_NAMESPACE}/${nodeLeaseName(name)}`)?.spec;
  const durationMs = (lease?.leaseDurationSeconds ?? DEFAULT_LEASE_SECONDS) * 1000;
  return tracker.observe(name, lease?.renewTime, durationMs, clock.monotonic());
}

export function nodeLifecycleReconciler(dependencies: NodeLifecycleDependencies): Reconciler {
  const tracker = new LeaseTracker();
  return (key, context) => tolerateChange(() => reconcile(key, tracker, dependencies, context));
}

async function reconcile(
  name: string,
  tracker: LeaseTracker,
  { nodes, leases, writer, events }: NodeLifecycleDependencies,
  { clock, signal }: ReconcileContext,
): Promise<Result> {
  const node = nodes.get(name);
  if (node === undefined) {
    tracker.forget(name);
    return DONE;
  }
  const { alive, remainingMs } = livenessOf(name, leases, tracker, clock);
  // A node that was lost stays so until its agent speaks again: a controller that has just started knows nothing better.
  const wasLost = findCondition(node.status?.conditions, 'Ready')?.reason === 'NodeLost';
  const lost = !alive || wasLost;
  const status = deriveLifecycleStatus(node, lost, new Date(clock.now()));
  if ((await writer.status(STORAGE_NODES, node, status, { signal })) && lost) {
    recordConditionEvents(events, node, node.status?.conditions, status.conditions);
  }
  return alive ? { requeueAfterMs: remainingMs } : DONE;
}
