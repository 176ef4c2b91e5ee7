/** The controller that places volumes and grants mounts, and what queues its keys. */
import type { Lease } from '../../api/core.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Cache } from '../../runtime/source.ts';
import { LeaseTracker } from '../node-lifecycle/lease-tracker.ts';
import { livenessOf } from '../node-lifecycle/reconciler.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { volumeKeyOf } from '../support/indexes.ts';
import { liveFrom } from '../support/live.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import {
  mountKeys,
  nodeKeys,
  restoredVolumes,
  revertedVolumes,
  strandedVolumes,
  unplacedClones,
  unplacedOfBackup,
  unplacedOfNamespace,
  unplacedVolumes,
  volumeKeys,
} from './keys.ts';
import type { PlacementStores } from './observe.ts';
import { placementReconciler } from './reconciler.ts';

export interface PlacementWiring extends ControllerWiring {
  readonly stores: PlacementStores;
  /** Leases of the system namespace. */
  readonly leases: Cache<Lease>;
  readonly concurrency: number;
  /** Time to gather the mounts of a volume that was just made, so that one write does for all, in milliseconds. */
  readonly gatherMs: number;
}

export function addPlacement(manager: Manager, wiring: PlacementWiring): void {
  const { caches, stores, leases, client, writer, events, clock, leaderOnly, concurrency, gatherMs } = wiring;
  const { volumes, mounts, snapshots, nodes, restores, volumeRestores } = caches;
  const { backups, repositories, classes, namespaces } = caches;
  const tracker = new LeaseTracker();
  manager.addController({
    name: 'placement',
    reconcile: placementReconciler({
      stores,
      writer,
      events,
      leaseLeft: (nodeName) => livenessOf(nodeName, leases.store, tracker, clock).remainingMs,
      live: liveFrom(client),
    }),
    concurrency,
    leaderOnly,
    sources: [
      deltaSource(volumes, (delta) => volumeKeys(delta, stores, gatherMs)),
      deltaSource(mounts, (delta) => mountKeys(delta, stores)),
      deltaSource(volumes, (delta) => unplacedClones('Volume', delta, stores)),
      deltaSource(snapshots, (delta) => unplacedClones('Snapshot', delta, stores)),
      deltaSource(restores, (delta) => revertedVolumes(delta, stores)),
      deltaSource(volumeRestores, (delta) => restoredVolumes(delta, stores)),
      deltaSource(backups, (delta) => unplacedOfBackup(delta, stores)),
      deltaSource(repositories, () => []),
      deltaSource(nodes, (delta) => [...nodeKeys(delta, stores), ...strandedVolumes(delta, stores)]),
      deltaSource(leases, () => []),
      deltaSource(classes, () => unplacedVolumes(stores)),
      deltaSource(namespaces, (delta) => unplacedOfNamespace(delta, stores)),
      resyncSource('placement-resync', clock, RESYNC_MS, () => [
        ...new Set([...stores.volumes.keys(), ...stores.mounts.list().map(volumeKeyOf)]),
      ]),
    ],
  });
}
