import type { Change, Collection } from '../storage/collection.ts';
import { Item } from '../storage/item.ts';
import type { Encoder } from '../table/encoders.ts';

/** Where the events of a watch go. */
export interface Sink {
  /** Sends text; returns how many bytes wait to be sent. */
  write(text: string): number;
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

/** A client that takes less than it is sent is cut off when this much waits; it resumes from its last revision. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** One watch: turns changes into events for one client. */
export class Watcher {
  readonly collection: Collection;
  readonly #prefix: string;
  readonly #matches: ((item: Item) => boolean) | undefined;
  readonly #encoder: Encoder;
  readonly #sink: Sink;
  readonly #onEnd: (watcher: Watcher) => void;
  #buffer = '';
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

  /** Starts after `revision`. */
  startAfter(revision: number): void {
    this.#revision = revision;
  }

  /** Sends the objects that are there as new ones. */
  sendExisting(items: Iterable<Item>): void {
    for (const item of items) {
      if (!item.key.startsWith(this.#prefix)) continue;
      if (this.#matches === undefined || this.#matches(item)) this.#push('ADDED', item, undefined);
    }
  }

  /** Takes a change into the buffer if it concerns this watch. */
  offer(change: Change, texts: Map<string, string>): void {
    if (change.revision <= this.#revision || !change.item.key.startsWith(this.#prefix)) return;
    const { item, previous } = change;
    if (this.#matches === undefined) {
      this.#push(change.type, item, texts);
      return;
    }
    const before = previous !== undefined && this.#matches(previous);
    const after = change.type !== 'DELETED' && this.#matches(item);
    if (after) this.#push(before ? 'MODIFIED' : 'ADDED', item, texts);
    else if (before)
      this.#push('DELETED', change.type === 'DELETED' ? item : lastMatching(previous, change.revision), texts);
  }

  #push(type: EventType, item: Item, texts: Map<string, string> | undefined): void {
    const { shared } = this.#encoder;
    if (texts === undefined || shared === undefined) {
      this.#buffer += `{"type":"${type}","object":${this.#encoder.object(item, this.#first)}}\n`;
      this.#first = false;
      return;
    }
    const name = `${type} ${shared}`;
    let text = texts.get(name);
    if (text === undefined) {
      text = `{"type":"${type}","object":${this.#encoder.object(item)}}\n`;
      texts.set(name, text);
    }
    this.#buffer += text;
  }

  /** Says how far the watch has come; `initialEnd` marks the end of the initial events. */
  bookmark(revision: number, initialEnd = false): void {
    const annotations = initialEnd ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    this.#buffer += `{"type":"BOOKMARK","object":${this.#encoder.bookmark(revision, annotations)}}\n`;
    this.flush();
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
    if (this.#sink.write(text) > MAX_WAITING_BYTES) {
      this.#ended = true;
      this.#sink.destroy();
      this.#onEnd(this);
    }
  }

  end(): void {
    if (this.#ended) return;
    this.flush();
    this.#ended = true;
    this.#sink.end();
    this.#onEnd(this);
  }
}

/** An object that leaves the selection is shown as it was while it was in it, with the revision of the change. */
function lastMatching(previous: Item, revision: number): Item {
  const metadata = { ...previous.metadata, resourceVersion: String(revision) };
  const object = { ...previous.object, metadata };
  return new Item(previous.key, revision, JSON.stringify(object), object);
}
