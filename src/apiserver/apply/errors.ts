import type { Operation } from './managers.ts';

/** A field that another manager owns with another value. */
export interface Conflict {
  readonly manager: string;
  readonly operation: Operation;
  /** The version the other manager wrote in. */
  readonly apiVersion: string;
  readonly subresource: string;
  /** When the other manager last changed anything, RFC 3339. */
  readonly time: string | undefined;
  /** The field as the API server prints it, such as `.spec.capacity`. */
  readonly field: string;
}

/** One cause in the details of a Status. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** The body of a failed request (Kubernetes API, meta/v1 Status). */
export interface FailureStatus {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason?: string;
  readonly details?: { readonly causes: readonly StatusCause[] };
  readonly code: number;
}

/** Why an apply failed, for programs. */
export type ApplyErrorReason = 'Conflict' | 'BadRequest' | 'Unknown';

const CODES: Readonly<Record<ApplyErrorReason, number>> = { Conflict: 409, BadRequest: 400, Unknown: 500 };

interface ApplyErrorOptions extends ErrorOptions {
  readonly conflicts?: readonly Conflict[];
  readonly causes?: readonly StatusCause[];
}

/**
 * A configuration that cannot be applied: conflicts (409), a wrong kind or forbidden content (400), or a value that
 * does not have the shape of the schema (500 without a reason, which is what kube-apiserver answers).
 */
export class ApplyError extends Error {
  override readonly name = 'ApplyError';
  readonly reason: ApplyErrorReason;
  readonly conflicts: readonly Conflict[];
  readonly causes: readonly StatusCause[];

  constructor(reason: ApplyErrorReason, message: string, options: ApplyErrorOptions = {}) {
    super(message, options);
    this.reason = reason;
    this.conflicts = options.conflicts ?? [];
    this.causes = options.causes ?? [];
  }

  /** The HTTP status. */
  get code(): number {
    return CODES[this.reason];
  }

  /** The body of the answer. */
  status(): FailureStatus {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason === 'Unknown' ? {} : { reason: this.reason }),
      ...(this.reason === 'Conflict' ? { details: { causes: this.causes } } : {}),
      code: this.code,
    };
  }
}
