/** Turns the node layer's errors into the drivers', with the reason that a status will show. */
import { Reason } from '../api/reasons.ts';
import { NodeError, type NodeErrorCode } from '../node/node-error.ts';
import { DriverError } from './driver.ts';

/** Codes that mean the same wherever they come from; what is not here takes the reason of the call that failed. */
const REASON_BY_CODE: Partial<Record<NodeErrorCode, Reason>> = {
  HostPathNotAllowed: Reason.HostPathNotAllowed,
  HostPathNotFound: Reason.HostPathNotFound,
  HostPathNotADirectory: Reason.HostPathNotDirectory,
  SymlinkInPath: Reason.HostPathIsSymlink,
  InvalidPath: Reason.InvalidSpec,
  InvalidRequest: Reason.MountOptionNotAllowed,
  ForeignMount: Reason.MountTargetConflict,
  Overmounted: Reason.MountCovered,
  Unsupported: Reason.KernelFeatureMissing,
  PermissionDenied: Reason.PermissionDenied,
  NoSpace: Reason.InsufficientCapacity,
  Busy: Reason.Busy,
  FreezeTimeout: Reason.FreezeTimeout,
  DeadlineExceeded: Reason.DeadlineExceeded,
  HelperLost: Reason.HelperUnavailable,
  HolderUnavailable: Reason.MountHolderUnavailable,
};

/** The filesystem was shut down, or is damaged: nothing that is asked of it works. */
const BROKEN: readonly string[] = ['EIO', 'EUCLEAN'];

/** `otherwise` is the reason when the code alone does not give one, e.g. `MountFailed`. */
export function toDriverError(thrown: unknown, otherwise: Reason): DriverError {
  if (thrown instanceof DriverError) return thrown;
  const error = NodeError.from(thrown);
  const byErrno = error.errno !== undefined && BROKEN.includes(error.errno) ? Reason.FilesystemFailed : undefined;
  return new DriverError(REASON_BY_CODE[error.code] ?? byErrno ?? otherwise, error.message, {
    terminal: !error.retryable,
    cause: thrown,
  });
}

/** Runs one step of a driver; what it throws comes out as `DriverError`. */
export async function asDriver<T>(otherwise: Reason, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw toDriverError(error, otherwise);
  }
}
