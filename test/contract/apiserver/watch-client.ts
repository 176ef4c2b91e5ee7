import { Agent, request } from 'undici';
import type { Target } from './client.ts';

/** One event of a watch. */
export interface WatchEvent {
  readonly type: string;
  readonly object: {
    readonly metadata?: {
      readonly name?: string;
      readonly resourceVersion?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    readonly [key: string]: unknown;
  };
}

/** An API server object, as far as these tests look. */
export interface Loose {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly deletionTimestamp?: string;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly unknown[];
    readonly [key: string]: unknown;
  };
  readonly items?: readonly Loose[];
  readonly code?: number;
  readonly message?: string;
  readonly [key: string]: unknown;
}

/** Requests of the tests that are no single question and answer. */
export class RawClient {
  readonly #target: Target;
  readonly #agent: Agent;

  constructor(target: Target) {
    this.#target = target;
    this.#agent = new Agent({
      allowH2: false,
      connect: target.ca === undefined ? { rejectUnauthorized: false } : { ca: target.ca },
    });
  }

  async send(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    type?: string,
  ): Promise<Loose> {
    const response = await request(this.#target.url + path, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#target.token}`,
        ...(body === undefined ? {} : { 'content-type': type ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.body.json()) as Loose;
  }

  /** Starts a watch; `path` has the query without `watch`. */
  async watch(path: string, accept = 'application/json'): Promise<Watch> {
    const controller = new AbortController();
    const response = await request(`${this.#target.url}${path}${path.includes('?') ? '&' : '?'}watch=1`, {
      dispatcher: this.#agent,
      signal: controller.signal,
      headers: { authorization: `Bearer ${this.#target.token}`, accept },
    });
    return new Watch(response.statusCode, response.body, controller);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** A watch whose events are taken one by one. */
export class Watch {
  readonly code: number;
  readonly #lines: AsyncGenerator<WatchEvent>;
  readonly #controller: AbortController;

  constructor(code: number, body: AsyncIterable<Buffer>, controller: AbortController) {
    this.code = code;
    this.#controller = controller;
    this.#lines = lines(body);
  }

  /** The next event; undefined at the end. */
  async next(): Promise<WatchEvent | undefined> {
    const result = await this.#lines.next();
    return result.done === true ? undefined : result.value;
  }

  /** The next events, as `TYPE name`. */
  async take(count: number): Promise<string[]> {
    const events: string[] = [];
    for (let i = 0; i < count; i++) {
      const event = await this.next();
      if (event === undefined) break;
      events.push(`${event.type} ${event.object.metadata?.name ?? ''}`.trim());
    }
    return events;
  }

  stop(): void {
    this.#controller.abort();
  }
}

async function* lines(body: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent> {
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield JSON.parse(part) as WatchEvent;
  }
}

const POLL_MS = 20;

/** Asks until the answer is as wanted; the test's own time limit ends it. */
export async function until<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
