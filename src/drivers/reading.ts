/** Reading a volume that may be written meanwhile: what the drivers share. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Reason } from '../api/reasons.ts';
import { NO_DEADLINE_MS, type NodeLayer } from '../node/layer.ts';
import { NodeError } from '../node/node-error.ts';
import type { TreeChanges, TreeSource, TreeState } from '../node/trees/operations.ts';
import { DriverError, type OpenedForReading, type ReadConsistency, type Reading } from './driver.ts';
import { HIDDEN } from './trees/snapshots.ts';

/** mkfs.ext4(8) makes it in every filesystem. */
const LOST_AND_FOUND = 'lost+found';

type Part = Pick<OpenedForReading, 'directory' | 'device' | 'lacking'>;

/** Opens a tree as it is, with a look before; what is written from now on shows in its `consistency`. */
export async function openInPlace(
  node: Pick<NodeLayer, 'call' | 'table'>,
  { directory, device, lacking }: Part,
  { most }: Reading,
  signal: AbortSignal,
): Promise<OpenedForReading> {
  const source: TreeSource = directory;
  const look = await node.call('lookAtTree', { source, exclude: [HIDDEN, LOST_AND_FOUND] }, { signal });
  if (look === null) throw new DriverError(Reason.DataMissing, 'the directory of the volume is not there');
  const since = await stateOf(node, source, signal);
  return {
    directory,
    device,
    lacking,
    method: 'InPlace',
    ignoreInode: false,
    exclude: HIDDEN,
    isEmpty: look.names.length === 0,
    isMountPoint: node.table.current().some(({ device, root }) => device === look.device && root === look.root),
    ...('unknown' in since ? {} : { content: since.content }),
    consistency: async (limit) => {
      if ('unknown' in since) return notKnown(since.unknown);
      const request = { source, exclude: HIDDEN, since, most };
      try {
        return readConsistency(
          await node.call('changesOfTree', request, { signal: limit, deadlineMs: NO_DEADLINE_MS }),
        );
      } catch (thrown) {
        return notKnown(unreadable(thrown));
      }
    },
  };
}

async function stateOf(
  node: Pick<NodeLayer, 'call'>,
  source: TreeSource,
  signal: AbortSignal,
): Promise<TreeState | { readonly unknown: string }> {
  try {
    return await node.call('stateOfTree', { source, exclude: HIDDEN }, { signal, deadlineMs: NO_DEADLINE_MS });
  } catch (thrown) {
    return { unknown: unreadable(thrown) };
  }
}

/** What cannot be looked at is no reason not to read the rest: who reads it says what is lacking. */
function unreadable(thrown: unknown): string {
  const error = NodeError.from(thrown);
  if (error.code !== 'CommandFailed') throw thrown;
  return error.message;
}

function notKnown(why: string): ReadConsistency {
  const message = `It is not known whether anything was written while it was read: ${why}`;
  return { consistent: false, reason: Reason.ChangedDuringRead, message, changes: { count: 0, examples: [] } };
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

/** How often, and how long apart, what was read is let go: an engine that was ended takes a moment to be gone. */
const CLOSE_ATTEMPTS = 40;
const CLOSE_APART_MS = 500;

/** Does the work and lets go of what was made for it, also when the work fails; then the work's own error is told. */
export async function thenClose<T>(work: () => Promise<T>, close: (signal: AbortSignal) => Promise<void>): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (thrown) {
    // What is left is removed later, by who remembers that it was begun.
    await patiently(close).catch(() => undefined);
    throw thrown;
  }
  await patiently(close);
  return result;
}

async function patiently(close: (signal: AbortSignal) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await close(AbortSignal.timeout(CLOSE_MS));
    } catch (thrown) {
      const isHeld = thrown instanceof DriverError && HELD.includes(thrown.reason);
      if (!isHeld || attempt === CLOSE_ATTEMPTS) throw thrown;
      await sleep(CLOSE_APART_MS);
    }
  }
}

const CLOSE_MS = 60_000;
const HELD: readonly string[] = ['Busy', 'UnmountFailed'];
