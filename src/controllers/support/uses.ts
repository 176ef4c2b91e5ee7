/**
 * What is being read at the moment, by UID: a volume that is copied, a snapshot that a volume is made from. It is not taken
 * down, grown or removed meanwhile. Whoever holds the volume's lock sees uses that nobody begins meanwhile.
 */
export class Uses {
  readonly #users = new Map<string, Set<Use>>();
  readonly #listeners = new Set<(uid: string) => void>();

  /** Notes a use until what it returns is called. `what`: who reads, for people. */
  begin(uid: string, what: string): () => void {
    const use: Use = { what };
    const users = this.#users.get(uid) ?? new Set();
    this.#users.set(uid, users.add(use));
    return () => {
      if (!users.delete(use) || users.size > 0) return;
      if (this.#users.get(uid) === users) this.#users.delete(uid);
      for (const listener of this.#listeners) listener(uid);
    };
  }

  /** Who reads it; empty when nobody does. */
  of(uid: string): readonly string[] {
    return [...(this.#users.get(uid) ?? [])].map(({ what }) => what);
  }

  /** Calls back with a UID when its last use has ended. Returns what ends that. */
  onFree(listener: (uid: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

interface Use {
  readonly what: string;
}
