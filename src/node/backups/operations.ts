/** The helper's operation that runs a backup engine: declared here, registered in `helper/registry.ts`. */
import type { Operation } from '../operations.ts';
import type { TreeSource } from '../trees/operations.ts';

/**
 * Directory below which the engine finds all that it is given. A tmpfs of its own covers it in the engine's mount
 * namespace; elsewhere on the machine nothing changes there.
 */
export const ENGINE_ROOT = '/run/clawstore';

export interface RunEngine {
  /** Program (absolute path, or a name to be looked for) and arguments; never passed through a shell. */
  readonly argv: readonly [string, ...string[]];
  /** All of its environment. Secrets belong here and nowhere else. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path, as the engine sees it. */
  readonly cwd: string;
  readonly places: readonly EnginePlace[];
  /** What it sees as the name of the machine; the real one when absent. */
  readonly hostname?: string;
  /** Written to its standard input, which is empty when absent. */
  readonly stdin?: Uint8Array;
}

/** Something below ENGINE_ROOT; `at` is relative to it. Directories above are made. */
export type EnginePlace =
  | {
      readonly kind: 'directory';
      readonly at: string;
      readonly source: TreeSource;
      /** `major:minor` that it must lie on: where it should be a mount point, the bare directory below must not do. */
      readonly device?: string;
      /** Bound without leaving access times when read-only; symbolic links in it lead nowhere. What is mounted below the directory is not there. */
      readonly readOnly: boolean;
      /** It is made where it is missing. */
      readonly make?: boolean;
      /** Refused with `MountBelow` where anything is mounted below it: what removes directories must not meet that. */
      readonly alone?: boolean;
      /** Refused with `WithinOther` where it lies in the directory of another place, by another mount of the same too. */
      readonly apart?: boolean;
    }
  | { readonly kind: 'file'; readonly at: string; readonly content: Uint8Array }
  | {
      readonly kind: 'nfs';
      readonly at: string;
      /** Host name or address, without brackets. */
      readonly server: string;
      /** Absolute path of the export. */
      readonly path: string;
      /** Directory below it, relative; empty = the export itself. It is made where `make` is set. */
      readonly subPath: string;
      readonly make?: boolean;
      /** For `mount.nfs -o`, one word each. */
      readonly options: readonly string[];
      readonly readOnly: boolean;
    };

export interface EngineOutcome {
  /** Exit status; 128 and the number of the signal when it was ended by one. */
  readonly status: number;
}

export interface BackupOperations {
  /**
   * Runs a program in a mount namespace of its own, which goes with it. Its output comes by `CallOptions.onOutput`,
   * the bytes that it has read and written so far, of files and sockets together, by `onProgress`.
   *
   * Ended by its signal, at its deadline, and when the agent or the helper dies: with SIGINT first, so that an engine
   * removes its locks, with SIGKILL after {@link ENGINE_GRACE_MS}. Call it with `tidyMs` of ENGINE_TIDY_MS, and with
   * NO_DEADLINE_MS where it may take long.
   *
   * Rejects with `Unsupported` where the program does not exist, and as opening and mounting the places does.
   */
  runEngine: Operation<RunEngine, EngineOutcome>;
  /**
   * Names of the regular files in a directory and, as `FOLDER/NAME`, in these folders of it; no link is followed. A folder that
   * is missing has none.
   */
  fileNames: Operation<{ readonly source: TreeSource; readonly folders: readonly string[] }, readonly string[]>;
}

/** Milliseconds that an engine gets to end by itself. */
export const ENGINE_GRACE_MS = 15_000;
/** The same, and the time to tell of it. */
export const ENGINE_TIDY_MS = ENGINE_GRACE_MS + 5_000;
