/** The remote control of a running rclone, over the Unix socket in its working directory (rclone.org/rc). */
import { request } from 'node:http';
import type { DaemonProcess } from '../../node/mount-daemons/operations.ts';

export const SOCKET = 'rc.sock';
const DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 4_000_000;

/** A file that was written and is not at the server yet. */
export interface QueuedUpload {
  readonly id: number;
  readonly size: number;
  readonly uploading: boolean;
}

/** Whether it answers at all: one that hangs holds up everything that touches its mount. */
export async function ping(daemon: DaemonProcess, signal: AbortSignal, deadlineMs: number): Promise<boolean> {
  try {
    await call(daemon, 'rc/noop', {}, signal, deadlineMs);
    return true;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return false;
  }
}

/** Asks for every waiting upload to be tried now and returns what is still to be sent. */
export async function pushUploads(daemon: DaemonProcess, signal: AbortSignal): Promise<readonly QueuedUpload[]> {
  const { queue = [] } = (await call(daemon, 'vfs/queue', {}, signal)) as { readonly queue?: readonly QueuedUpload[] };
  for (const { id, uploading } of queue) {
    // Gone from the queue meanwhile is what is wanted.
    if (!uploading) await call(daemon, 'vfs/queue-set-expiry', { id, expiry: 0 }, signal).catch(() => undefined);
  }
  return queue;
}

/** @throws Error when it does not answer in time, or with an error. */
function call(
  { pid }: DaemonProcess,
  method: string,
  params: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  deadlineMs = DEADLINE_MS,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        // By way of the process: short enough for a socket address, and surely the socket of this one.
        socketPath: `/proc/${pid}/cwd/${SOCKET}`,
        method: 'POST',
        path: `/${method}`,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]),
        agent: false,
      },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_ANSWER_BYTES) outgoing.destroy(new Error(`rclone ${method} answers too much`));
        });
        answer.on('error', reject);
        answer.on('end', () => {
          if (answer.statusCode !== 200) reject(new Error(`rclone ${method} failed with ${answer.statusCode}`));
          else resolve(parse(text));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(params));
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
