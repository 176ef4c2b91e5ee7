/** What the controller says of a node whose agent does not: nothing, or that it is lost. Pure. */
import { deriveConditions } from '../../api/conditions.ts';
import type { StorageNode, StorageNodeStatus } from '../../api/storage-node.ts';

/** The controller's part of a StorageNode's status: empty while the agent speaks for itself. */
export function deriveLifecycleStatus(node: StorageNode, lost: boolean, now: Date): StorageNodeStatus {
  if (!lost) return {};
  const generation = node.metadata.generation ?? 0;
  const stalled = node.status?.conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True');
  const message = 'The agent has not renewed its Lease; nothing is known of its volumes and mounts until it is back.';
  const conditions = deriveConditions(
    node.status?.conditions,
    [{ type: 'Ready', status: stalled === true ? 'False' : 'Unknown', reason: 'NodeLost', message }],
    generation,
    now,
  );
  return { observedGeneration: generation, conditions };
}
