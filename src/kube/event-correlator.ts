/**
 * Keeps events few, with the rules of client-go's EventCorrelator, in this order: a token bucket per source and object
 * drops floods; many similar events (same but for the message) become one "combined" series; an event that repeats
 * exactly raises a count.
 */
import type { Clock } from '../telemetry/clock.ts';

/** What decides whether two events are the same. */
export interface EventIdentity {
  /** Component and host that report. */
  readonly source: string;
  /** The object: kind, namespace, name, UID, field path. */
  readonly object: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

/** What is known of a series that was written before. */
export interface EventSeries {
  /** Name of the Event object. */
  name: string;
  /** Wall-clock milliseconds. */
  firstTimestamp: number;
  count: number;
}

/** What to write; undefined from {@link EventCorrelator.correlate} means: drop. */
export interface Correlated {
  readonly message: string;
  /** How often it has happened, this time included. */
  readonly count: number;
  readonly firstTimestamp: number;
  /** Set when it continues a series whose Event is there already (as far as we know): patch it. */
  readonly existingName: string | undefined;
  /** Tells the correlator under which name the event was written. */
  written(name: string): void;
}

export interface CorrelatorOptions {
  readonly clock: Clock;
  /** Entries kept of each kind; default 4096. */
  readonly capacity?: number | undefined;
  /** Events an object may have at once; default 25. */
  readonly burst?: number | undefined;
  /** Time for one more, in milliseconds; default 300,000. */
  readonly refillMs?: number | undefined;
  /** Similar events before they are combined; default 10. */
  readonly maxSimilar?: number | undefined;
  /** Similar events further apart than this are not similar, in milliseconds; default 600,000. */
  readonly similarMs?: number | undefined;
}

interface Bucket {
  tokens: number;
  at: number;
}

interface Similar {
  readonly messages: Set<string>;
  at: number;
}

export const COMBINED_PREFIX = '(combined from similar events): ';

export class EventCorrelator {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #refillMs: number;
  readonly #maxSimilar: number;
  readonly #similarMs: number;
  readonly #buckets: LruMap<Bucket>;
  readonly #similar: LruMap<Similar>;
  readonly #series: LruMap<EventSeries>;

  constructor(options: CorrelatorOptions) {
    const capacity = options.capacity ?? 4096;
    this.#clock = options.clock;
    this.#burst = options.burst ?? 25;
    this.#refillMs = options.refillMs ?? 300_000;
    this.#maxSimilar = options.maxSimilar ?? 10;
    this.#similarMs = options.similarMs ?? 600_000;
    this.#buckets = new LruMap(capacity);
    this.#similar = new LruMap(capacity);
    this.#series = new LruMap(capacity);
  }

  /** Decides what becomes of an event that happens now. */
  correlate(event: EventIdentity): Correlated | undefined {
    if (!this.#mayPass(JSON.stringify([event.source, event.object]))) return undefined;
    const kin = JSON.stringify([event.source, event.object, event.type, event.reason]);
    const combined = this.#isCombined(kin, event.message);
    const message = combined ? COMBINED_PREFIX + event.message : event.message;
    const key = combined ? kin : JSON.stringify([kin, event.message]);
    const known = this.#series.get(key);
    const series: EventSeries = {
      name: known?.name ?? '',
      firstTimestamp: known?.firstTimestamp ?? this.#clock.now(),
      count: (known?.count ?? 0) + 1,
    };
    this.#series.set(key, series);
    return {
      message,
      count: series.count,
      firstTimestamp: series.firstTimestamp,
      existingName: series.name === '' ? undefined : series.name,
      written: (name) => {
        const present = this.#series.get(key);
        if (present !== undefined) present.name = name;
      },
    };
  }

  #mayPass(key: string): boolean {
    const now = this.#clock.monotonic();
    const before = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    const tokens = Math.min(this.#burst, before.tokens + (now - before.at) / this.#refillMs);
    const pass = tokens >= 1;
    this.#buckets.set(key, { tokens: pass ? tokens - 1 : tokens, at: now });
    return pass;
  }

  #isCombined(kin: string, message: string): boolean {
    const now = this.#clock.monotonic();
    const known = this.#similar.get(kin);
    const similar: Similar =
      known === undefined || now - known.at > this.#similarMs ? { messages: new Set(), at: now } : known;
    similar.at = now;
    const isNew = !similar.messages.has(message);
    if (isNew && similar.messages.size >= this.#maxSimilar) {
      this.#similar.set(kin, similar);
      return true;
    }
    similar.messages.add(message);
    this.#similar.set(kin, similar);
    return false;
  }
}

/** A map that forgets what was used longest ago. */
class LruMap<V> {
  readonly #entries = new Map<string, V>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#capacity) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}
