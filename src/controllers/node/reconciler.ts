/** This node as a StorageNode: made when it is not there, kept true, written only when something changed. */
import { API_VERSION, LABELS } from '../../api/group.ts';
import { STORAGE_NODES } from '../../api/meta.ts';
import type { NodeFeature, StorageNode } from '../../api/storage-node.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import { BY_UID } from '../support/indexes.ts';
import { tolerateChange } from '../support/writes.ts';
import { askElsewhere } from './handed-over.ts';
import type { ObserveDependencies } from './observe.ts';
import { architecture, observeNode } from './observe.ts';
import { deriveNodeStatus } from './status.ts';
import { dropUnusedSecrets } from './unused-secrets.ts';

/** How soon a node that does not answer, or cannot do something just now, is asked again, in milliseconds. */
const FAILED_RETRY_MS = 5000;

export interface NodeDependencies extends Omit<ObserveDependencies, 'elsewhere'> {
  readonly client: KubeClient;
  readonly nodes: ReadStore<StorageNode>;
  readonly features: () => readonly NodeFeature[];
}

type Dependencies = NodeDependencies & ObserveDependencies;

export function nodeReconciler(dependencies: NodeDependencies): Reconciler {
  const deps = { ...dependencies, elsewhere: askElsewhere(dependencies.client) };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { signal } = context;
  const node = deps.nodes.get(key) ?? (await create(key, deps, signal));
  const seen = await observeNode(deps, deps.features(), signal);
  const status = deriveNodeStatus(node, seen, new Date(context.clock.now()));
  if (await deps.writer.status(STORAGE_NODES, node, status, { signal })) {
    recordConditionEvents(deps.events, node, node.status?.conditions, status.conditions);
    if ((status.orphanCount ?? 0) > (node.status?.orphanCount ?? 0)) {
      const message = `${status.orphanCount} mounts, volumes or snapshots without an object; they are listed in the status and kept.`;
      deps.events.record(node, 'Warning', 'OrphansFound', message);
    }
  }
  const { stores, isBeingRead = () => false } = deps;
  const isKnown = (uid: string): boolean => stores.volumes.byIndex(BY_UID, uid).length > 0 || isBeingRead(uid);
  await dropUnusedSecrets({ drivers: deps.drivers.values(), isKnown }, signal);
  const isPassing = 'failure' in seen || [...seen.facts.drivers.values()].some(({ mayPass }) => mayPass === true);
  return isPassing ? { requeueAfterMs: FAILED_RETRY_MS } : DONE;
}

async function create(name: string, { client }: NodeDependencies, signal: AbortSignal): Promise<StorageNode> {
  const labels = { [LABELS.hostname]: name, [LABELS.arch]: architecture(), [LABELS.os]: process.platform };
  const node: StorageNode = { apiVersion: API_VERSION, kind: STORAGE_NODES.kind, metadata: { name, labels } };
  try {
    return await client.create(STORAGE_NODES, node, { signal });
  } catch (thrown) {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
    return client.get<StorageNode>(STORAGE_NODES, { name }, { signal });
  }
}
