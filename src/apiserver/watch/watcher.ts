import type { Change, Collection } from '../storage/collection.ts';
import { Item } from '../storage/item.ts';
import type { Encoder } from '../table/encoders.ts';

/** Where the events of a watch go. */
export interface Sink {
  /** Sends text. False: the client is behind, and should be sent nothing more before {@link Watcher.resume}. */
  write(text: string): boolean;
  end(): void;
  /** Cuts the connection: the client was too slow. */
  destroy(): void;
}

/** What a watcher looks at. */
export interface WatcherOptions {
  readonly collection: Collection;
  /** `''` for all. */
  readonly namespace: string;
  readonly matches: ((item: Item) => boolean) | undefined;
  readonly encoder: Encoder;
  readonly sink: Sink;
  readonly onEnd: (watcher: Watcher) => void;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** An event that is not written yet; or a line as it stands. */
type Waiting = { readonly type: EventType; readonly item: Item } | string;

/**
 * A client that takes less than it is sent is cut off when the objects of this many characters wait; it resumes from its
 * last revision. What waits are the objects themselves, which other watchers and the history share.
 */
const MAX_WAITING = 16 * 1024 * 1024;
/** So is one that takes nothing at all for this long while something waits. */
const STALLED_MS = 30_000;
/** How much is written at once; then others have their turn. */
const CHUNK = 128 * 1024;

/** One watch: turns changes into events for one client. */
export class Watcher {
  readonly collection: Collection;
  readonly #prefix: string;
  readonly #matches: ((item: Item) => boolean) | undefined;
  readonly #encoder: Encoder;
  readonly #sink: Sink;
  readonly #onEnd: (watcher: Watcher) => void;
  #buffer = '';
  /** Comes before what waits: objects that were there, or changes that happened before. */
  #backlog: Iterator<Waiting> | undefined;
  readonly #waiting: Waiting[] = [];
  #waitingSize = 0;
  /** The client is behind; what comes now waits. */
  #blocked = false;
  #stalled: NodeJS.Timeout | undefined;
  #first = true;
  #ended = false;
  /** Events at or before this revision are not sent again. */
  #revision = 0;

  constructor(options: WatcherOptions) {
    this.collection = options.collection;
    this.#prefix = options.namespace === '' ? '' : `${options.namespace}/`;
    this.#matches = options.matches;
    this.#encoder = options.encoder;
    this.#sink = options.sink;
    this.#onEnd = options.onEnd;
  }

  /** Begins with the objects that are there, as new ones. */
  sendExisting(items: Iterable<Item>): void {
    // A copy of the references: the collection changes while a slow client takes them.
    this.#backlog = this.#existing([...items]);
  }

  *#existing(items: readonly Item[]): Generator<Waiting> {
    for (const item of items) {
      if (!item.key.startsWith(this.#prefix)) continue;
      if (this.#matches === undefined || this.#matches(item)) yield { type: 'ADDED', item };
    }
  }

  /** Begins with changes that happened before. */
  sendChanges(changes: readonly Change[]): void {
    this.#backlog = this.#replay([...changes]);
  }

  *#replay(changes: readonly Change[]): Generator<Waiting> {
    for (const change of changes) {
      const event = this.#eventOf(change);
      if (event !== undefined) yield event;
    }
  }

  /** Starts: sends what it begins with, and then what is offered from `revision` on. */
  start(revision: number): void {
    this.#revision = revision;
    this.#pump();
  }

  /** Takes a change into the buffer if it concerns this watch. */
  offer(change: Change, texts: Map<string, string>): void {
    if (change.revision <= this.#revision || this.#ended) return;
    const event = this.#eventOf(change);
    if (event === undefined) return;
    if (this.#isBehind()) this.#wait(event, event.item.json.length);
    else this.#buffer += this.#textOf(event, texts);
  }

  /** What a change is to this watch; undefined when it does not concern it. */
  #eventOf(change: Change): { readonly type: EventType; readonly item: Item } | undefined {
    const { type, item, previous } = change;
    if (!item.key.startsWith(this.#prefix)) return undefined;
    if (this.#matches === undefined) return change;
    const before = previous !== undefined && this.#matches(previous);
    const after = type !== 'DELETED' && this.#matches(item);
    if (after) return { type: before ? 'MODIFIED' : 'ADDED', item };
    if (!before) return undefined;
    return { type: 'DELETED', item: type === 'DELETED' ? item : lastMatching(previous, change.revision) };
  }

  #isBehind(): boolean {
    return this.#blocked || this.#backlog !== undefined || this.#waiting.length > 0;
  }

  #wait(what: Waiting, size: number): void {
    this.#waiting.push(what);
    this.#waitingSize += size;
    if (this.#waitingSize > MAX_WAITING) this.#cut();
  }

  #textOf({ type, item }: { readonly type: EventType; readonly item: Item }, texts?: Map<string, string>): string {
    const { shared } = this.#encoder;
    if (texts === undefined || shared === undefined) {
      const text = `{"type":"${type}","object":${this.#encoder.object(item, this.#first)}}\n`;
      this.#first = false;
      return text;
    }
    const name = `${type} ${shared}`;
    let text = texts.get(name);
    if (text === undefined) {
      text = `{"type":"${type}","object":${this.#encoder.object(item)}}\n`;
      texts.set(name, text);
    }
    return text;
  }

  /** Says how far the watch has come; `initialEnd` marks the end of the initial events. */
  bookmark(revision: number, initialEnd = false): void {
    const annotations = initialEnd ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    const line = `{"type":"BOOKMARK","object":${this.#encoder.bookmark(revision, annotations)}}\n`;
    if (this.#isBehind()) this.#wait(line, line.length);
    else {
      this.#buffer += line;
      this.flush();
    }
  }

  /** Reports an error to the client, as the last event. */
  fail(status: string): void {
    this.#buffer += `{"type":"ERROR","object":${status}}\n`;
    this.flush();
    this.end();
  }

  flush(): void {
    if (this.#buffer === '' || this.#ended) return;
    const text = this.#buffer;
    this.#buffer = '';
    if (this.#sink.write(text)) return;
    this.#blocked = true;
    this.#stalled ??= setTimeout(() => this.#onStalled(), STALLED_MS).unref();
  }

  /** The client has taken what it was sent. */
  resume(): void {
    this.#blocked = false;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    this.#pump();
  }

  /** Writes what waits, as far as the client takes it. */
  #pump(): void {
    let taken = 0;
    while (!this.#blocked && !this.#ended) {
      const next = this.#nextWaiting(taken);
      if (next === undefined) break;
      if (typeof next === 'string') this.#buffer += next;
      else this.#buffer += this.#textOf(next);
      if (this.#backlog === undefined) {
        taken++;
        this.#waitingSize -= typeof next === 'string' ? next.length : next.item.json.length;
      }
      if (this.#buffer.length >= CHUNK) this.flush();
    }
    this.#waiting.splice(0, taken);
    this.flush();
  }

  #nextWaiting(taken: number): Waiting | undefined {
    const next = this.#backlog?.next();
    if (next !== undefined && next.done !== true) return next.value;
    this.#backlog = undefined;
    return this.#waiting[taken];
  }

  #onStalled(): void {
    this.#stalled = undefined;
    if (this.#backlog !== undefined || this.#waiting.length > 0) this.#cut();
  }

  #cut(): void {
    if (this.#ended) return;
    this.#close();
    this.#sink.destroy();
    this.#onEnd(this);
  }

  end(): void {
    if (this.#ended) return;
    this.flush();
    this.#close();
    this.#sink.end();
    this.#onEnd(this);
  }

  #close(): void {
    this.#ended = true;
    this.#backlog = undefined;
    this.#waiting.length = 0;
    clearTimeout(this.#stalled);
  }
}

/** An object that leaves the selection is shown as it was while it was in it, with the revision of the change. */
function lastMatching(previous: Item, revision: number): Item {
  const metadata = { ...previous.metadata, resourceVersion: String(revision) };
  const object = { ...previous.object, metadata };
  return new Item(previous.key, revision, JSON.stringify(object), object);
}
