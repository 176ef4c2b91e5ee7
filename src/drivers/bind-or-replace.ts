/** Publishing by bind mount: a mount of ours whose source was replaced gives way to a new one; nothing else does. */
import { Reason } from '../api/reasons.ts';
import { DriverError, type MountObservation, type UnmountOutcome } from './driver.ts';
import { toDriverError } from './failure.ts';

export interface BindSteps {
  bind(): Promise<unknown>;
  observe(): Promise<MountObservation>;
  unpublish(): Promise<UnmountOutcome>;
}

/** @throws DriverError `MountCovered`, `MountTargetConflict`, `Busy`, or what the bind failed with. */
export async function bindOrReplace({ bind, observe, unpublish }: BindSteps): Promise<void> {
  try {
    await bind();
    return;
  } catch (error) {
    const failure = toDriverError(error, Reason.MountFailed);
    if (failure.reason !== Reason.MountTargetConflict) throw failure;
    // Something is there that the bind did not recognise.
    const seen = await observe();
    if (seen.state === 'overmounted') throw new DriverError(Reason.MountCovered, seen.message, { cause: error });
    if (seen.state !== 'stale') throw failure;
  }
  const outcome = await unpublish();
  if (outcome.outcome !== 'done') {
    const holders = outcome.outcome === 'upload-pending' ? [] : outcome.holders;
    const pids = holders.map(({ pid, comm }) => `${pid} (${comm})`).join(', ');
    throw new DriverError(Reason.Busy, `the mount of a removed directory is still in use by ${pids}`);
  }
  try {
    await bind();
  } catch (error) {
    throw toDriverError(error, Reason.MountFailed);
  }
}
