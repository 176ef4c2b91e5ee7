/** The agent's controller of VolumeBackups, and what queues their keys. */
import type { VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { keyOf, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Cache } from '../../runtime/source.ts';
import { channelSource } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import type { BackupAgentWiring } from '../support/agent-wiring.ts';
import { BY_UID, uidOf } from '../support/indexes.ts';
import { Jobs } from '../support/jobs.ts';
import { workMentions } from '../support/named-data.ts';
import { conditionsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { Leftovers } from './leftovers.ts';
import { volumeBackupReconciler } from './reconciler.ts';
import type { ReadingRecords } from './records.ts';

export interface VolumeBackupWiring extends BackupAgentWiring {
  readonly records: ReadingRecords;
}

/** The controller gives a node as many as it can take; this only bounds what a mistake of it would do. */
const READ_AT_ONCE = 4;
const CONCURRENCY = 16;

export function addVolumeBackups(manager: Manager, wiring: VolumeBackupWiring): void {
  const { dependencies, tools, caches, named, records, own, clock, log } = wiring;
  const parts = manager.cache<VolumeBackup>(VOLUME_BACKUPS, own);
  parts.store.addIndex(BY_UID, uidOf);
  named.follow(parts, workMentions);
  const jobs = new Jobs({ ...wiring.jobs, name: 'volume-backup', concurrency: () => READ_AT_ONCE });
  const swept = channelSource('backup-leftovers');
  const isOurs = (part: VolumeBackup): boolean => part.status?.nodeName === dependencies.nodeName;
  const leftovers = new Leftovers({
    drivers: dependencies.drivers,
    records,
    isWanted: (uid) => {
      const [part] = parts.store.byIndex(BY_UID, uid);
      if (part === undefined || !isOurs(part) || hasEnded(part)) return 'no';
      return jobs.has(keyOf(part)) ? 'running' : 'untold';
    },
    log,
  });
  const unfinished = (): string[] =>
    parts.store
      .list()
      .filter((part) => isOurs(part) && !hasEnded(part))
      .map(keyOf);
  manager.addController({
    name: 'volume-backup',
    concurrency: CONCURRENCY,
    reconcile: volumeBackupReconciler({ ...dependencies, parts: parts.store, tools, records, leftovers, jobs }),
    sources: [
      deltaSource(parts, partKeys),
      deltaSource(caches.volumes, (delta) => (concerns(delta) ? waitingFor(delta, parts) : [])),
      jobs.source,
      swept,
      named.source('named-data-of-volume-backups', unfinished),
      resyncSource('volume-backup-resync', clock, RESYNC_MS, unfinished),
    ],
  });
  manager.addRunnable(jobs.closer('volume-backups'));
  manager.addRunnable(
    leftovers.runnable(
      (signal) => parts.synced(signal),
      () => unfinished().forEach((key) => swept.send(key)),
    ),
  );
}

/** What people and the controller say, and that it has ended, so that its record goes. */
function partKeys(delta: Delta<VolumeBackup>): Wanted[] {
  if (delta.type !== 'updated') return [{ key: delta.key }];
  const { old, object } = delta;
  return ordersDiffer(old, object) || hasEnded(old) !== hasEnded(object) ? [{ key: delta.key }] : [];
}

function concerns(delta: Delta<Volume>): boolean {
  if (delta.type !== 'updated') return true;
  return ordersDiffer(delta.old, delta.object) || conditionsDiffer(delta.old, delta.object, ['Provisioned']);
}

/** Parts of a volume that may be read now, or never. */
function waitingFor(delta: Delta<Volume>, parts: Cache<VolumeBackup>): Wanted[] {
  const { uid } = (delta.type === 'deleted' ? delta.old : delta.object).metadata;
  return parts.store
    .list()
    .filter((part) => part.spec.volumeUID === uid && !hasEnded(part) && !isTrue(part.status?.conditions, 'Ready'))
    .map((part) => ({ key: keyOf(part) }));
}
