import type { Remedies } from './remedy.ts';

/** Room on pools and disks. */
export const SPACE = {
  InsufficientCapacity: {
    affected: 'The volume or snapshot is not made; others are not touched.',
    action:
      'Delete volumes or snapshots on the pool, enlarge its disk, or ask for less. It is tried again when space is freed.',
  },
  Overcommitted: {
    affected: 'Nothing yet: if all volumes are filled, the pool is full before they are.',
    action:
      'Watch `status.pools[].free` of the StorageNode, enlarge the disk in time, or use classes with `provisioning: Thick`.',
  },
  PoolLowSpace: {
    affected:
      'No new volumes and snapshots on the pool. If it gets worse, writers are held until there is room, before a write can fail.',
    action: 'Free space on the disk of the pool, or enlarge it. It goes on by itself.',
  },
  NoSpace: {
    affected: 'What was to be written is not; what was there is whole.',
    action: 'Free space, or raise the quota, where the message says. It is tried again.',
  },
} as const satisfies Remedies;
