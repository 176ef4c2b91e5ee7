/**
 * What is done in the repository when a Backup is deleted. `Delete` removes all that this cluster has made under its ID, the
 * document first: what is left when it is killed is restored by nobody. `Retain` marks the document, so that this cluster does not
 * list it again; parts without a document are good for nothing, and go.
 */
import type { Backup } from '../../api/backup.ts';
import { backupTags, dismissedTag, readTags } from '../../backup/catalogue.ts';
import type { BackupEngine, RepositoryAccess } from '../../backup/engine.ts';

export interface ForgetWork {
  readonly backup: Backup;
  /** This cluster. */
  readonly clusterID: string;
  readonly engine: BackupEngine;
  readonly access: RepositoryAccess;
}

export type Forgotten = 'deleted' | 'retained';

/** Safe to repeat: what is gone or marked already is success. */
export async function forgetBackup(
  { backup, clusterID, engine, access }: ForgetWork,
  signal: AbortSignal,
): Promise<Forgotten> {
  const { imported, deletionPolicy } = backup.spec;
  const backupID = imported?.backupID ?? backup.status?.backupID ?? '';
  const found = await engine.snapshots(access, { tags: backupTags(backupID) }, signal);
  const read = found.map(({ id, tags }) => ({ id, tags: readTags(tags) }));
  const documents = read.filter(({ tags }) => tags?.kind === 'backup');
  const isOurs = ({ tags }: (typeof read)[number]): boolean => imported === undefined && tags?.clusterID === clusterID;
  if (deletionPolicy === 'Delete' || !documents.some(isOurs)) {
    const idsOf = (list: typeof read): readonly string[] => list.filter(isOurs).map(({ id }) => id);
    for (const ids of [idsOf(documents), idsOf(read.filter(({ tags }) => tags?.kind !== 'backup'))]) {
      if (ids.length > 0) await engine.forget(access, ids, signal);
    }
    // Of an imported one, or of a cluster that had this ID before us, there is a document that is not ours.
    if (deletionPolicy === 'Delete' && imported === undefined) return 'deleted';
  }
  const unmarked = documents
    .filter((document) => deletionPolicy !== 'Delete' || !isOurs(document))
    .filter(({ tags }) => tags?.kind === 'backup' && !tags.dismissedBy.includes(clusterID));
  if (unmarked.length > 0) {
    const ids = unmarked.map(({ id }) => id);
    await engine.tag(access, ids, { add: dismissedTag(clusterID), remove: [] }, signal);
  }
  return 'retained';
}
