/** Finds a backup in a repository and reads what makes it whole: its document, and the manifests beside it. */
import { BackupError } from './backup-error.ts';
import type { BackupDocument, CatalogueTags, ManifestList, VolumeEntry } from './catalogue.ts';
import { BACKUP_FILE, backupTags, DATA_DIRECTORY, MANIFESTS_FILE, manifestName, readTags } from './catalogue.ts';
import type { BackupEngine, RepositoryAccess } from './engine.ts';

/** What is needed of an engine to read a backup, and to restore it. */
export type ReadingEngine = Pick<BackupEngine, 'snapshots' | 'readContent'>;
export type RestoringEngine = Pick<BackupEngine, 'snapshots' | 'readContent' | 'restore'>;

/** Largest document that is read, in bytes: hundreds of bytes for each volume. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;
/** All manifests together, in bytes. */
const MAX_MANIFESTS_BYTES = 256 * 1024 * 1024;

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
  const read = documentsOf(engine).get(newest.snapshotId);
  if (read !== undefined) return { ...newest, document: read };
  const content = await engine.readContent(access, newest.snapshotId, `/${BACKUP_FILE}`, MAX_DOCUMENT_BYTES, signal);
  const document = parseDocument(content, backupID);
  rememberDocument(engine, newest.snapshotId, document, content.length);
  return { ...newest, document };
}

/** One that was read, or written, so that nobody needs to read it again. @param bytes How long it is as text. */
export function rememberDocument(
  engine: ReadingEngine,
  snapshotId: string,
  document: BackupDocument,
  bytes: number,
): void {
  if (bytes > MAX_KNOWN_BYTES) return;
  const known = documentsOf(engine);
  known.set(snapshotId, document);
  for (const id of [...known.keys()].slice(0, -MOST_KNOWN)) known.delete(id);
}

/** Documents that are remembered, and how large each may be: all volumes of a restore ask for the same one. */
const MOST_KNOWN = 16;
const MAX_KNOWN_BYTES = 256 * 1024;
const knownDocuments = new WeakMap<ReadingEngine, Map<string, BackupDocument>>();

/** By what the engine calls them: that never means other content. It is asked each time whether they are still there. */
function documentsOf(engine: ReadingEngine): Map<string, BackupDocument> {
  const known = knownDocuments.get(engine) ?? new Map<string, BackupDocument>();
  knownDocuments.set(engine, known);
  return known;
}

/** Path, in its snapshot, of what a volume had in it. */
export const DATA_PATH = `/${DATA_DIRECTORY}`;

/** The part of a volume. @throws BackupError `NotFound` when the backup has none of that name. */
export function volumeEntryOf({ document }: FoundBackup, name: string): VolumeEntry {
  const entry = document.volumes.find((volume) => volume.name === name);
  if (entry !== undefined) return entry;
  const names = document.volumes.map((volume) => volume.name);
  const has = names.length === 0 ? 'no volumes' : `${names.slice(0, 10).join(', ')}${names.length > 10 ? ' …' : ''}`;
  throw new BackupError('NotFound', `the backup has no volume "${name}"; it has ${has}`);
}

/** Reads all manifests of a backup, by what its document calls them. */
export async function readManifests(
  engine: ReadingEngine,
  access: RepositoryAccess,
  { document, snapshotId }: FoundBackup,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  if (document.manifests.length === 0) return new Map();
  const content = await engine.readContent(access, snapshotId, `/${MANIFESTS_FILE}`, MAX_MANIFESTS_BYTES, signal);
  const { items } = parsed<ManifestList>(content, `the manifests of backup "${document.backupID}" are`);
  const manifests = new Map(items.map((item) => [manifestName(item), JSON.stringify(item)]));
  const lacking = document.manifests.find((name) => !manifests.has(name));
  if (lacking === undefined) return manifests;
  throw new BackupError('Damaged', `the manifests of backup "${document.backupID}" lack ${lacking}`);
}

/** It was encrypted and signed with the key of the repository: only its shape is looked at. */
function parseDocument(content: Buffer, backupID: string): BackupDocument {
  const problem = (what: string): BackupError =>
    new BackupError('Damaged', `the document of backup "${backupID}" ${what}`);
  const document = parsed<Partial<BackupDocument> | null>(content, `the document of backup "${backupID}" is`);
  if (typeof document !== 'object' || document === null) throw problem('is not an object');
  if (document.backupID !== backupID) throw problem('is of another backup');
  if (!Array.isArray(document.volumes) || !Array.isArray(document.manifests)) throw problem('lacks its lists');
  return document as BackupDocument;
}

function parsed<T>(content: Buffer, what: string): T {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch (thrown) {
    throw new BackupError('Damaged', `${what} not JSON`, { cause: thrown });
  }
}
