import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { ServerProcess } from './server.ts';

const EVENT = /^\{"type":"(\w+)","object":\{.*?"metadata":\{(?:"name":"([^"]*)")?.*?"resourceVersion":"(\d+)"/;

/** What all readers of a test have seen: each version is one event, the same for everybody. */
export type Seen = Map<number, string>;

/**
 * A client that reads a watch over TLS and checks it while it reads: versions only grow, so nothing comes twice or out of
 * order, and each is the event that others saw under that version.
 */
export class WatchReader {
  /** Versions of events other than bookmarks, in the order in which they came. */
  readonly versions: number[] = [];
  /** Events up to the end of the initial ones. */
  initial = -1;
  error: Error | undefined;
  ended = false;
  readonly #seen: Seen;
  readonly #response: IncomingMessage;
  #rest = '';
  #last = 0;
  #wake: (() => void) | undefined;

  private constructor(response: IncomingMessage, seen: Seen, hasInitial: boolean) {
    if (!hasInitial) this.initial = 0;
    this.#seen = seen;
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#take(text));
    response.on('error', () => {});
    response.on('close', () => {
      this.ended = true;
      this.#wake?.();
    });
  }

  /** Starts a watch; `path` has its query. Throws Error for an answer other than 200. */
  static open(server: ServerProcess, path: string, seen: Seen): Promise<WatchReader> {
    const hasInitial = path.includes('sendInitialEvents=true');
    return openWatch(server, path).then((response) => new WatchReader(response, seen, hasInitial));
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const line of parts) this.#event(line);
    this.#wake?.();
  }

  #event(line: string): void {
    const match = EVENT.exec(line);
    if (match === null) return this.#fail(`no event: ${line.slice(0, 200)}`);
    const [, type = '', name = '', digits] = match;
    const version = Number(digits);
    if (type === 'BOOKMARK') {
      if (line.includes('initial-events-end')) this.initial = this.versions.length;
      return;
    }
    const isInitial = type === 'ADDED' && this.initial < 0;
    // What was there comes in the order of names, whatever its versions.
    if (!isInitial && version <= this.#last) this.#fail(`${type} ${name} at ${version} after ${this.#last}`);
    this.#last = Math.max(this.#last, version);
    this.versions.push(version);
    if (isInitial) return;
    const event = `${type} ${name}`;
    const other = this.#seen.get(version);
    if (other === undefined) this.#seen.set(version, event);
    else if (other !== event) this.#fail(`${event} at ${version}, where others saw ${other}`);
  }

  #fail(message: string): void {
    this.error ??= new Error(message);
  }

  /** Resolves when it has seen the version or what is wrong; the test's own time limit ends it. */
  async until(version: number): Promise<void> {
    while (this.#last < version && !this.ended && this.error === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.error !== undefined) throw this.error;
    if (this.#last < version) throw new Error(`the watch ended at ${this.#last}, before ${version}`);
  }

  close(): void {
    this.#response.destroy();
  }
}

/** Starts a watch whose answer the caller reads, or does not read. */
export function openWatch(server: ServerProcess, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(server.url + path, {
      ca: server.ca,
      agent: false,
      headers: { authorization: `Bearer ${server.token}` },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`${path}: ${response.statusCode}`));
    });
    sent.end();
  });
}
