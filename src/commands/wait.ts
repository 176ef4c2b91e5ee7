/** Waiting for the condition that answers a command. */
import { findCondition, isTrue } from '../api/conditions.ts';
import type { ConditionedStatus, KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import type { KubeClient, ObjectRef } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { CommandError } from './command-error.ts';

/** An object whose status has conditions. */
export type Conditioned = KubeObjectBase & { readonly status?: ConditionedStatus };

export interface WaitOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

const PAUSE_AFTER_FAILED_WATCH_MS = 200;

/**
 * Watches one object until `done` says so; `undefined` stands for "does not exist (any more)". A watch that breaks is
 * opened again.
 * @throws CommandError `Timeout` (with the last known condition), or whatever `done` throws.
 */
export async function waitFor<T extends Conditioned, R>(
  client: KubeClient,
  resource: ResourceDescriptor,
  ref: ObjectRef,
  done: (object: T | undefined) => R | undefined,
  options: WaitOptions,
): Promise<R> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  let last: T | undefined;
  for (;;) {
    try {
      const { items, resourceVersion } = await client.list<T>(resource, { ...selectOne(ref), signal });
      last = items[0];
      const first = done(last);
      if (first !== undefined) return first;
      for await (const event of client.watch<T>(resource, { ...selectOne(ref), resourceVersion, signal })) {
        if (event.type === 'BOOKMARK') continue;
        last = event.type === 'DELETED' ? undefined : event.object;
        const result = done(last);
        if (result !== undefined) return result;
      }
    } catch (thrown) {
      if (!(thrown instanceof KubeError)) throw thrown;
      if (!signal.aborted && !thrown.isRetryable && !thrown.isExpired) throw fromKube(thrown);
    }
    if (signal.aborted) throw timedOut(resource, ref, last, options);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILED_WATCH_MS));
  }
}

/**
 * Returns the object when it is Ready for its present generation, undefined while it is not.
 * @throws CommandError `Stalled` when it needs a person, `NotFound` when it is gone.
 */
export function readyOrStalled<T extends Conditioned>(object: T | undefined): T | undefined {
  if (object === undefined) throw new CommandError('NotFound', 'it was deleted while we waited');
  const { status, metadata } = object;
  if (status?.observedGeneration !== metadata.generation) return undefined;
  if (isTrue(status?.conditions, 'Ready')) return object;
  const stalled = findCondition(status?.conditions, 'Stalled');
  if (stalled?.status === 'True') {
    throw new CommandError('Stalled', `${describeObject(object)}: ${stalled.message}`, { reason: stalled.reason });
  }
  return undefined;
}

/** Turns what the API server answered into a command's error. */
export function fromKube(thrown: unknown): CommandError {
  const error = KubeError.from(thrown);
  const reason = error.reason;
  if (error.isNotFound) return new CommandError('NotFound', error.message, { reason, cause: error });
  if (error.isAlreadyExists) return new CommandError('AlreadyExists', error.message, { reason, cause: error });
  if (error.status === 400 || error.status === 422) {
    return new CommandError('InvalidParameter', error.message, { reason, cause: error });
  }
  if (error.status >= 400 && error.status < 500) {
    return new CommandError('Refused', error.message, { reason, cause: error });
  }
  return new CommandError('Unavailable', `the control plane does not answer: ${error.message}`, {
    reason,
    cause: error,
  });
}

function describeObject(object: KubeObjectBase): string {
  return `${object.kind} ${object.metadata.name}`;
}

function selectOne(ref: ObjectRef): { readonly namespace?: string | undefined; readonly fieldSelector: string } {
  return { namespace: ref.namespace, fieldSelector: `metadata.name=${ref.name}` };
}

function timedOut(
  resource: ResourceDescriptor,
  ref: ObjectRef,
  last: Conditioned | undefined,
  options: WaitOptions,
): CommandError {
  const conditions = last?.status?.conditions;
  const why = findCondition(conditions, 'DeletionBlocked') ?? findCondition(conditions, 'Ready');
  const state = why === undefined ? 'nothing has acted on it yet' : `${why.reason}: ${why.message}`;
  const waited = options.signal.aborted ? 'the call ended' : `not done within ${options.timeoutMs / 1000} s`;
  return new CommandError('Timeout', `${resource.kind} ${ref.name}: ${waited}; it goes on. ${state}`, {
    reason: why?.reason,
  });
}
