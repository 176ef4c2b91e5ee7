/** What a VolumeRestore does: it finds the part of the backup, lets the engine write it, and believes what was read back. */
import { findCondition } from '../../api/conditions.ts';
import { formatBytes, quantityToBigInt } from '../../api/quantity.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { BackupError } from '../../backup/backup-error.ts';
import type { VolumeEntry } from '../../backup/catalogue.ts';
import type { BackupProgress, RestoreRequest, RestoreSummary } from '../../backup/engine.ts';
import { DATA_PATH, findBackup, type RestoringEngine, volumeEntryOf } from '../../backup/find-backup.ts';
import { DriverError, type DriverVolume, type LongCall, type OpenedContent, type Usage } from '../../drivers/driver.ts';
import type { Prepared } from './checks.ts';

/** What was done, as far as the engine says. */
export interface Restored {
  readonly summary: RestoreSummary;
}

export interface RestoreWork {
  readonly engine: RestoringEngine;
  readonly restore: VolumeRestore;
  readonly prepared: Prepared;
  /** Nothing was written before: what is in a new volume now is none of ours. */
  readonly isFirst: boolean;
  /** Called before anything is written, and awaited: after a kill it is known that something may have been. */
  readonly onBegin: () => Promise<void>;
  /** Told beside what the caller of the job is told. */
  readonly onProgress: (progress: BackupProgress) => void;
}

/**
 * Restores one volume, and may be begun again at any time: what is there already as it should be is not written again.
 *
 * @throws DriverError `NothingToRestore`, `RestoreIncomplete`, `NoSpace`, `TargetNotEmpty` … ; BackupError.
 */
export async function restoreVolume(work: RestoreWork, call: LongCall): Promise<Restored> {
  const { engine, restore, prepared } = work;
  const { signal } = call;
  const { writing, words, access, driver } = prepared;
  const { spec } = restore;
  const isDryRun = spec.dryRun === true;
  const found = await findBackup(engine, access, spec.backupID, signal);
  const entry = volumeEntryOf(found, spec.from.name);
  const opened = await writing.open(words, signal);
  refuseForeign(work, opened);
  const totalBytes = sizeOf(await driver.usage(words, signal).catch(() => undefined));
  refuseTooSmall(work, entry, totalBytes);
  const existingFiles = existingFilesOf(work);
  if (!isDryRun) await work.onBegin();
  const request: RestoreRequest = {
    snapshotId: spec.snapshotID ?? entry.snapshotID,
    sourcePath: DATA_PATH,
    target: { directory: opened.directory, ...(opened.device === undefined ? {} : { device: opened.device }) },
    include: spec.paths ?? [],
    existingFiles,
    dryRun: isDryRun,
    verify: !isDryRun,
  };
  const onProgress = (progress: BackupProgress): void => {
    work.onProgress(progress);
    call.onProgress({ bytesDone: progress.bytesDone, bytesTotal: progress.bytesTotal });
  };
  const summary = await engine.restore(access, request, onProgress, signal).catch((thrown: unknown) => {
    const isFull = thrown instanceof BackupError && thrown.code === 'NoSpace';
    throw isFull ? noSpace(words.name, entry, totalBytes, thrown) : thrown;
  });
  judge(summary, words.name, entry, totalBytes);
  if (!isDryRun) await writing.flush(words, signal);
  return { summary };
}

/** Undefined where it has none: a bucket is as large as what is in it. */
function sizeOf(usage: Usage | undefined): bigint | undefined {
  return usage === undefined || usage.totalBytes <= usage.usedBytes ? undefined : usage.totalBytes;
}

/**
 * A file that a kill, or a server that went away, left half written looks like one that was there, which Skip keeps. In a new
 * volume nothing was there: all of it is ours, and written anew where it is not as it should be.
 */
function existingFilesOf({ restore, isFirst }: RestoreWork): RestoreRequest['existingFiles'] {
  const { existingFiles, dryRun, mode, safetySnapshotRef } = restore.spec;
  if (existingFiles !== 'Skip' || dryRun === true || isFirst) return existingFiles;
  if (mode === 'New') return 'Overwrite';
  const ready = findCondition(restore.status?.conditions, 'Ready');
  const why = ready === undefined || ready.reason === 'Restoring' ? '' : ` (${ready.message})`;
  const advice =
    safetySnapshotRef === undefined
      ? 'make a new Restore with Overwrite'
      : `go back to the Snapshot "${safetySnapshotRef.name}" and make a new Restore, or make one with Overwrite`;
  const message = `it was interrupted${why}, and with existingFiles Skip a file that is half written cannot be told from one that was there: ${advice}`;
  throw new DriverError('RestoreFailed', message, { terminal: true });
}

/** A new volume may be a directory, an export or a bucket that somebody else uses. */
function refuseForeign({ restore, prepared, isFirst }: RestoreWork, { names, hasSnapshots }: OpenedContent): void {
  const { spec } = restore;
  if (spec.existingFiles === 'Mirror' && hasSnapshots) {
    const message = `the directory of volume ${prepared.words.name} holds snapshots of clawstore, which Mirror would remove; use Overwrite`;
    throw new DriverError('InvalidSpec', message, { terminal: true });
  }
  if (spec.mode !== 'New' || prepared.isOurs || !isFirst || names.length === 0) return;
  const shown = names.slice(0, 3).map((name) => JSON.stringify(name));
  const message = `what volume ${prepared.words.name} names has files in it already (${shown.join(', ')} …), and a new volume starts without; restore in place instead, or into another directory`;
  throw new DriverError('TargetNotEmpty', message, { terminal: true });
}

/**
 * A volume as large as the one that was backed up takes it, however large its sparse files look. A smaller one does not,
 * when the bytes of the files alone are more than it has.
 */
function refuseTooSmall({ restore, prepared }: RestoreWork, entry: VolumeEntry, totalBytes: bigint | undefined): void {
  if (totalBytes === undefined || (restore.spec.paths ?? []).length > 0) return;
  if (isAsLarge(prepared.words, entry) || BigInt(entry.bytes) <= totalBytes) return;
  throw noSpace(prepared.words.name, entry, totalBytes);
}

function isAsLarge({ capacityBytes }: DriverVolume, { document }: VolumeEntry): boolean {
  const was = document.capacity ?? document.spec.capacity;
  return was !== undefined && capacityBytes !== undefined && capacityBytes >= quantityToBigInt(was);
}

function noSpace(name: string, { bytes }: VolumeEntry, totalBytes: bigint | undefined, cause?: unknown): DriverError {
  const has = totalBytes === undefined ? '' : ` and it has ${formatBytes(totalBytes)} in all`;
  const message = `all of the backup needs ${formatBytes(BigInt(bytes))} in volume ${name}${has}; raise its capacity, or restore chosen paths`;
  return new DriverError('NoSpace', message, { terminal: true, cause });
}

/** Success is what was asked for, all of it, read back; never less. */
function judge(
  { complete, errors, filesTotal, bytesTotal }: RestoreSummary,
  name: string,
  entry: VolumeEntry,
  totalBytes: bigint | undefined,
): void {
  if (errors.examples.some(({ message }) => /no space left|disk quota exceeded/i.test(message))) {
    throw noSpace(name, entry, totalBytes);
  }
  if (!complete || errors.count > 0) throw new RestoreIncomplete(errors);
  if (filesTotal === 0 && bytesTotal === 0n) {
    throw new DriverError('NothingToRestore', 'the backup has nothing of what was asked for', { terminal: true });
  }
}

/** Some files were not restored, or are not what they should be when read back. */
export class RestoreIncomplete extends DriverError {
  readonly errors: RestoreSummary['errors'];

  constructor(errors: RestoreSummary['errors']) {
    const first = errors.examples[0];
    const what = first === undefined ? '' : `, e.g. ${JSON.stringify(first.item)}: ${first.message}`;
    super('RestoreIncomplete', `${errors.count} files were not restored as they are in the backup${what}`, {
      terminal: true,
    });
    this.errors = errors;
  }
}

/** What a person must change something about: it ends. What passes is tried again. */
export function isFinal(thrown: unknown): boolean {
  if (thrown instanceof BackupError) return !thrown.retryable || thrown.code === 'NoSpace';
  return thrown instanceof DriverError && thrown.terminal;
}
