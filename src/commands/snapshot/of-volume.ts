import { SNAPSHOTS } from '../../api/meta.ts';
import { compareText } from '../../api/order.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { CommandContext } from '../command.ts';
import { fromKube } from '../wait.ts';

/** Every snapshot of a volume, the newest last. @throws CommandError */
export async function snapshotsOf(
  volumeId: string,
  { client, namespace, signal }: CommandContext,
): Promise<readonly Snapshot[]> {
  const fieldSelector = `spec.volumeRef.name=${volumeId}`;
  const { items } = await client
    .list<Snapshot>(SNAPSHOTS, { namespace, fieldSelector, signal })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
  return items.toSorted(compareByTime);
}

/** The older one first. */
export function compareByTime(a: Snapshot, b: Snapshot): number {
  return compareText(timeOf(a), timeOf(b));
}

function timeOf({ metadata, status }: Snapshot): string {
  return `${status?.creationTime ?? metadata.creationTimestamp ?? ''} ${metadata.name}`;
}
