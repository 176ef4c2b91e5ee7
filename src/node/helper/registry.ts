/**
 * The helper's operations: which function answers which request.
 *
 * To add operations, write `Handlers<YourOperations>` in a folder of your own and spread it into `createHandlers`.
 */
import { BACKUP_HANDLERS } from '../backups/registry.ts';
import { IMAGE_HANDLERS } from '../images/registry.ts';
import { MOUNT_DAEMON_HANDLERS } from '../mount-daemons/registry.ts';
import { NETWORK_HANDLERS } from '../network/registry.ts';
import type { Operations } from '../operations.ts';
import { QUOTA_HANDLERS } from '../quota/registry.ts';
import { TREE_HANDLERS } from '../trees/registry.ts';
import { bindOwn, bindUserPath, ensureUserPath, inspectUserPath, tmpfs } from './bind.ts';
import { run } from './command.ts';
import * as commands from './command-mounts.ts';
import type { HelperContext, RequestContext } from './context.ts';
import { probeFeatures } from './features.ts';
import { findHolders } from './holders.ts';
import { prepareMountRoot } from './mount-root.ts';
import { observeTarget, statfs } from './observe.ts';
import { removeTree } from './remove-tree.ts';
import { targetName } from './target.ts';
import { mountById, unmount } from './unmount.ts';

export interface Handler<Params, Result> {
  /** May answer at once; whatever takes more than a few milliseconds returns a promise and yields in between. */
  run(context: HelperContext, params: Params, request: RequestContext): Result | Promise<Result>;
  /**
   * Paths that the operation walks. When one of them lies on a filesystem that can hang (network, FUSE), the operation
   * runs in a child process that is killed at the deadline.
   */
  paths?(params: Params): readonly string[];
  /** Filesystems whose root (not what is below) it looks at in ways that never wait for anybody. */
  readonly rootIsSafe?: (fsType: string) => boolean;
  /** Runs in such a child in any case: it may hang before the mount table shows why. */
  readonly alwaysIsolated?: true;
  /**
   * The child is of no use for anything else afterwards, and nothing that was changed in it concerns this process. It is
   * told when its time is up, and killed so many milliseconds later.
   */
  readonly changesNamespace?: { readonly tidyMs: number };
}

export type Handlers<Ops> = {
  readonly [K in keyof Ops]: Ops[K] extends { readonly params: infer Params; readonly result: infer Result }
    ? Handler<Params, Result>
    : never;
};

/** Operations that belong to the process itself. */
export type ProcessOperations = 'configure' | 'watchMounts';

export function createHandlers(koffiProblem: string | undefined): Handlers<Omit<Operations, ProcessOperations>> {
  return {
    ping: { run: () => ({ pid: process.pid }) },
    features: { run: (context) => probeFeatures(context, koffiProblem) },
    prepareMountRoot: { run: prepareMountRoot },
    inspectUserPath: { run: inspectUserPath, paths: ({ path }) => [path] },
    ensureUserPath: { run: ensureUserPath, paths: ({ path }) => [path] },
    bindUserPath: { run: bindUserPath, paths: ({ path, target }) => [path, targetName(target)] },
    bindOwn: {
      run: bindOwn,
      paths: ({ source, target }) => [targetName(source), targetName(target)],
      rootIsSafe: isFuse,
    },
    tmpfs: { run: tmpfs, paths: ({ target }) => [targetName(target)] },
    observeTarget: {
      run: observeTarget,
      paths: ({ target, user, own }) => [
        targetName(target),
        ...(user === undefined ? [] : [user.path]),
        ...(own === undefined ? [] : [targetName(own)]),
      ],
      rootIsSafe: isFuse,
    },
    unmount: { run: unmount, paths: ({ target }) => [targetName(target)] },
    statfs: { run: statfs, paths: ({ path }) => [path] },
    holders: {
      run: async (context, { mountId }, { signal }) => {
        const mount = mountById(context, mountId);
        return mount === undefined ? [] : await findHolders(context, mount, signal);
      },
    },
    removeTree: { run: removeTree, paths: (target) => [targetName(target)] },
    lockDescription: { run: ({ libc }, { pid, fd }) => ({ locked: libc.lockForeignDescription(pid, fd) }) },
    run: { run: (_, params, request) => run(params, request) },
    ...BACKUP_HANDLERS,
    ...IMAGE_HANDLERS,
    ...MOUNT_DAEMON_HANDLERS,
    ...NETWORK_HANDLERS,
    ...QUOTA_HANDLERS,
    ...TREE_HANDLERS,
    ...(koffiProblem === undefined ? {} : withoutKoffi()),
  };
}

/**
 * A path walk that ends at the root of a FUSE mount, `O_PATH`, and statx(2) without synchronising ask nothing of the process
 * that serves it (the kernel's `fs/fuse`: the root is not looked up and has no revalidation, cached attributes do). Other
 * filesystems, NFS among them, ask their server already at the end of the walk.
 */
function isFuse(fsType: string): boolean {
  return fsType === 'fuse' || fsType.startsWith('fuse.');
}

/** What commands can do instead; the rest answers `Unsupported`. */
function withoutKoffi(): Partial<Handlers<Omit<Operations, ProcessOperations>>> {
  return {
    prepareMountRoot: { run: commands.prepareMountRoot },
    bindOwn: { run: commands.bindOwn },
    tmpfs: { run: commands.tmpfs },
    observeTarget: { run: commands.observeTarget },
    unmount: { run: commands.unmount },
    statfs: { run: commands.statfs },
    holders: { run: () => [] },
  };
}
