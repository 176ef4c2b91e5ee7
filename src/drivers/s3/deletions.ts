/** Deletes objects, their versions and unfinished uploads. What a lock or a missing permission keeps is counted. */
import type { DeleteObjectsCommandOutput, ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import { Reason } from '../../api/reasons.ts';
import { locationName } from '../../s3/location.ts';
import { DriverError } from '../driver.ts';
import { PAGE, type S3Requests } from './requests.ts';

/** One object, or one version of it. */
export interface ObjectKey {
  readonly Key?: string | undefined;
  readonly VersionId?: string | undefined;
}

export interface PurgeResult {
  readonly deleted: number;
  /** Versions that a lock or a missing permission keeps, with the first reason given. */
  readonly kept: number;
  readonly why: string;
  /** Prefixes below this one that were made for other volumes: what lies there stays. */
  readonly others: readonly string[];
}

/** What a server says of an empty object list in the listing of a bucket without versions. */
const NO_VERSIONS = /^(?:NotImplemented|MethodNotAllowed)$/;

/** One deletion, which may take many requests; it counts what it did. */
export class S3Deletion {
  readonly #requests: S3Requests;
  readonly #others: readonly string[];
  #deleted = 0;
  #kept = 0;
  #why = '';

  /** @param others Prefixes below that of the requests, of which nothing is deleted with it. */
  constructor(requests: S3Requests, others: readonly string[] = []) {
    this.#requests = requests;
    this.#others = others;
  }

  get result(): PurgeResult {
    return { deleted: this.#deleted, kept: this.#kept, why: this.#why, others: this.#others };
  }

  /** As many as one request takes. */
  async remove(keys: readonly ObjectKey[], signal: AbortSignal): Promise<void> {
    if (keys.length === 0) return;
    const Objects = keys.map(({ Key = '', VersionId }) => ({ Key, ...(VersionId === undefined ? {} : { VersionId }) }));
    const request = { ...this.#requests.bucket, Delete: { Objects, Quiet: true } };
    try {
      const { Errors = [] }: DeleteObjectsCommandOutput = await this.#requests.send(
        'Deleting from',
        signal,
        (sdk, client, options) => client.send(new sdk.DeleteObjectsCommand(request), options),
      );
      this.#deleted += keys.length - Errors.length;
      for (const { Code = 'refused', Message = '' } of Errors) this.#keep(`${Code}: ${Message}`);
    } catch (thrown) {
      if (!(thrown instanceof DriverError) || thrown.reason !== Reason.AccessDenied) throw thrown;
      // Some servers refuse all because of one: that one has to be found.
      if (keys.length === 1) this.#keep(thrown.message);
      else for (const key of keys) await this.remove([key], signal);
    }
  }

  /** All that is under the prefix, but for the marker and what is others'. @returns whether the server knows versions. */
  async removeContents(signal: AbortSignal): Promise<boolean> {
    const isVersioned = await this.#removeVersions(signal);
    if (!isVersioned) {
      for await (const page of this.#requests.pages(signal)) {
        const keys = page.map(({ Key }) => ({ Key })).filter((key) => this.#goes(key));
        await this.remove(keys, signal);
      }
    }
    await this.#abortUploads(signal);
    return isVersioned;
  }

  /** @throws DriverError `ServerError` when something is still listed that was to be deleted. */
  async requireNone(signal: AbortSignal): Promise<void> {
    for await (const page of this.#requests.pages(signal)) {
      if (!page.some((key) => this.#goes(key))) continue;
      const message = `${locationName(this.#requests.location)} still has objects after all were deleted`;
      throw new DriverError(Reason.ServerError, message);
    }
  }

  async removeMarker(isVersioned: boolean, signal: AbortSignal): Promise<void> {
    const { prefix } = this.#requests.location;
    if (!isVersioned) return this.remove([{ Key: prefix }], signal);
    const request = { ...this.#requests.bucket, Prefix: prefix, MaxKeys: PAGE };
    const page = await this.#requests.send('Listing the versions of', signal, (sdk, client, options) =>
      client.send(new sdk.ListObjectVersionsCommand(request), options),
    );
    const own = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].filter(({ Key }) => Key === prefix);
    const keys = own.map(({ VersionId }) => ({ Key: prefix, ...(VersionId === undefined ? {} : { VersionId }) }));
    await this.remove(keys.length === 0 ? [{ Key: prefix }] : keys, signal);
  }

  /** False where the server knows no versions. Every version of what is to go. */
  async #removeVersions(signal: AbortSignal): Promise<boolean> {
    const { bucket, location } = this.#requests;
    const { prefix: Prefix } = location;
    let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
    for (;;) {
      const request = { ...bucket, Prefix, MaxKeys: PAGE, ...marker };
      let page: ListObjectVersionsCommandOutput;
      try {
        page = await this.#requests.send('Listing the versions of', signal, (sdk, client, options) =>
          client.send(new sdk.ListObjectVersionsCommand(request), options),
        );
      } catch (thrown) {
        if (thrown instanceof DriverError && NO_VERSIONS.test((thrown.cause as Error | undefined)?.name ?? ''))
          return false;
        throw thrown;
      }
      const listed = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
      const keys = this.#requests
        .contents({ Name: page.Name }, listed)
        .filter((key) => this.#goes(key))
        .map(({ Key, VersionId }) => ({ Key, ...(VersionId === undefined ? {} : { VersionId }) }));
      await this.remove(keys, signal);
      if (page.IsTruncated !== true) return true;
      if (page.NextKeyMarker === undefined) throw this.#requests.malformed();
      marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  async #abortUploads(signal: AbortSignal): Promise<void> {
    const { bucket, location } = this.#requests;
    let KeyMarker: string | undefined;
    for (;;) {
      const request = { ...bucket, Prefix: location.prefix, MaxUploads: PAGE, KeyMarker };
      const { Uploads = [], IsTruncated } = await this.#requests.send(
        'Listing the uploads of',
        signal,
        (sdk, client, options) => client.send(new sdk.ListMultipartUploadsCommand(request), options),
      );
      const going = this.#requests.onlyOwn(Uploads).filter((upload) => !this.#isOthers(upload));
      for (const { Key, UploadId } of going) {
        await this.#requests.send('Aborting an upload to', signal, (sdk, client, options) =>
          client.send(new sdk.AbortMultipartUploadCommand({ ...bucket, Key, UploadId }), options),
        );
      }
      if (IsTruncated !== true) return;
      // What went is listed no more: the rest begins anew. Some servers object to a marker that is gone.
      if (going.length === 0) KeyMarker = Uploads.at(-1)?.Key;
      if (going.length === 0 && KeyMarker === undefined) throw this.#requests.malformed();
    }
  }

  #goes(object: ObjectKey): boolean {
    return object.Key !== this.#requests.location.prefix && !this.#isOthers(object);
  }

  #isOthers({ Key = '' }: ObjectKey): boolean {
    return this.#others.some((other) => Key.startsWith(other));
  }

  #keep(why: string): void {
    this.#kept += 1;
    if (this.#why === '') this.#why = why;
  }
}
