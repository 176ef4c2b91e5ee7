/** Anything that went wrong, in the words of a condition. */

import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { BackupErrorCode } from '../../backup/backup-error.ts';
import { BackupError } from '../../backup/backup-error.ts';
import { DriverError } from '../../drivers/driver.ts';
import { KubeError } from '../../kube/errors.ts';
import { NodeError } from '../../node/node-error.ts';
import { ReconcileError } from '../../runtime/reconciler.ts';
import { cleanText } from '../../telemetry/redact.ts';

/** Why something is not as wanted. `stalled`: trying again without a change by a person cannot help. */
export interface Failure {
  readonly reason: Reason;
  readonly message: string;
  readonly stalled: boolean;
  /** What was thrown, when something was. */
  readonly cause?: unknown;
}

/** It goes on by itself. */
export function waiting(reason: Reason, message: string): Failure {
  return { reason, message, stalled: false };
}

/** A person must change something. */
export function refused(reason: Reason, message: string): Failure {
  return { reason, message, stalled: true };
}

/** Codes of the node layer whose word in a status is another one. */
const NODE_REASONS: Readonly<Record<string, Reason>> = {
  HostPathNotADirectory: 'HostPathNotDirectory',
  SymlinkInPath: 'HostPathIsSymlink',
  InvalidPath: 'InvalidSpec',
  ForeignMount: 'MountDrifted',
  Overmounted: 'MountCovered',
};

/** Codes of the backup engine whose word in a status is another one. */
const BACKUP_REASONS: Partial<Record<BackupErrorCode, Reason>> = {
  EngineMissing: 'CommandMissing',
  Unsupported: 'BackupNotSupported',
  InvalidRequest: 'InvalidSpec',
  NoRepository: 'RepositoryNotFound',
  NotEmpty: 'RepositoryNotEmpty',
  Unreachable: 'ServerUnreachable',
  NameNotResolved: 'ServerNameNotResolved',
  NoBucket: 'BucketNotFound',
  Locked: 'RepositoryLocked',
  Damaged: 'RepositoryDamaged',
  NotFound: 'BackupMissing',
  Stalled: 'DeadlineExceeded',
};

/**
 * Puts an error in the words of a condition; `fallback` is the reason of those that do not bring one of ours.
 *
 * @throws The error itself when it did not come from the storage: a failed request, or a stop.
 */
export function failureOf(thrown: unknown, fallback: Reason, signal: AbortSignal): Failure {
  if (signal.aborted || thrown instanceof KubeError) throw thrown;
  const message = cleanText(thrown instanceof Error ? thrown.message : String(thrown));
  if (thrown instanceof DriverError) {
    return { reason: reasonOf(thrown.reason, fallback), message, stalled: thrown.terminal, cause: thrown };
  }
  if (thrown instanceof NodeError) {
    return { reason: reasonOf(thrown.code, fallback), message, stalled: !thrown.retryable, cause: thrown };
  }
  if (thrown instanceof BackupError) {
    const reason = BACKUP_REASONS[thrown.code] ?? reasonOf(thrown.code, fallback);
    return { reason, message, stalled: !thrown.retryable, cause: thrown };
  }
  return { reason: fallback, message, stalled: false, cause: thrown };
}

/** The error that makes the loop try again with growing delay, after the status has been written. */
export function retryOf({ reason, message, cause }: Failure): ReconcileError {
  return new ReconcileError(reason, message, { cause });
}

function reasonOf(word: string, fallback: Reason): Reason {
  return NODE_REASONS[word] ?? (isReason(word) ? word : fallback);
}
