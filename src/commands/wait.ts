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
  /** Told of each state that was seen. */
  readonly onObject?: ((object: Conditioned | undefined) => void) | undefined;
  /** What has not happened when the time is over, e.g. `volume.mount: still mounting`. */
  readonly pending?: string;
}

const PAUSE_AFTER_FAILED_WATCH_MS = 200;

/**
 * Watches one object until `done` says so; `undefined` stands for "does not exist (any more)". A watch that breaks is
 * opened again.
 * @throws CommandError `Timeout` (with the last known conditions), `Unavailable` when no state was ever seen, or whatever
 * `done` throws.
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
  let failure: KubeError | undefined;
  let isKnown = false;
  const seen = (object: T | undefined): R | undefined => {
    last = object;
    isKnown = true;
    options.onObject?.(object);
    return done(object);
  };
  for (;;) {
    try {
      const { items, resourceVersion } = await client.list<T>(resource, { ...selectOne(ref), signal });
      const first = seen(items[0]);
      if (first !== undefined) return first;
      for await (const event of client.watch<T>(resource, { ...selectOne(ref), resourceVersion, signal })) {
        if (event.type === 'BOOKMARK') continue;
        const result = seen(event.type === 'DELETED' ? undefined : event.object);
        if (result !== undefined) return result;
      }
    } catch (thrown) {
      if (!(thrown instanceof KubeError)) throw thrown;
      if (!signal.aborted && !thrown.isRetryable && !thrown.isExpired) throw fromKube(thrown);
      if (!signal.aborted) failure = thrown;
    }
    if (signal.aborted && !isKnown && failure !== undefined) throw fromKube(failure);
    if (signal.aborted) throw timedOut(resource, ref, isKnown ? last : 'unknown', options);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILED_WATCH_MS));
  }
}

/**
 * Returns the object if it is still the one of this UID; `what` names it in the error.
 * @throws CommandError `NotFound` when it was deleted, whatever has its name by now.
 */
export function sameOrGone<T extends Conditioned>(object: T | undefined, uid: string | undefined, what: string): T {
  if (object !== undefined && object.metadata.uid === uid) return object;
  throw new CommandError('NotFound', `${what} was deleted while we waited`);
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
    const { reason, message } = stalled;
    throw new CommandError('Stalled', `${describeObject(object)}: ${message}`, {
      reason,
      conditions: status?.conditions,
    });
  }
  return undefined;
}

/** Turns what the API server answered into a command's error. */
export function fromKube(thrown: unknown): CommandError {
  const error = KubeError.from(thrown);
  const reason = error.reason;
  if (error.isNotFound) return new CommandError('NotFound', error.message, { reason, cause: error });
  if (error.isAlreadyExists) return new CommandError('AlreadyExists', error.message, { reason, cause: error });
  // What is no name was not even sent.
  if (error.status === 400 || error.status === 422 || error.reason === 'Configuration') {
    return new CommandError('InvalidParameter', error.message, { reason, cause: error });
  }
  if (error.status >= 400 && error.status < 500) {
    return new CommandError('Refused', error.message, { reason, cause: error });
  }
  const message = `the control plane does not answer: ${error.message}; see that it runs, then try again`;
  return new CommandError('Unavailable', message, {
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
  last: Conditioned | 'unknown' | undefined,
  options: WaitOptions,
): CommandError {
  const conditions = last === 'unknown' ? undefined : last?.status?.conditions;
  const why = findCondition(conditions, 'DeletionBlocked') ?? findCondition(conditions, 'Ready');
  const unexplained =
    last === 'unknown' ? 'the control plane has not said how it stands' : 'nothing has acted on it yet';
  const state = why === undefined ? unexplained : `${why.reason}: ${why.message}`;
  const waited = options.signal.aborted ? 'the call ended' : `not done within ${options.timeoutMs / 1000} s`;
  const pending = options.pending ?? 'still waiting';
  const message = `${pending}: ${state} (${resource.kind} ${ref.name}: ${waited}; it goes on)`;
  return new CommandError('Timeout', message, { reason: why?.reason, conditions });
}
