/** What a look at a target means, for every driver that publishes by bind mount. Pure. */
import { Reason } from '../api/reasons.ts';
import type { TargetObservation, TargetPath } from '../node/layer.ts';
import { DELETED_SUFFIX, hasGivenUp, hidesRoot, type MountEntry } from '../node/mount-entry.ts';
import { DriverError, type DriverMount, type MountObservation, type MountState } from './driver.ts';

/** What should be mounted at a target. */
export interface WantedMount {
  readonly readOnly: boolean;
  /** Attributes that must be among the mount's options; others may be there too. */
  readonly options: readonly string[];
  /** What the data comes from, for people. */
  readonly sourceName: string;
  /** The filesystem was made for the volume: it is read-only for no reason but a failure. */
  readonly ownFilesystem?: boolean;
}

/** Attributes that restrict: each that is wanted must be there. */
const RESTRICTING: readonly string[] = ['nosuid', 'nodev', 'noexec', 'nosymfollow'];

/** Compares what was found at a target with what is wanted there. */
export function judgeTarget(seen: TargetObservation, wanted: WantedMount): MountObservation {
  const top = seen.stack.at(-1);
  const visible = seen.stack.find(({ id }) => id === seen.visibleMountId);
  const ours = seen.stack.filter((entry) => isOurs(entry, seen));
  const answer = (state: MountState, message: string, entry = visible ?? top): MountObservation => ({
    state,
    entry,
    source: ours.length > 0 ? wanted.sourceName : undefined,
    message,
  });
  if (top === undefined) return answer('absent', 'nothing is mounted at the target', undefined);
  if (visible === undefined) {
    return answer('overmounted', 'the mount is there, but a walk to the target does not meet it: a parent is covered');
  }
  if (isBroken(seen, visible, wanted)) {
    const message =
      'the kernel made its filesystem read-only or shut it down, as it does after an I/O error; see dmesg';
    return { ...answer('unresponsive', message), source: wanted.sourceName, reason: Reason.FilesystemFailed };
  }
  if (seen.problem !== null && seen.source === null) return answer('stale', seen.problem.message);
  const isVisibleOurs = isOurs(visible, seen);
  if (!isVisibleOurs && ours.length > 0) {
    return answer('overmounted', `${nameOf(visible)} is mounted over the volume`);
  }
  if (visible.root.endsWith(DELETED_SUFFIX)) return answer('stale', 'the directory that is mounted was removed');
  if (!isVisibleOurs && hasOurPlace(visible, seen)) {
    // The table learns of a removal only when it is read for another reason.
    return answer('stale', 'the directory that is mounted was removed, and another took its name');
  }
  if (!isVisibleOurs) return answer('foreign', `${nameOf(visible)} is mounted at the target`);
  if (seen.stack.length > 1)
    return answer('overmounted', `${seen.stack.length} mounts lie on the target; expected one`);
  const lacking = RESTRICTING.filter((option) => wanted.options.includes(option) && !visible.options.includes(option));
  if (lacking.length > 0) return answer('wrong-options', `the mount lacks ${lacking.join(', ')}`);
  const isReadOnly = visible.options.includes('ro');
  if (wanted.readOnly && !isReadOnly) return answer('wrong-options', 'the mount is writable and should be read-only');
  if (!wanted.readOnly && isReadOnly && seen.source?.readOnly !== true)
    return answer('wrong-options', 'the mount is read-only and should be writable');
  return answer('mounted', '');
}

/** Where a mount wants its volume. */
export function targetOf({ targetRoot, targetPath }: DriverMount): TargetPath {
  return { root: targetRoot, path: targetPath };
}

/** @throws DriverError where an unmount would meet what is not ours: `MountTargetConflict`, `MountCovered`. */
export function refuseOthers({ state, message }: MountObservation): void {
  if (state === 'foreign') throw new DriverError(Reason.MountTargetConflict, message);
  if (state === 'overmounted') throw new DriverError(Reason.MountCovered, message);
}

/** What is mounted there is of a filesystem that has given up: the wanted one, as far as it can still be asked. */
function isBroken(
  { source, problem, visible: inode }: TargetObservation,
  visible: MountEntry,
  { ownFilesystem }: WantedMount,
): boolean {
  if (source === null) return inode === null && problem?.errno === 'EIO';
  if (visible.device !== source.device) return false;
  return hasGivenUp(visible) || (ownFilesystem === true && visible.superOptions.includes('ro'));
}

function isOurs(entry: MountEntry, { source, visible, visibleMountId }: TargetObservation): boolean {
  if (source === null) return false;
  // A directory that took the name of a removed one has the same place and another inode.
  if (entry.id === visibleMountId && visible !== null) {
    return visible.stDev === source.stDev && visible.stIno === source.stIno;
  }
  return hasOurPlace(entry, { source });
}

function hasOurPlace(entry: MountEntry, { source }: Pick<TargetObservation, 'source'>): boolean {
  return source !== null && entry.device === source.device && (entry.root === source.root || hidesRoot(entry));
}

function nameOf({ source, fsType, root }: MountEntry): string {
  return root === '/' ? `${source} (${fsType})` : `${source}${root} (${fsType})`;
}
