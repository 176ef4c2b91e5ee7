/** The contract between the controller loop and the code that reconciles one kind. */
import type { Clock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';

/** How a reconcile that did not fail ended. */
export interface Result {
  /** Look at the key again after so many milliseconds, if nothing queues it earlier. */
  readonly requeueAfterMs?: number | undefined;
}

/** Nothing more to do until something changes. */
export const DONE: Result = Object.freeze({});

/** What one reconcile is given. */
export interface ReconcileContext {
  /** Aborts at the deadline and at shutdown. Everything that waits takes it. */
  readonly signal: AbortSignal;
  /** Carries `controller`, `key` and `reconcileID` on each line. */
  readonly log: Logger;
  readonly reconcileId: string;
  /** How often this key has failed in a row before; 0 the first time. */
  readonly retries: number;
  readonly clock: Clock;
}

/**
 * Brings one object (by key `NAMESPACE/NAME` or `NAME`) to what it should be. Level-based: it is told which key, never
 * what happened. It must be idempotent and may find the object gone.
 *
 * It never runs twice at once for one key. What it throws decides what happens next: {@link StallingError} = not before
 * something changes, {@link WaitingError} = after its delay, anything else = again with growing delay.
 */
export type Reconciler = (key: string, context: ReconcileContext) => Promise<Result>;

interface ReconcileErrorOptions {
  readonly cause?: unknown;
}

/** A failure with a reason constant, for a condition. By itself generic: tried again with growing delay. */
export class ReconcileError extends Error {
  override readonly name: string = 'ReconcileError';
  /** PascalCase constant. */
  readonly reason: string;

  constructor(reason: string, message: string, options: ReconcileErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
  }
}

/** Only a person (or another object) can mend it: not tried again until something changes. */
export class StallingError extends ReconcileError {
  override readonly name = 'StallingError';
}

/** Not a failure: something we depend on is not there yet. Looked at again after `retryAfterMs`. */
export class WaitingError extends ReconcileError {
  override readonly name = 'WaitingError';
  /** Milliseconds. */
  readonly retryAfterMs: number;

  constructor(reason: string, message: string, retryAfterMs: number, options: ReconcileErrorOptions = {}) {
    super(reason, message, options);
    this.retryAfterMs = retryAfterMs;
  }
}
