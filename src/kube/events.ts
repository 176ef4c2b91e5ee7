/**
 * Records core/v1 Events. Recording never waits and never fails: events are for people, and no reconcile may become
 * slower or wrong because of them. They go through a bounded queue to one writer; what does not fit is counted and
 * dropped.
 */
import { hostname } from 'node:os';
import type { KubeObjectBase } from '../api/meta.ts';
import { EVENTS } from '../api/meta.ts';
import type { Clock } from '../telemetry/clock.ts';
import { sleep, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { cleanText } from '../telemetry/redact.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import type { CorrelatorOptions } from './event-correlator.ts';
import { EventCorrelator } from './event-correlator.ts';

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** Who reports, e.g. `clawstore-agent`. */
  readonly component: string;
  /** Where; default the host's name. */
  readonly host?: string | undefined;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  /** Events that may wait to be written; default 1000. */
  readonly capacity?: number | undefined;
  /** Attempts per event while the API server is out of reach; default 12. */
  readonly attempts?: number | undefined;
  /** Time between attempts in milliseconds; default 10,000. */
  readonly retryMs?: number | undefined;
  /** Time from the first event of a burst until they are written, so that the work itself comes first; default 0 ms. */
  readonly gatherMs?: number | undefined;
  readonly correlator?: Omit<CorrelatorOptions, 'clock'> | undefined;
}

/** What reconcilers see. */
export interface EventSink {
  /** @param reason PascalCase constant. @param message One sentence without secrets; cut at 1024 bytes. */
  record(object: KubeObjectBase, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

interface Occurrence {
  readonly object: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly at: number;
}

interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

interface Event extends KubeObjectBase {
  readonly involvedObject: ObjectReference;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
  readonly source: { readonly component: string; readonly host: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

/** `legacyValidateEvent` has no limit, but the newer API refuses notes above this; people read one line. */
const MAX_MESSAGE = 1024;

export class EventRecorder implements EventSink {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #host: string;
  readonly #capacity: number;
  readonly #correlator: EventCorrelator;
  readonly #queue: Occurrence[] = [];
  readonly #stop = new AbortController();
  /** Ends the wait for more events. */
  #hurry = new AbortController();
  #writing: Promise<void> | undefined;
  #closed = false;
  #serial = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#host = options.host ?? hostname();
    this.#capacity = options.capacity ?? 1000;
    this.#correlator = new EventCorrelator({ clock: this.#clock, ...options.correlator });
    for (const outcome of ['created', 'patched', 'dropped', 'failed']) options.metrics?.events.inc({ outcome }, 0);
  }

  record(object: KubeObjectBase, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#closed || this.#queue.length >= this.#capacity) {
      this.#count('dropped');
      return;
    }
    const { name, namespace, uid, resourceVersion } = object.metadata;
    this.#queue.push({
      object: { apiVersion: object.apiVersion, kind: object.kind, name, namespace, uid, resourceVersion },
      type,
      reason,
      message: cutTo(cleanText(message), MAX_MESSAGE),
      at: this.#clock.now(),
    });
    this.#writing ??= this.#write(this.#options.gatherMs ?? 0).finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes what waits, for at most `deadlineMs` milliseconds (default 3,000), and accepts nothing more. */
  async close(deadlineMs = 3000): Promise<void> {
    this.#closed = true;
    this.#hurry.abort();
    const timer = this.#clock.setTimer(deadlineMs, () => this.#stop.abort());
    await this.#writing;
    timer.cancel();
  }

  /** Resolves when everything recorded so far has been written or given up. */
  async flush(): Promise<void> {
    this.#hurry.abort();
    this.#hurry = new AbortController();
    await this.#writing;
  }

  async #write(gatherMs: number): Promise<void> {
    // The caller is in a reconcile: let it go on before the first event is worked on.
    if (gatherMs === 0) await Promise.resolve();
    else await sleep(this.#clock, gatherMs, this.#hurry.signal).catch(() => undefined);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.#stop.signal.aborted) this.#count('dropped');
      else await this.#writeOne(next);
    }
  }

  async #writeOne(occurrence: Occurrence): Promise<void> {
    const { attempts = 12, retryMs = 10_000, log, component } = this.#options;
    const { object, type, reason } = occurrence;
    const correlated = this.#correlator.correlate({
      source: `${component}@${this.#host}`,
      object: JSON.stringify(object, ['apiVersion', 'kind', 'namespace', 'name', 'uid']),
      type,
      reason,
      message: occurrence.message,
    });
    if (correlated === undefined) {
      this.#count('dropped');
      return;
    }
    const event = this.#event(occurrence, correlated.message, correlated.count, correlated.firstTimestamp);
    let existing = correlated.existingName;
    for (let attempt = 1; ; attempt++) {
      try {
        if (existing === undefined) {
          await this.#options.client.create(EVENTS, event, { signal: this.#stop.signal });
          correlated.written(event.metadata.name);
          this.#count('created');
        } else {
          await this.#patch(existing, event);
          this.#count('patched');
        }
        return;
      } catch (thrown) {
        const error = KubeError.from(thrown);
        if (existing !== undefined && error.isNotFound) {
          // Events expire (an hour by default): the series begins a new object.
          existing = undefined;
          continue;
        }
        if (error.isAlreadyExists) {
          correlated.written(event.metadata.name);
          return;
        }
        if (error.isAborted || !error.isRetryable || attempt >= attempts) {
          this.#count('failed');
          log.debug({ err: error, reason }, 'Event could not be written');
          return;
        }
        await sleep(this.#clock, retryMs * (0.5 + Math.random() / 2), this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #patch(name: string, event: Event): Promise<void> {
    const { count, message, lastTimestamp, series } = event;
    await this.#options.client.patch(
      EVENTS,
      { namespace: event.metadata.namespace, name },
      { count, message, lastTimestamp, series },
      { type: 'merge', signal: this.#stop.signal },
    );
  }

  #event(occurrence: Occurrence, message: string, count: number, firstTimestamp: number): Event {
    const { component } = this.#options;
    const { object, type, reason, at } = occurrence;
    // Events of cluster-wide objects live in "default", as client-go has it.
    const namespace = object.namespace === undefined || object.namespace === '' ? 'default' : object.namespace;
    const suffix = `.${at.toString(16)}${(this.#serial++ & 0xfffff).toString(16).padStart(5, '0')}`;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace, name: object.name.slice(0, 253 - suffix.length) + suffix },
      involvedObject: object,
      type,
      reason,
      message,
      count,
      firstTimestamp: seconds(firstTimestamp),
      lastTimestamp: seconds(at),
      ...(count > 1 ? { series: { count, lastObservedTime: micro(at) } } : {}),
      source: { component, host: this.#host },
      reportingComponent: component,
      reportingInstance: this.#host,
    };
  }

  #count(outcome: string): void {
    this.#options.metrics?.events.inc({ outcome });
  }
}

/** `metav1.Time`. */
function seconds(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** `metav1.MicroTime`. */
function micro(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}

/** Cuts a text to a number of UTF-8 bytes, between characters. */
function cutTo(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const cut = Buffer.from(text)
    .subarray(0, bytes - 3)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
  return `${cut}…`;
}
