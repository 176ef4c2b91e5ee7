/** Ready-made answers to "is this change worth a reconcile?". Additions and deletions always are. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeObjectBase } from '../kube/client.ts';
import type { Predicate } from './source.ts';

/**
 * Passes updates of what people and other controllers say the object should be: its spec (`metadata.generation`), labels,
 * annotations, finalizers, owners, or the order to delete it. Updates of status alone, our own among them, are not
 * passed.
 */
export const desiredStateChanged: Predicate<KubeObjectBase> = (delta) => {
  if (delta.type !== 'updated') return true;
  const { metadata: now } = delta.object;
  const { metadata: old } = delta.old;
  return (
    now.uid !== old.uid ||
    now.generation !== old.generation ||
    now.deletionTimestamp !== old.deletionTimestamp ||
    !isDeepStrictEqual(now.labels, old.labels) ||
    !isDeepStrictEqual(now.annotations, old.annotations) ||
    !isDeepStrictEqual(now.finalizers, old.finalizers) ||
    !isDeepStrictEqual(now.ownerReferences, old.ownerReferences)
  );
};

/** Passes updates that change what `select` reads from the object (compared deeply). */
export function changed<T extends KubeObjectBase>(select: (object: T) => unknown): Predicate<T> {
  return (delta) => delta.type !== 'updated' || !isDeepStrictEqual(select(delta.object), select(delta.old));
}

/** Passes what any of the predicates passes. */
export function anyOf<T extends KubeObjectBase>(...predicates: readonly Predicate<T>[]): Predicate<T> {
  return (delta) => predicates.some((predicate) => predicate(delta));
}
