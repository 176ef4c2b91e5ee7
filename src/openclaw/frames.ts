/**
 * The frames that gateway and node exchange, wire protocol 4: JSON texts, requests and responses with an ID, and events
 * without. What comes in is believed only after it was looked at here. The gateway refuses unknown fields, so what goes
 * out has exactly those of its schemas. Source: OpenClaw's gateway protocol documents.
 */

export const PROTOCOL_VERSION = 4;

/** Largest frame that the gateway may send us, in bytes; it is what the gateway itself accepts. */
export const MAX_FRAME_BYTES = 25 * 1024 * 1024;

/** Why the gateway refused a request. */
export interface GatewayError {
  readonly code: string;
  readonly message: string;
  /** Code in the details, e.g. `PAIRING_REQUIRED`, more telling than `code`. */
  readonly detailCode: string | undefined;
  /** What somebody must approve on the gateway. */
  readonly requestId: string | undefined;
  /** Milliseconds. */
  readonly retryAfterMs: number | undefined;
}

export interface EventFrame {
  readonly type: 'event';
  readonly event: string;
  readonly payload: unknown;
}

export interface ResponseFrame {
  readonly type: 'res';
  readonly id: string;
  /** undefined = the request was done. */
  readonly error: GatewayError | undefined;
  readonly payload: unknown;
}

export type IncomingFrame = EventFrame | ResponseFrame;

export interface Challenge {
  readonly nonce: string;
  /** Milliseconds since the epoch, by the gateway's clock. */
  readonly ts: number;
}

/** What the gateway says when it has let the node in. */
export interface Hello {
  readonly serverVersion: string;
  /** A credential of this device alone; there when it is new, and mostly when it is not. */
  readonly deviceToken: string | undefined;
  /** How often the gateway says that it lives, in milliseconds. */
  readonly tickIntervalMs: number;
  /** Largest frame that it accepts, in bytes. */
  readonly maxPayload: number;
}

/** One call of a command. */
export interface InvokeRequest {
  readonly id: string;
  readonly nodeId: string;
  readonly command: string;
  /** JSON text; undefined = none were given. */
  readonly paramsJSON: string | undefined;
  /** How long the caller waits, in milliseconds; undefined = not said. */
  readonly timeoutMs: number | undefined;
  readonly idempotencyKey: string | undefined;
}

const DEFAULT_TICK_MS = 30_000;

/** Returns undefined for what is no frame of the protocol. */
export function parseFrame(text: string): IncomingFrame | undefined {
  const frame = parseObject(text);
  if (frame === undefined) return undefined;
  if (frame['type'] === 'event') {
    const event = textOf(frame['event']);
    return event === undefined ? undefined : { type: 'event', event, payload: frame['payload'] };
  }
  if (frame['type'] !== 'res') return undefined;
  const id = textOf(frame['id']);
  if (id === undefined || typeof frame['ok'] !== 'boolean') return undefined;
  return { type: 'res', id, error: frame['ok'] ? undefined : errorOf(frame['error']), payload: frame['payload'] };
}

export function readChallenge(payload: unknown): Challenge | undefined {
  const nonce = textOf(fieldOf(payload, 'nonce'));
  const ts = numberOf(fieldOf(payload, 'ts'));
  return nonce === undefined || ts === undefined ? undefined : { nonce, ts };
}

export function readHello(payload: unknown): Hello | undefined {
  if (fieldOf(payload, 'type') !== 'hello-ok' || fieldOf(payload, 'protocol') !== PROTOCOL_VERSION) return undefined;
  const policy = fieldOf(payload, 'policy');
  return {
    serverVersion: textOf(fieldOf(fieldOf(payload, 'server'), 'version')) ?? 'unknown',
    deviceToken: textOf(fieldOf(fieldOf(payload, 'auth'), 'deviceToken')),
    tickIntervalMs: numberOf(fieldOf(policy, 'tickIntervalMs')) || DEFAULT_TICK_MS,
    maxPayload: numberOf(fieldOf(policy, 'maxPayload')) || MAX_FRAME_BYTES,
  };
}

export function readInvokeRequest(payload: unknown): InvokeRequest | undefined {
  const [id, nodeId, command] = ['id', 'nodeId', 'command'].map((name) => textOf(fieldOf(payload, name)));
  if (id === undefined || nodeId === undefined || command === undefined) return undefined;
  return {
    id,
    nodeId,
    command,
    paramsJSON: textOf(fieldOf(payload, 'paramsJSON')),
    timeoutMs: numberOf(fieldOf(payload, 'timeoutMs')),
    idempotencyKey: textOf(fieldOf(payload, 'idempotencyKey')),
  };
}

/** ID of the call that its caller does not wait for any more. */
export function readCancel(payload: unknown): string | undefined {
  return textOf(fieldOf(payload, 'invokeId'));
}

/** How long the gateway expects to be away, in milliseconds. */
export function readShutdown(payload: unknown): number | undefined {
  return numberOf(fieldOf(payload, 'restartExpectedMs'));
}

export function requestFrame(id: string, method: string, params: unknown): string {
  return JSON.stringify({ type: 'req', id, method, params });
}

function errorOf(value: unknown): GatewayError {
  const details = fieldOf(value, 'details');
  return {
    code: textOf(fieldOf(value, 'code')) ?? 'UNKNOWN',
    message: textOf(fieldOf(value, 'message')) ?? 'no reason given',
    detailCode: textOf(fieldOf(details, 'code')),
    requestId: textOf(fieldOf(details, 'requestId')),
    retryAfterMs: numberOf(fieldOf(value, 'retryAfterMs')),
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}
