import type { Clock } from '../registry/clock.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import type { Change } from './collection.ts';
import type { Store } from './store.ts';

/** How long changes can be watched from the past (etcd compaction of kube-apiserver: 5 minutes). */
const HISTORY_MS = 5 * 60_000;
/** How long events are kept after they were last written (`--event-ttl`), whatever times they tell of. */
const EVENT_TTL_MS = 3_600_000;
const CHECK_MS = 30_000;
/** Idle servers write nothing: a few old rows may wait. */
const MIN_CHANGES = 100;
/** History is forgotten in pieces, none larger than a part of what there may be, or longer than this. */
const PIECE_PART = 1 / 40;
const PIECE_MS = 1000;

/** How much history there may be, whatever its age, so that memory and the file are bounded. */
export interface HistoryLimits {
  readonly changes: number;
  /** Of the objects' JSON. */
  readonly bytes: number;
}

const LIMITS: HistoryLimits = { changes: 20_000, bytes: 128 * 1024 * 1024 };

/** Changes that followed each other, and when. */
interface Piece {
  readonly start: number;
  /** The newest one. */
  revision: number;
  changes: number;
  bytes: number;
}

/** Forgets old changes and expired events. */
export class Housekeeping {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limits: HistoryLimits;
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;
  /** What can be watched from the past, oldest first. */
  readonly #pieces: Piece[] = [];
  #changes = 0;
  #bytes = 0;
  #isRunning = false;

  constructor(store: Store, clock: Clock, onError: (error: Error) => void, limits: HistoryLimits = LIMITS) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    // How old the history on disk is nobody knows: it counts from now.
    this.#take(
      Array.from(store.collections.values(), (all) => all.changesAfter(store.compacted))
        .flat()
        .sort(byRevision),
    );
    const run = (): void => {
      if (this.#isRunning) return;
      this.#isRunning = true;
      // Not at once: others are being told of the same changes.
      void Promise.resolve()
        .then(() => this.run())
        .catch((error: unknown) => onError(error as Error))
        .finally(() => {
          this.#isRunning = false;
        });
    };
    this.#unsubscribe = store.subscribe((changes) => {
      this.#take(changes);
      // A burst between two looks must not fill memory and disk; a quarter more than allowed makes the work worth it.
      if (this.#isAbove(1.25)) run();
    });
    this.#timer = setInterval(run, CHECK_MS);
    this.#timer.unref();
  }

  #take(changes: readonly Change[]): void {
    const now = this.#clock.now();
    for (const { revision, item } of changes) {
      let piece = this.#pieces.at(-1);
      if (piece === undefined || this.#isFull(piece) || now - piece.start >= PIECE_MS) {
        piece = { start: now, revision, changes: 0, bytes: 0 };
        this.#pieces.push(piece);
      }
      piece.revision = revision;
      piece.changes += 1;
      piece.bytes += item.json.length;
      this.#changes += 1;
      this.#bytes += item.json.length;
    }
  }

  #isFull({ changes, bytes }: Piece): boolean {
    return changes >= this.#limits.changes * PIECE_PART || bytes >= this.#limits.bytes * PIECE_PART;
  }

  #isAbove(factor: number): boolean {
    return this.#changes > this.#limits.changes * factor || this.#bytes > this.#limits.bytes * factor;
  }

  /** One round. */
  async run(): Promise<void> {
    const now = this.#clock.now();
    this.#expireEvents(now);
    const isIdle = this.#changesBefore(now - HISTORY_MS) < MIN_CHANGES;
    let revision = 0;
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const isOld = piece.start <= now - HISTORY_MS && !isIdle;
      if (!isOld && !this.#isAbove(1)) break;
      this.#pieces.shift();
      this.#changes -= piece.changes;
      this.#bytes -= piece.bytes;
      revision = piece.revision;
    }
    if (revision > 0) await this.#store.compact(revision);
  }

  #changesBefore(time: number): number {
    return this.#pieces.reduce((sum, { start, changes }) => (start <= time ? sum + changes : sum), 0);
  }

  #expireEvents(now: number): void {
    const events = this.#store.collection('/events');
    for (const item of Array.from(events.values())) {
      if (now - lastWritten(item.metadata) > EVENT_TTL_MS) this.#store.delete(events, item.key);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }
}

function byRevision(a: Change, b: Change): number {
  return a.revision - b.revision;
}

/** When an object was last written, in milliseconds: the newest time that its metadata has. */
function lastWritten({ creationTimestamp, managedFields }: JsonObject): number {
  let newest = Date.parse(String(creationTimestamp));
  for (const entry of Array.isArray(managedFields) ? managedFields : []) {
    const time = isObject(entry) ? Date.parse(String(entry['time'])) : Number.NaN;
    if (time > newest) newest = time;
  }
  return newest;
}
