import type { Remedies } from './remedy.ts';

/** `clawstore up --sync`: a folder or a Git repository in place of a cluster's GitOps tool. */
export const SYNC = {
  Pruning: {
    affected: 'Objects that left the source are still there until what depends on them is gone.',
    action:
      'Nothing: it goes on by itself. If it lasts, see which object of the message still has a finalizer, and why.',
  },
  SyncIncomplete: {
    affected: 'The files and objects that the status names are as they were before; everything else was applied.',
    action: 'Mend the file and line that `clawstore sync status` names.',
  },
  SyncFailed: {
    affected: 'Changes of the source wait; what was applied stays.',
    action: 'Nothing at first: it is tried again. If it lasts, see the log of `clawstore up`.',
  },
  SourceUnreachable: {
    affected: 'Changes of the source wait; what was applied stays.',
    action: 'See that the folder can be read, or that the Git server answers and the credentials are right.',
  },
  SourceRefused: {
    affected: 'Changes of the source wait; what was applied stays.',
    action: 'Let `--sync` name a folder of manifests, smaller than the limit that the message names.',
  },
  PruneRefused: {
    affected: 'Nothing was deleted; objects that were applied before stay.',
    action: 'Put the manifests back; or, if they really are to go, start with `--sync-allow-empty on`.',
  },
} as const satisfies Remedies;
