/** Random choices that a seed repeats (mulberry32). Not for secrets. */
export class SeededRandom {
  #state: number;

  /** `purpose` keeps the choices of different tests apart. */
  constructor(seed: number, purpose: string) {
    this.#state = seed >>> 0;
    for (const char of purpose) this.#state = (Math.imul(this.#state ^ char.charCodeAt(0), 0x01000193) >>> 0) + 1;
  }

  /** A number from 0 up to, not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** One of the list. @throws RangeError when it is empty. */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from');
    return list[this.between(0, list.length - 1)] as T;
  }
}

/** Of every `of` calls one after another it is true once, at a place that follows from the seed. */
export function seededTurns(seed: number, purpose: string, of: number): () => boolean {
  const first = new SeededRandom(seed, `turns of ${purpose}`).between(0, of - 1);
  let place = 0;
  return () => place++ % of === first;
}
