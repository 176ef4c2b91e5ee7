/**
 * A repository in a bucket, past the engine: looks that fail within seconds and say why, where the engine would try for a
 * quarter of an hour.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import { ATTEMPTS, createClient, loadSdk, type Sdk } from '../s3/client.ts';
import { describeFailure } from '../s3/failure.ts';
import { cleanPrefix, type S3Location } from '../s3/location.ts';
import { BackupError, type BackupErrorCode } from './backup-error.ts';
import type { RepositoryAccess, RepositoryLocation } from './engine.ts';
import { withoutSecrets } from './restic/failures.ts';

/** Milliseconds for one request. */
const REQUEST_MS = 5_000;
/** As many keys as one page of a listing has. */
const PAGE = 1_000;

const CODES: Readonly<Record<string, BackupErrorCode>> = {
  CredentialsRejected: 'CredentialsRejected',
  AccessDenied: 'AccessDenied',
  BucketNotFound: 'NoBucket',
  RegionMismatch: 'RegionMismatch',
  ClockSkew: 'ClockSkew',
  ServerNameNotResolved: 'NameNotResolved',
  CertificateNotTrusted: 'CertificateNotTrusted',
  ServerUnreachable: 'Unreachable',
  ServerError: 'ServerError',
};

/** An object of a repository. */
export interface RepositoryFile {
  /** Without the prefix. */
  readonly name: string;
  readonly size: bigint;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
}

export type S3RepositoryLocation = Extract<RepositoryLocation, { readonly type: 's3' }>;

/** Opens the bucket for as long as `use` takes. */
export async function withBucket<T>(
  location: S3RepositoryLocation,
  use: (repository: S3Repository) => Promise<T>,
): Promise<T> {
  const sdk = await loadSdk();
  const full: S3Location = { ...location, prefix: cleanPrefix(location.prefix), checksums: 'WhenRequired' };
  const client = createClient(sdk, full, REQUEST_MS);
  try {
    return await use(new S3Repository(sdk, client, full));
  } finally {
    client.destroy();
  }
}

/** Rejects where the bucket cannot be used, or has no repository at the prefix; other locations are not looked at. */
export async function checkBucket({ location }: RepositoryAccess, signal: AbortSignal): Promise<void> {
  if (location.type !== 's3') return;
  await withBucket(location, async (repository) => {
    if (await repository.has('config', signal)) return;
    throw new BackupError('NoRepository', `there is no repository at ${repository.shownAs}`);
  });
}

export class S3Repository {
  readonly shownAs: string;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #location: S3Location;

  constructor(sdk: Sdk, client: S3Client, location: S3Location) {
    this.#sdk = sdk;
    this.#client = client;
    this.#location = location;
    this.shownAs = `s3://${location.bucket}/${location.prefix}`;
  }

  async has(name: string, signal: AbortSignal): Promise<boolean> {
    for await (const { name: found } of this.files(signal, name, 1)) return found === name;
    return false;
  }

  /** Everything at the prefix, in the order of names. */
  async *files(signal: AbortSignal, below = '', pageSize = PAGE): AsyncGenerator<RepositoryFile> {
    const { bucket: Bucket, prefix } = this.#location;
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#send('Listing', signal, (options) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket,
            Prefix: `${prefix}${below}`,
            MaxKeys: pageSize,
            ContinuationToken,
          }),
          options,
        ),
      );
      // A proxy's page with status 200 must not pass for an empty bucket.
      if (page.Name !== Bucket) throw this.#malformed();
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        if (!Key.startsWith(prefix)) throw this.#malformed();
        yield { name: Key.slice(prefix.length), size: BigInt(Size), modifiedAt: LastModified?.getTime() ?? Date.now() };
      }
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && ContinuationToken === undefined) throw this.#malformed();
    } while (ContinuationToken !== undefined);
  }

  /** First parts of names, of those that have several. */
  async *folders(signal: AbortSignal): AsyncGenerator<string> {
    const { bucket: Bucket, prefix } = this.#location;
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#send('Listing', signal, (options) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({ Bucket, Prefix: prefix, Delimiter: '/', ContinuationToken }),
          options,
        ),
      );
      if (page.Name !== Bucket) throw this.#malformed();
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) {
        if (!Prefix.startsWith(prefix)) throw this.#malformed();
        yield Prefix.slice(prefix.length, -1);
      }
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  /** Absent is success. */
  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    const { bucket: Bucket, prefix } = this.#location;
    for (const name of names) {
      await this.#send('Deleting from', signal, (options) =>
        this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket, Key: `${prefix}${name}` }), options),
      );
    }
  }

  #malformed(): BackupError {
    return new BackupError('ServerError', `the server answered with something that is no listing of ${this.shownAs}`);
  }

  async #send<T>(
    what: string,
    signal: AbortSignal,
    request: (options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    if (signal.aborted) throw new BackupError('Aborted', 'it was called off');
    try {
      // The SDK's own timeouts do not cover a body that never ends.
      const late = AbortSignal.timeout(REQUEST_MS * ATTEMPTS);
      return await request({ abortSignal: AbortSignal.any([signal, late]) });
    } catch (thrown) {
      if (signal.aborted) throw new BackupError('Aborted', 'it was called off', { cause: thrown });
      const { reason, terminal, text } = describeFailure(thrown, this.#location, what);
      const { credentials } = this.#location;
      const secrets = credentials === undefined ? [] : [credentials.secretAccessKey, credentials.accessKeyId];
      throw new BackupError(CODES[reason] ?? 'ServerError', withoutSecrets(text, secrets), { retryable: !terminal });
    }
  }
}
