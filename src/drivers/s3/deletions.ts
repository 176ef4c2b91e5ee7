/** Deletes objects, their versions and unfinished uploads. What a lock or a missing permission keeps is counted. */
import type { DeleteObjectsCommandOutput, ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import { Reason } from '../../api/reasons.ts';
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
}

/** What a server says of an empty object list in the listing of a bucket without versions. */
const NO_VERSIONS = /^(?:NotImplemented|MethodNotAllowed)$/;

/** One deletion, which may take many requests; it counts what it did. */
export class S3Deletion {
  readonly #requests: S3Requests;
  #deleted = 0;
  #kept = 0;
  #why = '';

  constructor(requests: S3Requests) {
    this.#requests = requests;
  }

  get result(): PurgeResult {
    return { deleted: this.#deleted, kept: this.#kept, why: this.#why };
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

  /** All that is under the prefix, but for the marker. @returns whether the server knows versions. */
  async removeContents(signal: AbortSignal): Promise<boolean> {
    const { prefix } = this.#requests.location;
    const isVersioned = await this.#removeVersions(signal);
    if (!isVersioned) {
      for await (const page of this.#requests.pages(signal)) {
        const keys = page.map(({ Key }) => ({ Key })).filter(({ Key }) => Key !== prefix);
        await this.remove(keys, signal);
      }
    }
    await this.#abortUploads(signal);
    return isVersioned;
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

  /** False where the server knows no versions. Every version but those of the marker. */
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
        .filter(({ Key }) => Key !== Prefix)
        .map(({ Key, VersionId }) => ({ Key, ...(VersionId === undefined ? {} : { VersionId }) }));
      await this.remove(keys, signal);
      if (page.IsTruncated !== true) return true;
      if (page.NextKeyMarker === undefined) throw this.#requests.malformed();
      marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  async #abortUploads(signal: AbortSignal): Promise<void> {
    const { bucket, location } = this.#requests;
    const { Uploads = [] } = await this.#requests.send('Listing the uploads of', signal, (sdk, client, options) =>
      client.send(new sdk.ListMultipartUploadsCommand({ ...bucket, Prefix: location.prefix }), options),
    );
    for (const { Key, UploadId } of this.#requests.onlyOwn(Uploads)) {
      await this.#requests.send('Aborting an upload to', signal, (sdk, client, options) =>
        client.send(new sdk.AbortMultipartUploadCommand({ ...bucket, Key, UploadId }), options),
      );
    }
  }

  #keep(why: string): void {
    this.#kept += 1;
    if (this.#why === '') this.#why = why;
  }
}
