/**
 * Pure helpers on condition lists, after the conventions of kstatus: `Ready` sums up; `Reconciling` and `Stalled` are
 * abnormal-true, never both, and absent when false.
 */
import type { Condition, ConditionedStatus, ConditionStatus, KubeObjectBase } from './meta.ts';
import { isReason, type Reason } from './reasons.ts';

/** A condition as a caller states it; time and generation are filled in. */
export interface ConditionInput<Type extends string = string> {
  readonly type: Type;
  readonly status: ConditionStatus;
  readonly reason: Reason;
  readonly message: string;
}

/** Most characters in a condition's message (`metav1.Condition`). */
export const MAX_MESSAGE_LENGTH = 32_768;

/** Conditions that are removed rather than set to False. */
export const ABNORMAL_TRUE: readonly string[] = ['Reconciling', 'Stalled', 'DeletionBlocked'];

/** Returns the condition of a type, if it is there. */
export function findCondition<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  type: NoInfer<Type>,
): Condition<Type> | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Says whether a condition is there and True. */
export function isTrue<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  type: NoInfer<Type>,
): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/** Formats a time as `metav1.Time` does: RFC 3339, UTC, whole seconds. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/**
 * Returns the list with one condition set. `lastTransitionTime` moves only when `status` changes. When nothing changes,
 * the very same list is returned, so that callers may compare by identity.
 */
export function setCondition<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  input: ConditionInput<NoInfer<Type>>,
  generation: number,
  now: Date,
): readonly Condition<Type>[] {
  const list = conditions ?? [];
  const index = list.findIndex((condition) => condition.type === input.type);
  const old = index < 0 ? undefined : list[index];
  const next: Condition<Type> = {
    type: input.type,
    status: input.status,
    reason: input.reason,
    message: clip(input.message),
    lastTransitionTime: old?.status === input.status ? old.lastTransitionTime : formatTime(now),
    observedGeneration: generation,
  };
  if (old === undefined) return [...list, next];
  return sameCondition(old, next) ? list : list.with(index, next);
}

/** Returns the list without a condition; the same list if it was not there. */
export function removeCondition<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  type: NoInfer<Type>,
): readonly Condition<Type>[] {
  const list = conditions ?? [];
  return list.some((condition) => condition.type === type) ? list.filter((condition) => condition.type !== type) : list;
}

/**
 * Derives a whole condition list from the ones that hold now: each of `inputs` is set, everything else is gone. Order is
 * that of `inputs`; transition times are carried over from `previous`. When nothing differs, `previous` itself is returned.
 */
export function deriveConditions<Type extends string>(
  previous: readonly Condition<Type>[] | undefined,
  inputs: readonly ConditionInput<NoInfer<Type>>[],
  generation: number,
  now: Date,
): readonly Condition<Type>[] {
  const next = inputs.map((input) => {
    const old = findCondition(previous, input.type);
    const kept = old === undefined ? [] : [old];
    return setCondition<Type>(kept, input, generation, now)[0] as Condition<Type>;
  });
  const same =
    previous !== undefined &&
    previous.length === next.length &&
    next.every((condition, index) => condition === previous[index]);
  return same ? previous : next;
}

/** How an object is doing, in the words of kstatus. */
export type KStatus = 'Current' | 'InProgress' | 'Failed' | 'Terminating';

/**
 * Sums an object up as `kstatus` (used by Flux and `kubectl wait`-like tools) does, but for one without conditions:
 * where ours may have some, nothing was done yet, which kstatus cannot know unless `observedGeneration` says so.
 */
export function kstatus(object: KubeObjectBase & { readonly status?: ConditionedStatus }): KStatus {
  const { metadata, status } = object;
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (status === undefined) return 'InProgress';
  if (metadata.generation !== undefined && status.observedGeneration !== metadata.generation) return 'InProgress';
  const conditions = status.conditions ?? [];
  if (isTrue(conditions, 'Stalled')) return 'Failed';
  if (isTrue(conditions, 'Reconciling')) return 'InProgress';
  return isTrue(conditions, 'Ready') ? 'Current' : 'InProgress';
}

/** Returns what is wrong with an object's status, one sentence each; empty when it keeps every rule. */
export function lintStatus(object: KubeObjectBase & { readonly status?: ConditionedStatus }): readonly string[] {
  const { status, metadata } = object;
  if (status === undefined) return [];
  const conditions = status.conditions ?? [];
  const problems: string[] = [];
  const generation = metadata.generation;
  const observed = status.observedGeneration;
  const seen = new Set<string>();
  for (const condition of conditions) {
    if (seen.has(condition.type)) problems.push(`${condition.type} is there twice`);
    seen.add(condition.type);
    problems.push(...lintCondition(condition, generation));
  }
  const ready = findCondition(conditions, 'Ready');
  const stalled = findCondition(conditions, 'Stalled');
  const reconciling = findCondition(conditions, 'Reconciling');
  if (conditions.length > 0 && ready === undefined) problems.push('Ready is missing');
  if (stalled !== undefined && reconciling !== undefined) problems.push('Stalled and Reconciling are both there');
  if (stalled !== undefined && ready?.status !== 'False') problems.push('Stalled needs Ready=False');
  if (reconciling !== undefined && ready?.status === 'True') problems.push('Reconciling excludes Ready=True');
  if (conditions.length > 0 && (observed === undefined || observed < 0)) {
    problems.push('conditions are there but observedGeneration is not set');
  }
  if (observed !== undefined && generation !== undefined && observed > generation) {
    problems.push(`observedGeneration ${observed} is ahead of generation ${generation}`);
  }
  if (ready?.observedGeneration !== undefined && observed !== undefined && ready.observedGeneration > observed) {
    problems.push(`Ready was derived from generation ${ready.observedGeneration}, the status says ${observed}`);
  }
  return problems;
}

function lintCondition(condition: Condition, generation: number | undefined): readonly string[] {
  const { type, status, reason, message, lastTransitionTime, observedGeneration } = condition;
  const problems: string[] = [];
  if (!isReason(reason)) problems.push(`${type} has the unknown reason "${reason}"`);
  if (ABNORMAL_TRUE.includes(type) && status === 'False') problems.push(`${type} must be absent when false`);
  if (status !== 'True' && message === '') problems.push(`${type}=${status} has no message`);
  if (message.length > MAX_MESSAGE_LENGTH) problems.push(`${type} has a message that is too long`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(lastTransitionTime)) {
    problems.push(`${type} has the lastTransitionTime "${lastTransitionTime}"`);
  }
  if (observedGeneration === undefined) problems.push(`${type} has no observedGeneration`);
  else if (generation !== undefined && observedGeneration > generation) {
    problems.push(`${type} was derived from generation ${observedGeneration}, the object has ${generation}`);
  }
  return problems;
}

function sameCondition(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.lastTransitionTime === b.lastTransitionTime &&
    a.observedGeneration === b.observedGeneration
  );
}

function clip(message: string): string {
  return message.length <= MAX_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_MESSAGE_LENGTH - 1)}…`;
}
