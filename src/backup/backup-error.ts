/**
 * The error of this layer: a code that callers branch on. `retryable` says whether the same call may succeed later
 * without a person changing something.
 */
import { NodeError, type NodeErrorCode } from '../node/node-error.ts';

export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly code: BackupErrorCode;
  readonly retryable: boolean;

  /** `message` must be free of secrets; `cause` is for logs and must be too. */
  constructor(code: BackupErrorCode, message: string, { retryable, cause }: BackupErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable ?? RETRYABLE.has(code);
  }

  /** Normalises anything thrown; errors of the node layer keep what they mean. */
  static from(thrown: unknown): BackupError {
    if (thrown instanceof BackupError) return thrown;
    const error = NodeError.from(thrown);
    return new BackupError(BY_NODE_CODE[error.code] ?? 'EngineFailed', error.message, {
      retryable: error.retryable,
      cause: thrown,
    });
  }
}

export interface BackupErrorDetails {
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
}

/** Every code, with what it means. */
export type BackupErrorCode =
  /** No engine is installed, or it does not start. */
  | 'EngineMissing'
  /** The engine, or the kernel, cannot do this; the message says what it takes. */
  | 'Unsupported'
  /** The request contradicts itself; the message names the field. */
  | 'InvalidRequest'
  /** There is nothing at the location. */
  | 'NoRepository'
  /** There is something else at the location than a repository. */
  | 'NotEmpty'
  | 'WrongPassword'
  /** The server does not answer. */
  | 'Unreachable'
  /** It answers with an error of its own (5xx). */
  | 'ServerError'
  | 'NameNotResolved'
  /** The server does not accept the credentials. */
  | 'CredentialsRejected'
  /** It knows them, and does not allow this. */
  | 'AccessDenied'
  | 'NoBucket'
  | 'RegionMismatch'
  | 'ClockSkew'
  | 'CertificateNotTrusted'
  /** Somebody else holds a lock that excludes this. */
  | 'Locked'
  /** The repository lacks data that it should have, or has other data. */
  | 'Damaged'
  /** No such snapshot, or no such path in it. */
  | 'NotFound'
  | 'TooLarge'
  /** The source, target or file repository is not there, or may not be used; the message says why. */
  | 'DirectoryUnusable'
  /** The repository lies in what is backed up to it, or restored from it, under whatever name. */
  | 'DestinationInVolume'
  /** No space, or no quota, is left where it writes. */
  | 'NoSpace'
  /** Nothing moved for too long. */
  | 'Stalled'
  | 'DeadlineExceeded'
  | 'Aborted'
  /** The engine was ended by somebody else, or with the helper process: it may or may not have been done. */
  | 'Interrupted'
  /** The engine failed for a reason that this layer has no name for; its last words are in the message. */
  | 'EngineFailed';

const RETRYABLE: ReadonlySet<BackupErrorCode> = new Set<BackupErrorCode>([
  'Unreachable',
  'ServerError',
  'NameNotResolved',
  'ClockSkew',
  'Locked',
  'NoSpace',
  'Stalled',
  'DeadlineExceeded',
  'Aborted',
  'Interrupted',
  'EngineFailed',
]);

const BY_NODE_CODE: Partial<Record<NodeErrorCode, BackupErrorCode>> = {
  HostPathNotAllowed: 'DirectoryUnusable',
  HostPathNotFound: 'DirectoryUnusable',
  HostPathNotADirectory: 'DirectoryUnusable',
  SymlinkInPath: 'DirectoryUnusable',
  NotFound: 'DirectoryUnusable',
  PermissionDenied: 'DirectoryUnusable',
  ForeignMount: 'DirectoryUnusable',
  MountBelow: 'DirectoryUnusable',
  WithinOther: 'DestinationInVolume',
  // Of the programs that are run on the way, mount.nfs is the one that fails.
  CommandFailed: 'Unreachable',
  VerificationFailed: 'Unreachable',
  InvalidPath: 'InvalidRequest',
  InvalidRequest: 'InvalidRequest',
  Unsupported: 'Unsupported',
  NoSpace: 'NoSpace',
  NameNotResolved: 'NameNotResolved',
  DeadlineExceeded: 'DeadlineExceeded',
  Aborted: 'Aborted',
  HelperLost: 'Interrupted',
};
