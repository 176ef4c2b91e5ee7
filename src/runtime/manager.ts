/**
 * What one process runs: shared caches, controllers, leader election, health. It starts them in the right order and
 * stops them within a deadline.
 */
import type { KubeClient, KubeObjectBase, ResourceDescriptor, Selection } from '../kube/client.ts';
import type { LeaderElector } from '../kube/leader-election.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock, untilAborted } from '../telemetry/clock.ts';
import { HealthChecks } from '../telemetry/health.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ControllerOptions } from './controller.ts';
import { Controller } from './controller.ts';
import { ObjectWatches } from './object-watches.ts';
import type { ReflectorTuning } from './reflector.ts';
import { Reflector } from './reflector.ts';
import type { Cache } from './source.ts';

export interface ManagerOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
  /** Needed when a controller says `leaderOnly`; losing the lease ends the manager with an error. */
  readonly leaderElector?: LeaderElector | undefined;
  /** How long reconciles may take to return at the stop, in milliseconds; default 30,000. */
  readonly stopDeadlineMs?: number | undefined;
  readonly reflector?: ReflectorTuning | undefined;
}

/** A long-running part that is neither cache nor controller; it returns when `signal` aborts. */
export interface Runnable {
  readonly name: string;
  readonly leaderOnly?: boolean;
  run(signal: AbortSignal): Promise<void>;
}

/** Owns everything that runs. Add caches, controllers and runnables first, then {@link run} once. */
export class Manager {
  readonly client: KubeClient;
  /** Checks behind `/healthz`: is this process working at all. */
  readonly health = new HealthChecks();
  /** Checks behind `/readyz`: caches have synced. */
  readonly ready = new HealthChecks();
  readonly #options: ManagerOptions;
  readonly #clock: Clock;
  readonly #reflectors = new Map<string, Reflector<KubeObjectBase>>();
  readonly #objectWatches = new Map<string, ObjectWatches<KubeObjectBase>>();
  readonly #controllers = new Map<string, Controller>();
  readonly #runnables: Runnable[] = [];
  readonly #reflecting: Promise<void>[] = [];
  #signal: AbortSignal | undefined;

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.client = options.client;
    this.#clock = options.clock ?? systemClock;
    this.ready.add('caches', () => {
      const missing = [...this.#reflectors.values()].filter((reflector) => !reflector.hasSynced);
      if (missing.length > 0) throw new Error(`not synced: ${missing.map(({ name }) => name).join(', ')}`);
    });
    this.health.add('ping', () => undefined);
  }

  /** Whether every controller has looked at all that was there at the start: until then a status may be of the last run. */
  get hasCaughtUp(): boolean {
    return [...this.#controllers.values()].every((controller) => controller.hasCaughtUp);
  }

  /** The shared cache of a selection of a kind; made on first use, even after the start. */
  cache<T extends KubeObjectBase>(resource: ResourceDescriptor, selection: Selection = {}): Cache<T> {
    const { namespace = '', labelSelector = '', fieldSelector = '' } = selection;
    const key = JSON.stringify([
      resource.group,
      resource.version,
      resource.plural,
      namespace,
      labelSelector,
      fieldSelector,
    ]);
    const present = this.#reflectors.get(key);
    if (present !== undefined) return present as unknown as Cache<T>;
    const reflector = new Reflector<T>({ ...this.#reflectorOptions(), resource, selection });
    this.#reflectors.set(key, reflector as unknown as Reflector<KubeObjectBase>);
    if (this.#signal !== undefined) this.#reflecting.push(reflector.run(this.#signal));
    return reflector;
  }

  /** Shared watches of single objects by name, counted: each is closed when its last user releases it. */
  objects<T extends KubeObjectBase>(resource: ResourceDescriptor): ObjectWatches<T> {
    const key = `${resource.group}/${resource.version}/${resource.plural}`;
    const present = this.#objectWatches.get(key);
    if (present !== undefined) return present as unknown as ObjectWatches<T>;
    const watches = new ObjectWatches<T>({ ...this.#reflectorOptions(), resource });
    this.#objectWatches.set(key, watches as unknown as ObjectWatches<KubeObjectBase>);
    return watches;
  }

  /** @throws RangeError when the name is taken or the manager runs already. */
  addController(options: ControllerOptions): Controller {
    if (this.#controllers.has(options.name)) throw new RangeError(`there is another controller "${options.name}"`);
    this.#assertNotRunning();
    if (options.leaderOnly === true && this.#options.leaderElector === undefined) {
      throw new RangeError(`controller "${options.name}" runs only as leader, but there is no leader election`);
    }
    const { log, metrics } = this.#options;
    const controller = new Controller(options, { log, metrics, clock: this.#clock });
    this.#controllers.set(options.name, controller);
    this.#leaderOnly.set(controller, options.leaderOnly === true);
    return controller;
  }

  addRunnable(runnable: Runnable): void {
    this.#assertNotRunning();
    this.#runnables.push(runnable);
  }

  /**
   * Runs until `signal` aborts, then stops everything: controllers first, then caches, then the lease is released.
   *
   * @throws What a controller, a runnable or the loss of the lease ended with; everything else is stopped then too.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#assertNotRunning();
    const workers = new AbortController();
    const caches = new AbortController();
    const stop = (): void => workers.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    this.#signal = caches.signal;
    for (const reflector of this.#reflectors.values()) this.#reflecting.push(reflector.run(caches.signal));
    try {
      const tasks = [this.#group(false, workers.signal)];
      const elector = this.#options.leaderElector;
      if (elector !== undefined) {
        // The lease is given up only after the work under it has returned.
        tasks.push(elector.run(workers.signal, (lease) => this.#group(true, lease)));
      }
      const watched = tasks.map((task) => failFast(task, workers));
      const ends = await Promise.allSettled(watched);
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } finally {
      signal.removeEventListener('abort', stop);
      workers.abort();
      caches.abort();
      for (const watches of this.#objectWatches.values()) watches.close();
      await Promise.allSettled(this.#reflecting);
      this.#signal = undefined;
    }
  }

  readonly #leaderOnly = new Map<Controller, boolean>();

  /** Runs all controllers and runnables of one gate; the first that fails stops the others of its gate. */
  async #group(leaderOnly: boolean, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const tasks: Promise<void>[] = [];
    for (const controller of this.#controllers.values()) {
      if (this.#leaderOnly.get(controller) !== leaderOnly) continue;
      tasks.push(failFast(controller.run(stop.signal, this.#options.stopDeadlineMs), stop));
    }
    for (const runnable of this.#runnables) {
      if ((runnable.leaderOnly === true) === leaderOnly) tasks.push(failFast(runnable.run(stop.signal), stop));
    }
    try {
      const ends = await Promise.allSettled(tasks);
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      if (!stop.signal.aborted) await untilAborted(stop.signal);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #reflectorOptions() {
    const { client, log, metrics, reflector } = this.#options;
    return { client, log, metrics, clock: this.#clock, ...reflector };
  }

  #assertNotRunning(): void {
    if (this.#signal !== undefined) throw new RangeError('the manager runs already');
  }
}

/** Aborts `others` as soon as `task` fails. */
async function failFast(task: Promise<void>, others: AbortController): Promise<void> {
  try {
    await task;
  } catch (thrown) {
    others.abort(thrown);
    throw thrown;
  }
}
