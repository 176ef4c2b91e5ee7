/** The agent's controller of Restores that take a volume back to a Snapshot, and what queues their keys. */
import type { Manager } from '../../runtime/manager.ts';
import type { AgentWiring } from '../support/agent-wiring.ts';
import { Jobs } from '../support/jobs.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { mountToRestoreKeys, restoreKeys, snapshotToRestoreKeys, volumeToRestoreKeys } from './keys.ts';
import { restoreReconciler } from './reconciler.ts';

export function addReverts(manager: Manager, wiring: AgentWiring): void {
  const { dependencies, caches, clock, concurrency } = wiring;
  const { restores, snapshots, volumes, mounts } = caches;
  const { stores } = dependencies;
  const jobs = new Jobs({ ...wiring.jobs, name: 'revert' });
  manager.addController({
    name: 'restore',
    concurrency,
    reconcile: restoreReconciler({ ...dependencies, jobs }),
    sources: [
      deltaSource(restores, restoreKeys),
      deltaSource(snapshots, (delta) => snapshotToRestoreKeys(delta, stores.restores)),
      deltaSource(volumes, (delta) => volumeToRestoreKeys(delta, stores.restores)),
      deltaSource(mounts, (delta) => mountToRestoreKeys(delta, stores)),
      jobs.source,
      resyncSource('restore-resync', clock, RESYNC_MS, () => stores.restores.keys()),
    ],
  });
  manager.addRunnable(jobs.closer('reverts'));
}
