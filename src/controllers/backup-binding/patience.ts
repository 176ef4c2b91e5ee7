/**
 * How long a Backup waits for what it is of. Whoever applies everything at once (a Git repository, a directory of manifests)
 * makes the Backup before its volumes, or before their storage. Pure.
 */
import type { Backup } from '../../api/backup.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { LABELS } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';

/** What is named and is not there may have been applied together with the Backup: so long, in milliseconds. */
export const APPLIED_TOGETHER_MS = 60_000;
/** Storage that is being made for the first time is waited for so long, in milliseconds. */
export const FIRST_STORAGE_MS = 600_000;

/** Milliseconds for which a Backup still waits for what is applied together with it; 0: no longer. */
export function patienceLeft(backup: Backup, patienceMs: number, now: number): number {
  // Nothing is applied together with a run of a schedule, and a volume that never gets ready must not delay each of them.
  if (backup.metadata.labels?.[LABELS.schedule] !== undefined) return 0;
  const began = Date.parse(backup.status?.startTime ?? '');
  return Number.isNaN(began) ? patienceMs : Math.max(0, began + patienceMs - now);
}

/** Milliseconds for which the Backup still waits for the storage of a volume that is not there; 0: it has failed. */
export function storageLeft(backup: Backup, volume: Volume, now: number): number {
  // What was there once and is not any more is no beginning.
  if (isDeleting(volume) || wasProvisioned(volume.status)) return 0;
  // Its class, or what else it lacks, may come later in the same breath.
  const isStalled = isTrue(volume.status?.conditions, 'Stalled');
  return patienceLeft(backup, isStalled ? APPLIED_TOGETHER_MS : FIRST_STORAGE_MS, now);
}

/** What is said of a volume whose storage is not there, with what it says itself. */
export function lacksStorage({ metadata, status }: Volume): string {
  const why = findCondition(status?.conditions, 'Ready')?.message ?? '';
  return `The storage of volume "${metadata.name}" is not there${why === '' ? '.' : `: ${why}`}`;
}
