type Cleanup = () => void | Promise<void>;

/** What must be undone at the stop, in reverse order; each is done whatever the others throw. */
export class Cleanups {
  readonly #list: Cleanup[] = [];

  add(cleanup: Cleanup): void {
    this.#list.push(cleanup);
  }

  /** Undoes everything once; a second call finds nothing left. @throws AggregateError of what failed. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let cleanup = this.#list.pop(); cleanup !== undefined; cleanup = this.#list.pop()) {
      try {
        await cleanup();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be stopped in order');
  }
}
