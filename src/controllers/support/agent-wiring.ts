/** What the wiring of each kind of object on an agent is given: the caches that all share, and what its reconcilers need. */
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Namespace } from '../../api/core.ts';
import type { Restore } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { KubeClient, Selection } from '../../kube/client.ts';
import type { Cache } from '../../runtime/source.ts';
import type { Clock } from '../../telemetry/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { AgentDependencies } from './agent.ts';
import type { JobsOptions } from './jobs.ts';
import type { NamedDataWatch } from './named-data.ts';
import type { BackupTools } from './repository-access.ts';

export interface AgentCaches {
  readonly mounts: Cache<VolumeMount>;
  /** Volumes of this node, and those of others that its mounts refer to. */
  readonly volumes: Cache<Volume>;
  readonly snapshots: Cache<Snapshot>;
  readonly restores: Cache<Restore>;
  readonly volumeRestores: Cache<VolumeRestore>;
  readonly repositories: Cache<BackupRepository>;
  readonly classes: Cache<VolumeClass>;
  readonly namespaces: Cache<Namespace>;
  readonly nodes: Cache<StorageNode>;
}

export interface AgentWiring {
  readonly dependencies: AgentDependencies;
  readonly caches: AgentCaches;
  readonly named: NamedDataWatch;
  /** Objects of this node, or all. */
  readonly own: Selection;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Jobs of all kinds share the turns and the uses; how many run at once is by type of volume, where no kind says more. */
  readonly jobs: Omit<JobsOptions, 'name'>;
  /** Keys worked on at once, per kind. */
  readonly concurrency: number;
}

/** What the wiring of backups is given beside that. */
export interface BackupAgentWiring extends AgentWiring {
  readonly tools: BackupTools;
}
