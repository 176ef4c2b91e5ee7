/**
 * Keeps a {@link Store} equal to a selection of objects at the API server, for ever.
 *
 * It lists (by a WatchList stream where the server has it, else page by page), then watches from there, and again from
 * the last version seen whenever the watch ends. It lists anew when the server says that this version is too old, and
 * when the server had been down (it may have come back with older data, and versions cannot be compared). It never
 * gives up; nothing that a server or a network sends can end it.
 */

import type { BackoffOptions } from '../kube/backoff.ts';
import { Backoff } from '../kube/backoff.ts';
import type { KubeClient, KubeObjectBase, ResourceDescriptor, Selection, WatchEvent } from '../kube/client.ts';
import { keyOf } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { forCache } from '../kube/ownership.ts';
import type { Clock } from '../telemetry/clock.ts';
import { abortReason, sleep } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { InitialGuard } from './initial-guard.ts';
import type { Cache } from './source.ts';
import { Store } from './store.ts';

/** Times of a reflector; the defaults suit every real server. */
export interface ReflectorTuning {
  /** A watch that is silent for so long is opened anew; default 150,000 ms (bookmarks come about once a minute). */
  readonly idleMs?: number | undefined;
  /** How long the first events of a WatchList may pause before we list instead; default 15,000 ms. */
  readonly initialIdleMs?: number | undefined;
  /** A watch that lasted for so long counts as healthy, so that the back-off starts anew; default 5,000 ms. */
  readonly healthyMs?: number | undefined;
  readonly pageSize?: number | undefined;
  readonly backoff?: BackoffOptions | undefined;
  /** Default true. */
  readonly watchList?: boolean | undefined;
}

export interface ReflectorOptions extends ReflectorTuning {
  readonly client: KubeClient;
  readonly resource: ResourceDescriptor;
  readonly selection?: Selection | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** What a reflector can go through; the values of the metric's label `transition`. */
export type ReflectorTransition =
  | 'list'
  | 'watch_list'
  | 'watch_list_unsupported'
  | 'synced'
  | 'watch'
  | 'closed'
  | 'expired'
  | 'idle'
  | 'garbage'
  | 'throttled'
  | 'unreachable'
  | 'error';

const TRANSITIONS: readonly ReflectorTransition[] = [
  'list',
  'watch_list',
  'watch_list_unsupported',
  'synced',
  'watch',
  'closed',
  'expired',
  'idle',
  'garbage',
  'throttled',
  'unreachable',
  'error',
];

/** Longest delay while nobody listens at the server's address, in milliseconds. */
const REFUSED_MAX_MS = 5000;

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export class Reflector<T extends KubeObjectBase> implements Cache<T> {
  readonly name: string;
  readonly store: Store<T>;
  readonly #options: ReflectorOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #backoff: Backoff;
  readonly #onSynced = new Set<() => void>();
  /** The version to watch from; undefined = list first. */
  #resume: string | undefined;
  /** Whether the server may be one with older data than ours, because a connection broke. */
  #doubted = false;
  #useWatchList: boolean;
  #hasSynced = false;
  /** What this reflector has added to the gauge of objects. */
  #measured = 0;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.name = options.resource.plural;
    this.#log = options.log.child({ resource: this.name });
    this.#backoff = new Backoff(options.backoff);
    this.#useWatchList = options.watchList ?? true;
    this.store = new Store<T>((thrown) => this.#log.error({ err: thrown }, 'A listener threw'));
    for (const transition of TRANSITIONS) {
      options.metrics.reflectorTransitions.inc({ resource: this.name, transition }, 0);
    }
  }

  /** Whether the store has held the whole selection at least once. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves when the store holds the whole selection. Rejects only when `signal` aborts. */
  synced(signal: AbortSignal): Promise<void> {
    if (this.#hasSynced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#onSynced.delete(onSynced);
        reject(abortReason(signal));
      };
      const onSynced = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#onSynced.add(onSynced);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Runs until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedAt = this.#clock.monotonic();
      let delayMs = 0;
      try {
        await this.#step(signal);
        if (this.#clock.monotonic() - startedAt < 1000 && this.#resume !== undefined) delayMs = this.#backoff.next();
      } catch (thrown) {
        if (signal.aborted) break;
        delayMs = this.#recover(KubeError.from(thrown));
      }
      if (this.#clock.monotonic() - startedAt >= (this.#options.healthyMs ?? 5000)) this.#backoff.reset();
      if (delayMs > 0) await sleep(this.#clock, delayMs, signal).catch(() => undefined);
    }
    this.#measure(0);
  }

  /** One list, or one watch until it ends. */
  async #step(signal: AbortSignal): Promise<void> {
    if (this.#resume !== undefined && this.#doubted && !(await this.#isPast(this.#resume, signal))) {
      this.#transition('expired');
      this.#resume = undefined;
    }
    this.#doubted = false;
    if (this.#resume === undefined && !this.#useWatchList) {
      await this.#list(signal);
      // Straight on to the watch: nothing may delay it, or the version listed could expire.
    }
    await this.#watch(signal);
    this.#transition('closed');
  }

  /**
   * Whether the server has this version behind it. One that was put back or made anew while a connection broke has not,
   * and a watch from its future would be silent until the idle deadline. Versions are compared as the numbers that they
   * are (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
   */
  async #isPast(version: string, signal: AbortSignal): Promise<boolean> {
    const { client, resource, selection } = this.#options;
    for await (const page of client.listPages<T>(resource, { ...selection, limit: 1, signal })) {
      const versions = [page.resourceVersion, version];
      return versions.every((text) => /^[0-9]+$/.test(text)) && BigInt(page.resourceVersion) >= BigInt(version);
    }
    return false;
  }

  /** Decides what a failure means and returns how long to wait before the next step, in milliseconds. */
  #recover(error: KubeError): number {
    const listing = this.#resume === undefined;
    if (error.isExpired) {
      this.#transition('expired');
      this.#resume = undefined;
      // List at once; but twice in a row means that listing does not help at once.
      const again = this.#backoff.failures > 0;
      const delayMs = this.#backoff.next();
      return again ? delayMs : 0;
    }
    if (error.reason === 'WatchIdle') {
      this.#transition('idle');
      // No bookmark either: the connection is dead, or the version is from the future of a restored server.
      this.#resume = undefined;
      return 0;
    }
    if (error.reason === 'WatchListUnanswered' || (listing && this.#useWatchList && isRefusal(error))) {
      this.#transition('watch_list_unsupported');
      this.#useWatchList = false;
      return 0;
    }
    if (error.isTooManyRequests) {
      this.#transition('throttled');
      return Math.max(error.retryAfterMs ?? 0, this.#backoff.next());
    }
    if (error.isUnreachable) {
      this.#transition('unreachable');
      if (error.reason === 'ConnectionLost') this.#doubted = true;
      else this.#resume = undefined;
    } else {
      this.#transition(error.reason === 'Protocol' ? 'garbage' : 'error');
      // The server dislikes the request as it is (say, a version from its future): do not repeat it for ever.
      // A server that is starting, or has lost the kind or our rights, may have lost its versions too: a watch from one of
      // its future would be silent for ever.
      const isOther = error.status === 503 || error.isNotFound || error.isForbidden || error.isUnauthorized;
      if (isOther || isRefusal(error) || error.causes.some(({ reason }) => reason === 'ResourceVersionTooLarge')) {
        this.#resume = undefined;
      }
    }
    // A refused connection costs nobody anything, and a restarted server should be noticed soon.
    const delayMs = this.#backoff.next(error.reason === 'ConnectionRefused' ? REFUSED_MAX_MS : undefined);
    this.#log.warn({ err: error, delayMs: Math.round(delayMs) }, 'Watch failed and will be tried again');
    return delayMs;
  }

  async #list(signal: AbortSignal): Promise<void> {
    this.#transition('list');
    const epoch = this.store.beginList();
    const objects: T[] = [];
    let resourceVersion = '';
    const { client, resource, selection, pageSize = 500 } = this.#options;
    for await (const page of client.listPages<T>(resource, { ...selection, limit: pageSize, signal })) {
      for (const object of page.items) objects.push(forCache(object, resource));
      resourceVersion = page.resourceVersion;
    }
    this.#replace(objects, epoch, resourceVersion);
  }

  /** Watches from where we are; without a version it asks for the present state first (WatchList). */
  async #watch(signal: AbortSignal): Promise<void> {
    const { client, resource, selection, idleMs = 150_000 } = this.#options;
    let initial = this.#resume === undefined ? new Map<string, T>() : undefined;
    const epoch = initial === undefined ? 0 : this.store.beginList();
    const guard =
      initial === undefined ? undefined : new InitialGuard(this.#clock, this.#options.initialIdleMs ?? 15_000, signal);
    this.#transition(initial === undefined ? 'watch' : 'watch_list');
    guard?.progress();
    try {
      const events: AsyncIterable<WatchEvent<T>> = client.watch<T>(resource, {
        ...selection,
        signal: guard?.signal ?? signal,
        resourceVersion: this.#resume,
        sendInitialEvents: initial === undefined ? undefined : true,
        // Spread over 5 to 10 minutes, so that not all watches of a cluster are opened anew at the same moment.
        timeoutSeconds: 300 + Math.floor(Math.random() * 300),
        idleMs,
      });
      for await (const event of events) {
        if (initial === undefined) {
          this.#apply(event);
          continue;
        }
        guard?.progress();
        if (event.type === 'BOOKMARK') {
          if (event.object.metadata.annotations?.[INITIAL_EVENTS_END] !== 'true') continue;
          this.#replace(initial.values(), epoch, event.object.metadata.resourceVersion ?? '');
          initial = undefined;
          guard?.end();
        } else if (event.type === 'DELETED') {
          initial.delete(keyOf(event.object));
        } else {
          initial.set(keyOf(event.object), forCache(event.object, resource));
        }
      }
    } catch (thrown) {
      throw guard?.expired === true && !signal.aborted ? UNANSWERED() : thrown;
    } finally {
      guard?.release();
    }
  }

  #apply(event: WatchEvent<T>): void {
    if (event.type === 'DELETED') this.store.delete(keyOf(event.object));
    else if (event.type !== 'BOOKMARK') this.store.set(forCache(event.object, this.#options.resource));
    this.#resume = event.object.metadata.resourceVersion ?? this.#resume;
    this.#measure(this.store.size);
  }

  #replace(objects: Iterable<T>, epoch: number, resourceVersion: string): void {
    this.store.replace(objects, epoch, !this.#hasSynced);
    this.#resume = resourceVersion === '' ? undefined : resourceVersion;
    this.#backoff.reset();
    this.#measure(this.store.size);
    this.#transition('synced');
    if (this.#hasSynced) return;
    this.#hasSynced = true;
    for (const listener of this.#onSynced) listener();
    this.#onSynced.clear();
  }

  /** Several reflectors of one resource add up in one gauge. */
  #measure(size: number): void {
    if (size === this.#measured) return;
    this.#options.metrics.reflectorObjects.inc({ resource: this.name }, size - this.#measured);
    this.#measured = size;
  }

  #transition(transition: ReflectorTransition): void {
    this.#options.metrics.reflectorTransitions.inc({ resource: this.name, transition });
    this.#log.debug({ transition }, 'Watch changed state');
  }
}

const UNANSWERED = (): KubeError =>
  new KubeError({ reason: 'WatchListUnanswered', message: 'the server does not end the initial events of a watch' });

/** A 4xx that says "not like this": the same request would be refused again. */
function isRefusal(error: KubeError): boolean {
  return error.status === 400 || error.status === 405 || error.status === 406 || error.status === 422;
}
