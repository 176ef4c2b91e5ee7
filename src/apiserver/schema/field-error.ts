import { goJson, goNumber, goQuote } from './go-format.ts';
import type { Json } from './json-value.ts';

/** The kinds of field errors; the values are the `reason` of a Status cause (apimachinery, util/validation/field). */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'InternalError'
  | 'FieldValueTypeInvalid';

/** One violation, as apimachinery's `field.Error`. `field` is `<nil>` when the violation concerns the whole object. */
export interface FieldError {
  readonly type: FieldErrorType;
  readonly field: string;
  readonly badValue: Json;
  readonly detail: string;
}

/** The path that apimachinery prints for "no field". */
export const NO_FIELD = '<nil>';

const TITLES: Readonly<Record<FieldErrorType, string>> = {
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  InternalError: 'Internal error',
  FieldValueTypeInvalid: 'Invalid value',
};

const WITHOUT_VALUE: ReadonlySet<FieldErrorType> = new Set<FieldErrorType>([
  'FieldValueRequired',
  'FieldValueForbidden',
  'FieldValueTooLong',
  'InternalError',
]);

export function invalid(field: string, badValue: Json, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, badValue, detail };
}

export function typeInvalid(field: string, badValue: Json, detail: string): FieldError {
  return { type: 'FieldValueTypeInvalid', field, badValue, detail };
}

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, badValue: '', detail };
}

export function forbidden(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, badValue: '', detail };
}

export function duplicate(field: string, badValue: Json): FieldError {
  return { type: 'FieldValueDuplicate', field, badValue, detail: '' };
}

export function notSupported(field: string, badValue: Json, supported: readonly string[]): FieldError {
  const detail = supported.length > 0 ? `supported values: ${supported.map(goQuote).join(', ')}` : '';
  return { type: 'FieldValueNotSupported', field, badValue, detail };
}

/** The limit is counted in characters, but Kubernetes says bytes. */
export function tooLong(field: string, max: number): FieldError {
  const detail = `may not be more than ${max} ${max === 1 ? 'byte' : 'bytes'}`;
  return { type: 'FieldValueTooLong', field, badValue: '<value omitted>', detail };
}

export function tooMany(field: string, actual: number, max: number): FieldError {
  const detail = `must have at most ${max} ${max === 1 ? 'item' : 'items'}`;
  return { type: 'FieldValueTooMany', field, badValue: actual, detail };
}

export function internalError(field: string, detail: string): FieldError {
  return { type: 'InternalError', field, badValue: null, detail };
}

/** The text of an error without its field: the message of a Status cause. */
export function errorBody(error: FieldError): string {
  const title = TITLES[error.type];
  const head = WITHOUT_VALUE.has(error.type) ? title : `${title}: ${printValue(error.badValue)}`;
  return error.detail === '' ? head : `${head}: ${error.detail}`;
}

/** The text of an error as it stands in a Status message: `FIELD: BODY`. */
export function errorText(error: FieldError): string {
  return `${error.field}: ${errorBody(error)}`;
}

function printValue(value: Json): string {
  if (typeof value === 'string') return goQuote(value);
  if (typeof value === 'number') return goNumber(value);
  return typeof value === 'boolean' ? String(value) : goJson(value);
}

/** One cause of a Status. */
export interface StatusCause {
  readonly reason: FieldErrorType;
  readonly message: string;
  readonly field: string;
}

/** The body of a 422 answer (metav1.Status, reason Invalid). */
export interface InvalidStatus {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, never>>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: 'Invalid';
  readonly details: {
    readonly name?: string;
    readonly group?: string;
    readonly kind: string;
    readonly causes?: readonly StatusCause[];
  };
  readonly code: 422;
}

/** An answer has no more than this; 100,000 wrong labels would make an answer of 30 MB. */
const MAX_SHOWN = 500;

/**
 * Builds the answer to an object that violates its schema, as apimachinery's `errors.NewInvalid`: the message lists each
 * distinct error once, the causes list all of them.
 */
export function toStatusError(kind: string, group: string, name: string, errors: readonly FieldError[]): InvalidStatus {
  const qualified = group === '' ? kind : `${kind}.${group}`;
  const shown = errors.length > MAX_SHOWN ? errors.slice(0, MAX_SHOWN) : errors;
  const texts = [...new Set(shown.map(errorText))];
  if (shown !== errors) texts.push(`and ${errors.length - MAX_SHOWN} more`);
  const summary = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const head = `${qualified} ${goQuote(name)} is invalid`;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: texts.length === 0 ? head : `${head}: ${summary}`,
    reason: 'Invalid',
    details: {
      ...(name === '' ? {} : { name }),
      ...(group === '' ? {} : { group }),
      kind,
      ...(errors.length === 0
        ? {}
        : { causes: shown.map((e) => ({ reason: e.type, message: errorBody(e), field: e.field })) }),
    },
    code: 422,
  };
}
