/**
 * What is remembered of a snapshot on the node that keeps it: what cannot be seen of its data afterwards. It is written
 * before the data gets its final name, so that data with that name is always described; a record without data means
 * nothing (docs/decisions/0023-snapshots.md).
 */
import { join } from 'node:path';
import { SNAPSHOT_METHODS } from '../api/snapshot.ts';
import { Records } from '../node/records.ts';
import type { DriverType, SnapshotFacts } from './driver.ts';

const FOLDER = 'snapshots';
const DRIVERS: readonly string[] = ['emptyDir', 'hostPath', 'nfs', 's3'] satisfies readonly DriverType[];

export interface SnapshotRecord {
  readonly driver: DriverType;
  /** `metadata.uid` of the Volume it is of. */
  readonly volumeUID: string;
  /** The moment that is kept. RFC 3339. */
  readonly takenAt: string;
  /** Least size of a volume made from it, bytes, as text. */
  readonly restoreBytes: string;
  readonly method: SnapshotFacts['method'];
  readonly consistent: SnapshotFacts['consistent'];
  /** Where the data is; absolute where it is a path. */
  readonly path: string;
}

/** Where records are, and snapshots that are files of their own. */
export function snapshotDirectory(stateDir: string): string {
  return join(stateDir, FOLDER);
}

/** The records of every snapshot on this node, by the UID of the Snapshot; all drivers share them. */
export function snapshotRecords(stateDir: string): Records<SnapshotRecord> {
  return new Records(snapshotDirectory(stateDir), isSnapshotRecord);
}

export function isSnapshotRecord(value: unknown): value is SnapshotRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Partial<Record<keyof SnapshotRecord, unknown>>;
  const { driver, volumeUID, takenAt, restoreBytes, method, consistent, path } = record;
  return (
    typeof driver === 'string' &&
    DRIVERS.includes(driver) &&
    typeof volumeUID === 'string' &&
    typeof takenAt === 'string' &&
    !Number.isNaN(Date.parse(takenAt)) &&
    typeof restoreBytes === 'string' &&
    /^\d{1,19}$/.test(restoreBytes) &&
    (SNAPSHOT_METHODS as readonly unknown[]).includes(method) &&
    isConsistency(consistent) &&
    typeof path === 'string'
  );
}

/** What a driver says of a snapshot whose data it has seen. */
export function factsOf({ takenAt, restoreBytes, method, consistent }: SnapshotRecord): SnapshotFacts {
  return { takenAt: new Date(takenAt), restoreBytes: BigInt(restoreBytes), method, consistent };
}

/** What is written down of a snapshot before its data gets its name. */
export function recordOf(
  facts: SnapshotFacts,
  origin: Pick<SnapshotRecord, 'driver' | 'volumeUID' | 'path'>,
): SnapshotRecord {
  return {
    ...origin,
    takenAt: facts.takenAt.toISOString(),
    restoreBytes: String(facts.restoreBytes),
    method: facts.method,
    consistent: facts.consistent,
  };
}

function isConsistency(value: unknown): value is SnapshotFacts['consistent'] {
  if (typeof value !== 'object' || value === null) return false;
  const { consistent, reason, message } = value as Partial<Record<keyof SnapshotFacts['consistent'], unknown>>;
  return typeof consistent === 'boolean' && typeof reason === 'string' && typeof message === 'string';
}
