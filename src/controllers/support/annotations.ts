/** What the annotations that people set mean to a reconcile. */
import { ANNOTATIONS } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';

/** Says whether a person has paused the object. */
export function isPaused(object: Pick<KubeObjectBase, 'metadata'>): boolean {
  return object.metadata.annotations?.[ANNOTATIONS.paused] === 'true';
}

/** Says whether two versions of an object differ in an annotation of ours. */
export function annotationsDiffer(a: KubeObjectBase, b: KubeObjectBase): boolean {
  const before = a.metadata.annotations;
  const after = b.metadata.annotations;
  if (before === after) return false;
  return Object.values(ANNOTATIONS).some((name) => before?.[name] !== after?.[name]);
}

/** Returns the finalizers without one, or undefined when it is not there. */
export function hasFinalizer(object: Pick<KubeObjectBase, 'metadata'>, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) === true;
}
