import { closeSync, fstatSync, fsyncSync, openSync, statSync, writeSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { lostCommits } from './wal-check.ts';

/** One change on disk: the whole object, or null when it was deleted. */
export interface LogRow {
  readonly revision: number;
  /** `GROUP/RESOURCE/NAMESPACE/NAME`. */
  readonly key: string;
  readonly value: string | null;
}

/** A database that cannot be used. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
}

/** How much durability a commit has; `OFF` exists for the test that shows why `FULL` is needed. */
export type Synchronous = 'FULL' | 'OFF';

/** After so many pages the write-ahead log is emptied into the database, and written anew from its beginning. */
const WAL_PAGES = 1000;
/** Room for these pages of 4 KiB with the header of each (24 bytes), and for what a batch has above them. */
const WAL_BYTES = 5 * 1024 * 1024;

/** Of the database's tables. */
export const SCHEMA_VERSION = 1;

/**
 * The log of all changes, in SQLite: one row a revision, and nothing else, so that a commit is an append. The state is
 * the newest row of each key. {@link compact} drops what no watcher may ask for any more (as etcd's compaction).
 */
export class RevisionLog {
  readonly #file: string;
  /** Tells the file that was opened from another that took its name. */
  readonly #inode: bigint;
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #meta: StatementSync;

  /**
   * Opens or creates the database; a new one counts from `firstRevision`, as if what came before were compacted away.
   * Throws StorageError when it is damaged or of a newer version.
   */
  constructor(file: string, synchronous: Synchronous = 'FULL', firstRevision = 0) {
    refuseLoss(file);
    try {
      this.#db = new DatabaseSync(file);
      // A new file takes `auto_vacuum` only before anything is written to it, and WAL mode is written to it.
      this.#db.exec(`PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=${synchronous};
        PRAGMA busy_timeout=2000; PRAGMA wal_autocheckpoint=${WAL_PAGES}; PRAGMA journal_size_limit=33554432;
        CREATE TABLE IF NOT EXISTS log(revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT);
        CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;`);
      this.#meta = this.#db.prepare('INSERT OR REPLACE INTO meta VALUES(?, ?)');
      const version = this.#get('schemaVersion');
      if (version === undefined) {
        this.#meta.run('head', firstRevision);
        this.#meta.run('compacted', firstRevision);
        this.#meta.run('schemaVersion', SCHEMA_VERSION);
      } else if (version !== SCHEMA_VERSION) throw new StorageError(`the database has the unknown version ${version}`);
      this.#file = file;
      this.#inode = statSync(file, { bigint: true }).ino;
      this.#insert = this.#db.prepare('INSERT INTO log VALUES(?, ?, ?)');
    } catch (cause) {
      throw cannotOpen(file, cause);
    }
  }

  /**
   * Makes room for the write-ahead log before it is needed. A commit that makes a file longer waits for the filesystem's
   * journal too, one that writes over what is there for its own pages alone: a third less. Only for the one who writes to
   * the database, before its first write.
   */
  reserve(): void {
    try {
      // Closing a file of SQLite's lets go of this process's locks on it; it has none on this one.
      const wal = openSync(`${this.#file}-wal`, 'r+');
      try {
        // Zeros behind what is written are no frames: they have no checksum (https://sqlite.org/fileformat2.html#walformat).
        const { size } = fstatSync(wal);
        if (size >= WAL_BYTES) return;
        writeSync(wal, Buffer.alloc(WAL_BYTES - size), 0, WAL_BYTES - size, size);
        fsyncSync(wal);
      } finally {
        closeSync(wal);
      }
    } catch {
      // Commits take longer, and say themselves when the disk is full.
    }
  }

  #get(name: string): number | undefined {
    const row = this.#db.prepare('SELECT value FROM meta WHERE name = ?').get(name);
    return row === undefined ? undefined : (row['value'] as number);
  }

  /** The revision up to which history is gone. */
  get compacted(): number {
    return this.#get('compacted') ?? 0;
  }

  /** The newest revision ever given out, also when its row is compacted away. */
  get head(): number {
    const row = this.#db.prepare('SELECT max(revision) AS head FROM log').get();
    return Math.max((row?.['head'] as number | null) ?? 0, this.#get('head') ?? 0);
  }

  /** Looks whether the database is whole, as far as SQLite can tell. Throws StorageError. */
  check(): void {
    let found: unknown;
    try {
      found = this.#db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    } catch (cause) {
      throw cannotOpen(this.#file, cause);
    }
    if (found !== 'ok') throw damaged(this.#file, String(found).replaceAll(/\s+/g, ' '));
  }

  /** All rows in the order of their revisions. Throws StorageError for one that cannot be read. */
  *rows(): Generator<LogRow> {
    try {
      for (const row of this.#db.prepare('SELECT revision, key, value FROM log ORDER BY revision').iterate()) {
        yield { revision: row['revision'] as number, key: row['key'] as string, value: row['value'] as string | null };
      }
    } catch (cause) {
      throw cannotOpen(this.#file, cause);
    }
  }

  /** Writes all rows in one transaction; when it returns they are on disk. Throws StorageError; then none is. */
  append(rows: Iterable<LogRow>): void {
    this.#transaction(() => {
      this.#assertThere();
      for (const row of rows) this.#insert.run(row.revision, row.key, row.value);
    });
  }

  /** Drops every row at or before `revision` that is not the newest of its key up to there, and old deletions. */
  compact(revision: number): void {
    this.#transaction(() => {
      this.#meta.run('head', this.head);
      this.#meta.run('compacted', revision);
      this.#db
        .prepare(
          `DELETE FROM log WHERE revision <= ?1 AND revision NOT IN (
             SELECT revision FROM (SELECT max(revision) AS revision, key, value FROM log WHERE revision <= ?1 GROUP BY key)
             WHERE value IS NOT NULL)`,
        )
        .run(revision);
    });
    this.#db.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(PASSIVE);');
  }

  close(): void {
    this.#db.close();
  }

  /** SQLite goes on writing to a file that was removed: what it acknowledged would be gone with the process. */
  #assertThere(): void {
    if (statSync(this.#file, { bigint: true, throwIfNoEntry: false })?.ino === this.#inode) return;
    throw new StorageError(`${this.#file} was removed or replaced; nothing can be stored until the next start`);
  }

  #transaction(body: () => void): void {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      body();
      this.#db.exec('COMMIT');
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw new StorageError(`cannot commit: ${(cause as Error).message}`, { cause });
    }
  }
}

/** Throws StorageError where SQLite would drop what was acknowledged, and make it impossible to find out. */
export function refuseLoss(file: string): void {
  const wal = `${file}-wal`;
  const lost = lostCommits(wal);
  if (lost === undefined) return;
  const { at, commits } = lost;
  throw new StorageError(
    `cannot open the database ${file}: its write-ahead log is damaged at byte ${at}, and ${commits} later commits would be lost; put a copy of the database back, or go on without them: truncate -s ${at} ${wal}`,
  );
}

function cannotOpen(file: string, cause: unknown): StorageError {
  const why = (cause as Error).message;
  if (isDamage(cause)) return damaged(file, why, cause);
  return new StorageError(`cannot open the database ${file}: ${why}`, { cause });
}

/** What is said of a database that is not what was written. */
export function damaged(file: string, why: string, cause?: unknown): StorageError {
  const hint =
    'put a copy of it back, or move it and what has its name with -wal and -shm away: objects are then gone, while mounts and data stay and are listed as orphans';
  return new StorageError(`cannot open the database ${file}: ${why}; ${hint}`, { cause });
}

/** Says whether SQLite means the content of the file: SQLITE_CORRUPT or SQLITE_NOTADB (https://sqlite.org/rescode.html). */
function isDamage(thrown: unknown): boolean {
  const code = (thrown as { readonly errcode?: unknown }).errcode;
  return code === 11 || code === 26;
}
