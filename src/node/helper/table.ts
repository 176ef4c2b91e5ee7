/**
 * The helper's copy of the mount table. Reading mountinfo costs the kernel a few milliseconds per thousand mounts, so
 * the mounts that the helper makes and takes down itself are entered directly and the file is read only on events.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { isAtOrBelow, type MountEntry, orderStack, parseMountinfoLine } from '../mount-entry.ts';

export interface TableDelta {
  readonly upsert: readonly MountEntry[];
  readonly remove: readonly number[];
}

/** Line of an entry that was derived and not read: replaced by the next reading. */
const DERIVED = '';

export class HelperTable {
  readonly #path: string;
  readonly #send: (delta: TableDelta) => void;
  readonly #known = new Map<number, { readonly line: string; readonly entry: MountEntry }>();
  #buffer = Buffer.allocUnsafe(1 << 18);
  #loaded = false;

  /** `send` gets every difference, in order. */
  constructor(send: (delta: TableDelta) => void, path = '/proc/self/mountinfo') {
    this.#send = send;
    this.#path = path;
  }

  /** Reads the file and passes on what is different. */
  refresh(): void {
    const text = this.#read();
    const seen = new Set<number>();
    const upsert: MountEntry[] = [];
    for (const line of text.split('\n')) {
      const id = Number.parseInt(line, 10);
      if (Number.isNaN(id)) continue;
      seen.add(id);
      if (this.#known.get(id)?.line === line) continue;
      const entry = parseMountinfoLine(line);
      if (entry === undefined) continue;
      this.#known.set(id, { line, entry });
      upsert.push(entry);
    }
    const remove: number[] = [];
    for (const id of this.#known.keys()) {
      if (!seen.has(id)) remove.push(id);
    }
    for (const id of remove) this.#known.delete(id);
    this.#loaded = true;
    if (upsert.length > 0 || remove.length > 0) this.#send({ upsert, remove });
  }

  /** Everything known, as one difference from nothing. */
  snapshot(): TableDelta {
    this.#load();
    return { upsert: [...this.#known.values()].map(({ entry }) => entry), remove: [] };
  }

  entries(): MountEntry[] {
    this.#load();
    return Array.from(this.#known.values(), ({ entry }) => entry);
  }

  /** The mount with this ID; reads the file again when it is not known yet. */
  byId(id: number): MountEntry | undefined {
    this.#load();
    const known = this.#known.get(id);
    if (known !== undefined) return known.entry;
    this.refresh();
    return this.#known.get(id)?.entry;
  }

  below(path: string): MountEntry[] {
    return this.entries().filter((entry) => entry.target !== path && isAtOrBelow(entry.target, path));
  }

  at(path: string): MountEntry[] {
    return orderStack(this.entries().filter((entry) => entry.target === path));
  }

  /** The mount that holds `path` by name alone; nothing is asked of the filesystem. */
  containing(path: string): MountEntry | undefined {
    let best: MountEntry | undefined;
    for (const entry of this.entries()) {
      if (isAtOrBelow(path, entry.target) && entry.target.length >= (best?.target.length ?? 0)) best = entry;
    }
    return best;
  }

  /** Enters a mount that was just made and verified. */
  add(entry: MountEntry): void {
    this.#known.set(entry.id, { line: DERIVED, entry });
    this.#send({ upsert: [entry], remove: [] });
  }

  /** Takes out a mount that was just unmounted. */
  remove(id: number): void {
    if (this.#known.delete(id)) this.#send({ upsert: [], remove: [id] });
  }

  #load(): void {
    if (!this.#loaded) this.refresh();
  }

  #read(): string {
    const fd = openSync(this.#path, 'r');
    try {
      let length = 0;
      for (;;) {
        if (length === this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(length)]);
        const read = readSync(fd, this.#buffer, length, this.#buffer.length - length, null);
        if (read === 0) return this.#buffer.toString('utf8', 0, length);
        length += read;
      }
    } finally {
      closeSync(fd);
    }
  }
}
