/**
 * Work that may take hours, outside of the queue. A reconcile starts it and waits a short while, so that what takes
 * milliseconds is told with one status write; else it returns, and its key is queued when the work has ended and, now and
 * then, when it got further. A job is never a fact: what it has done is observed afterwards, like everything else.
 */
import PQueue from 'p-queue';
import type { LongCall, Progress } from '../../drivers/driver.ts';
import type { Runnable } from '../../runtime/manager.ts';
import type { ChannelSource } from '../../runtime/source.ts';
import { channelSource } from '../../runtime/source.ts';
import type { Clock, Timer } from '../../telemetry/clock.ts';
import { abortReason, sleep, untilAborted } from '../../telemetry/clock.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { Uses } from './uses.ts';

/** How long a reconcile waits for what may be done in a moment, in milliseconds. */
export const SHORT_WAIT_MS = 2000;
/** Progress is told at most so often, in milliseconds: each time is a status write. */
export const PROGRESS_MS = 5000;
/** How long a reconcile waits for work that it has ended, in milliseconds. */
export const END_WAIT_MS = 5000;

export interface JobSpec {
  /** UID of the object that it is for. */
  readonly uid: string;
  /** Jobs of one queue share its workers: such as cost about the same. */
  readonly queue: string;
  /** Of the jobs that name the same thing here one runs at a time, unless all of them share it. */
  readonly turn?: { readonly of: string; readonly isShared: boolean } | undefined;
  /** UIDs of what is read, noted as in use from now until the end. */
  readonly reads: readonly string[];
  /** Who reads, for people. */
  readonly what: string;
  readonly work: (call: LongCall) => Promise<void>;
}

export type JobState =
  | { readonly state: 'running'; readonly progress: Progress | undefined }
  | { readonly state: 'done' }
  | { readonly state: 'failed'; readonly error: unknown };

type Ended = Exclude<JobState, { readonly state: 'running' }>;

export interface JobsOptions {
  readonly name: string;
  readonly clock: Clock;
  /** Jobs that run at once in a queue. */
  readonly concurrency: (queue: string) => number;
  readonly uses: Uses;
  /** The turns that jobs wait for, shared with other kinds. */
  readonly turns: KeyedLock;
}

/** The jobs of one kind of object, by its key: at most one per key. */
export class Jobs {
  /** Keys whose job has ended or got further. */
  readonly source: ChannelSource;
  readonly #options: JobsOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #queues = new Map<string, PQueue>();

  constructor(options: JobsOptions) {
    this.#options = options;
    this.source = channelSource(`${options.name}-jobs`);
  }

  /** Whether the key has a job. It may have ended, and then waits to be settled. */
  has(key: string): boolean {
    return this.#jobs.has(key);
  }

  /** Starts a job; the key must have none. */
  start(key: string, spec: JobSpec): void {
    if (this.#jobs.has(key)) throw new RangeError(`there is a job for ${key}`);
    const { clock, uses, turns } = this.#options;
    const { turn } = spec;
    const isBehind = turn !== undefined && turns.isHeld(turn.of, turn.isShared ? 'shared' : 'alone');
    const job = new Job(spec, isBehind, clock, () => this.source.send(key));
    this.#jobs.set(key, job);
    const ends = spec.reads.map((uid) => uses.begin(uid, spec.what));
    void job
      .run((work) => this.#inOrder(spec, work))
      .finally(() => {
        for (const end of ends) end();
      });
  }

  /**
   * Waits up to `waitMs` for the end, not at all for a job that is behind another. What has ended is told once and
   * forgotten. Undefined when the key has no job.
   *
   * @throws The signal's reason when it aborts first.
   */
  async settle(key: string, waitMs: number, signal: AbortSignal): Promise<JobState | undefined> {
    const job = this.#jobs.get(key);
    if (job === undefined) return undefined;
    const state = await job.settle(job.isBehind ? 0 : waitMs, signal);
    if (state.state !== 'running' && this.#jobs.get(key) === job) this.#jobs.delete(key);
    return state;
  }

  /**
   * Ends the job of a key, unless it is for the object of this UID, and waits up to {@link END_WAIT_MS} for it.
   *
   * @returns false when it has not ended by then; its key is queued when it does.
   */
  async end(key: string, signal: AbortSignal, unlessFor?: string): Promise<boolean> {
    const job = this.#jobs.get(key);
    if (job === undefined || job.uid === unlessFor) return true;
    job.abort('its object is gone or is being deleted');
    return (await this.settle(key, END_WAIT_MS, signal))?.state !== 'running';
  }

  /** Ends all jobs at the stop. What was half done is begun again by the next start. */
  closer(name: string): Runnable {
    return {
      name,
      run: async (signal) => {
        await untilAborted(signal);
        for (const job of this.#jobs.values()) job.abort('the agent stops');
        await Promise.all(
          [...this.#jobs.values()].map((job) => job.settle(END_WAIT_MS, AbortSignal.timeout(END_WAIT_MS))),
        );
      },
    };
  }

  /** Does the work in its turn, and when a worker is free. */
  #inOrder({ queue, turn }: JobSpec, work: () => Promise<void>): Promise<void> {
    const inQueue = (): Promise<void> => this.#queue(queue).add(work);
    if (turn === undefined) return inQueue();
    const { turns } = this.#options;
    return turn.isShared ? turns.share(turn.of, inQueue) : turns.run(turn.of, inQueue);
  }

  #queue(name: string): PQueue {
    const queue = this.#queues.get(name) ?? new PQueue({ concurrency: this.#options.concurrency(name) });
    this.#queues.set(name, queue);
    return queue;
  }
}

/** One piece of work, from its start until somebody has been told of its end. */
class Job {
  readonly uid: string;
  /** It waits for another one of the same turn. */
  readonly isBehind: boolean;
  readonly #work: JobSpec['work'];
  readonly #clock: Clock;
  readonly #tell: () => void;
  readonly #abort = new AbortController();
  #hasBegun = false;
  #ended: Promise<void> = Promise.resolve();
  #end: Ended | undefined;
  /** Reconciles that wait for the end, and need not be told of it. */
  #watchers = 0;
  #latest: Progress | undefined;
  #told: Progress | undefined;
  #timer: Timer | undefined;

  constructor({ uid, work }: JobSpec, isBehind: boolean, clock: Clock, tell: () => void) {
    this.uid = uid;
    this.isBehind = isBehind;
    this.#work = work;
    this.#clock = clock;
    this.#tell = tell;
  }

  abort(why: string): void {
    this.#abort.abort(new DOMException(why, 'AbortError'));
  }

  /** Does the work when `inOrder` calls for it; what was ended before is not begun. Never rejects. */
  run(inOrder: (work: () => Promise<void>) => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    const endedBefore = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => {
        if (!this.#hasBegun) reject(abortReason(signal));
      });
    });
    const done = inOrder(async () => {
      if (signal.aborted) return;
      this.#hasBegun = true;
      await this.#work({ signal, onProgress: (progress) => this.#onProgress(progress) });
    });
    this.#ended = Promise.race([done, endedBefore]).then(
      () => this.#onEnd({ state: 'done' }),
      (error: unknown) => this.#onEnd({ state: 'failed', error }),
    );
    return this.#ended;
  }

  /** @throws The signal's reason. */
  async settle(waitMs: number, signal: AbortSignal): Promise<JobState> {
    this.#watchers += 1;
    const over = new AbortController();
    const overdue = sleep(this.#clock, waitMs, AbortSignal.any([signal, over.signal]));
    try {
      await Promise.race([this.#ended, overdue]);
    } finally {
      this.#watchers -= 1;
      overdue.catch(() => undefined);
      over.abort();
    }
    if (this.#end !== undefined) return this.#end;
    this.#told ??= this.#latest;
    return { state: 'running', progress: this.#told };
  }

  #onEnd(end: Ended): void {
    this.#end = end;
    this.#timer?.cancel();
    if (this.#watchers === 0) this.#tell();
  }

  #onProgress(progress: Progress): void {
    this.#latest = progress;
    if (this.#timer !== undefined || this.#end !== undefined) return;
    this.#timer = this.#clock.setTimer(PROGRESS_MS, () => {
      this.#timer = undefined;
      if (this.#latest === this.#told) return;
      this.#told = this.#latest;
      this.#tell();
    });
  }
}
