import type { Pool, Pools } from '../../node/pools/pools.ts';

/** A look takes every image of the pool, so that the answer is kept a second. */
const AGE_MS = 1000;
const DEADLINE_MS = 10_000;

/** Says whether the volumes of a pool were promised more than it can have. */
export class Overcommitment {
  readonly #pools: Pools;
  readonly #sizes: (pool: Pool) => readonly bigint[];
  readonly #answers = new Map<string, { readonly at: number; readonly answer: Promise<boolean> }>();

  /** @param sizes Bytes promised to each volume of a pool. */
  constructor(pools: Pools, sizes: (pool: Pool) => readonly bigint[]) {
    this.#pools = pools;
    this.#sizes = sizes;
  }

  /** False where the pool cannot be looked at now: that is somebody else's condition. */
  of(name: string): Promise<boolean> {
    const present = this.#answers.get(name);
    const at = performance.now();
    if (present !== undefined && at - present.at < AGE_MS) return present.answer;
    const answer = this.#look(name, AbortSignal.timeout(DEADLINE_MS)).catch(() => false);
    this.#answers.set(name, { at, answer });
    return answer;
  }

  /** Makes the next answer a fresh one: what was promised has changed. */
  forget(name: string): void {
    this.#answers.delete(name);
  }

  async #look(name: string, signal: AbortSignal): Promise<boolean> {
    const pool = await this.#pools.open(name, signal);
    const { totalBytes, growableBytes } = await this.#pools.space(pool, signal);
    const promised = this.#sizes(pool).reduce((sum, bytes) => sum + bytes, 0n);
    return promised > totalBytes + growableBytes;
  }
}
