/** What becomes of storage by itself, as keys: a server that died, a process that ended, a use that was the last one. */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting, keyOf } from '../../api/meta.ts';
import type { Driver } from '../../drivers/driver.ts';
import type { ChannelSource } from '../../runtime/source.ts';
import { channelSource } from '../../runtime/source.ts';
import type { AgentStores } from './agent.ts';
import { DRIFT } from './drift.ts';
import { BY_UID, BY_VOLUME } from './indexes.ts';
import type { Uses } from './uses.ts';

export interface StorageChanges {
  readonly volumes: ChannelSource;
  readonly mounts: ChannelSource;
  readonly snapshots: ChannelSource;
}

/** A volume that is not read any more may be grown or unstaged; many uses often end together. */
const FREED = { priority: -50, afterMs: 500 } as const;

/**
 * What drivers notice by themselves, as keys of the volume and of its mounts, ahead of everything else; and the end of the
 * last use of something, which lets others go on.
 */
export function storageChanges(drivers: readonly Driver[], uses: Uses, stores: AgentStores): StorageChanges {
  const [volumes, mounts] = [channelSource('storage'), channelSource('storage-of-mounts')];
  const snapshots = channelSource('storage-of-snapshots');
  for (const driver of drivers) {
    driver.onChange?.((uid) => {
      for (const volume of stores.volumes.byIndex(BY_UID, uid)) {
        const key = keyOf(volume);
        for (const mount of stores.mounts.byIndex(BY_VOLUME, key)) mounts.send(keyOf(mount), DRIFT);
        volumes.send(key, DRIFT);
      }
    });
  }
  uses.onFree((uid) => {
    for (const volume of stores.volumes.byIndex(BY_UID, uid)) {
      const key = keyOf(volume);
      volumes.send(key, isDeleting(volume) ? {} : FREED);
      const waiting = stores.mounts
        .byIndex(BY_VOLUME, key)
        .filter(({ status }) => !isTrue(status?.conditions, 'Ready'));
      for (const mount of waiting) mounts.send(keyOf(mount));
    }
    for (const snapshot of stores.snapshots.byIndex(BY_UID, uid))
      if (isDeleting(snapshot)) snapshots.send(keyOf(snapshot));
  });
  return { volumes, mounts, snapshots };
}
