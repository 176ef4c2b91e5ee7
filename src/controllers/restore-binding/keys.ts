import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Delta, ReadStore } from '../../runtime/store.ts';
import { conditionsDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';

/** A node that is lost or back concerns the Restores that have not ended on it. */
export function restoresOfNode(delta: Delta<StorageNode>, restores: ReadStore<Restore>): Wanted[] {
  if (delta.type === 'updated' && !conditionsDiffer(delta.old, delta.object, ['Ready'])) return [];
  return restores
    .list()
    .filter((restore) => restore.status?.nodeName === delta.key && !isFinished(restore))
    .map((restore) => ({ key: keyOf(restore) }));
}
