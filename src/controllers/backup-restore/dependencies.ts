/** What the Restores from backups of one controller share. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Restore } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Live } from '../support/live.ts';
import type { Writer } from '../support/writes.ts';
import type { RestoreContent } from './content.ts';
import type { ObjectResult } from './objects.ts';

export interface BackupRestoreDependencies {
  readonly restores: ReadStore<Restore>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly backups: ReadStore<Backup>;
  readonly repositories: ReadStore<BackupRepository>;
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  readonly nodes: ReadStore<StorageNode>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  readonly client: Pick<KubeClient, 'create' | 'get' | 'replace' | 'patch' | 'delete'>;
  /** Right before it is ended for good. */
  readonly live: Live;
  readonly writer: Writer;
  readonly events: EventSink;
  readonly metrics?: Metrics | undefined;
}

/** What was read and done for one Restore; a restart reads and finds it again. */
export interface Memory {
  content?: RestoreContent;
  /** Objects that were made before and after the volumes. */
  first?: ObjectResult;
  last?: ObjectResult;
  /** When progress was written last, on the clock that never jumps. */
  writtenAt?: number;
}

export interface Dependencies extends BackupRestoreDependencies {
  readonly memories: Map<string, Memory>;
}

export function memoryOf({ metadata }: Restore, { memories }: Dependencies): Memory {
  const uid = metadata.uid ?? '';
  const memory = memories.get(uid) ?? {};
  memories.set(uid, memory);
  return memory;
}
