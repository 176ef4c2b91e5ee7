/**
 * What makes no event of itself: a server that stops answering or is back, and a process that hangs. Each server is asked
 * for one of its volumes, not for all of them, and processes are asked in turn, so that a node with hundreds of volumes is
 * as quiet as one with a few.
 */
import { performance } from 'node:perf_hooks';
import type { S3Location } from '../../s3/location.ts';
import { DriverError } from '../driver.ts';
import type { Looks } from './looks.ts';

/** Processes asked in one round: with fifty volumes each is asked every round, with two hundred every fourth. */
const PROCESSES_PER_ROUND = 50;
/** What only a person can mend is asked about every so many rounds: wrong credentials may lock an account. */
const ROUNDS_BETWEEN_HOPELESS = 6;
/** A volume that nobody has looked at for so long is gone: everything is looked at more often. */
const FORGET_MS = 1_800_000;

export interface WatchOptions {
  readonly looks: Looks;
  readonly periodMs: number;
  /** Looks whether the process of a volume answers, and ends it where it does not. */
  readonly pingProcess: (uid: string) => Promise<void>;
  /** Told of each volume whose server answers otherwise than before. */
  readonly onServerChange: (uid: string) => void;
}

interface Watched {
  readonly location: S3Location;
  readonly bucket: string;
  seenAt: number;
}

/** What a bucket said last: the reason of its failure, or nothing. */
interface Said {
  readonly reason: string;
  readonly isHopeless: boolean;
}

export class Watch {
  readonly #options: WatchOptions;
  readonly #volumes = new Map<string, Watched>();
  readonly #said = new Map<string, Said>();
  readonly #stopped = new AbortController();
  #round = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#next();
  }

  /** From now on this volume is watched; called at every look at it. */
  follow(uid: string, location: S3Location): void {
    const bucket = this.#options.looks.bucketOf(location);
    this.#volumes.set(uid, { location, bucket, seenAt: performance.now() });
  }

  forget(uid: string): void {
    this.#volumes.delete(uid);
  }

  stop(): void {
    this.#stopped.abort();
  }

  #next(): void {
    if (this.#stopped.signal.aborted) return;
    setTimeout(() => void this.#look().finally(() => this.#next()), this.#options.periodMs).unref();
  }

  async #look(): Promise<void> {
    this.#round += 1;
    const forgetBefore = performance.now() - FORGET_MS;
    for (const [uid, { seenAt }] of this.#volumes) if (seenAt < forgetBefore) this.#volumes.delete(uid);
    const byBucket = Map.groupBy(this.#volumes, ([, { bucket }]) => bucket);
    for (const bucket of this.#said.keys()) if (!byBucket.has(bucket)) this.#said.delete(bucket);
    await Promise.all([
      ...[...byBucket].map(([bucket, volumes]) => this.#askServer(bucket, volumes)),
      ...this.#inTurn().map((uid) => this.#options.pingProcess(uid).catch(() => undefined)),
    ]);
  }

  async #askServer(bucket: string, volumes: readonly (readonly [string, Watched])[]): Promise<void> {
    const one = volumes[this.#round % volumes.length];
    if (one === undefined) return;
    const [uid, { location }] = one;
    const before = this.#said.get(bucket);
    if (before?.isHopeless === true && this.#round % ROUNDS_BETWEEN_HOPELESS !== 0) return;
    const now = await this.#options.looks.lookAnew(uid, location, this.#stopped.signal).then(
      () => ({ reason: '', isHopeless: false }),
      (thrown: unknown) => saidBy(thrown),
    );
    this.#said.set(bucket, now);
    if ((before?.reason ?? '') === now.reason || this.#stopped.signal.aborted) return;
    for (const [told] of volumes) this.#options.onServerChange(told);
  }

  /** Those whose processes it is the turn of. */
  #inTurn(): readonly string[] {
    const uids = [...this.#volumes.keys()];
    if (uids.length <= PROCESSES_PER_ROUND) return uids;
    const start = (this.#round * PROCESSES_PER_ROUND) % uids.length;
    return [...uids, ...uids].slice(start, start + PROCESSES_PER_ROUND);
  }
}

function saidBy(thrown: unknown): Said {
  return thrown instanceof DriverError
    ? { reason: thrown.reason, isHopeless: thrown.terminal }
    : { reason: String(thrown), isHopeless: false };
}
