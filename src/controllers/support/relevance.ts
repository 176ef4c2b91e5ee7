/**
 * Which changes of an object concern whom. Everything that is written comes back as an event; an agent that looked at its
 * volume again after each of its own status writes would do all its work twice. What is skipped here by mistake is found
 * by the resync.
 */
import { findCondition } from '../../api/conditions.ts';
import type { Namespace } from '../../api/core.ts';
import type { ConditionedStatus, KubeObjectBase } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Delta } from '../../runtime/store.ts';
import { annotationsDiffer, hasFinalizer } from './annotations.ts';

type Placed = KubeObjectBase & { readonly status?: ConditionedStatus & { readonly nodeName?: string } };

/** Something that people or the controller say changed: spec, deletion, our annotations, the node. */
export function ordersDiffer(old: Placed, object: Placed): boolean {
  return (
    old.metadata.uid !== object.metadata.uid ||
    old.metadata.generation !== object.metadata.generation ||
    old.metadata.deletionTimestamp !== object.metadata.deletionTimestamp ||
    old.status?.nodeName !== object.status?.nodeName ||
    annotationsDiffer(old, object)
  );
}

/** What an agent wrote or set up was taken away from it: its finalizer, its Ready condition. */
export function wasTakenOver(old: Placed, object: Placed, finalizer: string): boolean {
  if (hasFinalizer(old, finalizer) && !hasFinalizer(object, finalizer)) return true;
  const before = findCondition(old.status?.conditions, 'Ready');
  const after = findCondition(object.status?.conditions, 'Ready');
  return before !== undefined && (after === undefined || (after.reason === 'NodeLost' && before.reason !== 'NodeLost'));
}

/** A change of a Volume that its agent must act on. */
export function concernsAgent(delta: Delta<Placed>, finalizer: string): boolean {
  if (delta.type !== 'updated') return true;
  const { old, object } = delta;
  return ordersDiffer(old, object) || wasTakenOver(old, object, finalizer);
}

/** The controller's grants changed. */
export function grantsDiffer(old: Volume, object: Volume): boolean {
  return !sameValue(old.status?.attachments ?? [], object.status?.attachments ?? []);
}

/** Status or reason of one of the conditions changed. */
export function conditionsDiffer(old: Placed, object: Placed, types: readonly string[]): boolean {
  return types.some((type) => {
    const before = findCondition(old.status?.conditions, type);
    const after = findCondition(object.status?.conditions, type);
    return before?.status !== after?.status || before?.reason !== after?.reason;
  });
}

/** What a class allows, or whom it is for, changed; not that one was there at the start. */
export function policyDiffers(delta: Delta<VolumeClass> | Delta<Namespace>): boolean {
  if (delta.type !== 'updated') return delta.type === 'deleted' || !delta.initial;
  const { old, object } = delta;
  return (
    old.metadata.generation !== object.metadata.generation || !sameValue(old.metadata.labels, object.metadata.labels)
  );
}

/** Whether a node came or went, was lost or is back. */
export function lossDiffers(delta: Delta<StorageNode>): boolean {
  const saysLost = ({ status }: StorageNode) => findCondition(status?.conditions, 'Ready')?.reason === 'NodeLost';
  return delta.type !== 'updated' || saysLost(delta.old) !== saysLost(delta.object);
}
