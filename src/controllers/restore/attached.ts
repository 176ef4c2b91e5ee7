/** Mounts of a volume that goes back while it is mounted: taken down by their own reconcile, and made again by it afterwards. Pure. */
import { findCondition } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import type { Restore } from '../../api/restore.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { hasFinalizer } from '../support/annotations.ts';

/** How long mounts may take to be taken down, in milliseconds: whoever is busy then keeps the volume as it is. */
export const TAKE_DOWN_MS = 60_000;

/** Mounts are taken down for it, and made again when it has ended. */
export function remounts({ spec }: Pick<Restore, 'spec'>): boolean {
  return spec.whenAttached === 'Remount';
}

/** What a mount says while a Restore has taken it down. */
export function takenDownFor(restoreName: string): string {
  return `It was taken down for restore "${restoreName}", and is made again when that has ended.`;
}

/** The mount was begun, and nothing says that it is not there because of this Restore. */
export function stillAttached(mount: VolumeMount, restoreName: string): boolean {
  if (!hasFinalizer(mount, FINALIZERS.mount)) return false;
  const mounted = findCondition(mount.status?.conditions, 'Mounted');
  return mounted?.status !== 'False' || mounted.message !== takenDownFor(restoreName);
}

/** It is not there because a Restore took it down: that it is made again mends nothing. */
export function wasTakenDown({ status }: VolumeMount): boolean {
  const mounted = findCondition(status?.conditions, 'Mounted');
  return mounted?.status === 'False' && mounted.reason === 'RestoreInProgress';
}
