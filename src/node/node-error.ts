/**
 * The node layer's error: a code that callers branch on, and the system call behind it where there was one.
 *
 * `retryable` says whether the same call may succeed later without a person changing the request.
 */
export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly code: NodeErrorCode;
  readonly retryable: boolean;
  /** `ENOENT` and the like; undefined when no system call failed. */
  readonly errno: string | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;

  constructor(code: NodeErrorCode, message: string, details: NodeErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? RETRYABLE.has(code);
    this.errno = details.errno;
    this.syscall = details.syscall;
    this.path = details.path;
  }

  /** Normalises anything thrown; errors of Node's `fs` keep their errno, system call and path. */
  static from(thrown: unknown, code: NodeErrorCode = 'Failed'): NodeError {
    if (thrown instanceof NodeError) return thrown;
    if (thrown instanceof Error) {
      const { code: errno, syscall, path } = thrown as NodeJS.ErrnoException;
      return new NodeError(code, thrown.message, { errno, syscall, path, cause: thrown });
    }
    return new NodeError(code, String(thrown));
  }

  /** Plain data for the channel between helper and agent. */
  toWire(): NodeErrorWire {
    const { code, message, retryable, errno, syscall, path } = this;
    return { code, message, retryable, errno, syscall, path };
  }

  static fromWire(wire: NodeErrorWire): NodeError {
    return new NodeError(wire.code, wire.message, wire);
  }
}

export interface NodeErrorDetails {
  readonly retryable?: boolean | undefined;
  readonly errno?: string | undefined;
  readonly syscall?: string | undefined;
  readonly path?: string | undefined;
  readonly cause?: unknown;
}

export interface NodeErrorWire {
  readonly code: NodeErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly errno: string | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
}

/** Every code, with what it means. The words that can reach a user's status are the same there. */
export type NodeErrorCode =
  /** The path is outside the allowed prefix, a system directory, or overlaps our own directories. */
  | 'HostPathNotAllowed'
  | 'HostPathNotFound'
  | 'HostPathNotADirectory'
  /** A component of the path is a symbolic link; none is followed below the prefix. */
  | 'SymlinkInPath'
  /** Not an absolute normalised path, a NUL byte, a component above 255 bytes, or too long altogether. */
  | 'InvalidPath'
  /** Something that is not ours is mounted at the target. */
  | 'ForeignMount'
  /** Ours is at the target, and something is mounted over it. */
  | 'Overmounted'
  /** The target's directory holds files, so that mounting would hide them. */
  | 'TargetNotEmpty'
  /** What was found after mounting is not what was asked for; the mount was taken down again. */
  | 'VerificationFailed'
  /** A mount below the directory that was to be removed. */
  | 'MountBelow'
  /** A directory that must not lie in another one does, under whatever name. */
  | 'WithinOther'
  /** The directory belongs to a project (of a quota) that is not the one that was meant. */
  | 'OtherProject'
  /** The name of a server has no address. */
  | 'NameNotResolved'
  /** Another process holds the lock; the message names its pid. */
  | 'Locked'
  /** This kernel, or this machine without `koffi`, cannot do it. */
  | 'Unsupported'
  /** Not permitted to this process. */
  | 'PermissionDenied'
  /** No space, or no quota, left. */
  | 'NoSpace'
  | 'NotFound'
  | 'Busy'
  /** Writers would have been, or were, held for longer than allowed. */
  | 'FreezeTimeout'
  /** Not done in time; what was running has been killed. */
  | 'DeadlineExceeded'
  | 'Aborted'
  /** The helper died while the request was under way: it may or may not have been done. */
  | 'HelperLost'
  /** The mount holder of the node does not answer, or cannot work for this agent. */
  | 'HolderUnavailable'
  /** A command ended with a non-zero status; its last lines are in the message. */
  | 'CommandFailed'
  | 'InvalidRequest'
  | 'Failed';

const RETRYABLE: ReadonlySet<NodeErrorCode> = new Set<NodeErrorCode>([
  'HostPathNotFound',
  'ForeignMount',
  'Overmounted',
  'TargetNotEmpty',
  'VerificationFailed',
  'MountBelow',
  'OtherProject',
  'NameNotResolved',
  'Locked',
  'NoSpace',
  'NotFound',
  'Busy',
  'FreezeTimeout',
  'DeadlineExceeded',
  'Aborted',
  'HelperLost',
  'HolderUnavailable',
  'CommandFailed',
  'Failed',
]);
