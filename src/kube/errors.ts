/**
 * The one error class of the layer. Anything thrown below is normalised by {@link KubeError.from}, so that a caller
 * decides by `reason` and never by parsing a message.
 */
import { cleanText } from '../telemetry/redact.ts';

/** One cause inside a `metav1.Status`. */
export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** `metav1.StatusDetails`, as far as we use it. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** Reasons that we give ourselves, where no API server spoke. All others are `metav1.StatusReason`s. */
export type TransportReason =
  | 'Aborted'
  | 'DeadlineExceeded'
  | 'ConnectionRefused'
  | 'ConnectionLost'
  | 'NameNotResolved'
  | 'TLS'
  | 'WatchIdle'
  | 'Protocol'
  | 'Configuration'
  | 'Internal';

interface KubeErrorInit {
  readonly reason: string;
  readonly message: string;
  readonly status?: number;
  readonly code?: string | undefined;
  readonly details?: StatusDetails | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A request that failed, by an answer of the API server or on the way to it. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number;
  /** A `metav1.StatusReason` such as `Conflict`, or a {@link TransportReason}. */
  readonly reason: string;
  /** The system's code (`ECONNREFUSED` …) where there is one. */
  readonly code: string | undefined;
  readonly details: StatusDetails | undefined;
  /** How long the server asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(init: KubeErrorInit) {
    super(cleanText(init.message), init.cause === undefined ? undefined : { cause: init.cause });
    this.status = init.status ?? 0;
    this.reason = init.reason;
    this.code = init.code;
    this.details = init.details;
    this.retryAfterMs = init.retryAfterMs;
  }

  get causes(): readonly StatusCause[] {
    return this.details?.causes ?? [];
  }

  get isNotFound(): boolean {
    return this.reason === 'NotFound';
  }

  /** A stale resourceVersion, a UID that no longer fits, or fields owned by someone else. */
  get isConflict(): boolean {
    return this.reason === 'Conflict';
  }

  get isAlreadyExists(): boolean {
    return this.reason === 'AlreadyExists';
  }

  /** The resourceVersion or continue token is too old: list again. */
  get isExpired(): boolean {
    return this.reason === 'Expired' || this.reason === 'Gone' || this.status === 410;
  }

  get isGone(): boolean {
    return this.isExpired;
  }

  get isInvalid(): boolean {
    return this.reason === 'Invalid';
  }

  get isForbidden(): boolean {
    return this.reason === 'Forbidden';
  }

  get isUnauthorized(): boolean {
    return this.reason === 'Unauthorized';
  }

  get isTooManyRequests(): boolean {
    return this.status === 429;
  }

  get isAborted(): boolean {
    return this.reason === 'Aborted';
  }

  get isTimeout(): boolean {
    return this.reason === 'DeadlineExceeded' || this.reason === 'Timeout' || this.reason === 'ServerTimeout';
  }

  /** There is nobody to talk to at the moment: the server is down, restarting, or out of reach. */
  get isUnreachable(): boolean {
    return this.reason === 'ConnectionRefused' || this.reason === 'ConnectionLost' || this.reason === 'NameNotResolved';
  }

  /** Whether the same request may succeed later without anybody changing anything. */
  get isRetryable(): boolean {
    return this.isUnreachable || this.isTimeout || this.isConflict || this.status === 429 || this.status >= 500;
  }

  /** Turns anything thrown into a KubeError; one that already is one is returned as it is. */
  static from(thrown: unknown): KubeError {
    if (thrown instanceof KubeError) return thrown;
    const code = codeOf(thrown);
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const text = message === '' ? (code ?? 'unknown failure') : message;
    const named = thrown instanceof Error ? thrown.name : '';
    const make = (reason: TransportReason, words: string): KubeError =>
      new KubeError({ reason, message: words, code, cause: thrown });
    if (named === 'AbortError' || code === 'UND_ERR_ABORTED') return make('Aborted', 'the request was aborted');
    if (named === 'TimeoutError') return make('DeadlineExceeded', text);
    switch (code) {
      case 'ECONNREFUSED':
      case 'ENOENT':
        return make('ConnectionRefused', `the API server does not accept connections: ${text}`);
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return make('NameNotResolved', `the API server's name does not resolve: ${text}`);
      case 'ECONNRESET':
      case 'EPIPE':
      case 'ETIMEDOUT':
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
      case 'ENETDOWN':
      case 'UND_ERR_SOCKET':
      case 'UND_ERR_CLOSED':
      case 'UND_ERR_DESTROYED':
      case 'UND_ERR_CONNECT_TIMEOUT':
        return make('ConnectionLost', `the connection to the API server was lost: ${text}`);
      case 'UND_ERR_HEADERS_TIMEOUT':
      case 'UND_ERR_BODY_TIMEOUT':
        return make('DeadlineExceeded', `the API server did not answer in time: ${text}`);
      default:
    }
    if (code !== undefined && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code)) {
      return make('TLS', `the API server's TLS certificate or handshake failed: ${text}`);
    }
    if (code?.startsWith('HPE_') === true) return make('Protocol', `the API server's answer is not HTTP: ${text}`);
    return make('Internal', text);
  }

  /** Reads an answer ≥ 400, whose body may be a `metav1.Status` or anything that stands between us and the server. */
  static fromResponse(status: number, body: string, retryAfter?: string): KubeError {
    const parsed = parseStatus(body);
    const seconds = parsed?.details?.retryAfterSeconds;
    return new KubeError({
      status,
      reason: parsed?.reason === undefined || parsed.reason === '' ? reasonOf(status) : parsed.reason,
      message: parsed?.message ?? `the API server answered ${status}: ${body.slice(0, 300)}`,
      details: parsed?.details,
      retryAfterMs: parseRetryAfter(retryAfter) ?? (seconds === undefined ? undefined : seconds * 1000),
    });
  }

  /** Reads the object of an ERROR event of a watch. */
  static fromStatus(value: unknown): KubeError {
    const status = isStatus(value) ? value : undefined;
    const code = status?.code ?? 500;
    return KubeError.fromResponse(code, JSON.stringify(value ?? null));
  }
}

/** `metav1.Status` of a failure. */
interface Status {
  readonly kind: 'Status';
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: StatusDetails;
}

function isStatus(value: unknown): value is Status {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Status';
}

function parseStatus(body: string): Status | undefined {
  if (!body.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    return isStatus(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function reasonOf(status: number): string {
  return REASONS[status] ?? 'Unknown';
}

/** Reads Retry-After in seconds (the form API servers use); the date form is ignored. Returns milliseconds. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d+$/.test(value.trim())) return undefined;
  return Number(value.trim()) * 1000;
}

/** The first system code in the chain of causes. */
function codeOf(thrown: unknown): string | undefined {
  let current: unknown = thrown;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { code, errors, cause } = current as { code?: unknown; errors?: unknown; cause?: unknown };
    if (typeof code === 'string') return code;
    current = Array.isArray(errors) ? (errors as readonly unknown[])[0] : cause;
  }
  return undefined;
}
