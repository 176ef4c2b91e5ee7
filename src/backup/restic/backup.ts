/** Makes snapshots. */
import type { EnginePlace } from '../../node/backups/operations.ts';
import { ENGINE_ROOT } from '../../node/backups/operations.ts';
import { BackupError } from '../backup-error.ts';
import type {
  BackupProgress,
  BackupRequest,
  BackupSummary,
  RepositoryAccess,
  SnapshotRecord,
  SourceEntry,
} from '../engine.ts';
import { SOURCE_ROOT } from '../engine.ts';
import { failureOf } from './failures.ts';
import { backupSummaryOf, ItemErrorList, parseMessage, progressOf, snapshotSummaryOf } from './messages.ts';
import { checkSnapshotId, pathBelow, patternOf, tagArguments } from './patterns.ts';
import type { ResticRunner } from './runner.ts';
import { listSnapshots } from './snapshots.ts';
import { isAtLeast } from './version.ts';

/** Documents are held in memory, here and by the engine's tmpfs. */
const MOST_CONTENT_BYTES = 64 * 1024 * 1024;
/** Files that are read at once: disks and networks wait more than they read. */
const READERS = 4;
/** Some files could not be read; the snapshot was made. */
const PARTIAL = 3;

/** What was made, and what a list of snapshots says of it; undefined where the version does not tell all of that. */
export interface MadeSnapshot {
  readonly summary: BackupSummary;
  readonly record: SnapshotRecord | undefined;
}

export async function backUp(
  runner: ResticRunner,
  version: string,
  access: RepositoryAccess,
  request: BackupRequest,
  onProgress: (progress: BackupProgress) => void,
  signal: AbortSignal,
): Promise<MadeSnapshot> {
  const { source, content, ignoreInode = false, exclude = [], parent, host, tags } = request;
  const hidden = checkSource(source.path);
  const errors = new ItemErrorList(source.path);
  let summary: Readonly<Record<string, unknown>> | undefined;
  const args = [
    'backup',
    '--json',
    `--host=${host}`,
    ...tagArguments(tags).map((tag) => `--tag=${tag}`),
    ...(parent === undefined ? [] : [`--parent=${checkSnapshotId(parent)}`]),
    ...(ignoreInode ? ['--ignore-inode', '--ignore-ctime'] : []),
    ...exclude.map((path) => `--exclude=${patternOf(pathBelow(source.path, path))}`),
    ...(isAtLeast(version, [0, 15]) ? [`--read-concurrency=${READERS}`] : []),
    // Counting is a walk of its own, which takes time and cores from the reading.
    ...(content !== undefined && isAtLeast(version, [0, 15]) ? ['--no-scan'] : []),
    '--',
    '.',
  ];
  const { status, words } = await runner.run(
    access,
    {
      args,
      env: featuresFor(version),
      cwd: source.path,
      places: source.entries.map((entry) => placeOf(hidden, entry)),
      onLine: (line) => {
        const message = parseMessage(line);
        if (message === undefined || errors.take(message)) return;
        const progress = progressOf(message);
        if (progress !== undefined) onProgress(withTotals(progress, content, source.entries));
        else if (message['message_type'] === 'summary') summary = message;
      },
    },
    signal,
  );
  if (status !== 0 && status !== PARTIAL) throw failureOf(status, words);
  if (status === PARTIAL && errors.value.count === 0) errors.add('', words);
  const result = summary === undefined ? undefined : backupSummaryOf(summary, status, errors.value);
  if (result === undefined) throw new BackupError('EngineFailed', `no snapshot was made: ${words}`);
  const snapshotId = await wholeId(runner, access, result.snapshotId, signal);
  return { summary: { ...result, snapshotId }, record: recordOf(summary, snapshotId, request) };
}

/** Never more done than there is: what was counted may have grown. */
function withTotals(
  progress: BackupProgress,
  content: BackupRequest['content'],
  entries: readonly SourceEntry[],
): BackupProgress {
  if (content === undefined) return progress;
  const files = entries.flatMap((entry) => ('content' in entry ? [BigInt(entry.content.byteLength)] : []));
  const bytes = files.reduce((sum, size) => sum + size, content.bytes);
  const { bytesDone, filesDone } = progress;
  return {
    ...progress,
    bytesTotal: bytes < bytesDone ? bytesDone : bytes,
    filesTotal: Math.max(filesDone, content.files + files.length),
  };
}

/** As it is written into the repository: from 0.18 on the time is told, too. */
function recordOf(
  said: Readonly<Record<string, unknown>> | undefined,
  id: string,
  { host, tags, source }: BackupRequest,
): SnapshotRecord | undefined {
  const time = said?.['backup_start'];
  if (said === undefined || typeof time !== 'string') return undefined;
  const own = { host, tags, otherTags: [], paths: [source.path], original: undefined };
  return { id, time, ...own, summary: snapshotSummaryOf(said) };
}

/**
 * Without it every directory is written anew when the device of its filesystem has another number, as a clone of an image
 * has each time. An error where it is not known, so only for the versions that were tried.
 */
function featuresFor(version: string): Readonly<Record<string, string>> {
  const isKnown = isAtLeast(version, [0, 17]) && !isAtLeast(version, [0, 20]);
  return isKnown ? { RESTIC_FEATURES: 'device-id-for-hardlinks=true' } : {};
}

/** 0.14 tells only how an ID begins. */
async function wholeId(
  runner: ResticRunner,
  access: RepositoryAccess,
  id: string,
  signal: AbortSignal,
): Promise<string> {
  if (id.length === 64) return id;
  const found = (await listSnapshots(runner, access, [], signal)).filter((snapshot) => snapshot.id.startsWith(id));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.id;
  throw new BackupError('EngineFailed', `the snapshot ${id} was made, and ${found.length} are found by that ID`);
}

/** Where the source lies below ENGINE_ROOT. */
function checkSource(path: string): string {
  if (!path.startsWith(`${SOURCE_ROOT}/`)) {
    throw new BackupError('InvalidRequest', `source.path must be below ${SOURCE_ROOT}`);
  }
  pathBelow('', path.slice(1));
  return path.slice(ENGINE_ROOT.length + 1);
}

function placeOf(at: string, entry: SourceEntry): EnginePlace {
  const below = pathBelow(at, entry.name);
  if ('content' in entry) {
    if (entry.content.byteLength <= MOST_CONTENT_BYTES) return { kind: 'file', at: below, content: entry.content };
    throw new BackupError('TooLarge', `${JSON.stringify(entry.name)} has more than ${MOST_CONTENT_BYTES} bytes`);
  }
  const { directory: source, device } = entry;
  return { kind: 'directory', at: below, source, readOnly: true, ...(device === undefined ? {} : { device }) };
}
