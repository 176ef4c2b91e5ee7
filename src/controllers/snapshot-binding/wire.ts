/** The controller that gives Snapshots to nodes, and what queues their keys. */
import { FINALIZERS } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { BY_NODE, BY_VOLUME } from '../support/indexes.ts';
import { conditionsDiffer, lossDiffers, ordersDiffer, wasTakenOver } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { snapshotBindingReconciler } from './reconciler.ts';

export interface SnapshotBindingWiring extends ControllerWiring {
  readonly concurrency: number;
}

export function addSnapshotBinding(manager: Manager, wiring: SnapshotBindingWiring): void {
  const { caches, client, writer, events, clock, expiry, leaderOnly, isLost, concurrency } = wiring;
  const { snapshots, volumes, nodes } = caches;
  manager.addController({
    name: 'snapshot-binding',
    reconcile: snapshotBindingReconciler({
      snapshots: snapshots.store,
      volumes: volumes.store,
      isLost,
      client,
      expiry,
      writer,
      events,
    }),
    concurrency,
    leaderOnly,
    sources: [
      deltaSource(snapshots, snapshotKeys),
      deltaSource(volumes, (delta) => unboundSnapshots(delta, snapshots.store)),
      deltaSource(nodes, (delta) => snapshotsOfNode(delta, snapshots.store)),
      resyncSource('snapshot-binding-resync', clock, RESYNC_MS, () => snapshots.store.keys()),
    ],
  });
}

/** What the binding reads of a Snapshot: what people say, and when it was taken. */
function snapshotKeys(delta: Delta<Snapshot>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  const matters =
    ordersDiffer(old, object) ||
    wasTakenOver(old, object, FINALIZERS.snapshot) ||
    conditionsDiffer(old, object, ['Ready']) ||
    old.status?.creationTime !== object.status?.creationTime;
  return matters ? [{ key: delta.key }] : [];
}

/** Snapshots that wait for a volume. */
function unboundSnapshots(delta: Delta<Volume>, snapshots: ReadStore<Snapshot>): Wanted[] {
  if (delta.type === 'updated') {
    const { old, object } = delta;
    if (!ordersDiffer(old, object) && !conditionsDiffer(old, object, ['Provisioned'])) return [];
  }
  return snapshots
    .byIndex(BY_VOLUME, delta.key)
    .filter(({ status }) => status?.nodeName === undefined)
    .map((snapshot) => ({ key: keyOf(snapshot) }));
}

function snapshotsOfNode(delta: Delta<StorageNode>, snapshots: ReadStore<Snapshot>): Wanted[] {
  if (!lossDiffers(delta)) return [];
  return snapshots.byIndex(BY_NODE, delta.key).map((snapshot) => ({ key: keyOf(snapshot) }));
}
