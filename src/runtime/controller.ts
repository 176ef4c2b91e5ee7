/**
 * The loop: sources start, caches sync, and only then workers take keys. `#settle` is the one place where the end of a
 * reconcile is decided.
 *
 * p-queue is the pool of workers, not the queue: keys are taken from the {@link WorkQueue} only while a worker is free,
 * and a worker is free only when its reconcile has really returned (an overrun deadline aborts the signal and is
 * logged, but two reconciles of one key never overlap).
 */
import { randomUUID } from 'node:crypto';
import PQueue from 'p-queue';
import { KubeError } from '../kube/errors.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { controllerMetrics, queueObserver } from './controller-metrics.ts';
import type { RateLimiterOptions } from './rate-limiter.ts';
import type { ReconcileContext, Reconciler, Result } from './reconciler.ts';
import { ReconcileError, StallingError, WaitingError } from './reconciler.ts';
import type { Source } from './source.ts';
import type { Work } from './work-queue.ts';
import { WorkQueue } from './work-queue.ts';

export interface ControllerOptions {
  /** Lower-case and unique in the process; a label of every metric and log line. */
  readonly name: string;
  readonly reconcile: Reconciler;
  readonly sources: readonly Source[];
  /** Keys worked on at once; default 1. */
  readonly concurrency?: number | undefined;
  /** Deadline of one reconcile in milliseconds; default 120,000. */
  readonly timeoutMs?: number | undefined;
  /** Runs only while this process leads; needs leader election in the manager. */
  readonly leaderOnly?: boolean | undefined;
  readonly rateLimiter?: RateLimiterOptions | undefined;
}

/** What the manager adds. */
export interface ControllerDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
}

type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'requeueAfter'; readonly delayMs: number; readonly waiting?: WaitingError }
  | { readonly kind: 'terminal'; readonly error: StallingError }
  | { readonly kind: 'error'; readonly error: unknown };

/** One controller: a queue, its sources and its workers. */
export class Controller {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #metrics: ReturnType<typeof controllerMetrics>;
  readonly #pool: PQueue;
  readonly #stop = new AbortController();
  readonly #timeoutMs: number;
  #caughtUp = false;

  constructor(options: ControllerOptions, dependencies: ControllerDependencies) {
    this.name = options.name;
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 120_000;
    this.#clock = dependencies.clock ?? systemClock;
    this.#log = dependencies.log.child({ controller: options.name });
    const concurrency = options.concurrency ?? 1;
    this.#pool = new PQueue({ concurrency });
    this.queue = new WorkQueue({
      clock: this.#clock,
      observer: queueObserver(dependencies.metrics, options.name),
      ...options.rateLimiter,
    });
    this.#metrics = controllerMetrics(dependencies.metrics, options.name, concurrency, () => this.queue.unfinished());
  }

  /** Whether all that its sources listed at the start has been reconciled at least once. */
  get hasCaughtUp(): boolean {
    return this.#caughtUp;
  }

  /** Queues a key by hand. */
  enqueue(key: string, options?: { readonly priority?: number; readonly afterMs?: number }): void {
    this.queue.add(key, options);
  }

  /**
   * Runs until `signal` aborts: starts the sources, waits until their caches have synced, works, and returns when the
   * last reconcile has returned or `stopDeadlineMs` (default 30,000) has passed since the abort.
   */
  async run(signal: AbortSignal, stopDeadlineMs = 30_000): Promise<void> {
    const onAbort = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (const source of this.#options.sources) {
        source.start((key, options) => this.queue.add(key, options), this.#stop.signal);
      }
      try {
        await Promise.all(this.#options.sources.map((source) => source.synced(this.#stop.signal)));
      } catch (thrown) {
        if (!this.#stop.signal.aborted) throw thrown;
      }
      if (!this.#stop.signal.aborted) await this.#work();
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#stop.abort();
      this.queue.shutDown();
      await this.#drain(stopDeadlineMs);
      this.#metrics.remove();
    }
  }

  /** Hands keys to free workers until the stop. */
  #work(): Promise<void> {
    this.#log.info('Starting workers');
    return new Promise((resolve) => {
      const off = this.queue.onReady(() => this.#fill());
      this.#stop.signal.addEventListener(
        'abort',
        () => {
          off();
          resolve();
        },
        { once: true },
      );
      this.#fill();
    });
  }

  #fill(): void {
    while (this.#pool.pending < this.#pool.concurrency && !this.#stop.signal.aborted) {
      const work = this.queue.tryGet();
      if (work === undefined) {
        if (this.queue.processing === 0) this.#caughtUp = true;
        return;
      }
      // #process never rejects: everything thrown inside is an outcome.
      void this.#pool.add(() => this.#process(work)).then(() => this.#fill());
    }
  }

  async #process(work: Work): Promise<void> {
    const started = this.#clock.monotonic();
    this.#metrics.active(1);
    const context = new Context(work.key, this.queue.retries(work.key), this.#log, this.#clock);
    const outcome = await this.#reconcile(work.key, context);
    this.#metrics.active(-1);
    this.#metrics.time((this.#clock.monotonic() - started) / 1000);
    try {
      this.#settle(work, outcome, context);
    } finally {
      this.queue.done(work.key);
    }
  }

  /** Runs the reconciler within its deadline and turns whatever happens into an outcome. */
  async #reconcile(key: string, context: Context): Promise<Outcome> {
    const onStop = (): void => context.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stop.signal.aborted) onStop();
    const deadline = this.#clock.setTimer(this.#timeoutMs, () => {
      this.#metrics.timeout();
      context.log.warn({ timeoutMs: this.#timeoutMs }, 'Reconcile overran its deadline and is being aborted');
      context.abort(new DOMException(`the reconcile took more than ${this.#timeoutMs} ms`, 'TimeoutError'));
    });
    try {
      const result: Result = await this.#options.reconcile(key, context);
      return result.requeueAfterMs === undefined
        ? { kind: 'success' }
        : { kind: 'requeueAfter', delayMs: result.requeueAfterMs };
    } catch (thrown) {
      if (thrown instanceof StallingError) return { kind: 'terminal', error: thrown };
      if (thrown instanceof WaitingError) {
        return { kind: 'requeueAfter', delayMs: thrown.retryAfterMs, waiting: thrown };
      }
      return { kind: 'error', error: thrown };
    } finally {
      deadline.cancel();
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }

  /** The switch: what each end of a reconcile means for the queue, the metrics and the log. */
  #settle(work: Work, outcome: Outcome, context: Context): void {
    const { key, priority } = work;
    const stopping = this.#stop.signal.aborted;
    switch (outcome.kind) {
      case 'error':
        // What a stop interrupts is not a failure; after the restart the first list brings the key back.
        if (stopping) return;
        if (isProgrammingError(outcome.error)) this.#metrics.panic();
        this.#metrics.result('error');
        this.queue.add(key, { rateLimited: true, priority });
        this.#tellFailure(outcome.error, context);
        return;
      case 'terminal':
        this.#metrics.result('terminal');
        this.queue.forget(key);
        this.#tellStalled(outcome.error, context);
        return;
      case 'requeueAfter':
        this.#metrics.result('requeue_after');
        this.queue.forget(key);
        this.queue.add(key, { afterMs: outcome.delayMs, priority });
        if (outcome.waiting !== undefined) {
          const { reason, message } = outcome.waiting;
          context.log.debug({ reason, message, requeueAfterMs: outcome.delayMs }, 'Reconcile waits');
        }
        return;
      case 'success':
        this.#metrics.result('success');
        this.queue.forget(key);
    }
  }

  /** What has a reason of ours stands in a status already, and a write that came second is read again: no error of ours. */
  #tellFailure(error: unknown, { log, retries }: Context): void {
    if (isExpected(error)) {
      const { reason, message } = error;
      log.info({ reason, message, retries }, 'Reconcile is tried again');
    } else log.error({ err: error, retries }, 'Reconcile failed');
  }

  /** Somebody has to mend it, and reads in the status why. */
  #tellStalled(error: StallingError, { log }: Context): void {
    if (isExpected(error)) {
      const { reason, message } = error;
      log.warn({ reason, message }, 'Reconcile waits until something changes');
    } else log.error({ err: error }, 'Reconcile failed until something changes');
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#pool.pending === 0) return;
    let timer: ReturnType<Clock['setTimer']> | undefined;
    const overdue = new Promise<'overdue'>((resolve) => {
      timer = this.#clock.setTimer(deadlineMs, () => resolve('overdue'));
    });
    const end = await Promise.race([this.#pool.onIdle(), overdue]);
    timer?.cancel();
    if (end === 'overdue') this.#log.warn({ running: this.#pool.pending }, 'Reconciles did not return in time');
  }
}

/** The per-reconcile context; a child logger is only made when something is logged. */
class Context implements ReconcileContext {
  readonly reconcileId = randomUUID();
  readonly retries: number;
  readonly clock: Clock;
  readonly #key: string;
  readonly #parent: Logger;
  readonly #controller = new AbortController();
  #log: Logger | undefined;

  constructor(key: string, retries: number, parent: Logger, clock: Clock) {
    this.#key = key;
    this.retries = retries;
    this.#parent = parent;
    this.clock = clock;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get log(): Logger {
    this.#log ??= this.#parent.child({ key: this.#key, reconcileID: this.reconcileId });
    return this.#log;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }
}

/** Go would have panicked: a mistake of ours, or something thrown that is not an Error at all. */
/** Says whether a failure is part of what happens to storage and to writers, and no fault of the program. */
function isExpected(thrown: unknown): thrown is ReconcileError | KubeError {
  // One with causes is about fields that somebody else owns: it stays until a person decides.
  if (thrown instanceof KubeError) return thrown.isConflict && thrown.causes.length === 0;
  return thrown instanceof ReconcileError && (thrown.cause === undefined || !isProgrammingError(thrown.cause));
}

function isProgrammingError(thrown: unknown): boolean {
  return (
    thrown instanceof TypeError ||
    thrown instanceof RangeError ||
    thrown instanceof ReferenceError ||
    !(thrown instanceof Error)
  );
}
