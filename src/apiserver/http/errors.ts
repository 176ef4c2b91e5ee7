/** Every error answer of the server: reason, code and message template in one place (apimachinery, `api/errors`). */

/** One cause in the details of a Status. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

/** The `details` of a Status. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

/** A `metav1.Status` with `status: Failure`. */
export interface FailureBody {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

/** What an error names: the plural resource (or kind, for Invalid) with its group. */
export interface QualifiedName {
  readonly group: string;
  readonly resource: string;
}

/** An error that is answered to the client as it stands. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  readonly metadata: Readonly<Record<string, unknown>>;

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: StatusDetails,
    options: ErrorOptions & { readonly metadata?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options);
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.metadata = options.metadata ?? {};
  }

  /** The body of the answer. */
  body(): FailureBody {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.metadata,
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** `volumes.storage.clawbernetes.io`, or `secrets` for the core group. */
export function qualified({ group, resource }: QualifiedName): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function of(what: QualifiedName, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(what.group === '' ? {} : { group: what.group }),
    kind: what.resource,
  };
}

export function badRequest(message: string, options?: ErrorOptions): StatusError {
  return new StatusError(400, 'BadRequest', message, undefined, options);
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized');
}

/** What role-based access control answers to a user without the right. */
export function forbiddenFor(
  user: string,
  verb: string,
  what: QualifiedName,
  namespace: string,
  name: string,
): StatusError {
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace ${quote(namespace)}`;
  const action = `User ${quote(user)} cannot ${verb} resource ${quote(what.resource)} in API group ${quote(what.group)} ${scope}`;
  return forbidden(what, name, action);
}

export function forbidden(what: QualifiedName, name: string, why: string, causes?: readonly Cause[]): StatusError {
  const message =
    name === '' ? `${qualified(what)} is forbidden: ${why}` : `${qualified(what)} ${quote(name)} is forbidden: ${why}`;
  return new StatusError(403, 'Forbidden', message, { ...of(what, name), ...(causes === undefined ? {} : { causes }) });
}

/** For a path that names no resource. */
export function forbiddenPath(user: string, verb: string, path: string): StatusError {
  return new StatusError(403, 'Forbidden', `forbidden: User ${quote(user)} cannot ${verb} path ${quote(path)}`, {});
}

export function notFound(what: QualifiedName, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualified(what)} ${quote(name)} not found`, of(what, name));
}

/** For a path whose resource does not exist (generic, `page not found` is the plain answer outside of /api and /apis). */
export function unknownResource(): StatusError {
  return new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function methodNotAllowed(): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

/** For a subresource that cannot be created or deleted. */
export function notSupportedOn(verb: 'create' | 'delete', what: QualifiedName): StatusError {
  const message = `${verb} is not supported on resources of kind ${quote(qualified(what))}`;
  return new StatusError(405, 'MethodNotAllowed', message, of(what, ''));
}

export function notAcceptable(accepted: readonly string[]): StatusError {
  return new StatusError(406, 'NotAcceptable', `only the following media types are accepted: ${accepted.join(', ')}`);
}

export function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

export function alreadyExists(what: QualifiedName, name: string): StatusError {
  return new StatusError(409, 'AlreadyExists', `${qualified(what)} ${quote(name)} already exists`, of(what, name));
}

export function conflict(what: QualifiedName, name: string, why: string): StatusError {
  return new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(what)} ${quote(name)}: ${why}`,
    of(what, name),
  );
}

/** Why optimistic concurrency refuses a write. */
export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

/** For a revision that compaction has dropped. */
export function tooOld(requested: number, oldest: number): StatusError {
  return new StatusError(410, 'Expired', `too old resource version: ${requested} (${oldest})`);
}

/** For an exact list at a dropped revision. */
export function expiredRevision(): StatusError {
  return new StatusError(410, 'Expired', 'The resourceVersion for the provided list is too old.');
}

/** For a continue token whose snapshot is gone; `next` continues with the newest state. */
export function expiredContinue(next: string): StatusError {
  return new StatusError(
    410,
    'Expired',
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    undefined,
    { metadata: { continue: next } },
  );
}

/** For a revision of the future. */
export function tooLargeRevision(requested: number, current: number): StatusError {
  return new StatusError(504, 'Timeout', `Timeout: Too large resource version: ${requested}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

export function tooLarge(limit: number): StatusError {
  return new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);
}

export function unprocessable(message: string): StatusError {
  return new StatusError(422, 'Invalid', message, {});
}

export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError(429, 'TooManyRequests', message, { retryAfterSeconds });
}

export function internal(message: string, cause?: unknown): StatusError {
  return new StatusError(
    500,
    'InternalError',
    `Internal error occurred: ${message}`,
    { causes: [{ reason: '', message }] },
    { cause },
  );
}

/** Turns anything thrown into an answer. */
export function toStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return internal(error instanceof Error ? error.message : String(error), error);
}
