/** Reading a volume that may be written meanwhile: what the drivers share. */
import { Reason } from '../api/reasons.ts';
import { NO_DEADLINE_MS, type NodeLayer } from '../node/layer.ts';
import type { TreeChanges, TreeSource } from '../node/trees/operations.ts';
import type { OpenedForReading, ReadConsistency, Reading } from './driver.ts';
import { HIDDEN } from './trees/snapshots.ts';

type Part = Pick<OpenedForReading, 'directory' | 'device' | 'lacking'>;

/** Opens a tree as it is, with a look before; what is written from now on shows in its `consistency`. */
export async function openInPlace(
  node: Pick<NodeLayer, 'call'>,
  { directory, device, lacking }: Part,
  { most }: Reading,
  signal: AbortSignal,
): Promise<OpenedForReading> {
  const long = { signal, deadlineMs: NO_DEADLINE_MS };
  const source: TreeSource = directory;
  const since = await node.call('stateOfTree', { source, exclude: HIDDEN }, long);
  return {
    directory,
    device,
    lacking,
    method: 'InPlace',
    ignoreInode: false,
    exclude: HIDDEN,
    consistency: async (limit) =>
      readConsistency(
        await node.call(
          'changesOfTree',
          { source, exclude: HIDDEN, since, most },
          { signal: limit, deadlineMs: NO_DEADLINE_MS },
        ),
      ),
  };
}

/** What changes during the reading make of it. Pure. */
export function readConsistency(changes: TreeChanges): ReadConsistency {
  const { count, examples } = changes;
  if (count === 0) {
    return { consistent: true, reason: Reason.Unchanged, message: 'Nothing was written while it was read.', changes };
  }
  const shown = examples.slice(0, 5);
  const names = shown.length === 0 ? '' : ` (${shown.join(', ')}${count > shown.length ? ' …' : ''})`;
  const message = `${count} ${count === 1 ? 'entry' : 'entries'} changed while it was read${names}: not all of it is of one moment.`;
  return { consistent: false, reason: Reason.ChangedDuringRead, message, changes };
}
