import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isInUse, lockDirectory } from './lock.ts';
import { makePrivateDirectory, syncDirectory } from './private-file.ts';
import { RevisionLog, refuseLoss, SCHEMA_VERSION, StorageError } from './revision-log.ts';

/** The database in a server's state directory. */
export const DATABASE = 'apiserver.db';

/** What a copy of a database holds. */
export interface Contents {
  readonly objects: number;
  /** The newest version in it. */
  readonly revision: number;
  /** When it was made, in milliseconds since 1970; undefined for a database that is not a backup. */
  readonly madeAt: number | undefined;
}

export interface Restored extends Contents {
  /** The version that the restored server counts on from: above all that the replaced one has given out. */
  readonly continuesAt: number;
  /** Where the replaced database is kept; undefined where there was none. */
  readonly replaced: string | undefined;
}

/**
 * Copies the database of a state directory to a new file (0600), whether a server runs there or not: one read transaction
 * sees one state, and writers go on. The file is there whole, checked and on disk, or not at all. Throws StorageError.
 */
export function backupDatabase(stateDir: string, file: string, now: number): Contents {
  const source = join(stateDir, DATABASE);
  if (!existsSync(source)) throw new StorageError(`there is no database in ${stateDir}`);
  if (existsSync(file)) throw new StorageError(`${file} exists already; name another file`);
  // A server that runs has looked at its start, and goes on writing to the log.
  if (!isInUse(stateDir)) refuseLoss(source);
  const partial = `${resolve(file)}.${randomUUID()}.partial`;
  try {
    // An empty file of ours: SQLite would make one that everybody can read.
    closeSync(openSync(partial, 'wx', 0o600));
    using(new DatabaseSync(source, { readOnly: true, timeout: BUSY_MS }), (db) =>
      db.prepare('VACUUM INTO ?').run(partial),
    );
    using(new DatabaseSync(partial), (db) => {
      db.exec('PRAGMA journal_mode=DELETE');
      db.prepare('INSERT OR REPLACE INTO meta VALUES(?, ?)').run(MADE_AT, now);
    });
    const contents = check(partial);
    syncFile(partial);
    renameSync(partial, file);
    syncDirectory(dirname(resolve(file)));
    return contents;
  } catch (cause) {
    if (cause instanceof StorageError) throw cause;
    throw new StorageError(`cannot back up to ${file}: ${(cause as Error).message}`, { cause });
  } finally {
    for (const suffix of SUFFIXES) rmSync(partial + suffix, { force: true });
  }
}

/**
 * Puts a backup in the place of a state directory's database, which is kept beside it. The restored server counts on above
 * every version that the replaced one has given out, with no history: clients that watched it are told to list again
 * (410). Throws LockedError while a server runs there, and StorageError for a file that is no whole backup; nothing is
 * changed then.
 */
export function restoreDatabase(stateDir: string, file: string, now: number): Restored {
  makePrivateDirectory(stateDir);
  const lock = lockDirectory(stateDir);
  const target = join(stateDir, DATABASE);
  const fresh = `${target}.restoring`;
  try {
    for (const suffix of SUFFIXES) rmSync(fresh + suffix, { force: true });
    // The copy is checked, not the file: it may lie on a medium that others write to.
    copyFileSync(file, fresh, constants.COPYFILE_EXCL);
    chmodSync(fresh, 0o600);
    const contents = check(fresh);
    if (contents.madeAt === undefined) throw new StorageError('it was not made by clawstore apiserver backup');
    const continuesAt = Math.max(now, contents.revision, headOf(target)) + 1;
    using(new DatabaseSync(fresh), (db) => {
      const set = db.prepare('INSERT OR REPLACE INTO meta VALUES(?, ?)');
      set.run('head', continuesAt);
      set.run('compacted', continuesAt);
      db.prepare('DELETE FROM meta WHERE name = ?').run(MADE_AT);
    });
    syncFile(fresh);
    const replaced = existsSync(target) ? setAside(target, now) : undefined;
    renameSync(fresh, target);
    syncDirectory(stateDir);
    return { ...contents, continuesAt, replaced };
  } catch (cause) {
    throw new StorageError(`cannot restore ${file}: ${(cause as Error).message}`, { cause });
  } finally {
    for (const suffix of SUFFIXES) rmSync(fresh + suffix, { force: true });
    lock.release();
  }
}

/** What SQLite may keep beside a database. */
const SUFFIXES = ['', '-wal', '-shm', '-journal'];
const MADE_AT = 'backupMadeAt';
const BUSY_MS = 10_000;

/** Reads all of a copy. Throws StorageError for what is damaged, or no database of ours. */
function check(file: string): Contents {
  if (statSync(file).size === 0) throw new StorageError('it is empty');
  try {
    return using(new DatabaseSync(file, { readOnly: true }), (db) => {
      const damage = db.prepare('PRAGMA integrity_check(1)').get();
      if (damage?.['integrity_check'] !== 'ok') throw new StorageError(`it is damaged: ${damage?.['integrity_check']}`);
      const meta = new Map(
        db
          .prepare('SELECT name, value FROM meta')
          .all()
          .map((row) => [row['name'], row['value']]),
      );
      const version = meta.get('schemaVersion');
      if (version !== SCHEMA_VERSION) throw new StorageError(`its version ${version} is not known`);
      const live = new Set<string>();
      let revision = Number(meta.get('head') ?? 0);
      for (const row of db.prepare('SELECT revision, key, value FROM log ORDER BY revision').iterate()) {
        const key = String(row['key']);
        revision = Math.max(revision, Number(row['revision']));
        if (row['value'] === null) live.delete(key);
        else live.add(key);
        assertObject(key, row['value']);
      }
      return { objects: live.size, revision, madeAt: meta.get(MADE_AT) as number | undefined };
    });
  } catch (cause) {
    if (cause instanceof StorageError) throw cause;
    throw new StorageError(`it is no database of a control plane, or damaged: ${(cause as Error).message}`, { cause });
  }
}

function assertObject(key: string, value: unknown): void {
  if (value === null) return;
  try {
    const { metadata } = JSON.parse(String(value)) as { readonly metadata?: { readonly name?: unknown } };
    if (typeof metadata?.name === 'string') return;
  } catch {
    // Said below.
  }
  throw new StorageError(`it is damaged: ${key} is no object`);
}

/** The newest version that a database has given out; 0 where there is none that can be read. */
function headOf(file: string): number {
  if (!existsSync(file)) return 0;
  try {
    const log = new RevisionLog(file);
    try {
      return log.head;
    } finally {
      // The last one to close it empties its write-ahead log into it.
      log.close();
    }
  } catch {
    return 0;
  }
}

/** Gives the database a second name, under which it stays when it is replaced; a log that is left goes with it. */
function setAside(target: string, now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const kept = `${target}.replaced-${stamp}-${randomUUID().slice(0, 8)}`;
  try {
    linkSync(target, kept);
  } catch {
    // Not every filesystem has links.
    copyFileSync(target, kept, constants.COPYFILE_EXCL);
    syncFile(kept);
  }
  for (const suffix of SUFFIXES.slice(1)) {
    // Left only where it could not be read: SQLite must not take it for the new one's.
    if (existsSync(target + suffix)) renameSync(target + suffix, kept + suffix);
  }
  return kept;
}

function syncFile(file: string): void {
  const fd = openSync(file, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function using<T>(db: DatabaseSync, body: (db: DatabaseSync) => T): T {
  try {
    return body(db);
  } finally {
    db.close();
  }
}
