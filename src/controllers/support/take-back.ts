import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Delta } from '../../runtime/store.ts';
import type { Wanted } from './sources.ts';

/** Time before an object is taken back from a controller that calls it lost, in milliseconds. */
const TAKE_BACK_MS = 3000;

/**
 * The key of what changed. An object that the controller calls lost is taken back after a while, not at once: if the Lease
 * cannot be renewed but statuses can be written, the two would contradict each other without end.
 */
export function wantedBack(delta: Delta<Volume> | Delta<VolumeMount> | Delta<StorageNode>): Wanted {
  if (delta.type !== 'updated') return { key: delta.key };
  const reason = delta.object.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
  return reason === 'NodeLost' ? { key: delta.key, options: { afterMs: TAKE_BACK_MS } } : { key: delta.key };
}
