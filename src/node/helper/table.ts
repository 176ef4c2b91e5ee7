/**
 * The helper's copy of the mount table. Reading mountinfo costs the kernel a few milliseconds per thousand mounts, so
 * the mounts that the helper makes and takes down itself are entered directly and the file is read only on events.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { isAtOrBelow, type MountEntry, orderStack, parseMountinfoLine } from '../mount-entry.ts';
import { isLocalFilesystem } from './local-filesystems.ts';

export interface TableDelta {
  readonly upsert: readonly MountEntry[];
  readonly remove: readonly number[];
}

/** Line of an entry that was derived and not read: replaced by the next reading. */
const DERIVED = '';

/**
 * A part of a string keeps the whole of it in memory. A table that changes line by line would come to hold as many
 * copies of the file as there are mounts.
 */
function ownCopy(part: string): string {
  return Buffer.from(part, 'utf8').toString('utf8');
}

export class HelperTable {
  readonly #path: string;
  readonly #send: (delta: TableDelta) => void;
  readonly #known = new Map<number, { readonly line: string; readonly entry: MountEntry }>();
  readonly #byTarget = new Map<string, MountEntry[]>();
  /** For each directory above a mount, how many mounts that are. */
  readonly #above = new Map<string, number>();
  /** Mounts that are not known to answer always; few or none. */
  readonly #mayHang = new Map<number, MountEntry>();
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
    for (const part of text.split('\n')) {
      const id = Number.parseInt(part, 10);
      if (Number.isNaN(id)) continue;
      seen.add(id);
      if (this.#known.get(id)?.line === part) continue;
      const line = ownCopy(part);
      const entry = parseMountinfoLine(line);
      if (entry === undefined) continue;
      this.#put(line, entry);
      upsert.push(entry);
    }
    const remove: number[] = [];
    for (const id of this.#known.keys()) {
      if (!seen.has(id)) remove.push(id);
    }
    for (const id of remove) this.#drop(id);
    this.#loaded = true;
    if (upsert.length > 0 || remove.length > 0) this.#send({ upsert, remove });
  }

  /** Everything known, as one difference from nothing. */
  snapshot(): TableDelta {
    this.#load();
    return { upsert: [...this.#known.values()].map(({ entry }) => entry), remove: [] };
  }

  /** All mounts, in no order. */
  entries(): Iterable<MountEntry> {
    this.#load();
    return this.#known.values().map(({ entry }) => entry);
  }

  /** The mount with this ID; reads the file again when it is not known yet. */
  byId(id: number): MountEntry | undefined {
    this.#load();
    const known = this.#known.get(id);
    if (known !== undefined) return known.entry;
    this.refresh();
    return this.#known.get(id)?.entry;
  }

  /** True when a mount lies strictly below the path. */
  hasBelow(path: string): boolean {
    this.#load();
    return this.#above.has(path);
  }

  /** All mounts at exactly this path, lowest first. */
  at(path: string): MountEntry[] {
    this.#load();
    return orderStack(this.#byTarget.get(path) ?? []);
  }

  /**
   * True when a mount on the way to the path may leave a system call hanging, by the table alone. `rootIsSafe`: of these
   * filesystems only what lies below the root counts.
   */
  mayHang(path: string, rootIsSafe: (fsType: string) => boolean = () => false): boolean {
    this.#load();
    for (const { target, fsType } of this.#mayHang.values()) {
      if (isAtOrBelow(path, target) && !(path === target && rootIsSafe(fsType))) return true;
    }
    return false;
  }

  /** True when another mount shows the same filesystem. */
  hasOther(entry: MountEntry): boolean {
    for (const other of this.entries()) {
      if (other.device === entry.device && other.id !== entry.id) return true;
    }
    return false;
  }

  /** The mount that holds `path`, by name alone. */
  containing(path: string): MountEntry | undefined {
    for (let name = path; ; name = name.slice(0, Math.max(1, name.lastIndexOf('/')))) {
      const entry = this.at(name).at(-1);
      if (entry !== undefined || name === '/') return entry;
    }
  }

  /** Enters a mount that was just made and verified. */
  add(entry: MountEntry): void {
    this.#load();
    this.#put(DERIVED, entry);
    this.#send({ upsert: [entry], remove: [] });
  }

  /** Takes out a mount that was just unmounted. */
  remove(id: number): void {
    if (this.#drop(id)) this.#send({ upsert: [], remove: [id] });
  }

  #put(line: string, entry: MountEntry): void {
    this.#drop(entry.id);
    this.#known.set(entry.id, { line, entry });
    const stack = this.#byTarget.get(entry.target);
    if (stack === undefined) this.#byTarget.set(entry.target, [entry]);
    else stack.push(entry);
    if (!isLocalFilesystem(entry.fsType)) this.#mayHang.set(entry.id, entry);
    this.#count(entry.target, 1);
  }

  #count(target: string, step: 1 | -1): void {
    if (target === '/') return;
    let above = target;
    do {
      above = above.slice(0, Math.max(1, above.lastIndexOf('/')));
      const count = (this.#above.get(above) ?? 0) + step;
      if (count === 0) this.#above.delete(above);
      else this.#above.set(above, count);
    } while (above !== '/');
  }

  #drop(id: number): boolean {
    const known = this.#known.get(id);
    if (known === undefined) return false;
    this.#known.delete(id);
    this.#mayHang.delete(id);
    const { target } = known.entry;
    this.#count(target, -1);
    const rest = (this.#byTarget.get(target) ?? []).filter((entry) => entry.id !== id);
    if (rest.length === 0) this.#byTarget.delete(target);
    else this.#byTarget.set(target, rest);
    return true;
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
