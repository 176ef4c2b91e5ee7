import { lastSeen } from '../kinds/events.ts';
import type { Clock } from '../registry/clock.ts';
import type { Store } from './store.ts';

/** How long changes can be watched from the past (etcd compaction of kube-apiserver: 5 minutes). */
const HISTORY_MS = 5 * 60_000;
/** More changes than this are forgotten earlier, so that memory is bounded. */
const MAX_CHANGES = 20_000;
/** How long events are kept (`--event-ttl`). */
const EVENT_TTL_MS = 3_600_000;
const CHECK_MS = 30_000;
/** Idle servers write nothing: a few old rows may wait. */
const MIN_CHANGES = 100;

/** Forgets old changes and expired events. */
export class Housekeeping {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #timer: NodeJS.Timeout;
  /** Revisions with the time at which they were the newest. */
  #marks: { readonly time: number; readonly revision: number }[] = [];

  constructor(store: Store, clock: Clock, onError: (error: Error) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#timer = setInterval(() => {
      this.run().catch((error: unknown) => onError(error as Error));
    }, CHECK_MS);
    this.#timer.unref();
  }

  /** One round. */
  async run(): Promise<void> {
    const now = this.#clock.now();
    this.#expireEvents(now);
    const { committed, compacted } = this.#store;
    let target = committed - MAX_CHANGES;
    while (this.#marks.length > 0 && (this.#marks[0]?.time ?? now) <= now - HISTORY_MS) {
      target = Math.max(target, this.#marks.shift()?.revision ?? 0);
    }
    if (this.#marks.at(-1)?.revision !== committed) this.#marks.push({ time: now, revision: committed });
    if (target - compacted >= MIN_CHANGES) await this.#store.compact(target);
  }

  #expireEvents(now: number): void {
    const events = this.#store.collection('/events');
    for (const item of Array.from(events.values())) {
      const time = lastSeen(item.object);
      if (time !== undefined && now - Date.parse(time) > EVENT_TTL_MS) this.#store.delete(events, item.key);
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
