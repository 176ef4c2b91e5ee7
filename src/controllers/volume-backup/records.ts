/**
 * What a node remembers of reading volumes, on disk: that a reading was begun, so that what a kill leaves of it is found and
 * removed; what became of it, so that nothing is read twice because the API server did not hear of it; and how much each
 * volume had at its last backup, so that one that is suddenly empty is not taken for what it was.
 */
import { join } from 'node:path';
import type { VolumeType } from '../../api/volume.ts';
import { VOLUME_TYPES } from '../../api/volume.ts';
import type { ReadConsistency } from '../../drivers/driver.ts';
import { Records } from '../../node/records.ts';

const READINGS = 'backup-readings';
const LAST = 'backup-last';

/** What was read, and what was not. */
export interface ReadResult {
  /** What the engine calls it. */
  readonly snapshotID: string;
  readonly method: 'Snapshot' | 'InPlace' | 'Bucket';
  readonly files: number;
  readonly bytes: number;
  readonly uploadedBytes: number;
  /** What could not be read: the first of it, and how much there is. */
  readonly skipped: { readonly count: number; readonly examples: readonly SkippedItem[] };
  readonly consistency: ReadConsistency;
  /** What the volume had before, where it has lost most of that; null where it has not. */
  readonly shrankFrom: Content | null;
}

export interface SkippedItem {
  /** Relative to the volume. */
  readonly path: string;
  readonly message: string;
}

/** How much is in a volume. */
export interface Content {
  readonly files: number;
  readonly bytes: number;
}

/** One reading, by the UID of its VolumeBackup. */
export interface ReadingRecord {
  readonly type: VolumeType;
  /** Null until it has ended well. */
  readonly result: ReadResult | null;
}

/** What a volume had at its last backup that succeeded, by its UID. */
export interface LastBackup extends Content {
  readonly backupID: string;
}

export interface ReadingRecords {
  readonly readings: Records<ReadingRecord>;
  readonly last: Records<LastBackup>;
}

export function readingRecords(stateDir: string): ReadingRecords {
  return {
    readings: new Records(join(stateDir, READINGS), isReadingRecord),
    last: new Records(join(stateDir, LAST), isLastBackup),
  };
}

function isReadingRecord(value: unknown): value is ReadingRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { type, result } = value as Partial<Record<keyof ReadingRecord, unknown>>;
  return VOLUME_TYPES.some((known) => known === type) && (result === null || isResult(result));
}

function isResult(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { snapshotID, skipped, consistency } = value as Partial<Record<keyof ReadResult, unknown>>;
  return typeof snapshotID === 'string' && typeof skipped === 'object' && typeof consistency === 'object';
}

function isLastBackup(value: unknown): value is LastBackup {
  if (typeof value !== 'object' || value === null) return false;
  const { files, bytes, backupID } = value as Partial<Record<keyof LastBackup, unknown>>;
  return typeof files === 'number' && typeof bytes === 'number' && typeof backupID === 'string';
}
