/** The agent's controller of its own StorageNode, what queues its key, and the sign of life. */
import type { NodeFeature, StorageNode, StorageNodeInfo } from '../../api/storage-node.ts';
import type { KubeObjectBase } from '../../kube/client.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Source } from '../../runtime/source.ts';
import { timerSource } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import type { AgentWiring } from '../support/agent-wiring.ts';
import { conditionsDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, LOOK_MS } from '../support/sources.ts';
import { wantedBack } from '../support/take-back.ts';
import { heartbeat } from './heartbeat.ts';
import type { PoolReader } from './observe.ts';
import { nodeReconciler } from './reconciler.ts';

/** Features of the node that neither the node layer nor a driver knows of. */
export interface FeatureSource {
  list(): readonly NodeFeature[];
  readonly source: Source;
}

export interface NodeWiring extends AgentWiring {
  readonly node: Pick<NodeLayer, 'features'>;
  /** Holder of the node's Lease. */
  readonly identity: string;
  readonly info: StorageNodeInfo;
  readonly pools: PoolReader | undefined;
  readonly features: FeatureSource | undefined;
  /** What was made under this UID is read for a backup, and goes with that. */
  readonly isBeingRead: (uid: string) => boolean;
}

/** Time for a vanished object to come back (a restarted watch) before orphans are counted, in milliseconds. */
const ORPHAN_DELAY_MS = 2000;

export function addNode(manager: Manager, wiring: NodeWiring): void {
  const { dependencies, caches, client, clock, log, node, identity, info, features, isBeingRead } = wiring;
  const { nodes, volumes, mounts, snapshots } = caches;
  const { nodeName, events } = dependencies;
  manager.addController({
    name: 'node',
    reconcile: nodeReconciler({
      ...dependencies,
      client,
      nodes: nodes.store,
      info,
      pools: wiring.pools ?? (() => Promise.resolve([])),
      features: () => [...node.features, ...(features?.list() ?? [])],
      isBeingRead,
    }),
    sources: [
      ...(features === undefined ? [] : [features.source]),
      { name: 'start', start: (enqueue) => enqueue(nodeName), synced: () => Promise.resolve() },
      deltaSource(nodes, (delta) => nodeKeys(delta, nodeName)),
      deltaSource(volumes, (delta) => goneKeys(delta, nodeName)),
      deltaSource(mounts, (delta) => goneKeys(delta, nodeName)),
      deltaSource(snapshots, (delta) => goneKeys(delta, nodeName)),
      timerSource('node', clock, LOOK_MS, () => [nodeName]),
    ],
  });
  const onReturn = (awayMs: number): void => {
    const own = nodes.store.get(nodeName);
    if (own === undefined) return;
    const message = `The API server is reached again, after ${Math.round(awayMs / 1000)} seconds without. Mounts were kept, and healed, meanwhile.`;
    events.record(own, 'Normal', 'Reconnected', message);
  };
  manager.addRunnable(heartbeat({ client, nodeName, identity, clock, log, onReturn }));
}

/** The node itself, when somebody else wrote its Ready condition or removed it. */
function nodeKeys(delta: Delta<StorageNode>, nodeName: string): Wanted[] {
  if (delta.key !== nodeName) return [];
  return delta.type !== 'updated' || conditionsDiffer(delta.old, delta.object, ['Ready']) ? [wantedBack(delta)] : [];
}

/** An object that is gone without having been taken down leaves an orphan behind. */
function goneKeys(delta: Delta<KubeObjectBase>, nodeName: string): Wanted[] {
  return delta.type === 'deleted' ? [{ key: nodeName, options: { afterMs: ORPHAN_DELAY_MS } }] : [];
}
