/**
 * Filesystems served by a process (FUSE): the process outlives this helper and the agent, so that a restart of ours
 * leaves every mount in place. Declared here, registered in `helper/registry.ts`.
 */
import type { BindResult, Holder, TargetPath } from '../layer.ts';
import type { Operation } from '../operations.ts';

/** A directory of ours for one daemon; everything about it lies there: what it runs as, its log, its cache. */
export interface DaemonPlace {
  /** Absolute, mode 0700; also the working directory of the program. */
  readonly directory: string;
}

export interface StartMountDaemon extends DaemonPlace {
  /** Name for people, and of the systemd unit where systemd runs it: letters, digits and `-`. */
  readonly name: string;
  /** The program and its arguments; it stays in the foreground and mounts `target` by itself. */
  readonly argv: readonly [string, ...string[]];
  /** The whole environment beside PATH; passed in a file of mode 0600, never as arguments. */
  readonly env: Readonly<Record<string, string>>;
  /** Files in the directory that an earlier one may have left and this one makes anew, e.g. its socket. */
  readonly discard: readonly string[];
  readonly target: TargetPath;
  /** How the mount table names what it mounts: nothing else at the target counts as ours. */
  readonly fsType: string;
  readonly source: string;
}

export interface StaleCopies {
  /** Where it is mounted first of all. */
  readonly target: TargetPath;
  readonly fsType: string;
  readonly source: string;
  /** `major:minor` of what is served now. */
  readonly device: string;
}

/** A process that runs, told apart from a later one with the same number by its start (proc_pid_stat(5), field 22). */
export interface DaemonProcess {
  readonly pid: number;
  readonly startTime: string;
}

export interface MountDaemonOperations {
  /**
   * Starts the program and waits until its mount is in the table; there already = nothing is done. A mount of ours whose
   * process has died is detached first. Rejects with `CommandFailed` and the end of its log when it ends instead.
   */
  startMountDaemon: Operation<StartMountDaemon, BindResult & { readonly process: DaemonProcess }>;
  /** At most five processes in other mount namespaces that still see an older mount than the one on `device`. */
  staleCopies: Operation<StaleCopies, readonly Holder[]>;
  /** The process that was started for this place, while it runs. */
  findDaemon: Operation<DaemonPlace, DaemonProcess | null>;
  /** Answers when this process has ended, which may take for ever: call it with a long deadline. */
  awaitDaemonEnd: Operation<DaemonProcess, null>;
  /** SIGTERM, and SIGKILL when that does not help within the given milliseconds; ended already is success. */
  stopDaemon: Operation<DaemonPlace & { readonly patienceMs: number }, null>;
}
