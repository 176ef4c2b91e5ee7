/**
 * What was seen at the server a moment ago. Several reconciles ask the same within one second, and a server that is away
 * must cost each volume one wait in a while, not one per question.
 */
import { createHash } from 'node:crypto';
import type { Usage } from '../driver.ts';
import { type S3Location } from './location.ts';
import { type PrefixContents, S3Objects, usageOf } from './objects.ts';

/** How long an answer, or the lack of one, holds, in milliseconds. */
const LOOK_HOLDS_MS = 8_000;
/** Adding up the objects costs a request per thousand of them. */
const USAGE_HOLDS_MS = 600_000;

interface Look {
  readonly at: number;
  readonly fingerprint: string;
  readonly answer: Promise<PrefixContents>;
}

export class Looks {
  readonly #looks = new Map<string, Look>();
  readonly #usages = new Map<string, { readonly at: number; readonly usage: Usage }>();
  readonly #clients = new Map<string, Promise<S3Objects>>();

  /** What lies at the location, at most {@link LOOK_HOLDS_MS} old and never of other credentials. */
  look(uid: string, location: S3Location, signal: AbortSignal): Promise<PrefixContents> {
    signal.throwIfAborted();
    const fingerprint = fingerprintOf(location);
    const last = this.#looks.get(uid);
    if (last !== undefined && last.fingerprint === fingerprint && performance.now() - last.at < LOOK_HOLDS_MS) {
      return last.answer;
    }
    const answer = this.use(location, (objects) => objects.look(uid, signal));
    const look = { at: performance.now(), fingerprint, answer };
    this.#looks.set(uid, look);
    answer.catch(() => {
      // What was given up by its caller says nothing about the server.
      if (signal.aborted && this.#looks.get(uid) === look) this.#looks.delete(uid);
    });
    return answer;
  }

  async usage(uid: string, location: S3Location, signal: AbortSignal): Promise<Usage> {
    const last = this.#usages.get(uid);
    if (last !== undefined && performance.now() - last.at < USAGE_HOLDS_MS) return last.usage;
    const usage = usageOf(await this.use(location, (objects) => objects.usedBytes(signal)));
    this.#usages.set(uid, { at: performance.now(), usage });
    return usage;
  }

  /** Looks anew at the next question. */
  forget(uid: string): void {
    this.#looks.delete(uid);
    this.#usages.delete(uid);
  }

  /** Lends a client for the location, shared by all who ask with the same credentials. */
  async use<T>(location: S3Location, work: (objects: S3Objects) => Promise<T>): Promise<T> {
    const key = fingerprintOf(location);
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = S3Objects.open(location);
      this.#clients.set(key, client);
      this.#dropOldest();
    }
    return work(await client);
  }

  /** Credentials that were replaced leave their client behind. */
  #dropOldest(): void {
    const [oldest] = this.#clients.keys();
    if (this.#clients.size <= MAX_CLIENTS || oldest === undefined) return;
    this.#clients.delete(oldest);
  }
}

const MAX_CLIENTS = 512;

/** Tells locations and credentials apart without keeping either as text. */
function fingerprintOf(location: S3Location): string {
  return createHash('sha256').update(JSON.stringify(location)).digest('base64');
}
