/** Reads the body of a watch: JSON objects, one a line, in chunks of any size. */
import type { KubeObjectBase } from '../api/meta.ts';
import type { Clock, Timer } from '../telemetry/clock.ts';
import type { WatchEvent } from './client.ts';
import { KubeError } from './errors.ts';

/** Longest event accepted, in bytes; etcd holds no object above 1.5 MB by default, managedFields and framing included. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024;

export interface WatchStreamOptions {
  readonly clock: Clock;
  /** Fail with `WatchIdle` when nothing at all arrives for so long, in milliseconds; absent = wait for ever. */
  readonly idleMs?: number | undefined;
  readonly maxEventBytes?: number | undefined;
}

/** The part of a response body that is needed: bytes, and a way to cut it. */
export interface WatchBody extends AsyncIterable<Uint8Array> {
  destroy(error?: Error): unknown;
}

/**
 * Yields the events of `body`. Ends normally when the server ends the watch between two events.
 *
 * @throws KubeError: the Status of an ERROR event; `Protocol` for what is not an event or ends amid one; `WatchIdle`;
 * whatever broke the connection.
 */
export async function* watchEvents<T extends KubeObjectBase>(
  body: WatchBody,
  options: WatchStreamOptions,
): AsyncGenerator<WatchEvent<T>, void, void> {
  const { clock, idleMs, maxEventBytes = MAX_EVENT_BYTES } = options;
  let idle: KubeError | undefined;
  let timer: Timer | undefined;
  const rearm = (): void => {
    timer?.cancel();
    if (idleMs === undefined) return;
    timer = clock.setTimer(idleMs, () => {
      idle = new KubeError({ reason: 'WatchIdle', message: `the watch was silent for ${idleMs} ms` });
      body.destroy(idle);
    });
  };
  /** Bytes of an event whose end has not arrived yet. */
  const pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const decoder = new TextDecoder('utf-8');
  rearm();
  try {
    for await (const chunk of body) {
      rearm();
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
        let line = chunk.subarray(start, end);
        start = end + 1;
        if (pendingBytes > 0) {
          pending.push(line);
          line = Buffer.concat(pending);
          pending.length = 0;
          pendingBytes = 0;
        }
        if (line.length > 0 && !(line.length === 1 && line[0] === 0x0d)) yield parseEvent<T>(decoder.decode(line));
      }
      if (start < chunk.length) {
        pending.push(chunk.subarray(start));
        pendingBytes += chunk.length - start;
        if (pendingBytes > maxEventBytes) throw protocol(`an event is longer than ${maxEventBytes} bytes`);
      }
    }
    if (pendingBytes > 0) throw protocol('the watch ended in the middle of an event');
  } catch (thrown) {
    throw idle ?? KubeError.from(thrown);
  } finally {
    timer?.cancel();
    body.destroy();
  }
}

function protocol(message: string, cause?: unknown): KubeError {
  return new KubeError({ reason: 'Protocol', message, cause });
}

function parseEvent<T extends KubeObjectBase>(line: string): WatchEvent<T> {
  let event: { type?: unknown; object?: unknown } | null;
  try {
    event = JSON.parse(line) as typeof event;
  } catch (thrown) {
    throw protocol('the watch sent something that is not JSON', thrown);
  }
  if (typeof event !== 'object' || event === null || typeof event.object !== 'object' || event.object === null) {
    throw protocol('the watch sent something that is not an event');
  }
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK': {
      const metadata = (event.object as Partial<KubeObjectBase>).metadata;
      if (typeof metadata !== 'object' || metadata === null) throw protocol('the watch sent an event without metadata');
      return { type: event.type, object: event.object as T };
    }
    case 'ERROR':
      throw KubeError.fromStatus(event.object);
    default:
      throw protocol(`the watch sent an event of the unknown type ${JSON.stringify(event.type)?.slice(0, 60)}`);
  }
}
