/**
 * Small durable notes, one JSON file per name, in a directory of the state directory: what must be remembered of
 * something that lies elsewhere. Written whole or not at all, and on disk when a write returns.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { uidSegment } from '../api/names.ts';
import { syncDirectory } from './sync-directory.ts';

const SUFFIX = '.json';

export class Records<T> {
  readonly #directory: string;
  readonly #isRecord: (value: unknown) => value is T;

  /** `isRecord` recognises what was written; anything else is as if it were not there. */
  constructor(directory: string, isRecord: (value: unknown) => value is T) {
    this.#directory = directory;
    this.#isRecord = isRecord;
  }

  /** @throws NameError when the UID could not be part of a path. */
  read(uid: string): T | undefined {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#file(uid), 'utf8'));
      return this.#isRecord(value) ? value : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Whether there may be a record: for questions that are asked often and mostly answered with no. */
  mayHave(uid: string): boolean {
    return existsSync(this.#file(uid));
  }

  write(uid: string, record: T): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const file = this.#file(uid);
    const fresh = `${file}.new`;
    const fd = openSync(fresh, 'w', 0o600);
    try {
      writeSync(fd, textOf(record));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
    this.#syncDirectory();
  }

  /**
   * The same without holding up whoever else has something to do, for what is written many times at once; on disk when it
   * resolves. Nobody else may write this record, or remove it, meanwhile.
   */
  async save(uid: string, record: T): Promise<void> {
    const file = this.#file(uid);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const fresh = `${file}.new`;
    const handle = await open(fresh, 'w', 0o600);
    try {
      await handle.writeFile(textOf(record));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
    await syncDirectory(this.#directory);
  }

  remove(uid: string): void {
    rmSync(this.#file(uid), { force: true });
  }

  /** Everything that is recorded, by UID. */
  all(): ReadonlyMap<string, T> {
    const found = new Map<string, T>();
    for (const name of this.#names()) {
      const uid = name.slice(0, -SUFFIX.length);
      const record = this.read(uid);
      if (record !== undefined) found.set(uid, record);
    }
    return found;
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#directory).filter((name) => name.endsWith(SUFFIX));
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  #file(uid: string): string {
    return join(this.#directory, `${uidSegment('metadata.uid', uid)}${SUFFIX}`);
  }

  #syncDirectory(): void {
    const fd = openSync(this.#directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

function textOf(record: unknown): string {
  return `${JSON.stringify(record)}\n`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT';
}
