/**
 * One action at a time per volume. The volume's and the mounts' reconcilers both touch a volume's storage (one may
 * unstage while the other is about to publish); whoever holds the lock sees facts that nobody changes meanwhile.
 */
export class KeyedLock {
  /** The last in line for each key; the key is gone when nobody holds or waits. */
  readonly #tails = new Map<string, Promise<void>>();

  /** Whether somebody holds `key`, so that who comes now must wait. */
  isHeld(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Runs `work` when everyone before has finished with `key`. Order of arrival; never two at once. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tails.set(key, promise);
    if (before !== undefined) await before;
    try {
      return await work();
    } finally {
      resolve();
      if (this.#tails.get(key) === promise) this.#tails.delete(key);
    }
  }
}
