/**
 * What this node has made for a volume that another node has by now. The caches of an agent show it what is its own and what it
 * mounts; a volume that was handed over while this node was lost is neither, and is no less there for that.
 */
import { VOLUMES } from '../../api/meta.ts';
import type { DriverLeftover } from '../../drivers/driver.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';

/** Of the whole answer to one question, in milliseconds. */
const ANSWER_MS = 5000;

type Answer = 'there' | 'gone' | 'unknown';

/** Of things that the caches show no volume for: the UIDs of volumes that are there all the same, or were not seen to be gone. */
export type AskElsewhere = (leftovers: readonly DriverLeftover[], signal: AbortSignal) => Promise<ReadonlySet<string>>;

/**
 * Asks the API server for the objects themselves, where the driver knows their names. What is gone is asked for once: its
 * UID does not come back. Nothing is called gone because nobody answered.
 */
export function askElsewhere(client: Pick<KubeClient, 'get'>): AskElsewhere {
  const gone = new Set<string>();
  return async (leftovers, signal) => {
    const there = new Set<string>();
    let isAnswered = true;
    for (const { volumeUID, volume } of leftovers) {
      if (volume === undefined || gone.has(volumeUID)) continue;
      const state: Answer = isAnswered ? await look(client, volumeUID, volume, signal) : 'unknown';
      // The others would wait as long for nothing.
      isAnswered = state !== 'unknown';
      if (state === 'gone') gone.add(volumeUID);
      else there.add(volumeUID);
    }
    return there;
  };
}

async function look(
  client: Pick<KubeClient, 'get'>,
  uid: string,
  ref: NonNullable<DriverLeftover['volume']>,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const { metadata } = await client.get(VOLUMES, ref, { signal, timeoutMs: ANSWER_MS });
    return metadata.uid === uid ? 'there' : 'gone';
  } catch (thrown) {
    signal.throwIfAborted();
    const error = KubeError.from(thrown);
    if (error.isNotFound) return 'gone';
    // What a node is told of another's volume: there is one of that name.
    return error.isForbidden ? 'there' : 'unknown';
  }
}
