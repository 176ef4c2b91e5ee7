/** What the engine's snapshots of a repository say about backups. Pure. */
import type { BackupScope } from '../../api/backup.ts';
import { readTags } from '../../backup/catalogue.ts';
import type { SnapshotRecord } from '../../backup/engine.ts';

/** One whole backup: its document is there. */
export interface FoundBackup {
  readonly backupID: string;
  readonly clusterID: string;
  /** Where it was made. */
  readonly namespace: string;
  readonly name: string;
  readonly scope: BackupScope;
  readonly scheduleName: string | undefined;
  readonly isComplete: boolean;
  readonly volumes: number;
  readonly objects: number;
  readonly bytes: number;
  readonly dismissedBy: readonly string[];
  /** What the engine calls the document: the newest, where it was written twice. */
  readonly documentID: string;
  /** When the document was written. RFC 3339. */
  readonly time: string;
  /** What the engine calls all that is of it. */
  readonly snapshotIDs: readonly string[];
  /** Volumes that it should have and whose data is not there. */
  readonly lackingVolumes: number;
}

/** Parts of a backup that did not end, or has not yet. */
export interface LooseParts {
  readonly backupID: string;
  readonly clusterID: string;
  /** Where the Backup was. */
  readonly namespace: string;
  readonly snapshotIDs: readonly string[];
  /** When the newest of them was begun. Milliseconds since the epoch. */
  readonly newest: number;
}

export interface Catalogue {
  readonly backups: ReadonlyMap<string, FoundBackup>;
  readonly loose: readonly LooseParts[];
  /** Everything that is there, also what is not ours. */
  readonly snapshotIDs: ReadonlySet<string>;
}

interface Parts {
  document: SnapshotRecord | undefined;
  readonly records: SnapshotRecord[];
  readonly volumes: Set<string>;
  readonly backupID: string;
  readonly clusterID: string;
  readonly namespace: string;
}

/**
 * Sorts what there is by backup: the same ID of two clusters is two of them. What has no tags of ours is nobody's backup, and
 * left alone.
 */
export function catalogueOf(snapshots: readonly SnapshotRecord[]): Catalogue {
  const byBackup = new Map<string, Parts>();
  for (const record of snapshots) {
    const tags = readTags(record.tags);
    if (tags === undefined) continue;
    const key = `${tags.clusterID} ${tags.backupID}`;
    const parts = byBackup.get(key) ?? {
      document: undefined,
      records: [],
      volumes: new Set(),
      backupID: tags.backupID,
      clusterID: tags.clusterID,
      namespace: tags.namespace,
    };
    byBackup.set(key, parts);
    parts.records.push(record);
    if (tags.kind === 'volume') parts.volumes.add(tags.volumeName);
    else if (parts.document === undefined || parts.document.time <= record.time) parts.document = record;
  }
  const backups = new Map<string, FoundBackup>();
  const loose: LooseParts[] = [];
  for (const parts of byBackup.values()) {
    const found = foundBackup(parts);
    if (found === undefined) loose.push(looseParts(parts));
    else if ((backups.get(found.backupID)?.time ?? '') <= found.time) backups.set(found.backupID, found);
  }
  return { backups, loose, snapshotIDs: new Set(snapshots.map(({ id }) => id)) };
}

function foundBackup({ document, records, volumes }: Parts): FoundBackup | undefined {
  const tags = document === undefined ? undefined : readTags(document.tags);
  if (document === undefined || tags?.kind !== 'backup') return undefined;
  const { backupID, clusterID, namespace, scope, backupName, scheduleName, isComplete, objects, bytes } = tags;
  return {
    backupID,
    clusterID,
    namespace,
    name: backupName,
    scope,
    scheduleName,
    isComplete,
    volumes: tags.volumes,
    objects,
    bytes,
    dismissedBy: tags.dismissedBy,
    documentID: document.id,
    time: document.time,
    snapshotIDs: records.map(({ id }) => id),
    lackingVolumes: Math.max(0, tags.volumes - volumes.size),
  };
}

function looseParts({ records, backupID, clusterID, namespace }: Parts): LooseParts {
  return {
    backupID,
    clusterID,
    namespace,
    snapshotIDs: records.map(({ id }) => id),
    newest: Math.max(...records.map(({ time }) => Date.parse(time))),
  };
}

/** Parts of ours that nothing works on any more are left for so long, in milliseconds. */
export const LOOSE_MS = 86_400_000;

/** Parts that no backup will ever be made of: of this cluster, old, and of no Backup that is there. */
export function abandoned(
  { loose }: Catalogue,
  clusterID: string,
  isKnown: (backupID: string) => boolean,
  now: number,
): readonly LooseParts[] {
  return loose.filter(
    (parts) => parts.clusterID === clusterID && now - parts.newest > LOOSE_MS && !isKnown(parts.backupID),
  );
}
