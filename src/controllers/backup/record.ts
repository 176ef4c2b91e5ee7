/**
 * Writes down a backup as a whole: its document, with the manifests, as one more snapshot of the engine. It is looked for
 * first, so that it is written once however often this is begun; and every part that it names must be there.
 */
import type { Backup } from '../../api/backup.ts';
import { LABELS } from '../../api/group.ts';
import type { BackupDocument, ManifestList } from '../../backup/catalogue.ts';
import { BACKUP_FILE, backupTags, MANIFESTS_FILE, readTags, tagsOf } from '../../backup/catalogue.ts';
import type { BackupEngine, RepositoryAccess } from '../../backup/engine.ts';
import { SOURCE_ROOT } from '../../backup/engine.ts';
import { rememberDocument } from '../../backup/find-backup.ts';
import { DriverError } from '../../drivers/driver.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isManifest } from '../backup-binding/prepare.ts';
import { receive } from '../support/transit.ts';

export interface RecordWork {
  readonly backup: Backup;
  readonly nodeName: string;
  readonly engine: BackupEngine;
  readonly access: RepositoryAccess;
  readonly client: Pick<KubeClient, 'get'>;
}

export type WrittenRecord = NonNullable<NonNullable<Backup['status']>['record']>;

/** @throws BackupError, DriverError `BackupMissing` when a part is not in the repository any more. */
export async function writeRecord(work: RecordWork, signal: AbortSignal): Promise<WrittenRecord> {
  const { backup, engine, access, client, nodeName } = work;
  const { backupID = '', clusterID = '' } = backup.status ?? {};
  const [document, sent] = [
    await receive(backup, 'document', { client }, signal),
    await receive(backup, 'manifests', { client }, signal),
  ];
  const text = document?.files.get(BACKUP_FILE);
  if (text === undefined || sent === undefined) {
    throw new DriverError('BackupFailed', 'the Secrets with what the backup is made of are not there');
  }
  const described = JSON.parse(text) as BackupDocument;
  const objects = described.manifests.length;
  const there = await engine.snapshots(access, { tags: backupTags(backupID) }, signal);
  const own = there.filter(({ tags }) => readTags(tags)?.clusterID === clusterID);
  const written = own.filter(({ tags }) => readTags(tags)?.kind === 'backup').at(-1);
  if (written !== undefined) return { snapshotID: written.id, objects };
  const missing = described.volumes.find(({ snapshotID }) => !own.some(({ id }) => id === snapshotID));
  if (missing !== undefined) {
    const message = `what was read of volume "${missing.name}" is not in the repository any more`;
    throw new DriverError('BackupMissing', message, { terminal: true });
  }
  const files = new Map<string, Uint8Array>([[BACKUP_FILE, Buffer.from(text)]]);
  const items = [...sent.files].flatMap(([path, text]) => (isManifest(path) ? [JSON.parse(text)] : []));
  const list: ManifestList = { apiVersion: 'v1', kind: 'List', items };
  if (items.length > 0) files.set(MANIFESTS_FILE, Buffer.from(JSON.stringify(list, undefined, 1)));
  const namespace = backup.metadata.namespace ?? '';
  const scheduleName = backup.metadata.labels?.[LABELS.schedule];
  const summary = await engine.backupContent(
    access,
    {
      path: `${SOURCE_ROOT}/${namespace}`,
      files,
      host: nodeName,
      tags: tagsOf({
        kind: 'backup',
        backupID,
        clusterID,
        namespace,
        scope: backup.spec.scope,
        nodeName,
        backupName: backup.metadata.name,
        ...(scheduleName === undefined ? {} : { scheduleName }),
        isComplete: isWhole(backup, described),
        volumes: described.volumes.length,
        objects,
        bytes: described.volumes.reduce((sum, { bytes }) => sum + bytes, 0),
        dismissedBy: [],
      }),
    },
    signal,
  );
  if (!summary.complete) {
    await engine.forget(access, [summary.snapshotId], signal);
    throw new DriverError('BackupFailed', 'the document of the backup was not written wholly');
  }
  rememberDocument(engine, summary.snapshotId, described, Buffer.byteLength(text));
  return { snapshotID: summary.snapshotId, objects };
}

/** Nothing that was asked for is lacking, as the controller has judged it. */
function isWhole({ status }: Backup, { volumes }: BackupDocument): boolean {
  const said = status?.conditions?.find(({ type }) => type === 'DataComplete');
  return said?.status === 'True' && volumes.every(({ isComplete }) => isComplete);
}
