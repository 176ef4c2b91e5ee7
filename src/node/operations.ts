/**
 * The operations of the helper process by name, with what goes in and what comes out. Values cross the channel by
 * structured clone: bigint, Map and Uint8Array are fine, functions and classes are not.
 *
 * Adding operations: declare them in an interface in your own folder, extend `Operations` by it here, and register the
 * handlers in `helper/registry.ts`.
 */
import type { BackupOperations } from './backups/operations.ts';
import type { ImageOperations } from './images/operations.ts';
import type {
  BindOwn,
  BindResult,
  BindUserPath,
  FilesystemSize,
  Holder,
  Location,
  MountTmpfs,
  NodeFeature,
  ObserveTarget,
  TargetObservation,
  TargetPath,
  UnmountOutcome,
  UnmountRequest,
  UserPath,
} from './layer.ts';
import type { MountDaemonOperations } from './mount-daemons/operations.ts';
import type { MountEntry } from './mount-entry.ts';
import type { NetworkOperations } from './network/operations.ts';
import type { QuotaOperations } from './quota/operations.ts';
import type { TreeOperations } from './trees/operations.ts';

export interface Operation<Params, Result> {
  readonly params: Params;
  readonly result: Result;
}

/** Known to the helper from its first request on. */
export interface HelperSettings {
  /** No user's path may meet this directory or the mount root. */
  readonly stateDir: string;
  readonly mountRoot: string;
  /** Processes that serve mounts are started by the mount holder of the node. */
  readonly mountHolder: boolean;
}

export interface MountOperations {
  configure: Operation<HelperSettings, null>;
  ping: Operation<null, { readonly pid: number }>;
  features: Operation<null, readonly NodeFeature[]>;
  /** Starts sending the mount table; resolves after the first full copy was sent. */
  watchMounts: Operation<null, null>;
  prepareMountRoot: Operation<{ readonly path: string }, MountEntry>;
  inspectUserPath: Operation<UserPath, Location | null>;
  ensureUserPath: Operation<UserPath & { readonly create: boolean }, Location>;
  bindUserPath: Operation<BindUserPath, BindResult>;
  bindOwn: Operation<BindOwn, BindResult>;
  tmpfs: Operation<MountTmpfs, BindResult>;
  observeTarget: Operation<ObserveTarget, TargetObservation>;
  unmount: Operation<UnmountRequest, UnmountOutcome>;
  statfs: Operation<{ readonly path: string }, FilesystemSize>;
  holders: Operation<{ readonly mountId: number }, readonly Holder[]>;
  removeTree: Operation<TargetPath, null>;
  /** Locks the open file description behind `fd` of process `pid` (the agent), which keeps holding it. */
  lockDescription: Operation<{ readonly pid: number; readonly fd: number }, { readonly locked: boolean }>;
  /** Runs a command (argv, no shell) that is killed with its children when the request's deadline passes. */
  run: Operation<RunCommand, CommandResult>;
}

export interface RunCommand {
  /** Program and arguments; never passed through a shell. */
  readonly argv: readonly [string, ...string[]];
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** How much is kept of each output, in bytes; 64 KiB unless said. */
  readonly keepBytes?: number;
}

export interface CommandResult {
  /** Exit status; null when ended by a signal. */
  readonly status: number | null;
  readonly signal: string | null;
  /** The last {@link RunCommand.keepBytes} of each at most. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface Operations
  extends MountOperations,
    BackupOperations,
    ImageOperations,
    MountDaemonOperations,
    NetworkOperations,
    QuotaOperations,
    TreeOperations {}
