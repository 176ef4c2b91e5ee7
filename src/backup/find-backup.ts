/** Finds a backup in a repository and reads what makes it whole: its document, and the manifests beside it. */
import { BackupError } from './backup-error.ts';
import type { BackupDocument, CatalogueTags, VolumeEntry } from './catalogue.ts';
import { BACKUP_FILE, backupTags, DATA_DIRECTORY, MANIFESTS_DIRECTORY, readTags } from './catalogue.ts';
import type { BackupEngine, RepositoryAccess } from './engine.ts';
import { SOURCE_ROOT } from './engine.ts';

/** What is needed of an engine to read a backup, and to restore it. */
export type ReadingEngine = Pick<BackupEngine, 'snapshots' | 'readContent'>;
export type RestoringEngine = Pick<BackupEngine, 'snapshots' | 'readContent' | 'restore'>;

/** Largest document that is read, in bytes: hundreds of bytes for each volume. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;
/** Largest manifest, in bytes: what a Kubernetes API server takes at most. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** A backup that is whole, as its repository has it. */
export interface FoundBackup {
  /** What the engine calls the document. */
  readonly snapshotId: string;
  readonly tags: Extract<CatalogueTags, { readonly kind: 'backup' }>;
  readonly document: BackupDocument;
}

/**
 * Reads the document of a backup.
 *
 * @throws BackupError `NotFound` when the repository has no whole backup of that ID: parts without a document are of one
 * that did not end.
 */
export async function findBackup(
  engine: ReadingEngine,
  access: RepositoryAccess,
  backupID: string,
  signal: AbortSignal,
): Promise<FoundBackup> {
  const snapshots = await engine.snapshots(access, { tags: backupTags(backupID) }, signal);
  const found = snapshots.flatMap(({ id, tags }) => {
    const read = readTags(tags);
    return read?.kind === 'backup' && read.backupID === backupID ? [{ snapshotId: id, tags: read }] : [];
  });
  // A document that was written twice says the same; the newest is the one that was reported.
  const newest = found.at(-1);
  if (newest === undefined) {
    const parts = snapshots.length === 0 ? '' : ' (parts of it are there, of a backup that did not end)';
    throw new BackupError('NotFound', `the repository has no backup "${backupID}"${parts}`);
  }
  const path = `${SOURCE_ROOT}/${newest.tags.namespace}/${BACKUP_FILE}`;
  const content = await engine.readContent(access, newest.snapshotId, path, MAX_DOCUMENT_BYTES, signal);
  return { ...newest, document: parseDocument(content, backupID) };
}

/** Path, in its snapshot, of what a volume had in it. */
export function dataPathOf(namespace: string, volumeName: string): string {
  return `${SOURCE_ROOT}/${namespace}/${volumeName}/${DATA_DIRECTORY}`;
}

/** The part of a volume. @throws BackupError `NotFound` when the backup has none of that name. */
export function volumeEntryOf({ document }: FoundBackup, name: string): VolumeEntry {
  const entry = document.volumes.find((volume) => volume.name === name);
  if (entry !== undefined) return entry;
  const names = document.volumes.map((volume) => volume.name);
  const has = names.length === 0 ? 'no volumes' : `${names.slice(0, 10).join(', ')}${names.length > 10 ? ' …' : ''}`;
  throw new BackupError('NotFound', `the backup has no volume "${name}"; it has ${has}`);
}

/** Reads all manifests of a backup, by the name of their file. */
export async function readManifests(
  engine: ReadingEngine,
  access: RepositoryAccess,
  { document, snapshotId, tags }: FoundBackup,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const manifests = new Map<string, string>();
  const names = [...document.manifests];
  const readNext = async (): Promise<void> => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const path = `${SOURCE_ROOT}/${tags.namespace}/${MANIFESTS_DIRECTORY}/${name}`;
      const content = await engine.readContent(access, snapshotId, path, MAX_MANIFEST_BYTES, signal);
      manifests.set(name, content.toString('utf8'));
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, readNext));
  return manifests;
}

/** Each is a run of the engine, which mostly waits for the repository. */
const READS_AT_ONCE = 4;

/** It was encrypted and signed with the key of the repository: only its shape is looked at. */
function parseDocument(content: Buffer, backupID: string): BackupDocument {
  const problem = (what: string): BackupError =>
    new BackupError('Damaged', `the document of backup "${backupID}" ${what}`);
  let document: Partial<BackupDocument> | null;
  try {
    document = JSON.parse(content.toString('utf8'));
  } catch (thrown) {
    throw new BackupError('Damaged', `the document of backup "${backupID}" is not JSON`, { cause: thrown });
  }
  if (typeof document !== 'object' || document === null) throw problem('is not an object');
  if (document.backupID !== backupID) throw problem('is of another backup');
  if (!Array.isArray(document.volumes) || !Array.isArray(document.manifests)) throw problem('lacks its lists');
  return document as BackupDocument;
}
