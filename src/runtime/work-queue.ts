/**
 * The queue between watches and workers: client-go's `workqueue` with controller-runtime's priorities.
 *
 * A key is handed to one worker at a time. A key added while it is being worked on is handed out once more after that
 * work is done, however often it was added. A key added twice before it is handed out counts once, with the higher
 * priority and the earlier time of the two.
 */
import type { Clock, Timer } from '../telemetry/clock.ts';
import type { HeapItem } from './heap.ts';
import { Heap } from './heap.ts';
import type { RateLimiterOptions } from './rate-limiter.ts';
import { RateLimiter } from './rate-limiter.ts';
import type { AddOptions } from './source.ts';

/** What a queue tells whoever measures it. */
export interface WorkQueueObserver {
  /** A key became ready, or stopped being so. */
  depth(ready: number): void;
  added(): void;
  retried(): void;
  /** A key was handed out after so many seconds of being ready. */
  started(waitedSeconds: number): void;
  finished(workedSeconds: number): void;
}

export interface WorkQueueOptions extends RateLimiterOptions {
  readonly clock: Clock;
  readonly observer?: WorkQueueObserver | undefined;
}

export interface QueueAddOptions extends AddOptions {
  /** Wait as the rate limiter says (and count a failure); the later of this and `afterMs` counts. */
  readonly rateLimited?: boolean | undefined;
}

/** A key that was handed out; it must come back through {@link WorkQueue.done}. */
export interface Work {
  readonly key: string;
  readonly priority: number;
}

interface Item extends HeapItem {
  readonly key: string;
  priority: number;
  /** Monotonic time before which the key is not handed out. */
  readyAt: number;
  /** Order of arrival among equals. */
  sequence: number;
  place: 'ready' | 'waiting' | 'parked';
}

export class WorkQueue {
  /**
   * Every key that wants to be worked on ("dirty"), once. Invariant: an item is in exactly one place:
   * - `ready`: in #ready; its key is not in #processing, and its time has come;
   * - `waiting`: in #waiting; its time has not come (its key may be in #processing);
   * - `parked`: in neither heap; its time has come, but its key is in #processing. `done` moves it to #ready.
   */
  readonly #dirty = new Map<string, Item>();
  /** Handed out and not yet done, with the time of handing out. A key here is never handed out a second time. */
  readonly #processing = new Map<string, number>();
  readonly #ready = new Heap<Item>((a, b) =>
    a.priority === b.priority ? a.sequence < b.sequence : a.priority > b.priority,
  );
  readonly #waiting = new Heap<Item>((a, b) => a.readyAt < b.readyAt);
  readonly #limiter: RateLimiter;
  readonly #clock: Clock;
  readonly #observer: WorkQueueObserver | undefined;
  readonly #readyListeners = new Set<() => void>();
  /** Set for the earliest of #waiting, or absent when nothing waits. */
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #sequence = 0;
  #shutDown = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#observer = options.observer;
    this.#limiter = new RateLimiter(options);
  }

  /** Keys that are ready to be handed out. */
  get length(): number {
    return this.#ready.size;
  }

  get processing(): number {
    return this.#processing.size;
  }

  get isShutDown(): boolean {
    return this.#shutDown;
  }

  /** Adds a key. After {@link shutDown} it does nothing. */
  add(key: string, options: QueueAddOptions = {}): void {
    if (this.#shutDown) return;
    const now = this.#clock.monotonic();
    let delay = Math.max(0, options.afterMs ?? 0);
    if (options.rateLimited === true) {
      delay = Math.max(delay, this.#limiter.when(key));
      this.#observer?.retried();
    }
    const priority = options.priority ?? 0;
    const readyAt = now + delay;
    const present = this.#dirty.get(key);
    if (present === undefined) {
      const item: Item = { key, priority, readyAt, sequence: this.#sequence++, place: 'parked', heapIndex: -1 };
      this.#dirty.set(key, item);
      this.#observer?.added();
      this.#place(item, now);
      return;
    }
    if (priority > present.priority) {
      present.priority = priority;
      if (present.place === 'ready') this.#ready.update(present);
    }
    if (readyAt < present.readyAt) {
      present.readyAt = readyAt;
      if (present.place === 'waiting') {
        this.#waiting.remove(present);
        this.#place(present, now);
      }
    }
  }

  /** Hands out the most urgent key, or nothing when none is ready. */
  tryGet(): Work | undefined {
    const item = this.#ready.pop();
    if (item === undefined) return undefined;
    const now = this.#clock.monotonic();
    this.#dirty.delete(item.key);
    this.#processing.set(item.key, now);
    this.#observer?.depth(this.#ready.size);
    this.#observer?.started(Math.max(0, now - item.readyAt) / 1000);
    return item;
  }

  /** Says that the work on a key is over. @throws RangeError when the key was not handed out. */
  done(key: string): void {
    const since = this.#processing.get(key);
    if (since === undefined) throw new RangeError(`"${key}" is not being worked on`);
    this.#processing.delete(key);
    const now = this.#clock.monotonic();
    this.#observer?.finished((now - since) / 1000);
    const item = this.#dirty.get(key);
    if (item?.place === 'parked') this.#place(item, now);
  }

  /** Starts the key's back-off anew. */
  forget(key: string): void {
    this.#limiter.forget(key);
  }

  /** How often the key was added with `rateLimited` since it was last forgotten. */
  retries(key: string): number {
    return this.#limiter.retries(key);
  }

  /** Calls `listener` each time a key becomes ready and at shutdown; returns the way out. It must not block. */
  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener);
    return () => {
      this.#readyListeners.delete(listener);
    };
  }

  /** Forgets all that waits and accepts nothing more. Keys that are being worked on are not touched. */
  shutDown(): void {
    this.#shutDown = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dirty.clear();
    while (this.#ready.pop() !== undefined);
    while (this.#waiting.pop() !== undefined);
    this.#observer?.depth(0);
    this.#announce();
  }

  /** Ages of the work in progress, in seconds, for metrics. */
  unfinished(): { readonly sumSeconds: number; readonly longestSeconds: number } {
    const now = this.#clock.monotonic();
    let sum = 0;
    let longest = 0;
    for (const since of this.#processing.values()) {
      sum += now - since;
      longest = Math.max(longest, now - since);
    }
    return { sumSeconds: sum / 1000, longestSeconds: longest / 1000 };
  }

  /** Puts an item that is in no heap where it belongs now. */
  #place(item: Item, now: number): void {
    if (item.readyAt > now) {
      item.place = 'waiting';
      this.#waiting.push(item);
      this.#armTimer();
      return;
    }
    if (this.#processing.has(item.key)) {
      item.place = 'parked';
      return;
    }
    item.place = 'ready';
    this.#ready.push(item);
    this.#observer?.depth(this.#ready.size);
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#readyListeners) listener();
  }

  /** One timer, for the earliest item that waits. */
  #armTimer(): void {
    const next = this.#waiting.peek();
    if (next === undefined || (this.#timer !== undefined && this.#timerAt <= next.readyAt)) return;
    this.#timer?.cancel();
    this.#timerAt = next.readyAt;
    this.#timer = this.#clock.setTimer(Math.max(0, next.readyAt - this.#clock.monotonic()), () => {
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#promote();
    });
  }

  #promote(): void {
    // Timers may fire a fraction of a millisecond early; what is due within one counts as due.
    const now = this.#clock.monotonic() + 1;
    for (let next = this.#waiting.peek(); next !== undefined && next.readyAt <= now; next = this.#waiting.peek()) {
      this.#waiting.remove(next);
      this.#place(next, now);
    }
    this.#armTimer();
  }
}
