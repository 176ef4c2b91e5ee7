/**
 * Restores. The target is bound below an otherwise empty tmpfs, at the path that its content has in the snapshot: what
 * restic does to directories above it happens to nobody's.
 */
import { ENGINE_ROOT } from '../../node/backups/operations.ts';
import { BackupError } from '../backup-error.ts';
import type { BackupProgress, RepositoryAccess, RestoreRequest, RestoreSummary } from '../engine.ts';
import { failureOf } from './failures.ts';
import { ItemErrorList, parseMessage, progressOf, type RestoreCounts, restoreCountsOf } from './messages.ts';
import { checkSnapshotId, pathBelow, patternOf } from './patterns.ts';
import type { ResticRunner } from './runner.ts';
import { checkLength, listEntries } from './snapshots.ts';
import { featuresOf, isAtLeast } from './version.ts';

const TARGET = 'target';
const TARGET_PATH = `${ENGINE_ROOT}/${TARGET}`;
const SOME_ERRORS = /There were \d+ errors/;
/** How 0.14 says it. */
const IGNORED = /^ignoring error for (.+?): (.+)$/;

interface Wanted {
  readonly files: number;
  readonly bytes: bigint;
}

export async function restore(
  runner: ResticRunner,
  version: string,
  access: RepositoryAccess,
  request: RestoreRequest,
  onProgress: (progress: BackupProgress) => void,
  signal: AbortSignal,
): Promise<RestoreSummary> {
  checkFeatures(version, request);
  const { snapshotId, sourcePath, include, dryRun, target } = request;
  const at = `${TARGET}/${pathBelow('', sourcePath.replace(/^\//, '')).slice(1)}`;
  const paths = include.length === 0 ? [sourcePath] : include.map((path) => pathBelow(sourcePath, path));
  checkLength(paths);
  const isOld = !isAtLeast(version, [0, 17]);
  const wanted = isOld || include.length > 0 ? await look(runner, access, snapshotId, paths, signal) : undefined;
  const errors = new ItemErrorList(TARGET_PATH);
  let counts: RestoreCounts | undefined;
  const { status, words } = await runner.run(
    access,
    {
      args: [
        'restore',
        '--json',
        `--target=${TARGET_PATH}`,
        ...paths.map((path) => `--include=${patternOf(path)}`),
        ...flagsOf(version, request),
        '--',
        checkSnapshotId(snapshotId),
      ],
      places: [
        {
          kind: 'directory',
          at,
          source: target.directory,
          ...(target.device === undefined ? {} : { device: target.device }),
          readOnly: dryRun,
          // A directory that is a mount point elsewhere would be unmounted there by its removal.
          alone: true,
        },
      ],
      onLine: (line, stream) => {
        const message = parseMessage(line);
        if (message === undefined) {
          const [, item, why] = (stream === 'stderr' ? IGNORED.exec(line) : null) ?? [];
          if (item !== undefined && why !== undefined) errors.add(item, why);
          return;
        }
        if (errors.take(message)) return;
        const progress = progressOf(message);
        if (progress !== undefined) onProgress(progress);
        counts = restoreCountsOf(message) ?? counts;
      },
      ...(isOld ? { onWritten: (bytes: bigint) => onProgress(writtenOf(bytes, wanted)) } : {}),
    },
    signal,
  );
  if (status !== 0 && errors.value.count === 0 && !SOME_ERRORS.test(words)) throw failureOf(status, words);
  if (status !== 0 && errors.value.count === 0) errors.add('', words);
  const isNothing = wanted === undefined && (counts === undefined || isEmpty(counts));
  if (isNothing && errors.value.count === 0) throw notFound(snapshotId, sourcePath);
  return {
    filesTotal: wanted?.files ?? counts?.filesTotal ?? 0,
    bytesTotal: wanted?.bytes ?? counts?.bytesTotal ?? 0n,
    filesRestored: counts?.filesRestored,
    bytesRestored: counts?.bytesRestored,
    filesSkipped: counts?.filesSkipped,
    filesDeleted: counts?.filesDeleted,
    errors: errors.value,
    complete: status === 0 && errors.value.count === 0,
  };
}

function checkFeatures(version: string, { existingFiles, dryRun }: RestoreRequest): void {
  const needed = [
    ...(existingFiles === 'Skip' ? ['RestoreSkip'] : []),
    ...(existingFiles === 'Mirror' ? ['RestoreMirror'] : []),
    ...(dryRun ? ['RestoreDryRun'] : []),
  ];
  const lack = featuresOf(version).lacking.find(({ feature }) => needed.includes(feature));
  if (lack !== undefined) throw new BackupError('Unsupported', lack.message);
}

function flagsOf(version: string, { existingFiles, dryRun, verify }: RestoreRequest): readonly string[] {
  return [
    ...(isAtLeast(version, [0, 15]) ? ['--sparse'] : []),
    ...(isAtLeast(version, [0, 17]) ? [`--overwrite=${existingFiles === 'Skip' ? 'never' : 'always'}`] : []),
    ...(existingFiles === 'Mirror' ? ['--delete'] : []),
    ...(dryRun ? ['--dry-run'] : []),
    ...(verify && !dryRun ? ['--verify'] : []),
  ];
}

/** What the snapshot has of the paths: restic is content when it has nothing. */
async function look(
  runner: ResticRunner,
  access: RepositoryAccess,
  snapshotId: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Wanted> {
  const missing = new Set(paths);
  let files = 0;
  let bytes = 0n;
  const onEntries: Parameters<typeof listEntries>[4] = (entries) => {
    for (const { path, size } of entries) {
      missing.delete(path);
      files += 1;
      bytes += size;
    }
  };
  await listEntries(runner, access, snapshotId, paths, onEntries, signal);
  const [first] = missing;
  if (first !== undefined) throw notFound(snapshotId, first);
  return { files, bytes };
}

function notFound(snapshotId: string, path: string): BackupError {
  return new BackupError('NotFound', `the snapshot ${snapshotId} has no ${JSON.stringify(path)}`);
}

function isEmpty({ filesTotal, filesRestored = 0, filesSkipped = 0, filesDeleted = 0 }: RestoreCounts): boolean {
  return filesTotal + filesRestored + filesSkipped + filesDeleted === 0;
}

/** What was written counts what is not content too. */
function writtenOf(bytes: bigint, wanted: Wanted | undefined): BackupProgress {
  const bytesTotal = wanted?.bytes ?? 0n;
  return {
    bytesDone: bytes < bytesTotal ? bytes : bytesTotal,
    bytesTotal,
    filesDone: 0,
    filesTotal: wanted?.files ?? 0,
  };
}
