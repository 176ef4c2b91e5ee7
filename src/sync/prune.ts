/** Reads what was applied, and deletes what is to go: by ordinary requests, so that each object's own rules decide about data. */
import { LABELS, SYNC_FILE_ANNOTATION } from '../api/group.ts';
import { apiVersionOf, NAMESPACES } from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import type { EventSink } from '../kube/events.ts';
import type { Problem } from './apply.ts';
import { nameOfObject } from './documents.ts';
import { APPLICABLE } from './kinds.ts';
import type { LiveObject } from './plan.ts';

/** Everything with the label of a sync, of whichever source. @throws KubeError */
export async function listApplied(client: KubeClient, signal: AbortSignal): Promise<readonly LiveObject[]> {
  const live: LiveObject[] = [];
  for (const resource of APPLICABLE) {
    const { items } = await client.list(resource, { labelSelector: LABELS.sync, signal });
    for (const object of items) {
      const { namespace, name } = object.metadata;
      live.push({ resource, ref: resource.namespaced ? { namespace, name } : { name }, object });
    }
  }
  return live;
}

export interface PruneOutcome {
  /** Objects that were asked to go. */
  readonly deleted: number;
  readonly problems: readonly Problem[];
}

/**
 * Asks for the deletion of each, as it was read: what was changed since (an annotation that keeps it, say) is looked at anew
 * in the next round.
 * @throws KubeError when the API server cannot be reached, or the signal aborts.
 */
export async function pruneObjects(
  client: KubeClient,
  due: readonly LiveObject[],
  events: EventSink,
  signal: AbortSignal,
): Promise<PruneOutcome> {
  const problems: Problem[] = [];
  let deleted = 0;
  for (const { resource, ref, object } of due) {
    const name = nameOfObject(resource, ref);
    const file = object.metadata.annotations?.[SYNC_FILE_ANNOTATION] ?? '';
    const { uid, resourceVersion } = object.metadata;
    try {
      const inUse = resource === NAMESPACES ? await contentOf(client, ref.name, signal) : undefined;
      if (inUse !== undefined) {
        problems.push({
          file,
          object: name,
          message: `left the source, but ${inUse} is in it, which was not applied from here`,
        });
        continue;
      }
      await client.delete(resource, ref, { preconditions: { uid, resourceVersion }, signal });
      deleted += 1;
      const described = { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
      events.record(described, 'Normal', 'Pruned', `${name} left ${file} of the source and is deleted`);
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (error.isNotFound || error.isConflict) continue;
      if (error.isAborted || error.isUnreachable) throw error;
      problems.push({ file, object: name, message: `cannot be deleted: ${error.message}` });
    }
  }
  return { deleted, problems };
}

/** Something in a namespace: it would be deleted with it. */
async function contentOf(client: KubeClient, namespace: string, signal: AbortSignal): Promise<string | undefined> {
  for (const resource of APPLICABLE) {
    if (!resource.namespaced) continue;
    const { items } = await client.list(resource, { namespace, limit: 1, signal });
    const [first] = items;
    if (first !== undefined) return nameOfObject(resource, { namespace, name: first.metadata.name });
  }
  return undefined;
}
