/** What the parts of a Backup say, added up. Pure. */
import type { BackupProgress, BackupStatus, SkippedFile, VolumeBackup } from '../../api/backup.ts';
import { hasEnded, MAX_SKIPPED } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';

export type Sums = Pick<BackupStatus, 'progress' | 'items' | 'uploadedBytes' | 'skipped' | 'skippedCount'>;

/** @param missing Names of volumes that were asked for and are not there. */
export function sumsOf(parts: readonly VolumeBackup[], missing: readonly string[]): Sums {
  const ended = parts.filter(hasEnded);
  const succeeded = ended.filter(({ status }) => isTrue(status?.conditions, 'Ready'));
  const skipped = parts.flatMap(({ status }): readonly SkippedFile[] => status?.skipped ?? []).slice(0, MAX_SKIPPED);
  const skippedCount = sum(parts, ({ status }) => status?.skippedCount);
  return {
    ...(parts.length === 0 ? {} : { progress: progressOf(parts), uploadedBytes: uploadedBytesOf(parts) }),
    items: { succeeded: succeeded.length, failed: ended.length - succeeded.length + missing.length, skipped: 0 },
    // An empty list would not survive server-side apply, and so differ for ever.
    ...(skipped.length === 0 ? {} : { skipped }),
    ...(skippedCount === 0 ? {} : { skippedCount }),
  };
}

function progressOf(parts: readonly VolumeBackup[]): BackupProgress {
  const of = (field: keyof BackupProgress): number => sum(parts, ({ status }) => status?.progress?.[field]);
  return {
    bytesDone: of('bytesDone'),
    bytesTotal: of('bytesTotal'),
    filesDone: of('filesDone'),
    filesTotal: of('filesTotal'),
    bytesPerSecond: sum(parts, (part) => (hasEnded(part) ? 0 : part.status?.progress?.bytesPerSecond)),
  };
}

function uploadedBytesOf(parts: readonly VolumeBackup[]): number {
  return sum(parts, ({ status }) => status?.uploadedBytes);
}

function sum(parts: readonly VolumeBackup[], valueOf: (part: VolumeBackup) => number | undefined): number {
  return parts.reduce((total, part) => total + (valueOf(part) ?? 0), 0);
}
