/** What the controller's part of a Backup works with. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Namespace } from '../../api/core.ts';
import type { DestinationDefaults } from '../../api/destination-defaults.ts';
import { ANNOTATIONS, hasUidBoundAnnotation } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventSink } from '../../kube/events.ts';
import type { ReadStore, Store } from '../../runtime/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Expiry } from '../support/expiry.ts';
import type { Live } from '../support/live.ts';
import type { Writer } from '../support/writes.ts';
import { isPartOf } from './parts.ts';

/** VolumeBackups by the key of the Backup that they name. */
const BY_BACKUP = 'backup';
/** VolumeBackups that have not ended: few, beside those of all Backups that are kept. */
const UNFINISHED = 'unfinished';

export interface BackupBindingDependencies {
  readonly backups: ReadStore<Backup>;
  readonly parts: ReadStore<VolumeBackup>;
  readonly repositories: ReadStore<BackupRepository>;
  readonly volumes: ReadStore<Volume>;
  readonly nodes: ReadStore<StorageNode>;
  readonly classes: ReadStore<VolumeClass>;
  readonly namespaces: ReadStore<Namespace>;
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  /** What completes the repositories that are made for destinations. */
  readonly destinations?: readonly DestinationDefaults[] | undefined;
  readonly client: Pick<KubeClient, 'get' | 'list' | 'listPages' | 'create' | 'patch' | 'delete'>;
  /** Right before something is ended, or let go, for good. */
  readonly live: Live;
  readonly expiry: Expiry;
  readonly writer: Writer;
  /** As the field manager `backups`: what is said of volumes. */
  readonly volumeWriter: Writer;
  readonly events: EventSink;
  readonly metrics?: Metrics | undefined;
}

/** Adds the indexes that {@link partsOf} and {@link unfinishedParts} need. */
export function addPartIndexes(parts: Pick<Store<VolumeBackup>, 'addIndex'>): void {
  parts.addIndex(BY_BACKUP, backupOf);
  parts.addIndex(UNFINISHED, unfinished);
}

export function backupOf({ metadata, spec }: VolumeBackup): readonly string[] {
  return [keyOf({ metadata: { namespace: metadata.namespace ?? '', name: spec.backupRef.name } })];
}

export function partsOf(backup: Backup, { parts }: Pick<BackupBindingDependencies, 'parts'>): readonly VolumeBackup[] {
  return parts.byIndex(BY_BACKUP, keyOf(backup)).filter((part) => isPartOf(part, backup));
}

function unfinished(part: VolumeBackup): readonly string[] {
  return hasEnded(part) ? [] : [UNFINISHED];
}

/** Those of every Backup. */
export function unfinishedParts({ parts }: Pick<BackupBindingDependencies, 'parts'>): readonly VolumeBackup[] {
  return parts.byIndex(UNFINISHED, UNFINISHED);
}

/** An object of the same namespace. */
export function sibling(backup: Pick<Backup, 'metadata'>, name: string): string {
  return keyOf({ metadata: { namespace: backup.metadata.namespace ?? '', name } });
}

export function repositoryOf(
  backup: Backup,
  { repositories }: Pick<BackupBindingDependencies, 'repositories'>,
): BackupRepository | undefined {
  const name = backup.status?.repositoryRef?.name ?? backup.spec.repositoryRef?.name;
  return name === undefined ? undefined : repositories.get(sibling(backup, name));
}

/** Nothing of ours runs on the node any more, as far as a person vouches, or has taken it out of the cluster. */
export function isGone(nodeName: string, { nodes, isLost }: BackupBindingDependencies): boolean {
  const node = nodes.get(nodeName);
  return node === undefined || (isLost(nodeName) && hasUidBoundAnnotation(node, ANNOTATIONS.nodeFenced));
}
