/** The controller that tells which nodes are lost, and what queues their names. */
import type { Lease } from '../../api/core.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Cache } from '../../runtime/source.ts';
import { cacheSource } from '../../runtime/source.ts';
import type { ControllerWiring } from '../support/controller-wiring.ts';
import { conditionsDiffer } from '../support/relevance.ts';
import { nodeLifecycleReconciler, nodeOfLease } from './reconciler.ts';

export interface NodeLifecycleWiring extends ControllerWiring {
  /** Leases of the system namespace. */
  readonly leases: Cache<Lease>;
}

export function addNodeLifecycle(manager: Manager, wiring: NodeLifecycleWiring): void {
  const { caches, leases, writer, events, leaderOnly } = wiring;
  const { nodes } = caches;
  manager.addController({
    name: 'node-lifecycle',
    reconcile: nodeLifecycleReconciler({ nodes: nodes.store, leases: leases.store, writer, events }),
    leaderOnly,
    sources: [
      cacheSource(nodes, {
        predicate: (delta) => delta.type !== 'updated' || conditionsDiffer(delta.old, delta.object, ['Ready']),
      }),
      cacheSource(leases, { mapTo: (lease) => [nodeOfLease(lease)].filter((name) => name !== undefined) }),
    ],
  });
}
