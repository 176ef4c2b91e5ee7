/**
 * Keeps Thin volumes from hitting a full pool. A write that fails inside an image makes its filesystem read-only or
 * loses what the writer believed written; a writer that waits loses nothing.
 *
 * Every second, and 20 times as often while a pool is short of space: grow the pool while the host has room; when it has
 * none and the pool is critically full, freeze the Thin images (their writers wait); when there is room again, let them
 * go. What is held is written to disk first, so that a start after a crash goes on holding it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { NodeLayer, TargetPath } from '../layer.ts';
import type { Pool, Pools } from './pools.ts';
import { criticalWater, lowWater, type Space } from './sizing.ts';

const PERIOD_MS = 1000;
/** Between looks while a pool is short of space: a fast disk takes 256 MiB in a quarter of a second. */
const TIGHT_PERIOD_MS = 50;
const DEADLINE_MS = 20_000;

/** One mounted image. */
export interface ThinMount {
  readonly target: TargetPath;
  readonly device: string;
}

export interface SpaceGuardOptions {
  readonly node: NodeLayer;
  readonly pools: Pools;
  /** File that says what is held. */
  readonly recordFile: string;
  /** Which Thin images of a pool are mounted now. */
  readonly thinMounts: (pool: Pool) => readonly ThinMount[];
  /** The other mounted images, which are never held: a snapshot that was killed may have left one frozen. */
  readonly thickMounts: (pool: Pool) => readonly ThinMount[];
  /** Free bytes of a pool that Thin volumes may not take: they are promised to others. */
  readonly reservedBytes: (pool: Pool) => Promise<bigint>;
  /** Told of what cannot be done. */
  readonly onError: (thrown: unknown) => void;
}

export class SpaceGuard {
  readonly #options: SpaceGuardOptions;
  #held: boolean;
  #isTight = false;
  /**
   * The first look releases what a process before this one froze: for a snapshot, or without having been able to write
   * down that it holds it.
   */
  #isFirst = true;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
    this.#held = readRecord(options.recordFile);
  }

  /** True while writers of Thin volumes are made to wait. */
  get held(): boolean {
    return this.#held;
  }

  /** Looks again and again until the signal aborts. What is held stays held: the next start goes on. */
  async run(signal: AbortSignal): Promise<void> {
    let told: string | undefined;
    while (!signal.aborted) {
      try {
        await this.look(signal);
        told = undefined;
      } catch (thrown) {
        // The same trouble every second is told once.
        const message = thrown instanceof Error ? thrown.message : String(thrown);
        if (!signal.aborted && message !== told) this.#options.onError(thrown);
        told = message;
      }
      await pause(this.#isTight && !this.#held ? TIGHT_PERIOD_MS : PERIOD_MS, signal);
    }
  }

  /** One look at every pool. */
  async look(signal: AbortSignal): Promise<void> {
    const { pools, thinMounts, thickMounts } = this.#options;
    let isTight = false;
    for (const name of pools.names()) {
      const pool = await pools.open(name, signal);
      if (this.#isFirst) await this.#setFrozen(thickMounts(pool), false, signal);
      const space = await this.#spaceForThin(pool, signal);
      isTight ||= space.freeBytes < lowWater(space);
      const mounts = thinMounts(pool);
      if (space.freeBytes < criticalWater(space)) {
        this.#record(true);
        await this.#setFrozen(mounts, true, signal);
      } else if (this.#held ? space.freeBytes >= 2n * criticalWater(space) : this.#isFirst) {
        await this.#setFrozen(mounts, false, signal);
        this.#record(false);
      }
    }
    this.#isTight = isTight;
    this.#isFirst = false;
  }

  /** What Thin volumes may have of a pool; grown when that is little. */
  async #spaceForThin(pool: Pool, signal: AbortSignal): Promise<Space> {
    const { pools, reservedBytes } = this.#options;
    const reserved = await reservedBytes(pool);
    const less = ({ totalBytes, freeBytes }: Space): Space => ({ totalBytes, freeBytes: freeBytes - reserved });
    const space = less(await pools.space(pool, signal));
    return space.freeBytes < lowWater(space) ? less(await pools.makeRoom(pool, reserved, signal)) : space;
  }

  async #setFrozen(mounts: readonly ThinMount[], frozen: boolean, signal: AbortSignal): Promise<void> {
    // All at once: one that a snapshot holds just now answers late, and must not keep the others waiting.
    const outcomes = await Promise.allSettled(
      mounts.map((mount) =>
        this.#options.node.call('freeze', { ...mount, frozen }, { signal, deadlineMs: DEADLINE_MS }),
      ),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #record(held: boolean): void {
    if (held === this.#held) return;
    const { recordFile } = this.#options;
    this.#held = held;
    if (!held) {
      rmSync(recordFile, { force: true });
      return;
    }
    try {
      writeFileSync(`${recordFile}.new`, 'writers of Thin volumes are held: their pool is full\n', { mode: 0o600 });
      renameSync(`${recordFile}.new`, recordFile);
    } catch (thrown) {
      // The host is full: holding the writers matters more than the note, which only makes the next start more patient.
      this.#options.onError(thrown);
    }
  }
}

function readRecord(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}
