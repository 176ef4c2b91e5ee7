/**
 * Writes that can be saved: an object that was made this moment is expected to pass through waiting states within
 * milliseconds, and kstatus calls it in progress without a word from us (observedGeneration is −1).
 */
import type { ConditionedStatus, KubeObjectBase } from '../../api/meta.ts';

/** How long a new object may be silent about what it waits for, in milliseconds. */
export const FRESH_MS = 2000;

/**
 * Says whether an object is new and nobody has said anything about it yet. The server's and our clock may differ: an
 * age that makes no sense counts as old, which costs one write and hides nothing.
 */
export function isFresh(object: KubeObjectBase & { readonly status?: ConditionedStatus }, now: number): boolean {
  if ((object.status?.conditions?.length ?? 0) > 0) return false;
  const age = ageOf(object, now);
  return age >= -1000 && age < FRESH_MS;
}

/** Milliseconds until a fresh object no longer is. */
export function untilNotFresh(object: KubeObjectBase, now: number): number {
  return Math.min(FRESH_MS, Math.max(1, FRESH_MS - ageOf(object, now)));
}

function ageOf(object: KubeObjectBase, now: number): number {
  const created = Date.parse(object.metadata.creationTimestamp ?? '');
  return Number.isNaN(created) ? Number.POSITIVE_INFINITY : now - created;
}
