/**
 * What is to be deleted: objects that this sync has applied, and that are in the source no more. A pure decision from facts:
 * the source, and what the API server says of each object. There is no list of our own that could be lost or be behind:
 * an object is marked by the very write that makes it.
 */
import { FIELD_MANAGERS, LABELS, PRUNE_ANNOTATION, SYNC_FILE_ANNOTATION } from '../api/group.ts';
import { isDeleting, type KubeObjectBase, NAMESPACES, type ResourceDescriptor } from '../api/meta.ts';
import type { ObjectRef } from '../kube/client.ts';
import { type BrokenPart, keyOfObject, type SourceObjects } from './documents.ts';
import { isProtected, pruneStage } from './kinds.ts';

/** An object with the label of a sync, as the API server has it. */
export interface LiveObject {
  readonly resource: ResourceDescriptor;
  readonly ref: ObjectRef;
  readonly object: KubeObjectBase;
}

/** An object that is in the source no more, and stays. */
export interface KeptObject {
  readonly live: LiveObject;
  readonly why: string;
}

export interface PrunePlan {
  /** All that is to go, of every stage; some may be on their way. */
  readonly prune: readonly LiveObject[];
  readonly kept: readonly KeptObject[];
  /** Set when nothing is deleted although something is to go: why not. */
  readonly refusal?: string;
}

export interface PlanFacts {
  readonly source: SourceObjects;
  readonly live: readonly LiveObject[];
  /** Value of the label of this source. */
  readonly id: string;
  /** Whether a source without any object may mean that all of them are to go. */
  readonly allowEmpty: boolean;
}

/** Says what is to be deleted. */
export function planPrune({ source, live, id, allowEmpty }: PlanFacts): PrunePlan {
  const inSource = new Set(source.objects.map(({ resource, ref }) => keyOfObject(resource, ref)));
  const prune: LiveObject[] = [];
  const kept: KeptObject[] = [];
  for (const one of live) {
    if (inSource.has(keyOfObject(one.resource, one.ref)) || !wasApplied(one.object)) continue;
    const why = whyKept(one, source.broken, id);
    if (why === undefined) prune.push(one);
    else kept.push({ live: one, why });
  }
  if (source.objects.length > 0 || allowEmpty || prune.length === 0) return { prune, kept };
  const refusal = `the source has no object, and ${prune.length} that it had are not deleted for that: --sync-allow-empty on lets them go`;
  return { prune: [], kept: [...kept, ...prune.map((one) => ({ live: one, why: 'the source is empty' }))], refusal };
}

/**
 * The part of it whose turn has come. In a namespace one stage waits for the one before; what is cluster-wide waits for all
 * namespaces, and a namespace for what is in it.
 */
export function dueNow(prune: readonly LiveObject[]): readonly LiveObject[] {
  const first = new Map<string, number>();
  let firstOfAll = Number.POSITIVE_INFINITY;
  for (const { resource, ref } of prune) {
    if (ref.namespace === undefined) continue;
    const stage = pruneStage(resource);
    first.set(ref.namespace, Math.min(first.get(ref.namespace) ?? stage, stage));
    firstOfAll = Math.min(firstOfAll, stage);
  }
  return prune.filter(({ resource, ref, object }) => {
    if (isDeleting(object)) return false;
    const stage = pruneStage(resource);
    if (ref.namespace !== undefined) return stage === first.get(ref.namespace);
    return resource === NAMESPACES ? !first.has(ref.name) : stage <= firstOfAll;
  });
}

/** Nobody can copy that: the server writes it, for the object to which the apply went. */
function wasApplied({ metadata }: KubeObjectBase): boolean {
  return (
    metadata.managedFields?.some(
      ({ manager, operation }) => manager === FIELD_MANAGERS.sync && operation === 'Apply',
    ) === true
  );
}

function whyKept({ resource, ref, object }: LiveObject, broken: readonly BrokenPart[], id: string): string | undefined {
  const { labels, annotations } = object.metadata;
  if (annotations?.[PRUNE_ANNOTATION] === 'false') return `annotated ${PRUNE_ANNOTATION}: "false"`;
  if (isProtected(resource, ref.name)) return 'the control plane itself needs it';
  if (labels?.[LABELS.sync] !== id) return 'applied from another source: delete it by hand, or sync that source again';
  const file = annotations?.[SYNC_FILE_ANNOTATION];
  const holder = broken.find((part) => mayHold(part, file, ref.name));
  return holder === undefined ? undefined : `${holder.file} cannot be read, and may have it`;
}

/** It had the object, or names it now, or nobody knows what it has. */
function mayHold({ file, text }: BrokenPart, fileOfObject: string | undefined, name: string): boolean {
  return text === undefined || file === fileOfObject || text.includes(name);
}
