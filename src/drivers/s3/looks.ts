/**
 * What was seen at the server a moment ago. Several reconciles ask the same within one second, and a server that is away
 * must cost each volume one wait in a while, not one per question.
 */
import { createHash } from 'node:crypto';
import { Reason } from '../../api/reasons.ts';
import { type S3Location } from '../../s3/location.ts';
import { DriverError, type Usage } from '../driver.ts';
import { toS3Error } from './errors.ts';
import { type PrefixContents, S3Objects, usageOf } from './objects.ts';

/** How long an answer, or the lack of one, holds, in milliseconds. */
const LOOK_HOLDS_MS = 8_000;
/** How long it is believed what lies under a prefix while its bucket answers. */
const CONTENTS_HOLD_MS = 600_000;
/** How long it is believed of a bucket that it cannot be reached; it is asked anew more often (`watch.ts`). */
const AWAY_HOLDS_MS = 20_000;
const AWAY: ReadonlySet<string> = new Set([Reason.ServerUnreachable, Reason.ServerNameNotResolved]);
/** Adding up the objects costs a request per thousand of them. */
const USAGE_HOLDS_MS = 600_000;

interface Look {
  readonly at: number;
  readonly fingerprint: string;
  readonly answer: Promise<PrefixContents>;
  /** It was answered without an error. */
  isWell: boolean;
}

export class Looks {
  readonly #looks = new Map<string, Look>();
  /** When each bucket answered last, by what is used to reach it. */
  readonly #wellAt = new Map<string, number>();
  /** Questions that are under way, by the same. */
  readonly #asking = new Map<string, Promise<PrefixContents>>();
  /** Buckets that could not be reached at all, by the same: what holds for one volume holds for all. */
  readonly #away = new Map<string, { readonly at: number; readonly error: DriverError }>();
  readonly #usages = new Map<string, { readonly at: number; readonly usage: Usage }>();
  readonly #clients = new Map<string, Promise<S3Objects>>();

  /** What lies at the location, at most {@link LOOK_HOLDS_MS} old and never of other credentials. */
  look(uid: string, location: S3Location, signal: AbortSignal): Promise<PrefixContents> {
    signal.throwIfAborted();
    const fingerprint = fingerprintOf(location);
    const bucket = this.bucketOf(location);
    const away = this.#awayError(location, bucket);
    if (away !== undefined) return Promise.reject(away);
    const last = this.#looks.get(uid);
    const age = last?.fingerprint === fingerprint ? performance.now() - last.at : Number.POSITIVE_INFINITY;
    const wellAt = this.#wellAt.get(bucket) ?? Number.NEGATIVE_INFINITY;
    // A failure counts no more once the bucket has answered anybody.
    if (last !== undefined && age < LOOK_HOLDS_MS && (last.isWell || last.at > wellAt)) return last.answer;
    const anew = (): Promise<PrefixContents> => this.#ask(uid, location, { fingerprint, bucket }, signal);
    if (last === undefined || !last.isWell || age > CONTENTS_HOLD_MS) return anew();
    // That the bucket answers another volume says as much about this one: what lies under its prefix changes nothing.
    if (performance.now() - wellAt < LOOK_HOLDS_MS) return last.answer;
    const asking = this.#asking.get(bucket);
    return asking === undefined
      ? anew()
      : asking.then(
          () => last.answer,
          () => this.look(uid, location, signal),
        );
  }

  /** What lies at the location now; a server that was away a moment ago is not waited for again. */
  lookNow(uid: string, location: S3Location, signal: AbortSignal): Promise<PrefixContents> {
    const away = this.#awayError(location, this.bucketOf(location));
    return away === undefined ? this.lookAnew(uid, location, signal) : Promise.reject(away);
  }

  /** What lies at the location now. */
  lookAnew(uid: string, location: S3Location, signal: AbortSignal): Promise<PrefixContents> {
    return this.#ask(uid, location, { fingerprint: fingerprintOf(location), bucket: this.bucketOf(location) }, signal);
  }

  /** Tells buckets, and the credentials with which they are reached, apart. */
  bucketOf(location: S3Location): string {
    return fingerprintOf({ ...location, prefix: '' });
  }

  #awayError(location: S3Location, bucket: string): DriverError | undefined {
    const away = this.#away.get(bucket);
    return away !== undefined && performance.now() - away.at < AWAY_HOLDS_MS
      ? toS3Error(away.error.cause ?? away.error, location, 'Listing')
      : undefined;
  }

  #ask(
    uid: string,
    location: S3Location,
    { fingerprint, bucket }: { readonly fingerprint: string; readonly bucket: string },
    signal: AbortSignal,
  ): Promise<PrefixContents> {
    const answer = this.use(location, (objects) => objects.look(uid, signal));
    const look: Look = { at: performance.now(), fingerprint, answer, isWell: false };
    this.#looks.set(uid, look);
    this.#asking.set(bucket, answer);
    const settle = (isWell: boolean, error?: unknown): void => {
      look.isWell = isWell;
      if (error instanceof DriverError && AWAY.has(error.reason))
        this.#away.set(bucket, { at: performance.now(), error });
      else if (!signal.aborted) this.#away.delete(bucket);
      if (this.#asking.get(bucket) === answer) this.#asking.delete(bucket);
      if (isWell) this.#wellAt.set(bucket, performance.now());
      else this.#wellAt.delete(bucket);
      // What was given up by its caller says nothing about the server.
      if (!isWell && signal.aborted && this.#looks.get(uid) === look) this.#looks.delete(uid);
    };
    answer.then(
      () => settle(true),
      (thrown: unknown) => settle(false, thrown),
    );
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
