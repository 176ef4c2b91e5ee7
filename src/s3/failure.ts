/** What the answers of S3 servers, and the lack of one, mean. */
import { Reason } from '../api/reasons.ts';
import { locationName, type S3Location } from './location.ts';

/** The part of the SDK's errors that is looked at. */
interface SdkError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  readonly Region?: string;
  readonly cause?: unknown;
}

/** What went wrong, for a person. */
export interface S3Failure {
  readonly reason: Reason;
  /** Trying again without a person's change cannot help. */
  readonly terminal: boolean;
  /** What it means and what to do. */
  readonly text: string;
}

const CREDENTIALS: S3Failure = {
  reason: Reason.CredentialsRejected,
  terminal: true,
  text: 'The server does not accept the credentials; correct the Secret',
};
const REGION: S3Failure = {
  reason: Reason.RegionMismatch,
  terminal: true,
  text: 'The bucket is in another region; correct s3.region',
};

/** Error codes of the S3 API, and of the socket and TLS layers below it. */
const MEANINGS: Readonly<Record<string, S3Failure>> = {
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  ExpiredToken: { ...CREDENTIALS, text: 'The session token has expired; renew the Secret' },
  CredentialsProviderError: {
    ...CREDENTIALS,
    text: 'This node has no credentials of its own; name a Secret in s3.credentialsSecretRef',
  },
  AccessDenied: {
    reason: Reason.AccessDenied,
    terminal: true,
    text: 'The server knows the credentials and does not allow them to do this',
  },
  NoSuchBucket: {
    reason: Reason.BucketNotFound,
    terminal: true,
    text: 'The bucket does not exist; make it, or correct s3.bucket',
  },
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  RequestTimeTooSkewed: {
    reason: Reason.ClockSkew,
    terminal: false,
    text: 'The clocks of this node and of the server differ by more than the server allows; synchronise them',
  },
  ERR_INVALID_URL: {
    reason: Reason.InvalidSpec,
    terminal: true,
    text: 'The address of the server is none (is its port above 65535?); correct s3.endpoint',
  },
  ERR_INVALID_CHAR: {
    ...CREDENTIALS,
    text: 'The credentials have characters that none can have; correct the Secret',
  },
  ENOTFOUND: {
    reason: Reason.ServerNameNotResolved,
    terminal: false,
    text: 'The name of the server has no address; correct s3.endpoint, or set s3.forcePathStyle where buckets have no names of their own',
  },
  EAI_AGAIN: {
    reason: Reason.ServerNameNotResolved,
    terminal: false,
    text: 'The name of the server cannot be looked up now',
  },
};

const UNTRUSTED: S3Failure = {
  reason: Reason.CertificateNotTrusted,
  terminal: true,
  text: 'The certificate of the server is not trusted; name the authority that signed it in s3.caBundleRef',
};
const TLS_CODES =
  /^(?:SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|CERT_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;
const SOCKET_CODES = /^(?:ECONN|EHOST|ENET|EPIPE|ETIMEDOUT|UND_ERR|TimeoutError|AbortError|RequestTimeout)/;

/** Puts anything thrown by a request into words; `what` says what was tried. */
export function describeFailure(
  thrown: unknown,
  location: Pick<S3Location, 'bucket' | 'prefix' | 'endpoint'>,
  what: string,
): S3Failure {
  const error = (thrown instanceof Error ? thrown : new Error(String(thrown))) as SdkError;
  const meaning = meaningOf(error);
  const where = `${locationName(location)}${location.endpoint === undefined ? '' : ` at ${location.endpoint}`}`;
  const expected = error.$response?.headers?.['x-amz-bucket-region'] ?? error.Region;
  const region = meaning === REGION && expected !== undefined ? ` (it says ${expected})` : '';
  const detail = saysMore(error) ? `: ${error.message}` : '';
  return { ...meaning, text: `${meaning.text}${region}. ${what} ${where} failed${detail}` };
}

function meaningOf(error: SdkError): S3Failure {
  const names = [error.name, error.code, (error.cause as SdkError | undefined)?.code].filter(
    (name) => name !== undefined,
  );
  for (const name of names) {
    const known = Object.hasOwn(MEANINGS, name) ? MEANINGS[name] : undefined;
    if (known !== undefined) return regionOr(known, error);
    if (TLS_CODES.test(name)) return UNTRUSTED;
  }
  const status = error.$metadata?.httpStatusCode;
  if (status === 301 || status === 307) return REGION;
  if (status === 403) return CREDENTIALS;
  if (names.some((name) => SOCKET_CODES.test(name)) || status === undefined) {
    return {
      reason: Reason.ServerUnreachable,
      terminal: false,
      text: 'The server does not answer; it is used again by itself once it does',
    };
  }
  return {
    reason: Reason.ServerError,
    terminal: false,
    text: `The server answered with an error (HTTP ${status}); tried again`,
  };
}

/** Some servers answer a wrong region with the code of a malformed credential. */
function regionOr(known: S3Failure, { message }: SdkError): S3Failure {
  return known === CREDENTIALS && /region/i.test(message) ? REGION : known;
}

/** Wire noise such as "UnknownError" tells a person nothing. */
function saysMore({ message }: SdkError): boolean {
  return message !== '' && !/^(?:UnknownError|Unknown|char )/.test(message);
}
