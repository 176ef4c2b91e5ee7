/** The agent's copy of the mount table, fed by the helper. Indexed by path, since that is how it is asked. */
import type { MountTable, MountTableChange } from './layer.ts';
import { isAtOrBelow, type MountEntry, orderStack } from './mount-entry.ts';

export class LiveMountTable implements MountTable {
  readonly #byId = new Map<number, MountEntry>();
  readonly #byTarget = new Map<string, readonly MountEntry[]>();
  readonly #listeners = new Set<(change: MountTableChange) => void>();
  #generation = 0;

  get generation(): number {
    return this.#generation;
  }

  current(): readonly MountEntry[] {
    return [...this.#byId.values()];
  }

  byId(id: number): MountEntry | undefined {
    return this.#byId.get(id);
  }

  at(path: string): MountEntry | undefined {
    return this.#byTarget.get(path)?.at(-1);
  }

  stackAt(path: string): readonly MountEntry[] {
    return this.#byTarget.get(path) ?? [];
  }

  below(path: string): readonly MountEntry[] {
    return this.current().filter((entry) => entry.target !== path && isAtOrBelow(entry.target, path));
  }

  containing(path: string): MountEntry | undefined {
    for (let name = path; ; name = name.slice(0, Math.max(1, name.lastIndexOf('/')))) {
      const entry = this.at(name);
      if (entry !== undefined || name === '/') return entry;
    }
  }

  onChange(listener: (change: MountTableChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Applies one difference and tells the listeners what really changed. */
  apply(upsert: readonly MountEntry[], remove: readonly number[]): void {
    const change: {
      added: MountEntry[];
      removed: MountEntry[];
      changed: MountTableChange['changed'][number][];
      suspect: [];
    } = { added: [], removed: [], changed: [], suspect: [] };
    for (const id of remove) {
      const before = this.#byId.get(id);
      if (before === undefined) continue;
      this.#byId.delete(id);
      this.#unindex(before);
      change.removed.push(before);
    }
    for (const after of upsert) {
      const before = this.#byId.get(after.id);
      this.#byId.set(after.id, after);
      if (before !== undefined) this.#unindex(before);
      this.#index(after);
      if (before === undefined) change.added.push(after);
      else if (mountsDiffer(before, after)) change.changed.push({ before, after });
    }
    if (change.added.length + change.removed.length + change.changed.length === 0) return;
    this.#generation += 1;
    for (const listener of this.#listeners) listener(change);
  }

  /** Replaces everything (a new helper sends a full copy); listeners hear only of what differs. */
  reset(entries: readonly MountEntry[]): void {
    const ids = new Set(entries.map(({ id }) => id));
    this.apply(
      entries,
      [...this.#byId.keys()].filter((id) => !ids.has(id)),
    );
  }

  /** Tells the listeners of the mounts of devices (`major:minor`) that the kernel complained of. */
  complain(devices: readonly string[]): void {
    const named = new Set(devices);
    const suspect = this.current().filter(({ device }) => named.has(device));
    if (suspect.length === 0) return;
    for (const listener of this.#listeners) listener({ added: [], removed: [], changed: [], suspect });
  }

  #index(entry: MountEntry): void {
    const stack = this.#byTarget.get(entry.target);
    this.#byTarget.set(entry.target, stack === undefined ? [entry] : orderStack([...stack, entry]));
  }

  #unindex(entry: MountEntry): void {
    const rest = (this.#byTarget.get(entry.target) ?? []).filter(({ id }) => id !== entry.id);
    if (rest.length === 0) this.#byTarget.delete(entry.target);
    else this.#byTarget.set(entry.target, rest);
  }
}

/** Whether two entries show different mounts, or one that changed. Peer groups are left out: they are numbered by the kernel as it likes, and a derived entry does not know them. */
export function mountsDiffer(a: MountEntry, b: MountEntry): boolean {
  return (
    a.parentId !== b.parentId ||
    a.device !== b.device ||
    a.root !== b.root ||
    a.target !== b.target ||
    a.fsType !== b.fsType ||
    a.source !== b.source ||
    !sameWords(a.options, b.options) ||
    !sameWords(a.superOptions, b.superOptions)
  );
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}
