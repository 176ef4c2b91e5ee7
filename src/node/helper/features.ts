/** What this kernel lets the helper do, tried rather than inferred from a version. */
import type { NodeFeature } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import { probeQuotaCalls } from '../quota/project-quota.ts';
import type { HelperContext } from './context.ts';
import { Fd } from './fd.ts';
import { AT_FDCWD, MOUNT_ATTR, MS_PRIVATE, O_DIRECTORY, O_PATH, RESOLVE_NO_SYMLINKS } from './libc.ts';

/** Reasons are PascalCase constants; nothing is left behind by the attempts. */
export function probeFeatures(context: HelperContext, koffiProblem: string | undefined): readonly NodeFeature[] {
  const { libc } = context;
  const koffi: NodeFeature =
    koffiProblem === undefined
      ? { name: 'Koffi', available: true, reason: '', message: 'system calls are made directly' }
      : {
          name: 'Koffi',
          available: false,
          reason: 'KoffiNotLoadable',
          message: `mounts are made by util-linux commands, and hostPath volumes are off: ${koffiProblem}`,
        };
  return [
    koffi,
    probe('UserPaths', 'openat2', () => {
      libc.close(libc.openat2(AT_FDCWD, '/', O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS));
    }),
    probe('BindMounts', 'open_tree and mount_setattr', () => {
      using tree = new Fd(libc, libc.openTree(AT_FDCWD, '/', { recursive: false }));
      const set = MOUNT_ATTR.ro | MOUNT_ATTR.nosuid | MOUNT_ATTR.nodev;
      libc.mountSetattr(tree.number, { set, clear: 0, propagation: MS_PRIVATE }, { recursive: false });
    }),
    probe('MountEvents', 'poll of the mount table', () => {
      using table = new Fd(libc, libc.openat2(AT_FDCWD, '/proc/self/mountinfo', 0, 0));
      libc.onMountEvent(table.number, () => undefined).close();
    }),
    probe('QuotaCalls', 'quotactl_fd', () => probeQuotaCalls(libc)),
  ];
}

function probe(name: string, what: string, attempt: () => void): NodeFeature {
  try {
    attempt();
    return { name, available: true, reason: '', message: `${what} works` };
  } catch (error) {
    const { code, message } = NodeError.from(error);
    return { name, available: false, reason: code, message: `${what} does not work: ${message}` };
  }
}
