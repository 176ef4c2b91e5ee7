/** What the end of a connection means: what to tell people, and when to try again. Pure. */
import { Reason } from '../api/reasons.ts';
import type { ConnectionEnd } from './connection.ts';
import type { Credential } from './credentials.ts';

export interface Verdict {
  readonly reason: Reason;
  /** For people, with what to do; the same for the same trouble, however often it is met. */
  readonly message: string;
  /** Wait for exactly so many milliseconds; undefined = back off. */
  readonly retryMs: number | undefined;
  /** The gateway no longer takes the token of the device. */
  readonly forgetToken: boolean;
}

/** How often a gateway is asked that wants a person to act first, in milliseconds. */
const PERSON_RETRY_MS = 30_000;
/** The same while somebody is to approve the node: whoever has done that watches. */
const PAIRING_RETRY_MS = 10_000;
const LONGEST_HINT_MS = 30_000;
const SHORTEST_HINT_MS = 100;

const TLS_CODES = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS/;

/** Reads an end by what the gateway said, then by what the network said. */
export function judge(end: ConnectionEnd, gateway: string, credential: Credential): Verdict {
  const { refusal, networkCode } = end;
  if (refusal !== undefined) return judgeRefusal(refusal, gateway, credential);
  const unreachable = (message: string, retryMs?: number): Verdict => ({
    reason: Reason.ServerUnreachable,
    message,
    retryMs,
    forgetToken: false,
  });
  if (networkCode !== undefined && TLS_CODES.test(networkCode)) {
    const message = `the certificate of ${gateway} is not trusted (${networkCode}): name its authority in NODE_EXTRA_CA_CERTS`;
    return { reason: Reason.CertificateNotTrusted, message, retryMs: PERSON_RETRY_MS, forgetToken: false };
  }
  if (networkCode === 'ENOTFOUND' || networkCode === 'EAI_AGAIN') {
    const message = `${gateway} has no address`;
    return { reason: Reason.ServerNameNotResolved, message, retryMs: undefined, forgetToken: false };
  }
  if (end.restartExpectedMs !== undefined) {
    return unreachable(`${gateway} has shut down`, hint(Math.max(end.restartExpectedMs, 1000)));
  }
  return unreachable(`${gateway}: ${end.why}`);
}

function judgeRefusal(
  { code, detailCode = code, message, requestId, retryAfterMs }: NonNullable<ConnectionEnd['refusal']>,
  gateway: string,
  credential: Credential,
): Verdict {
  const slowly = { retryMs: PERSON_RETRY_MS, forgetToken: false };
  if (detailCode === 'PAIRING_REQUIRED' || code === 'NOT_PAIRED') {
    const approve =
      requestId === undefined ? 'openclaw devices list, then approve it' : `openclaw devices approve ${requestId}`;
    const text = `${gateway} does not know this node yet; approve it there: ${approve}`;
    return { reason: Reason.PairingRequired, message: text, retryMs: PAIRING_RETRY_MS, forgetToken: false };
  }
  if (code === 'UNAVAILABLE') {
    const text = `${gateway} is not ready: ${message}`;
    const retryMs = retryAfterMs === undefined ? undefined : hint(retryAfterMs);
    return { reason: Reason.ServerUnreachable, message: text, retryMs, forgetToken: false };
  }
  if (detailCode === 'PROTOCOL_MISMATCH') {
    const text = `${gateway} does not speak version 4 of the protocol: ${message}`;
    return { reason: Reason.ProtocolNotSupported, message: text, ...slowly };
  }
  if (detailCode === 'AUTH_RATE_LIMITED') {
    const text = `${gateway} takes no more attempts for now: ${message}`;
    return { reason: Reason.CredentialsRejected, message: text, ...slowly };
  }
  if (detailCode.startsWith('AUTH_') || detailCode.startsWith('DEVICE_')) {
    if (credential.kind === 'device') {
      const text = `${gateway} no longer takes the token of this node (${detailCode}); its own token is tried next`;
      return { reason: Reason.CredentialsRejected, message: text, retryMs: 1000, forgetToken: true };
    }
    const what = credential.kind === 'none' ? 'wants a token' : 'does not take the token';
    const text = `${gateway} ${what} (${detailCode}): give its token by --openclaw-token-file or CLAWSTORE_OPENCLAW_TOKEN`;
    return { reason: Reason.CredentialsRejected, message: text, ...slowly };
  }
  return { reason: Reason.ServerError, message: `${gateway} refused the node: ${detailCode}: ${message}`, ...slowly };
}

function hint(retryMs: number): number {
  return Math.min(Math.max(retryMs, SHORTEST_HINT_MS), LONGEST_HINT_MS);
}
