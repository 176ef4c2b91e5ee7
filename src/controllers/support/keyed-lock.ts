/**
 * One action at a time per volume. The volume's and the mounts' reconcilers both touch a volume's storage (one may
 * unstage while the other is about to publish); whoever holds the lock sees facts that nobody changes meanwhile. What
 * only reads may share it.
 */
export class KeyedLock {
  /** Who is in line for each key; the key is gone when nobody holds or waits. */
  readonly #lines = new Map<string, Line>();

  /** Whether somebody holds `key`, or waits for it, so that who comes now must wait: of those who share it, `alone` only. */
  isHeld(key: string, how: 'alone' | 'shared' = 'alone'): boolean {
    const line = this.#lines.get(key);
    return line !== undefined && (how === 'alone' || line.alone !== undefined);
  }

  /** Runs `work` when everyone before has finished with `key`. Order of arrival; never two at once. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(key);
    const before = [...(line?.shared ?? []), ...(line?.alone === undefined ? [] : [line.alone])];
    const { promise, resolve } = Promise.withResolvers<void>();
    const mine: Line = { alone: promise, shared: new Set() };
    this.#lines.set(key, mine);
    return this.#after(before, work, () => {
      mine.alone = undefined;
      this.#leave(key, mine, resolve);
    });
  }

  /** Runs `work` beside others that share `key`, when everyone before who wanted it alone has finished. */
  share<T>(key: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(key) ?? { alone: undefined, shared: new Set<Promise<void>>() };
    this.#lines.set(key, line);
    const { promise, resolve } = Promise.withResolvers<void>();
    line.shared.add(promise);
    return this.#after(line.alone === undefined ? [] : [line.alone], work, () => {
      line.shared.delete(promise);
      this.#leave(key, line, resolve);
    });
  }

  async #after<T>(before: readonly Promise<void>[], work: () => Promise<T>, end: () => void): Promise<T> {
    try {
      if (before.length > 0) await Promise.all(before);
      return await work();
    } finally {
      end();
    }
  }

  #leave(key: string, line: Line, resolve: () => void): void {
    resolve();
    if (this.#lines.get(key) === line && line.alone === undefined && line.shared.size === 0) this.#lines.delete(key);
  }
}

/** The last who wants it alone, and those who came after to share it. */
interface Line {
  alone: Promise<void> | undefined;
  readonly shared: Set<Promise<void>>;
}
