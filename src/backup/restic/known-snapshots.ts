/**
 * The snapshots of repositories as the engine has told them. What a snapshot says never changes, so a list of which every name
 * is known is answered without opening the repository; that it is opened by this password was seen with the same keys.
 */
import { hash } from 'node:crypto';
import type { RepositoryAccess, SnapshotRecord } from '../engine.ts';
import type { RepositoryNames } from './names.ts';

/** Snapshots that are remembered, of all repositories together: about a kilobyte each. */
const MOST = 20_000;

interface Known {
  /** IDs of the keys with which it was opened last; undefined before. */
  keys: string | undefined;
  readonly records: Map<string, SnapshotRecord>;
}

export class KnownSnapshots {
  readonly most: number;
  /** The one that was used last is the last. */
  readonly #repositories = new Map<string, Known>();

  constructor(most = MOST) {
    this.most = most;
  }

  /** All of them, when every one is known; oldest first. */
  recall(access: RepositoryAccess, { keys, snapshots }: RepositoryNames): readonly SnapshotRecord[] | undefined {
    const known = this.#of(access);
    if (known.keys === undefined || known.keys !== keys.join()) return undefined;
    const records = snapshots.map((id) => known.records.get(id));
    return records.every((record) => record !== undefined) ? records.toSorted(compareTimes) : undefined;
  }

  /** What the engine has told, of a repository that had these names just before. */
  keep(access: RepositoryAccess, { keys }: RepositoryNames, records: readonly SnapshotRecord[]): void {
    const known = this.#of(access);
    known.keys = keys.join();
    known.records.clear();
    for (const record of records) known.records.set(record.id, record);
    this.#limit();
  }

  /** One that was made just now. */
  add(access: RepositoryAccess, record: SnapshotRecord): void {
    this.#of(access).records.set(record.id, record);
    this.#limit();
  }

  #of(access: RepositoryAccess): Known {
    const key = keyOf(access);
    const known = this.#repositories.get(key) ?? { keys: undefined, records: new Map() };
    this.#repositories.delete(key);
    this.#repositories.set(key, known);
    return known;
  }

  #limit(): void {
    let sum = 0;
    for (const { records } of this.#repositories.values()) sum += records.size;
    for (const [key, { records }] of this.#repositories) {
      if (sum <= this.most) return;
      sum -= records.size;
      this.#repositories.delete(key);
    }
  }
}

/** Nobody gets an answer who could not have opened it. Nothing of it is ever shown. */
function keyOf({ location, password }: RepositoryAccess): string {
  return hash('sha256', JSON.stringify([location, password]));
}

export function compareTimes({ time: one }: SnapshotRecord, { time: other }: SnapshotRecord): number {
  return Date.parse(one) - Date.parse(other);
}
