/**
 * The objects of one volume, through the S3 API. The SDK is loaded with the first volume that needs it.
 *
 * Who made a prefix is written where it stays true on every node: in the metadata of an empty object whose key is the
 * prefix itself, which mounts do not show. It is made only where nothing was, by a conditional write, and carries the UID
 * of the volume; without it nothing under the prefix is ever deleted. There too every node sees that the volume is going back
 * to a snapshot and has a part of each; where there is no such object (a whole bucket, a prefix that had objects before),
 * another one beside the snapshots says so.
 */
import type {
  _Object,
  DeleteObjectsCommandOutput,
  ListObjectVersionsCommandOutput,
  S3Client,
} from '@aws-sdk/client-s3';
import { Reason } from '../../api/reasons.ts';
import { ATTEMPTS, createClient, loadSdk, type Sdk } from '../../s3/client.ts';
import { HIDDEN_PREFIX, locationName, type S3Location } from '../../s3/location.ts';
import { DriverError, type Usage } from '../driver.ts';
import type { BegunRevert } from '../reverts.ts';
import { toS3Error } from './errors.ts';
import { type Marker, type MarkerState, markerOf, metadataOf, noteKeyOf } from './marker.ts';

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

export interface PurgeResult {
  readonly deleted: number;
  /** Versions that a lock or a missing permission keeps, with the first reason given. */
  readonly kept: number;
  readonly why: string;
}

/** Milliseconds for one request, its retries included. */
const REQUEST_MS = 3_000;
/** What S3 servers allow. */
const MOST_SKEW_MINUTES = 15;
/** As many keys as one DeleteObjects request takes. */
const PAGE = 1_000;
/** What a server says of an empty object list in the listing of a bucket without versions. */
const NO_VERSIONS = /^(?:NotImplemented|MethodNotAllowed)$/;

export class S3Objects {
  readonly location: S3Location;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #requestMs: number;
  #mayNotReadNotes = false;

  private constructor(sdk: Sdk, location: S3Location, requestMs: number) {
    this.location = location;
    this.#requestMs = requestMs;
    this.#sdk = sdk;
    this.#client = createClient(sdk, location, requestMs);
  }

  /** @param requestMs Time for one request, in milliseconds; more than usual for one that makes the server copy. */
  static async open(location: S3Location, requestMs: number = REQUEST_MS): Promise<S3Objects> {
    return new S3Objects(await loadSdk(), location, requestMs);
  }

  close(): void {
    this.#client.destroy();
  }

  /** One request that fails for whatever would make the mount fail: address, trust, clock, credentials, region, bucket. */
  async look(uid: string, signal: AbortSignal): Promise<PrefixContents> {
    const { prefix: Prefix } = this.location;
    const page = await this.#send('Listing', signal, (sdk, options) =>
      this.#client.send(new sdk.ListObjectsV2Command({ ...this.#bucket, Prefix, MaxKeys: 2 }), options),
    );
    const Contents = this.#contents(page, page.Contents);
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
    if (!(await this.look(uid, signal)).complete) throw this.#malformed();
  }

  /** Says, where every node sees it, that from now on a part is of what the volume goes back to, until `endRevert` is called. */
  async beginRevert(uid: string, begun: BegunRevert, signal: AbortSignal): Promise<void> {
    const { ours } = await this.look(uid, signal);
    if (ours) await this.#mark(uid, begun, signal);
    else await this.#putMarker(noteKeyOf(uid), metadataOf(uid, begun), {}, signal);
    if ((await this.look(uid, signal)).revert?.restoreUID !== begun.restoreUID) throw this.#malformed();
  }

  /** Says that all of it is of one time again. Absent is success. */
  async endRevert(uid: string, signal: AbortSignal): Promise<void> {
    const { ours, revert } = await this.look(uid, signal);
    if (revert === undefined) return;
    if (ours) await this.#mark(uid, 'complete', signal);
    else await this.#removeNote(uid, signal);
    if ((await this.look(uid, signal)).revert !== undefined) throw this.#malformed();
  }

  /** What a volume has: every object, page by page, our own aside. */
  async *list(signal: AbortSignal): AsyncGenerator<readonly Listed[]> {
    const { prefix } = this.location;
    for await (const page of this.#pages(signal)) {
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
    const total = { deleted: 0, kept: 0, why: '' };
    for (let from = 0; from < keys.length; from += PAGE) {
      const some = keys.slice(from, from + PAGE).map((key) => ({ Key: this.keyOf(key) }));
      await this.#remove(some, total, signal);
    }
    if (total.kept === 0) return;
    const message = `${total.kept} objects in ${locationName(this.location)} cannot be deleted: ${total.why}`;
    throw new DriverError(Reason.ObjectsLocked, message);
  }

  /** A request that is not about the marker or a deletion; its errors are put in the words of a volume. */
  request<T>(
    what: string,
    signal: AbortSignal,
    work: (sdk: Sdk, client: S3Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    return this.#send(what, signal, (sdk, options) => work(sdk, this.#client, options));
  }

  /** Bytes in all objects of the prefix; as many requests as there are thousands of objects. */
  async usedBytes(signal: AbortSignal): Promise<bigint> {
    let sum = 0n;
    for await (const page of this.#pages(signal)) {
      for (const { Size = 0 } of page) sum += BigInt(Size);
    }
    return sum;
  }

  /**
   * Deletes what is under the prefix: objects, their versions, unfinished uploads; the marker last, so that an interrupted
   * deletion goes on. What a lock protects stays, and is counted.
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
    const total = { deleted: 0, kept: 0, why: '' };
    const versioned = await this.#purgeVersions(total, signal);
    if (!versioned) {
      for await (const page of this.#pages(signal)) {
        await this.#remove(
          page.map(({ Key }) => ({ Key })).filter(({ Key }) => Key !== prefix),
          total,
          signal,
        );
      }
    }
    await this.#abortUploads(signal);
    if (total.kept === 0 && !(await this.look(uid, signal)).empty) {
      throw new DriverError(
        Reason.ServerError,
        `${locationName(this.location)} still has objects after all were deleted`,
      );
    }
    if (total.kept === 0) await this.#removeMarker(versioned, total, signal);
    return total;
  }

  /** The SDK signs with the server's time once it knows it; the engine of the mount does not. */
  #refuseSkew(): void {
    const minutes = Math.round(this.#client.config.systemClockOffset / 60_000);
    if (Math.abs(minutes) < MOST_SKEW_MINUTES) return;
    const text = `The clock of this node is ${Math.abs(minutes)} minutes ${minutes < 0 ? 'ahead of' : 'behind'} the server's`;
    throw new DriverError(Reason.ClockSkew, `${text}, which refuses more than ${MOST_SKEW_MINUTES}; synchronise them`);
  }

  get #bucket(): { readonly Bucket: string } {
    return { Bucket: this.location.bucket };
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
    const object = { ...this.#bucket, Key, Body: new Uint8Array(0), Metadata, ...condition };
    await this.#send('Writing to', signal, (sdk, options) =>
      this.#client.send(new sdk.PutObjectCommand(object), options),
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
    const total = { deleted: 0, kept: 0, why: '' };
    await this.#remove([{ Key: noteKeyOf(uid) }], total, signal);
    if (total.kept === 0) return;
    const message = `${noteKeyOf(uid)} in bucket ${this.location.bucket} cannot be deleted: ${total.why}`;
    throw new DriverError(Reason.ObjectsLocked, message);
  }

  /** What the marker of this key says; undefined when there is none. */
  async #marker(Key: string, signal: AbortSignal): Promise<Marker | undefined> {
    if (Key === '') return undefined;
    try {
      const { Metadata, ETag } = await this.#send('Reading', signal, (sdk, options) =>
        this.#client.send(new sdk.HeadObjectCommand({ ...this.#bucket, Key }), options),
      );
      if (ETag === undefined) throw this.#malformed();
      return markerOf(Metadata);
    } catch (thrown) {
      if (thrown instanceof DriverError && statusOf(thrown.cause) === 404) return undefined;
      throw thrown;
    }
  }

  async *#pages(signal: AbortSignal): AsyncGenerator<readonly _Object[]> {
    let token: string | undefined;
    do {
      const page = await this.#send('Listing', signal, (sdk, options) =>
        this.#client.send(
          new sdk.ListObjectsV2Command({
            ...this.#bucket,
            Prefix: this.location.prefix,
            MaxKeys: PAGE,
            ContinuationToken: token,
          }),
          options,
        ),
      );
      const contents = this.#contents(page, page.Contents);
      // In a whole bucket our snapshots lie among the objects of its owner.
      yield this.location.prefix === ''
        ? contents.filter(({ Key }) => Key?.startsWith(HIDDEN_PREFIX) !== true)
        : contents;
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && token === undefined) throw this.#malformed();
    } while (token !== undefined);
  }

  /**
   * What a page lists. An answer that is no listing of this bucket (a proxy's page, an error with status 200) must not
   * pass for an empty one, and a server that lists what was not asked for must not make us delete it.
   */
  #contents<T extends { readonly Key?: string | undefined }>(
    { Name, KeyCount }: { readonly Name?: string | undefined; readonly KeyCount?: number | undefined },
    entries: readonly T[] = [],
  ): readonly T[] {
    if (Name !== this.location.bucket || (KeyCount !== undefined && KeyCount !== entries.length))
      throw this.#malformed();
    return this.#onlyOwn(entries);
  }

  #onlyOwn<T extends { readonly Key?: string | undefined }>(entries: readonly T[]): readonly T[] {
    if (entries.some(({ Key }) => Key?.startsWith(this.location.prefix) !== true)) throw this.#malformed();
    return entries;
  }

  #malformed(): DriverError {
    const what = locationName(this.location);
    return new DriverError(
      Reason.ServerError,
      `The server answered with something that is no listing of ${what}; tried again`,
    );
  }

  /** False where the server knows no versions. Every version but those of the marker. */
  async #purgeVersions(total: Counts, signal: AbortSignal): Promise<boolean> {
    const { prefix: Prefix } = this.location;
    let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
    for (;;) {
      let page: ListObjectVersionsCommandOutput;
      try {
        page = await this.#send('Listing the versions of', signal, (sdk, options) =>
          this.#client.send(
            new sdk.ListObjectVersionsCommand({ ...this.#bucket, Prefix, MaxKeys: PAGE, ...marker }),
            options,
          ),
        );
      } catch (thrown) {
        if (thrown instanceof DriverError && NO_VERSIONS.test((thrown.cause as Error | undefined)?.name ?? ''))
          return false;
        throw thrown;
      }
      const entries = this.#contents({ Name: page.Name }, [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]);
      const keys = entries
        .filter(({ Key }) => Key !== Prefix)
        .map(({ Key, VersionId }) => ({ Key, ...(VersionId === undefined ? {} : { VersionId }) }));
      await this.#remove(keys, total, signal);
      if (page.IsTruncated !== true) return true;
      if (page.NextKeyMarker === undefined) throw this.#malformed();
      marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  async #removeMarker(versioned: boolean, total: Counts, signal: AbortSignal): Promise<void> {
    const { prefix } = this.location;
    if (!versioned) return this.#remove([{ Key: prefix }], total, signal);
    const page = await this.#send('Listing the versions of', signal, (sdk, options) =>
      this.#client.send(new sdk.ListObjectVersionsCommand({ ...this.#bucket, Prefix: prefix, MaxKeys: PAGE }), options),
    );
    const own = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].filter(({ Key }) => Key === prefix);
    const keys = own.map(({ VersionId }) => ({ Key: prefix, ...(VersionId === undefined ? {} : { VersionId }) }));
    await this.#remove(keys.length === 0 ? [{ Key: prefix }] : keys, total, signal);
  }

  async #remove(keys: readonly ObjectKey[], total: Counts, signal: AbortSignal): Promise<void> {
    if (keys.length === 0) return;
    const Objects = keys.map(({ Key = '', VersionId }) => ({ Key, ...(VersionId === undefined ? {} : { VersionId }) }));
    try {
      const { Errors = [] }: DeleteObjectsCommandOutput = await this.#send('Deleting from', signal, (sdk, options) =>
        this.#client.send(new sdk.DeleteObjectsCommand({ ...this.#bucket, Delete: { Objects, Quiet: true } }), options),
      );
      total.deleted += keys.length - Errors.length;
      for (const { Code = 'refused', Message = '' } of Errors) keep(total, `${Code}: ${Message}`);
    } catch (thrown) {
      if (!(thrown instanceof DriverError) || thrown.reason !== Reason.AccessDenied) throw thrown;
      // Some servers refuse all because of one: that one has to be found.
      if (keys.length === 1) keep(total, thrown.message);
      else for (const key of keys) await this.#remove([key], total, signal);
    }
  }

  async #abortUploads(signal: AbortSignal): Promise<void> {
    const { prefix: Prefix } = this.location;
    const { Uploads = [] } = await this.#send('Listing the uploads of', signal, (sdk, options) =>
      this.#client.send(new sdk.ListMultipartUploadsCommand({ ...this.#bucket, Prefix }), options),
    );
    for (const { Key, UploadId } of this.#onlyOwn(Uploads)) {
      await this.#send('Aborting an upload to', signal, (sdk, options) =>
        this.#client.send(new sdk.AbortMultipartUploadCommand({ ...this.#bucket, Key, UploadId }), options),
      );
    }
  }

  async #send<T>(
    what: string,
    signal: AbortSignal,
    request: (sdk: Sdk, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    try {
      // The SDK's own timeouts do not cover a body that never ends.
      const answer = await request(this.#sdk, {
        abortSignal: AbortSignal.any([signal, AbortSignal.timeout(this.#requestMs * ATTEMPTS)]),
      });
      this.#refuseSkew();
      return answer;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      throw toS3Error(thrown, this.location, what);
    }
  }
}

interface ObjectKey {
  readonly Key?: string | undefined;
  readonly VersionId?: string | undefined;
}

interface Counts {
  deleted: number;
  kept: number;
  why: string;
}

function keep(total: Counts, why: string): void {
  total.kept += 1;
  if (total.why === '') total.why = why;
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
