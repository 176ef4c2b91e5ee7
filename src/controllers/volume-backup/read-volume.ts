/**
 * The work of one VolumeBackup: the volume is opened, read by the engine into the repository, and looked at again. Whenever it
 * is killed, it is begun again: what an earlier try has put into the repository goes first, because nobody knows what it lacks.
 */
import type { VolumeBackup } from '../../api/backup.ts';
import { MAX_SKIPPED } from '../../api/backup.ts';
import { quantityToBigInt } from '../../api/quantity.ts';
import type { VolumeDocument } from '../../backup/catalogue.ts';
import { backupTags, DATA_DIRECTORY, readTags, tagsOf, VOLUME_FILE } from '../../backup/catalogue.ts';
import type {
  BackupEngine,
  BackupProgress,
  BackupSummary,
  RepositoryAccess,
  SnapshotRecord,
  Tags,
} from '../../backup/engine.ts';
import { SOURCE_ROOT } from '../../backup/engine.ts';
import type { Driver, DriverVolume, LongCall, OpenedForReading } from '../../drivers/driver.ts';
import { DriverError } from '../../drivers/driver.ts';
import { hasShrunk, textOf } from './judge.ts';
import type { Content, ReadingRecords, ReadResult, SkippedItem } from './records.ts';

export interface ReadWork {
  readonly part: VolumeBackup;
  readonly nodeName: string;
  readonly driver: Driver;
  readonly volume: DriverVolume;
  readonly document: VolumeDocument;
  /** Who may write to the volume on other nodes. */
  readonly elsewhere: readonly string[];
  /** It was backed up before, as its status says. */
  readonly wasBackedUp: boolean;
  readonly engine: BackupEngine;
  readonly access: RepositoryAccess;
  readonly records: ReadingRecords;
  readonly onProgress: (progress: BackupProgress) => void;
}

/** @throws DriverError, BackupError. What it has done stands in the records when it resolves. */
export async function readVolume(work: ReadWork, { signal, onProgress }: LongCall): Promise<void> {
  const { part, driver, volume, records, elsewhere } = work;
  const uid = part.metadata.uid ?? '';
  const { reading } = driver;
  if (reading === undefined) {
    throw new DriverError('BackupNotSupported', `${driver.type} volumes cannot be backed up`, { terminal: true });
  }
  const wasBegun = records.readings.read(uid) !== undefined;
  if (wasBegun) await forgetEarlier(work, signal);
  records.readings.write(uid, { type: driver.type, result: null });
  const before = await contentBefore(work, signal);
  await reading.read(
    volume,
    { uid, elsewhere, most: MAX_SKIPPED },
    async (opened) => {
      refuseEmpty(opened, volume, before, part.spec.onPartial === 'Allow');
      const summary = await backUp(work, opened, { signal, onProgress });
      const consistency = await opened.consistency(signal);
      const result = resultOf(summary, opened, consistency, documentText(work.document).length, before);
      // From here on it is done, whatever becomes of this process.
      records.readings.write(uid, { type: driver.type, result });
    },
    signal,
  );
}

function backUp(work: ReadWork, opened: OpenedForReading, call: LongCall): Promise<BackupSummary> {
  const { part, engine, access, document, nodeName } = work;
  const { backupID, clusterID, scope, bandwidth, volumeRef } = part.spec;
  const namespace = part.metadata.namespace ?? '';
  const volumeName = volumeRef.name;
  const limits = bandwidth === undefined ? {} : { limits: { ...access.limits, uploadKiBps: kibibytes(bandwidth) } };
  const { directory, device, ignoreInode, exclude, content } = opened;
  return engine.backup(
    { ...access, ...limits },
    {
      source: {
        path: `${SOURCE_ROOT}/${namespace}/${volumeName}`,
        entries: [
          { name: DATA_DIRECTORY, directory, ...(device === undefined ? {} : { device }) },
          { name: VOLUME_FILE, content: documentText(document) },
        ],
      },
      host: nodeName,
      tags: tagsOf({ kind: 'volume', backupID, clusterID, namespace, scope, nodeName, volumeName }),
      ...(content === undefined ? {} : { content }),
      ...(ignoreInode ? { ignoreInode } : {}),
      ...(exclude === undefined ? {} : { exclude: [`${DATA_DIRECTORY}/${exclude}`] }),
    },
    (progress) => {
      work.onProgress(progress);
      call.onProgress({ bytesDone: progress.bytesDone, bytesTotal: progress.bytesTotal });
    },
    call.signal,
  );
}

function kibibytes(bandwidth: string): number {
  return Math.max(1, Number(quantityToBigInt(bandwidth) / 1024n));
}

function documentText(document: VolumeDocument): Uint8Array {
  return Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`);
}

/** An empty directory that is mounted nowhere may be that of a disk, or a server, that is not there. */
function refuseEmpty(
  { isEmpty, isMountPoint }: OpenedForReading,
  { name }: DriverVolume,
  before: Content,
  mayLack: boolean,
): void {
  if (!isEmpty) return;
  const had = before.files > 0 || before.bytes > 0;
  if (had ? mayLack : isMountPoint) return;
  const why = had
    ? `and had ${textOf(before)} at its last backup. If it is to be so, back it up once with onPartial Allow.`
    : 'and mounted nowhere: it may be that of a disk that is not there.';
  throw new DriverError('SourceEmpty', `Volume "${name}" is empty, ${why}`, { terminal: true });
}

function resultOf(
  { snapshotId, files, bytesProcessed, bytesAdded, bytesAddedPacked, errors, complete }: BackupSummary,
  { method, lacking }: OpenedForReading,
  consistency: ReadResult['consistency'],
  documentBytes: number,
  before: Content,
): ReadResult {
  // The document is no content of the volume.
  const now: Content = { files: Math.max(0, files - 1), bytes: Math.max(0, Number(bytesProcessed) - documentBytes) };
  const unread = errors.examples.map(({ item, message }): SkippedItem => ({ path: pathOf(item), message }));
  const mounted = lacking.map((path) => ({ path, message: 'another filesystem is mounted here; it is not backed up' }));
  const count = errors.count + lacking.length;
  return {
    ...now,
    snapshotID: snapshotId,
    method,
    uploadedBytes: Number(bytesAddedPacked ?? bytesAdded),
    skipped: {
      // Never none where the engine says that not all was read.
      count: complete ? count : Math.max(1, count),
      examples: [...unread, ...mounted].slice(0, MAX_SKIPPED),
    },
    consistency,
    shrankFrom: hasShrunk(now, before) ? before : null,
  };
}

/** Relative to the volume. */
function pathOf(item: string): string {
  const path = item.replace(/^\/+/, '');
  if (path === DATA_DIRECTORY) return '.';
  return path.startsWith(`${DATA_DIRECTORY}/`) ? path.slice(DATA_DIRECTORY.length + 1) : path;
}

/** Removes what was put into the repository by a try that did not end, or whose end nobody knows. */
async function forgetEarlier(work: ReadWork, signal: AbortSignal): Promise<void> {
  const { engine, access, part } = work;
  const ids = (await ownSnapshots(work, backupTags(part.spec.backupID), signal)).map(({ id }) => id);
  if (ids.length > 0) await engine.forget(access, ids, signal);
}

const NOTHING: Content = { files: 0, bytes: 0 };

/** What the volume had at its last backup: as this node remembers it, else as the repository has it. */
async function contentBefore(work: ReadWork, signal: AbortSignal): Promise<Content> {
  const { records, part, wasBackedUp } = work;
  const known = records.last.read(part.spec.volumeUID);
  if (known !== undefined) return known;
  if (!wasBackedUp) return NOTHING;
  const newest = (await ownSnapshots(work, {}, signal)).at(-1)?.summary;
  if (newest === undefined) return NOTHING;
  return { files: Math.max(0, newest.files - 1), bytes: Number(newest.bytesProcessed) };
}

/** Those of this volume that this cluster has made; oldest first. */
async function ownSnapshots(
  { engine, access, part }: ReadWork,
  tags: Tags,
  signal: AbortSignal,
): Promise<readonly SnapshotRecord[]> {
  const { clusterID, volumeRef } = part.spec;
  const found = await engine.snapshots(access, { tags: { ...tags, kind: 'volume' } }, signal);
  return found.filter((snapshot) => {
    const read = readTags(snapshot.tags);
    const isOfVolume = read?.kind === 'volume' && read.volumeName === volumeRef.name;
    return isOfVolume && read.clusterID === clusterID && read.namespace === part.metadata.namespace;
  });
}
