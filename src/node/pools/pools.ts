/**
 * The pools of a node: directories whose filesystem can clone, in which volume images are made.
 *
 * Where the filesystem of the state directory clones, the pool is a directory of it. Where it does not, the pool is an
 * XFS filesystem in an allocated file of our own, mounted below the mount root. Facts decide which: a pool file that is
 * there is used.
 */
import { mkdirSync, statSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeLayer, TargetPath } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import { growable, growthBytes, initialPoolBytes, lowWater, type Space } from './sizing.ts';

/** Name of the pool that is always there. */
export const DEFAULT_POOL = 'default';
/** Making or growing a large file, and the filesystem in it, milliseconds. */
const DEADLINE_MS = 60_000;
const POOL_FILE_SUFFIX = '.pool';
const POOL_MOUNT_OPTIONS: readonly string[] = ['nosuid', 'nodev', 'noexec', 'noatime'];

export interface Pool {
  readonly name: string;
  /** Absolute path of the directory that holds the images. */
  readonly directory: string;
  readonly filesystem: string;
  /** The pool file and where it is mounted; undefined for a pool that is a directory of the host. */
  readonly file: { readonly path: string; readonly target: TargetPath; readonly device: string } | undefined;
  readonly cloneable: boolean;
}

export interface PoolSpace extends Space {
  /** What the pool can still grow by, because the host has room. */
  readonly growableBytes: bigint;
}

export interface PoolsOptions {
  readonly node: NodeLayer;
  /** Directory of the pools in the state directory. */
  readonly directory: string;
}

export class Pools {
  readonly #node: NodeLayer;
  readonly #directory: string;
  readonly #open = new Map<string, Promise<Pool>>();
  readonly #found = new Map<string, Pool>();
  /** Growing is done by one at a time: two would each count the same room. */
  #growing: Promise<unknown> = Promise.resolve();

  constructor({ node, directory }: PoolsOptions) {
    this.#node = node;
    this.#directory = directory;
  }

  /** Names of the pools that exist, the default one always among them. */
  names(): readonly string[] {
    return [DEFAULT_POOL];
  }

  /**
   * Returns a pool, made or mounted first where necessary.
   * @throws NodeError `NotFound` when there is no such pool, `NoSpace` when the host has no room for a new one.
   */
  open(name: string, signal: AbortSignal): Promise<Pool> {
    if (!this.names().includes(name)) {
      return Promise.reject(new NodeError('NotFound', `this node has no pool "${name}"`, { retryable: false }));
    }
    let opening = this.#open.get(name);
    if (opening === undefined || this.#isGone(name)) {
      this.#found.delete(name);
      opening = this.#make(name, signal).then(
        (pool) => {
          this.#found.set(name, pool);
          return pool;
        },
        (thrown: unknown) => {
          // Tried anew by the next caller.
          this.#open.delete(name);
          throw thrown;
        },
      );
      this.#open.set(name, opening);
    }
    return opening;
  }

  async space(pool: Pool, signal: AbortSignal): Promise<PoolSpace> {
    const size = await this.#node.statfs(pool.directory, signal);
    const own = { totalBytes: size.totalBytes, freeBytes: size.availableBytes };
    if (pool.file === undefined) return { ...own, growableBytes: 0n };
    return { ...own, growableBytes: growable(await this.#host(signal)) };
  }

  /**
   * Grows a pool file so that `wanted` bytes fit above the low-water mark, as far as the host has room.
   * @returns the space afterwards.
   */
  makeRoom(pool: Pool, wanted: bigint, signal: AbortSignal): Promise<PoolSpace> {
    const next = this.#growing.then(() => this.#grow(pool, wanted, signal));
    this.#growing = next.catch(() => undefined);
    return next;
  }

  /** Says whether something new may be put on a pool: below the low-water mark it may not. */
  hasRoom(space: PoolSpace, wanted: bigint): boolean {
    return space.freeBytes + space.growableBytes >= wanted + (space.growableBytes > 0n ? 0n : lowWater(space) / 2n);
  }

  /** File names of everything in a pool. */
  async images(pool: Pool): Promise<readonly string[]> {
    return (await readdir(pool.directory)).filter((name) => name.endsWith('.img'));
  }

  /**
   * Someone has unmounted the pool behind our back, or mounted over it. What is seen there instead must not be taken for
   * a pool without images: a volume would be missing, and deleting it would look done.
   */
  #isGone(name: string): boolean {
    const file = this.#found.get(name)?.file;
    if (file === undefined) return false;
    return this.#node.table.at(join(file.target.root, file.target.path))?.device !== file.device;
  }

  async #make(name: string, signal: AbortSignal): Promise<Pool> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const file = join(this.#directory, `${name}${POOL_FILE_SUFFIX}`);
    const plain = join(this.#directory, name);
    const hasFile = statSync(file, { throwIfNoEntry: false }) !== undefined;
    if (!hasFile) {
      const { cloneable } = await this.#node.call('probeClone', { directory: this.#directory }, { signal });
      if (cloneable) {
        await mkdir(plain, { recursive: true, mode: 0o700 });
        const filesystem = this.#node.table.containing(plain)?.fsType ?? 'unknown';
        return { name, directory: plain, filesystem, file: undefined, cloneable };
      }
    }
    return this.#openFile(name, file, hasFile, signal);
  }

  async #openFile(name: string, file: string, exists: boolean, signal: AbortSignal): Promise<Pool> {
    const options = { signal, deadlineMs: DEADLINE_MS };
    if (!exists) {
      this.#refuseOccupied(name, file);
      const host = await this.#host(signal);
      const sizeBytes = initialPoolBytes(host);
      if (sizeBytes === undefined) {
        throw new NodeError('NoSpace', `the filesystem of ${this.#directory} has no room for a pool of volume images`, {
          path: this.#directory,
        });
      }
      await this.#node.call('createImage', { file, sizeBytes, allocation: 'full', filesystem: 'xfs' }, options);
    }
    const target: TargetPath = { root: this.#node.mountRoot, path: `.pools/${name}` };
    const { entry } = await this.#node.call(
      'mountImage',
      // Never discard: that would punch holes into the pool file, which must stay allocated.
      {
        file,
        target,
        filesystem: 'xfs',
        options: POOL_MOUNT_OPTIONS,
        discard: false,
        inside: { name: 'images', mode: 0o700 },
      },
      options,
    );
    const directory = join(entry.target, 'images');
    const { cloneable } = await this.#node.call('probeClone', { directory }, { signal });
    return { name, directory, filesystem: entry.fsType, file: { path: file, target, device: entry.device }, cloneable };
  }

  /** The pool of before, whose file somebody deleted, is still mounted: its volumes live on in it. */
  #refuseOccupied(name: string, file: string): void {
    const path = join(this.#node.mountRoot, '.pools', name);
    const there = this.#node.table.at(path);
    if (there === undefined) return;
    const message = `${file} is gone, but ${there.source} is still mounted at ${path}: save what is needed, then run clawstore down`;
    throw new NodeError('ForeignMount', message, { path });
  }

  async #grow(pool: Pool, wanted: bigint, signal: AbortSignal): Promise<PoolSpace> {
    const before = await this.space(pool, signal);
    if (pool.file === undefined) return before;
    const step = growthBytes(before, await this.#host(signal), wanted);
    if (step === 0n) return before;
    const { path, target } = pool.file;
    const sizeBytes = BigInt(statSync(path).size) + step;
    await this.#node.call(
      'growImage',
      { file: path, sizeBytes, allocation: 'full', filesystem: 'xfs', target },
      { signal, deadlineMs: DEADLINE_MS },
    );
    return this.space(pool, signal);
  }

  async #host(signal: AbortSignal): Promise<Space> {
    const { totalBytes, availableBytes } = await this.#node.statfs(this.#directory, signal);
    return { totalBytes, freeBytes: availableBytes };
  }
}
