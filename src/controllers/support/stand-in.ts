/**
 * What the controller says of an object in place of its agent: while it has no node, or its node is lost. The conditions
 * are left out again, and thereby given up, once the agent is there. Pure.
 */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, findCondition } from '../../api/conditions.ts';
import type { Condition, ConditionedStatus, KubeObjectBase } from '../../api/meta.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';

/** Conditions that the controller may write. */
export type StandInType = 'Ready' | 'Reconciling' | 'Stalled' | 'DeletionBlocked';

/** Why the controller speaks for an object instead of its agent. */
export type StandIn =
  | { readonly kind: 'waiting' | 'stalled'; readonly reason: Reason; readonly message: string }
  | { readonly kind: 'paused' }
  /** `wayOut`: what is to be said of it besides. */
  | { readonly kind: 'lost'; readonly nodeName: string; readonly wayOut?: string | undefined }
  /** It has another node now, whose agent has not spoken yet. */
  | { readonly kind: 'handed-over'; readonly message: string };

/** Whether an object can be given to a node: how, or what is said while it cannot. */
export type BindingVerdict<Binding> =
  | { readonly bound: true; readonly binding: Binding }
  /** `stalled`: for good. */
  | { readonly bound: false; readonly standIn: StandIn };

/**
 * The controller speaks for an object from the loss of its node until its agent, or that of the node which has it then, has
 * said something itself: were the conditions given up earlier, the object would have no Ready at all for a while.
 */
export function lostStandIn(
  object: { readonly status?: ConditionedStatus },
  nodeName: string,
  isLost: boolean,
): StandIn | undefined {
  const ready = findCondition(object.status?.conditions, 'Ready');
  if (isLost || ready?.reason === 'NodeLost') return { kind: 'lost', nodeName };
  return ready?.reason === 'HandedOver' ? { kind: 'handed-over', message: ready.message } : undefined;
}

/** The conditions of a stand-in as a part of a status; empty without one. */
export function standInStatus<Type extends string>(
  object: KubeObjectBase & { readonly status?: ConditionedStatus },
  standIn: StandIn | undefined,
  now: Date,
): ConditionedStatus<Type> {
  if (standIn === undefined) return {};
  const generation = object.metadata.generation ?? 0;
  const previous = object.status?.conditions;
  const inputs = standInConditions(object, standIn, previous);
  const conditions = deriveConditions(previous, inputs, generation, now) as readonly Condition<Type>[];
  return { observedGeneration: generation, conditions };
}

function standInConditions(
  object: KubeObjectBase,
  standIn: StandIn,
  previous: readonly Condition[] | undefined,
): readonly ConditionInput<StandInType>[] {
  switch (standIn.kind) {
    case 'paused': {
      const message = 'Nothing is done because the object is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'waiting':
    case 'stalled': {
      const { reason, message } = standIn;
      const type = standIn.kind === 'stalled' ? 'Stalled' : 'Reconciling';
      return [
        { type: 'Ready', status: 'False', reason, message },
        { type, status: 'True', reason, message },
      ];
    }
    case 'lost': {
      const { nodeName, wayOut } = standIn;
      const lost = `Node "${nodeName}" has not renewed its Lease; its state is not known until its agent is back.`;
      const message = wayOut === undefined ? lost : `${lost} ${wayOut}`;
      const ready = unknown(previous, 'NodeLost', message);
      if (!isDeleting(object)) return [ready];
      const blocked = `${message} To release the object without its node, annotate it with force-delete and its UID; the data stays.`;
      return [ready, { type: 'DeletionBlocked', status: 'True', reason: 'NodeLost', message: blocked }];
    }
    case 'handed-over':
      return [unknown(previous, 'HandedOver', standIn.message)];
    default:
      return [];
  }
}

/** The agent's Stalled cannot be taken away from here, and Stalled says Ready=False. */
function unknown(
  previous: readonly Condition[] | undefined,
  reason: Reason,
  message: string,
): ConditionInput<StandInType> {
  const stalled = findCondition(previous, 'Stalled')?.status === 'True';
  return { type: 'Ready', status: stalled ? 'False' : 'Unknown', reason, message };
}
