/** What the wiring of each controller of the cluster is given: the caches that they share, and what its reconcilers need. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Namespace } from '../../api/core.ts';
import type { Restore } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventSink } from '../../kube/events.ts';
import type { Cache } from '../../runtime/source.ts';
import type { Clock } from '../../telemetry/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Expiry } from './expiry.ts';
import type { Writer } from './writes.ts';

/** All objects of the cluster. */
export interface ControllerCaches {
  readonly volumes: Cache<Volume>;
  readonly mounts: Cache<VolumeMount>;
  readonly snapshots: Cache<Snapshot>;
  readonly nodes: Cache<StorageNode>;
  readonly restores: Cache<Restore>;
  readonly volumeRestores: Cache<VolumeRestore>;
  readonly backups: Cache<Backup>;
  readonly repositories: Cache<BackupRepository>;
  readonly classes: Cache<VolumeClass>;
  readonly namespaces: Cache<Namespace>;
}

export interface ControllerWiring {
  readonly caches: ControllerCaches;
  readonly client: KubeClient;
  readonly writer: Writer;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly expiry: Expiry;
  /** Run only while leading. */
  readonly leaderOnly: boolean;
  /** Whether a node can not be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
}
