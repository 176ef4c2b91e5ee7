/**
 * What reconcilers write, as one small port each: tests count the calls, the composition binds them to the API server.
 */
import type { KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import { StatusPatcher } from '../../kube/apply.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { addFinalizer, removeFinalizer } from '../../kube/finalizers.ts';
import type { Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { CACHE_BEHIND_MS, CacheBehind } from './live.ts';

export interface StatusWrite {
  /** Refuse when the object has changed since it was read: needed where the status grants something. */
  readonly requireUnchanged?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** All writes of one field manager. */
export interface Writer {
  /** Makes `status` the whole of what this manager owns of the status. Resolves with false when nothing had to be written. */
  status(resource: ResourceDescriptor, object: KubeObjectBase, status: object, options: StatusWrite): Promise<boolean>;
  /** Makes sure of the finalizer and returns the object with it. */
  addFinalizer<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    object: T,
    finalizer: string,
    signal: AbortSignal,
  ): Promise<T>;
  removeFinalizer(
    resource: ResourceDescriptor,
    object: KubeObjectBase,
    finalizer: string,
    signal: AbortSignal,
  ): Promise<void>;
}

/** The writer that talks to an API server as `fieldManager`. */
export function createWriter(client: KubeClient, fieldManager: string): Writer {
  const patcher = new StatusPatcher(client, fieldManager);
  return {
    async status(resource, object, status, { requireUnchanged, signal }) {
      const { written } = await patcher.apply(resource, object, status, { requireUnchanged, signal });
      return written;
    },
    addFinalizer: (resource, object, finalizer, signal) =>
      addFinalizer(client, resource, object, finalizer, { fieldManager, signal }),
    async removeFinalizer(resource, object, finalizer, signal) {
      await removeFinalizer(client, resource, object, finalizer, { fieldManager, signal });
    },
  };
}

/** How soon a reconcile is tried again that met an object newer than its cache, in milliseconds. */
const CONFLICT_RETRY_MS = 10;

/**
 * Turns the ordinary ends of work on a moving target into results: the object changed under us (look again at once, the
 * watch is bringing it), the object is gone (nothing to do), a cache was found to be behind (look again when it may have
 * caught up). Everything else is thrown on.
 */
export async function tolerateChange(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof CacheBehind) return { requeueAfterMs: CACHE_BEHIND_MS };
    if (thrown instanceof KubeError && thrown.isNotFound) return DONE;
    if (thrown instanceof KubeError && thrown.isConflict) return { requeueAfterMs: CONFLICT_RETRY_MS };
    throw thrown;
  }
}
