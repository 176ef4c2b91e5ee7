/** The controller that gives Restores from Snapshots to nodes, and what queues their keys. */
import type { Manager } from '../../runtime/manager.ts';
import { cacheSource } from '../../runtime/source.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { liveFrom } from '../support/live.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { restoresOfNode } from './keys.ts';
import { restoreBindingReconciler } from './reconciler.ts';

export function addRestoreBinding(manager: Manager, wiring: ControllerWiring): void {
  const { caches, client, writer, events, clock, leaderOnly, isLost } = wiring;
  const { restores, snapshots, volumes, mounts, volumeRestores, nodes } = caches;
  manager.addController({
    name: 'restore-binding',
    reconcile: restoreBindingReconciler({
      restores: restores.store,
      snapshots: snapshots.store,
      volumes: volumes.store,
      mounts: mounts.store,
      volumeRestores: volumeRestores.store,
      isLost,
      client,
      live: liveFrom(client),
      writer,
      events,
    }),
    leaderOnly,
    sources: [
      cacheSource(restores),
      deltaSource(nodes, (delta) => restoresOfNode(delta, restores.store)),
      // What is refused for good is judged once: everything must be known before.
      deltaSource(volumeRestores, () => []),
      deltaSource(snapshots, () => []),
      deltaSource(volumes, () => []),
      deltaSource(mounts, () => []),
      resyncSource('restore-binding-resync', clock, RESYNC_MS, () => restores.store.keys()),
    ],
  });
}
