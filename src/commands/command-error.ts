/** The one error of the commands layer: what a caller did wrong, or what stands in the way, in words for a person. */
import type { Condition } from '../api/meta.ts';

/**
 * `InvalidParameter`: a parameter is unknown, missing or out of range; `field` names it.
 * `NotFound`: the named object does not exist. `AlreadyExists`: it exists and differs from what was asked.
 * `Refused`: the state of things forbids it (attached, busy, not granted). `Stalled`: the product tried and needs a person.
 * `Timeout`: not done within the call's deadline; it goes on. `Unavailable`: the control plane does not answer.
 */
export type CommandErrorCode =
  | 'InvalidParameter'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Refused'
  | 'Stalled'
  | 'Timeout'
  | 'Unavailable';

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: CommandErrorCode;
  /** Name of the parameter at fault, where one is. */
  readonly field: string | undefined;
  /** The condition's or the server's reason, where there is one. */
  readonly reason: string | undefined;
  /** The conditions of the object that was waited for, as they were last. */
  readonly conditions: readonly Condition[] | undefined;

  constructor(
    code: CommandErrorCode,
    message: string,
    options: {
      readonly field?: string | undefined;
      readonly reason?: string | undefined;
      readonly conditions?: readonly Condition[] | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.reason = options.reason;
    this.conditions = options.conditions;
  }
}
