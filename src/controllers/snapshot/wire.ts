/** The agent's controller of Snapshots, and what queues their keys. */
import type { Manager } from '../../runtime/manager.ts';
import type { AgentWiring } from '../support/agent-wiring.ts';
import { Jobs } from '../support/jobs.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import type { StorageChanges } from '../support/storage-changes.ts';
import { snapshotKeys, volumeToSnapshotKeys } from './keys.ts';
import { snapshotReconciler } from './reconciler.ts';

export interface SnapshotWiring extends AgentWiring {
  readonly storage: StorageChanges;
}

/** Snapshots looked at at once: who wants to mount a volume waits behind those of it that are in line for their turn. */
const RECONCILES_AT_ONCE = 16;

export function addSnapshots(manager: Manager, wiring: SnapshotWiring): void {
  const { dependencies, caches, clock, storage } = wiring;
  const { snapshots, volumes } = caches;
  const { stores } = dependencies;
  const jobs = new Jobs({ ...wiring.jobs, name: 'snapshot' });
  manager.addController({
    name: 'snapshot',
    concurrency: RECONCILES_AT_ONCE,
    reconcile: snapshotReconciler({ ...dependencies, jobs }),
    sources: [
      deltaSource(snapshots, snapshotKeys),
      deltaSource(volumes, (delta) => volumeToSnapshotKeys(delta, stores)),
      storage.snapshots,
      jobs.source,
      resyncSource('snapshot-resync', clock, RESYNC_MS, () => stores.snapshots.keys()),
    ],
  });
  manager.addRunnable(jobs.closer('snapshots'));
}
