import { StatusError } from '../http/errors.ts';
import { type FieldError, toStatusError } from '../schema/field-error.ts';

/** A 422 answer. */
export function invalidObject(kind: string, group: string, name: string, errors: readonly FieldError[]): StatusError {
  const { code, reason, message, details } = toStatusError(kind, group, name, errors);
  const { kind: named, ...rest } = details;
  return new StatusError(code, reason, message, kind === '' ? rest : { ...rest, kind: named });
}
