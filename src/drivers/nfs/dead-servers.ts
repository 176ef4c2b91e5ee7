/**
 * Servers that did not answer a moment ago. With many volumes on one dead server, each look would wait for its deadline
 * and together they would take up the workers that other volumes need; so one look in a while does for all of them.
 */

/** How long the answer of one look does for the others, in milliseconds. */
const TRUSTED_MS = 4_000;

/** A server is named by its address together with the options by which it is asked. */
export class DeadServers {
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  /** @param now Milliseconds of a clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The server did not answer just now, so that it need not be asked again. */
  isDead(server: string): boolean {
    return (this.#until.get(server) ?? 0) > this.#now();
  }

  died(server: string): void {
    this.#until.set(server, this.#now() + TRUSTED_MS);
  }

  answered(server: string): void {
    this.#until.delete(server);
  }
}
