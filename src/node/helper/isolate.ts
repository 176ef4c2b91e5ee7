/** Runs one operation in a child process, so that a filesystem which does not answer holds up nothing else. */
import { forkHelper } from '../fork-helper.ts';
import { NodeError } from '../node-error.ts';
import type { HelperSettings } from '../operations.ts';
import { Channel, type FromHelper, type ToHelper } from '../protocol.ts';

/** Set in such a child, which then does not isolate again. */
export const ISOLATED = 'CLAWSTORE_HELPER_ISOLATED';

/** Rejects with `DeadlineExceeded` when the signal fires first; the child has been sent SIGKILL then. */
export function runIsolated(
  operation: string,
  params: unknown,
  settings: HelperSettings,
  signal: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const { child, stream } = forkHelper({ [ISOLATED]: '1', CLAWSTORE_CRASH_AT: '' });
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', giveUp);
      settle();
      child.kill('SIGKILL');
      stream.destroy();
    };
    const giveUp = (): void => {
      const message = `${operation} was given up: the filesystem did not answer in time`;
      end(() => reject(new NodeError('DeadlineExceeded', message)));
    };
    const channel = new Channel<ToHelper, FromHelper>(stream, (messages) => {
      for (const message of messages) {
        if (message.type === 'table' || message.id !== 2) continue;
        if (message.type === 'result') end(() => resolve(message.value));
        else end(() => reject(NodeError.fromWire(message.error)));
      }
    });
    stream.on('close', () => end(() => reject(new NodeError('HelperLost', `the child that ran ${operation} ended`))));
    signal.addEventListener('abort', giveUp, { once: true });
    channel.send({ type: 'request', id: 1, operation: 'configure', params: settings, deadlineMs: 10_000 });
    // The child's own deadline lies beyond any of ours: this side decides.
    channel.send({ type: 'request', id: 2, operation, params, deadlineMs: 3_600_000 });
  });
}
