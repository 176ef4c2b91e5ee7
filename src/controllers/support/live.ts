/**
 * What the API server has now. Every cache is filled by a watch of its own, and may lack what came last or show what has gone:
 * good enough for what is decided anew when it has caught up, and not for what nobody can undo. Right before that, and only
 * then, the server is asked.
 */
import type { KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import { isDeleting } from '../../api/meta.ts';
import type { KubeClient, ObjectRef, Selection } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';

/** Asks the API server, never a cache. */
export interface Live {
  /** The object of this name; undefined when there is none. @throws KubeError when the server does not answer. */
  get<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    ref: ObjectRef,
    signal: AbortSignal,
  ): Promise<T | undefined>;
  /** All that are selected, page by page. @throws KubeError when the server does not answer. */
  list<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    selection: Selection,
    signal: AbortSignal,
  ): Promise<readonly T[]>;
}

export function liveFrom(client: Pick<KubeClient, 'get' | 'listPages'>): Live {
  return {
    get: (resource, ref, signal) => getIfPresent(client, resource, ref, { signal }),
    async list<T extends KubeObjectBase>(resource: ResourceDescriptor, selection: Selection, signal: AbortSignal) {
      const objects: T[] = [];
      for await (const { items } of client.listPages<T>(resource, { ...selection, limit: PAGE, signal })) {
        objects.push(...items);
      }
      return objects;
    },
  };
}

const PAGE = 500;

/** Until a cache that is behind is looked at again, in milliseconds. */
export const CACHE_BEHIND_MS = 200;

/** A cache shows something else than the API server has: nothing is done, nor said, until it has caught up. */
export class CacheBehind extends KubeError {
  constructor(what: string) {
    super({ reason: 'CacheBehind', message: `the cache is behind: ${what}` });
  }
}

/**
 * Makes sure that work on an object is still wanted, before it is begun: a cache that does not show the end of it yet would
 * have it done twice.
 *
 * @throws CacheBehind when the object has ended, is being deleted, is gone, or is another one.
 */
export async function assureUnended<T extends KubeObjectBase>(
  live: Live,
  resource: ResourceDescriptor,
  object: T,
  hasEnded: (now: T) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const { name, uid } = object.metadata;
  const now = await live.get<T>(resource, object.metadata, signal);
  if (now !== undefined && now.metadata.uid === uid && !isDeleting(now) && !hasEnded(now)) return;
  throw new CacheBehind(`${resource.kind} "${name}" has ended`);
}
