/**
 * Adds and removes a finalizer without touching anybody else's.
 *
 * A merge patch replaces the whole list, so it carries uid and resourceVersion: the server refuses it (409) when
 * anything has changed since the object was read. (A JSON patch with `test` operations would do the same, but fails
 * with 422, which cannot be told from a real validation failure.) On a conflict the live object is read and the change
 * tried again.
 */
import type { KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import type { KubeClient, RequestOptions } from './client.ts';
import { KubeError } from './errors.ts';

export interface FinalizerOptions extends RequestOptions {
  readonly fieldManager: string;
}

const MAX_ATTEMPTS = 5;

/**
 * Makes sure that the object has the finalizer; no request when it has it already.
 *
 * @returns The object as it is at the server afterwards.
 * @throws KubeError `Conflict` when the object is being deleted (the server would refuse) or is another one by now
 * (different UID); `NotFound` when it is gone.
 */
export function addFinalizer<T extends KubeObjectBase>(
  client: KubeClient,
  resource: ResourceDescriptor,
  object: T,
  finalizer: string,
  options: FinalizerOptions,
): Promise<T> {
  return change(client, resource, object, options, (live) => {
    const present = live.metadata.finalizers ?? [];
    if (present.includes(finalizer)) return undefined;
    if (live.metadata.deletionTimestamp !== undefined) {
      throw new KubeError({ reason: 'Conflict', status: 409, message: `${resource.kind} is being deleted` });
    }
    return [...present, finalizer];
  });
}

/**
 * Makes sure that the object does not have the finalizer; no request when it does not. Being gone is a success.
 *
 * @returns The object afterwards, or undefined when it is gone: because this was the last finalizer, or already before.
 * @throws KubeError `Conflict` when the object is another one by now (different UID).
 */
export async function removeFinalizer<T extends KubeObjectBase>(
  client: KubeClient,
  resource: ResourceDescriptor,
  object: T,
  finalizer: string,
  options: FinalizerOptions,
): Promise<T | undefined> {
  try {
    return await change(client, resource, object, options, (live) => {
      const present = live.metadata.finalizers ?? [];
      return present.includes(finalizer) ? present.filter((name) => name !== finalizer) : undefined;
    });
  } catch (thrown) {
    if (KubeError.from(thrown).isNotFound) return undefined;
    throw thrown;
  }
}

/** Applies `next` (undefined = leave as it is) to the object as given, and after a conflict to the live one. */
async function change<T extends KubeObjectBase>(
  client: KubeClient,
  resource: ResourceDescriptor,
  object: T,
  options: FinalizerOptions,
  next: (live: T) => readonly string[] | undefined,
): Promise<T> {
  const { name, namespace, uid } = object.metadata;
  let live = object;
  for (let attempt = 1; ; attempt++) {
    const finalizers = next(live);
    if (finalizers === undefined) return live;
    const { resourceVersion } = live.metadata;
    const metadata = { uid, resourceVersion, finalizers: finalizers.length === 0 ? null : finalizers };
    try {
      return await client.patch<T>(resource, { namespace, name }, { metadata }, { ...options, type: 'merge' });
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (!error.isConflict || attempt >= MAX_ATTEMPTS) throw error;
    }
    live = await client.get<T>(resource, { namespace, name }, options);
    if (live.metadata.uid !== uid) {
      throw new KubeError({
        reason: 'Conflict',
        status: 409,
        message: `${resource.kind} ${name} was deleted and made again meanwhile`,
      });
    }
  }
}
