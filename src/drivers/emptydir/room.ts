/**
 * Who may still take space of a pool. Thick images were promised every byte of their size: what they have not been given
 * yet, and what they share with a snapshot or a clone and so need once more when they overwrite it.
 */
import type { NodeLayer } from '../../node/layer.ts';
import type { Operations } from '../../node/operations.ts';
import type { Pool, PoolSpace, Pools } from '../../node/pools/pools.ts';
import { lowWater } from '../../node/pools/sizing.ts';
import { DriverError } from '../driver.ts';
import { asDriver } from '../failure.ts';
import { type Image, imagesOf } from './image-store.ts';

const MIB = 1024n * 1024n;
/** Above so many extents the whole image counts as shared: looking at each would take too long. */
const MOST_EXTENTS = 20_000;
/** An overwrite takes from what is reserved and from what is free alike, so that an older answer is a careful one. */
const AGE_MS = 30_000;
const LOOK_MS = 10_000;
/** What is shared is told in sixteenths of the image: the node's status must not follow every write. */
const STEPS = 16n;

export interface RoomOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  /** True while writers of Thin volumes are held: nothing new is made then. */
  readonly isHeld: () => boolean;
}

export class Room {
  readonly #options: RoomOptions;
  readonly #reserved = new Map<string, { readonly at: number; readonly bytes: Promise<bigint> }>();
  /** By pool: what was promised to snapshots that are being taken, and that no look at the pool finds yet. */
  readonly #promised = new Map<string, bigint>();
  /** By pool: who is asking for room now. Two who ask at once would each be shown the same. */
  readonly #asking = new Map<string, Promise<void>>();

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Bytes of a pool that are free and yet promised to Thick images. */
  reservedBytes(pool: Pool): Promise<bigint> {
    const known = this.#reserved.get(pool.name);
    const at = performance.now();
    if (known !== undefined && at - known.at < AGE_MS) return known.bytes;
    const bytes = this.#look(pool, AbortSignal.timeout(LOOK_MS));
    this.#reserved.set(pool.name, { at, bytes });
    bytes.catch(() => this.#reserved.delete(pool.name));
    return bytes;
  }

  /** Makes the next answer a fresh one: something was promised, or given back. */
  forget(pool: string): void {
    this.#reserved.delete(pool);
  }

  /**
   * Lets something new be made that may take `wanted` bytes for sure.
   * @throws DriverError `PoolLowSpace` or `InsufficientCapacity`, which names `what`.
   */
  async refuseWithout(pool: Pool, wanted: bigint, what: string, signal: AbortSignal): Promise<void> {
    const space = await this.#space(pool, wanted, signal);
    if (this.#options.pools.hasRoom(space, wanted)) return;
    throw refusal(pool, space, wanted, what);
  }

  /**
   * The same for a snapshot, which is the first to be refused when a pool gets short of space. What it wants counts as taken
   * until `work` has ended; then the snapshot itself shows it, or is not there.
   */
  async whileAdmitted<T>(
    pool: Pool,
    wanted: bigint,
    what: string,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    const before = this.#asking.get(pool.name) ?? Promise.resolve();
    const admitted = before.then(async () => {
      signal.throwIfAborted();
      const space = await this.#space(pool, wanted, signal);
      if (space.freeBytes + space.growableBytes < lowWater(space)) throw refusal(pool, space, 0n, what);
      if (!this.#options.pools.hasRoom(space, wanted)) throw refusal(pool, space, wanted, what);
      this.#promise(pool, wanted);
    });
    this.#asking.set(
      pool.name,
      admitted.catch(() => undefined),
    );
    await admitted;
    try {
      return await work();
    } finally {
      this.#promise(pool, -wanted);
    }
  }

  /** What a Thick image would have to be given once more to overwrite it, from the next snapshot on. */
  async unsharedBytes(image: Image, signal: AbortSignal): Promise<bigint> {
    const use = await this.#use(image, signal);
    return use === null ? image.allocatedBytes : max(0n, use.writtenBytes - use.sharedBytes);
  }

  async #space(pool: Pool, wanted: bigint, signal: AbortSignal): Promise<PoolSpace> {
    if (this.#options.isHeld()) {
      throw new DriverError('PoolLowSpace', `pool ${pool.name} is full; nothing is made on it until it has room`);
    }
    return asDriver('ProvisionFailed', async () => {
      const reserved = (await this.reservedBytes(pool)) + (this.#promised.get(pool.name) ?? 0n);
      const space = await this.#options.pools.makeRoom(pool, wanted + reserved, signal);
      return { ...space, freeBytes: max(0n, space.freeBytes - reserved) };
    });
  }

  #promise({ name }: Pool, bytes: bigint): void {
    this.#promised.set(name, (this.#promised.get(name) ?? 0n) + bytes);
  }

  async #look(pool: Pool, signal: AbortSignal): Promise<bigint> {
    let sum = 0n;
    for (const image of imagesOf(pool, 'Thick')) {
      const missing = max(0n, image.sizeBytes - image.allocatedBytes);
      const use = await this.#use(image, signal);
      const step = image.sizeBytes / STEPS;
      const shared = use === null ? image.allocatedBytes : use.sharedBytes;
      sum += missing + (step === 0n ? shared : min(image.sizeBytes, ((shared + step - 1n) / step) * step));
    }
    return sum;
  }

  /** Null counts as all of it: also of an image that cannot be looked at now, or was removed meanwhile. */
  #use({ file }: Image, signal: AbortSignal): Promise<Operations['blockUse']['result']> {
    return this.#options.node.call('blockUse', { file, most: MOST_EXTENTS }, { signal }).catch(() => null);
  }
}

function refusal(pool: Pool, { freeBytes }: PoolSpace, wanted: bigint, what: string): DriverError {
  const free = `pool ${pool.name}, which has ${freeBytes / MIB}Mi free`;
  return wanted === 0n
    ? new DriverError('PoolLowSpace', `nothing new is made on ${free}: that is too little for ${what}`)
    : new DriverError('InsufficientCapacity', `${what} needs ${wanted / MIB}Mi of ${free}`);
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
