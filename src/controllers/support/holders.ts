/** Who keeps a mount from going away, in words. */
import type { Reason } from '../../api/reasons.ts';
import { MAX_BUSY_BY } from '../../api/volume-mount.ts';
import type { Holder, UnmountOutcome } from '../../drivers/driver.ts';

export interface Obstacle {
  readonly reason: Reason;
  readonly message: string;
  /** At most {@link MAX_BUSY_BY}. */
  readonly holders: readonly Holder[];
}

/** Says what stands in the way of an unmount, or undefined when it is done. */
export function obstacleOf(outcome: UnmountOutcome, what: string): Obstacle | undefined {
  switch (outcome.outcome) {
    case 'done':
      return undefined;
    case 'busy': {
      const { mounts = [] } = outcome;
      const message =
        mounts.length > 0
          ? `${what} is still mounted at ${mounts.join(', ')}. It is tried again; unmount that first.`
          : `${what} is busy: ${list(outcome.holders)}. It is tried again; stop them or let them leave it.`;
      return { reason: 'Busy', message, holders: outcome.holders.slice(0, MAX_BUSY_BY) };
    }
    case 'in-use-by-other-namespace': {
      const message = `${what} is gone here, but another mount namespace still shows it: ${list(outcome.holders)}. It is tried again; end what runs there.`;
      return { reason: 'InUseByOtherNamespace', message, holders: outcome.holders.slice(0, MAX_BUSY_BY) };
    }
    case 'upload-pending': {
      const { files, bytes } = outcome;
      const message = `${what} waits until ${files} ${files === 1 ? 'file' : 'files'} (${bytes} bytes) that were written to it have reached the server. It goes on by itself.`;
      return { reason: 'UploadPending', message, holders: [] };
    }
    default:
      return undefined;
  }
}

function list(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'who holds it could not be found out';
  const shown = holders.slice(0, MAX_BUSY_BY).map(({ pid, comm }) => `${comm} (pid ${pid})`);
  const more = holders.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
