/**
 * The objects of one volume.
 *
 * Who made a prefix is written where it stays true on every node: in the metadata of an empty object whose key is the
 * prefix itself, which mounts do not show. It is made only where nothing was, by a conditional write, and carries the UID
 * of the volume; without it nothing under the prefix is ever deleted. There too every node sees that the volume is going back
 * to a snapshot and has a part of each; where there is no such object (a whole bucket, a prefix that had objects before),
 * another one beside the snapshots says so.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import { Reason } from '../../api/reasons.ts';
import type { Sdk } from '../../s3/client.ts';
import { HIDDEN_PREFIX, locationName, type S3Location } from '../../s3/location.ts';
import { DriverError, type Usage } from '../driver.ts';
import type { BegunRevert } from '../reverts.ts';
import { type PurgeResult, S3Deletion } from './deletions.ts';
import { inParallel } from './in-parallel.ts';
import { type Marker, type MarkerState, markerOf, metadataOf, noteKeyOf } from './marker.ts';
import { PAGE, S3Requests, type SendOptions } from './requests.ts';

/** What is found at a prefix. */
export interface PrefixContents {
  /** Nothing is there, the marker of this volume aside. */
  readonly empty: boolean;
  /** The prefix was empty when this very volume was provisioned. */
  readonly ours: boolean;
  /** What it was to start with has arrived. */
  readonly complete: boolean;
  /** A revert of this very volume that has not ended: a part is of before. */
  readonly revert: BegunRevert | undefined;
}

/** An object below the prefix. */
export interface Listed {
  /** Without the prefix. */
  readonly key: string;
  readonly etag: string;
  readonly size: bigint;
}

/** Milliseconds for one request, its retries included. */
const REQUEST_MS = 3_000;

export class S3Objects {
  readonly location: S3Location;
  readonly #requests: S3Requests;
  #mayNotReadNotes = false;

  private constructor(requests: S3Requests) {
    this.location = requests.location;
    this.#requests = requests;
  }

  /** @param requestMs Time for one request, in milliseconds; more than usual for one that makes the server copy. */
  static async open(location: S3Location, requestMs: number = REQUEST_MS): Promise<S3Objects> {
    return new S3Objects(await S3Requests.open(location, requestMs));
  }

  close(): void {
    this.#requests.close();
  }

  /** One request that fails for whatever would make the mount fail: address, trust, clock, credentials, region, bucket. */
  async look(uid: string, signal: AbortSignal): Promise<PrefixContents> {
    const { prefix: Prefix } = this.location;
    const request = { ...this.#requests.bucket, Prefix, MaxKeys: 2 };
    const page = await this.#requests.send('Listing', signal, (sdk, client, options) =>
      client.send(new sdk.ListObjectsV2Command(request), options),
    );
    const Contents = this.#requests.contents(page, page.Contents);
    const others = Contents.filter(({ Key }) => Prefix === '' || Key !== Prefix);
    const hasMarker = others.length < Contents.length;
    const marker = hasMarker ? await this.#marker(Prefix, signal) : undefined;
    const ours = marker?.uid === uid;
    return {
      empty: others.length === 0 && (ours || !hasMarker),
      ours,
      complete: marker?.isComplete !== false,
      revert: (ours ? marker : await this.#note(uid, signal))?.revert,
    };
  }

  /**
   * Marks an empty prefix as made for the volume. False where somebody was faster, or the prefix is the whole bucket.
   * `incomplete`: something is copied there before it is what it is to be, until `complete` is called.
   */
  async claim(uid: string, signal: AbortSignal, state?: 'incomplete'): Promise<boolean> {
    const { prefix } = this.location;
    if (prefix === '') return false;
    try {
      await this.#putMarker(prefix, metadataOf(uid, state), { IfNoneMatch: '*' }, signal);
    } catch (thrown) {
      const cause = thrown instanceof DriverError ? thrown.cause : thrown;
      if (statusOf(cause) !== 412 && statusOf(cause) !== 409) throw thrown;
    }
    return (await this.#marker(prefix, signal))?.uid === uid;
  }

  /** Says that all is there of what was claimed as incomplete: one write, so that it is said or not. */
  async complete(uid: string, signal: AbortSignal): Promise<void> {
    await this.#mark(uid, 'complete', signal);
    if (!(await this.look(uid, signal)).complete) throw this.#requests.malformed();
  }

  /** Says, where every node sees it, that from now on a part is of what the volume goes back to, until `endRevert` is called. */
  async beginRevert(uid: string, begun: BegunRevert, signal: AbortSignal): Promise<void> {
    const { ours } = await this.look(uid, signal);
    if (ours) await this.#mark(uid, begun, signal);
    else await this.#putMarker(noteKeyOf(uid), metadataOf(uid, begun), {}, signal);
    if ((await this.look(uid, signal)).revert?.restoreUID !== begun.restoreUID) throw this.#requests.malformed();
  }

  /** Says that all of it is of one time again. Absent is success. */
  async endRevert(uid: string, signal: AbortSignal): Promise<void> {
    const { ours, revert } = await this.look(uid, signal);
    if (revert === undefined) return;
    if (ours) await this.#mark(uid, 'complete', signal);
    else await this.#removeNote(uid, signal);
    if ((await this.look(uid, signal)).revert !== undefined) throw this.#requests.malformed();
  }

  /** What a volume has: every object, page by page, our own aside. */
  async *list(signal: AbortSignal): AsyncGenerator<readonly Listed[]> {
    const { prefix } = this.location;
    for await (const page of this.#requests.pages(signal)) {
      yield page
        .filter(({ Key }) => Key !== prefix)
        .map(({ Key = '', ETag = '', Size = 0 }) => ({
          key: Key.slice(prefix.length),
          etag: ETag,
          size: BigInt(Size),
        }));
    }
  }

  /** The whole key of an object below the prefix. */
  keyOf(key: string): string {
    return `${this.location.prefix}${key}`;
  }

  /** @throws DriverError `ObjectsLocked` when one of them stays. */
  async removeKeys(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const deletion = new S3Deletion(this.#requests);
    for (let from = 0; from < keys.length; from += PAGE) {
      const some = keys.slice(from, from + PAGE).map((key) => ({ Key: this.keyOf(key) }));
      await deletion.remove(some, signal);
    }
    const { kept, why } = deletion.result;
    if (kept === 0) return;
    const message = `${kept} objects in ${locationName(this.location)} cannot be deleted: ${why}`;
    throw new DriverError(Reason.ObjectsLocked, message);
  }

  /** A request that is not about the marker or a deletion; its errors are put in the words of a volume. */
  request<T>(
    what: string,
    signal: AbortSignal,
    work: (sdk: Sdk, client: S3Client, options: SendOptions) => Promise<T>,
  ): Promise<T> {
    return this.#requests.send(what, signal, work);
  }

  /** Bytes in all objects of the prefix; as many requests as there are thousands of objects. */
  async usedBytes(signal: AbortSignal): Promise<bigint> {
    let sum = 0n;
    for await (const page of this.#requests.pages(signal)) {
      for (const { Size = 0 } of page) sum += BigInt(Size);
    }
    return sum;
  }

  /**
   * Deletes what is under the prefix: objects, their versions, unfinished uploads; the marker last, so that an interrupted
   * deletion goes on. What a lock protects stays, and is counted; what was made for another volume below stays, too.
   *
   * @throws DriverError without the marker of this volume, for the whole bucket, and when a listing fails.
   */
  async purge(uid: string, signal: AbortSignal): Promise<PurgeResult> {
    const { prefix } = this.location;
    if (prefix === '' || !prefix.endsWith('/')) {
      throw new DriverError(
        Reason.DataRetained,
        `${locationName(this.location)} is a whole bucket and is never emptied`,
        {
          terminal: true,
        },
      );
    }
    if (!(await this.look(uid, signal)).ours) {
      throw new DriverError(
        Reason.DataRetained,
        `${locationName(this.location)} was not made for this volume, so its objects stay`,
        { terminal: true },
      );
    }
    const deletion = new S3Deletion(this.#requests, await this.othersBelow(uid, signal));
    const isVersioned = await deletion.removeContents(signal);
    if (deletion.result.kept > 0) return deletion.result;
    await deletion.requireNone(signal);
    await deletion.removeMarker(isVersioned, signal);
    return deletion.result;
  }

  /** Prefixes below this one that carry the marker of another volume. A request for each folder that has an object of its own. */
  async othersBelow(uid: string, signal: AbortSignal): Promise<readonly string[]> {
    const { prefix } = this.location;
    // Copies of markers lie in snapshots, and belong to those.
    if (prefix.startsWith(HIDDEN_PREFIX)) return [];
    const others: string[] = [];
    for await (const page of this.#requests.pages(signal)) {
      const folders = page.flatMap(({ Key = '', Size }) =>
        Key !== prefix && Key.endsWith('/') && Size === 0 ? [Key] : [],
      );
      await inParallel(folders, signal, async (key, workSignal) => {
        const owner = (await this.#marker(key, workSignal))?.uid;
        if (owner !== undefined && owner !== uid) others.push(key);
      });
    }
    return others.toSorted();
  }

  #mark(uid: string, state: MarkerState, signal: AbortSignal): Promise<void> {
    return this.#putMarker(this.location.prefix, metadataOf(uid, state), {}, signal);
  }

  async #putMarker(
    Key: string,
    Metadata: Record<string, string>,
    condition: { readonly IfNoneMatch?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const object = { ...this.#requests.bucket, Key, Body: new Uint8Array(0), Metadata, ...condition };
    await this.#requests.send('Writing to', signal, (sdk, client, options) =>
      client.send(new sdk.PutObjectCommand(object), options),
    );
  }

  /** What is written beside the snapshots about a volume without a marker; undefined when nothing is. */
  async #note(uid: string, signal: AbortSignal): Promise<Marker | undefined> {
    if (this.#mayNotReadNotes) return undefined;
    try {
      const note = await this.#marker(noteKeyOf(uid), signal);
      return note?.uid === uid ? note : undefined;
    } catch (thrown) {
      if (!(thrown instanceof DriverError) || statusOf(thrown.cause) !== 403) throw thrown;
      // Credentials for the objects alone: nothing was ever taken back with them, and asking again would only be logged.
      this.#mayNotReadNotes = true;
      return undefined;
    }
  }

  async #removeNote(uid: string, signal: AbortSignal): Promise<void> {
    const deletion = new S3Deletion(this.#requests);
    await deletion.remove([{ Key: noteKeyOf(uid) }], signal);
    const { kept, why } = deletion.result;
    if (kept === 0) return;
    const message = `${noteKeyOf(uid)} in bucket ${this.location.bucket} cannot be deleted: ${why}`;
    throw new DriverError(Reason.ObjectsLocked, message);
  }

  /** What the marker of this key says; undefined when there is none. */
  async #marker(Key: string, signal: AbortSignal): Promise<Marker | undefined> {
    if (Key === '') return undefined;
    try {
      const { Metadata, ETag } = await this.#requests.send('Reading', signal, (sdk, client, options) =>
        client.send(new sdk.HeadObjectCommand({ ...this.#requests.bucket, Key }), options),
      );
      if (ETag === undefined) throw this.#requests.malformed();
      return markerOf(Metadata);
    } catch (thrown) {
      if (thrown instanceof DriverError && statusOf(thrown.cause) === 404) return undefined;
      throw thrown;
    }
  }
}

/** HTTP status behind an error of the SDK. */
export function statusOf(thrown: unknown): number | undefined {
  return (thrown as { readonly $metadata?: { readonly httpStatusCode?: number } } | undefined)?.$metadata
    ?.httpStatusCode;
}

/** Used space of object storage; nothing bounds it. */
export function usageOf(usedBytes: bigint): Usage {
  return { usedBytes, totalBytes: usedBytes };
}
