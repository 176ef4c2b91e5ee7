/**
 * What an agent remembers of a repository between two reconciles: what the last look found, and how the work on it went. All
 * of it is found again after a restart, by a look.
 */
import { hash } from 'node:crypto';
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { ANNOTATIONS } from '../../api/group.ts';
import type { CheckResult, PruneSummary, RepositoryAccess } from '../../backup/engine.ts';
import type { Failure } from '../support/failure.ts';
import type { LookResult } from './look.ts';

/** How the last look ended. */
export type Looked =
  | { readonly ok: true; readonly at: number; readonly result: LookResult }
  | { readonly ok: false; readonly at: number; readonly failure: Failure; readonly failures: number };

export interface CareResult<T> {
  readonly at: number;
  /** Undefined: it could not be done. */
  readonly result: T | undefined;
  readonly failure: Failure | undefined;
}

export class RepositoryState {
  /** Of the object that it is about. */
  readonly uid: string;
  /** What the last look was made for: {@link fingerprintOf}. */
  fingerprint: string | undefined;
  looked: Looked | undefined;
  /** The last look that succeeded. */
  found: LookResult | undefined;
  /** When it was last opened, and not only listed. */
  openedAt = 0;
  /** The Backups of it when the last successful look began. */
  before: readonly Backup[] = [];
  /** Something was removed, or nobody knows: there may be data to be given back. */
  mayPrune = true;
  /** Something happened that a look should see. */
  isPoked = false;
  /** It was seen that something is lacking, and not yet what: it is checked before its time. */
  isSuspect = false;
  prune: CareResult<PruneSummary> | undefined;
  check: CareResult<CheckResult> | undefined;
  /** The reconcile-at that the last check answered. */
  checkedFor: string | undefined;

  constructor(uid: string) {
    this.uid = uid;
  }

  /** What a check found damaged; undefined when none has been made by this process. */
  get damaged(): ReadonlySet<string> | undefined {
    const result = this.check?.result;
    return result === undefined ? undefined : new Set(result.damagedSnapshots);
  }
}

/** Changes with everything that a look depends on. Nothing of it is ever shown. */
export function fingerprintOf({ metadata, spec }: BackupRepository, access: RepositoryAccess): string {
  const asked = metadata.annotations?.[ANNOTATIONS.reconcileAt] ?? '';
  return hash('sha256', JSON.stringify([metadata.uid, spec.accessMode, access, asked]));
}
