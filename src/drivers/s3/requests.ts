/**
 * Requests about one bucket and prefix, through the S3 API: each with a deadline, its errors in the words of a volume, and an
 * answer that is what was asked for. The SDK is loaded with the first volume that needs it.
 */
import type { _Object, S3Client } from '@aws-sdk/client-s3';
import { Reason } from '../../api/reasons.ts';
import { ATTEMPTS, createClient, loadSdk, type Sdk } from '../../s3/client.ts';
import { HIDDEN_PREFIX, locationName, type S3Location } from '../../s3/location.ts';
import { DriverError } from '../driver.ts';
import { toS3Error } from './errors.ts';

/** What the SDK takes beside a command. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

/** What S3 servers allow. */
const MOST_SKEW_MINUTES = 15;
/** As many keys as one page lists, and as one DeleteObjects request takes. */
export const PAGE = 1_000;

export class S3Requests {
  readonly location: S3Location;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #requestMs: number;

  private constructor(sdk: Sdk, location: S3Location, requestMs: number) {
    this.location = location;
    this.#requestMs = requestMs;
    this.#sdk = sdk;
    this.#client = createClient(sdk, location, requestMs);
  }

  /** @param requestMs Time for one request, its retries included, in milliseconds. */
  static async open(location: S3Location, requestMs: number): Promise<S3Requests> {
    return new S3Requests(await loadSdk(), location, requestMs);
  }

  close(): void {
    this.#client.destroy();
  }

  get bucket(): { readonly Bucket: string } {
    return { Bucket: this.location.bucket };
  }

  /** One request. @throws DriverError, the signal's reason when it aborts. */
  async send<T>(
    what: string,
    signal: AbortSignal,
    request: (sdk: Sdk, client: S3Client, options: SendOptions) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    try {
      // The SDK's own timeouts do not cover a body that never ends.
      const answer = await request(this.#sdk, this.#client, {
        abortSignal: AbortSignal.any([signal, AbortSignal.timeout(this.#requestMs * ATTEMPTS)]),
      });
      this.#refuseSkew();
      return answer;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      throw toS3Error(thrown, this.location, what);
    }
  }

  /** All objects of the prefix, page by page. */
  async *pages(signal: AbortSignal): AsyncGenerator<readonly _Object[]> {
    const { prefix: Prefix } = this.location;
    let token: string | undefined;
    do {
      const request = { ...this.bucket, Prefix, MaxKeys: PAGE, ContinuationToken: token };
      const page = await this.send('Listing', signal, (sdk, client, options) =>
        client.send(new sdk.ListObjectsV2Command(request), options),
      );
      const contents = this.contents(page, page.Contents);
      // In a whole bucket our snapshots lie among the objects of its owner.
      yield Prefix === '' ? contents.filter(({ Key }) => Key?.startsWith(HIDDEN_PREFIX) !== true) : contents;
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && token === undefined) throw this.malformed();
    } while (token !== undefined);
  }

  /**
   * What a page lists. An answer that is no listing of this bucket (a proxy's page, an error with status 200) must not
   * pass for an empty one, and a server that lists what was not asked for must not make us delete it.
   */
  contents<T extends { readonly Key?: string | undefined }>(
    { Name, KeyCount }: { readonly Name?: string | undefined; readonly KeyCount?: number | undefined },
    entries: readonly T[] = [],
  ): readonly T[] {
    if (Name !== this.location.bucket || (KeyCount !== undefined && KeyCount !== entries.length))
      throw this.malformed();
    return this.onlyOwn(entries);
  }

  /** @throws DriverError when one of them is not below the prefix. */
  onlyOwn<T extends { readonly Key?: string | undefined }>(entries: readonly T[]): readonly T[] {
    if (entries.some(({ Key }) => Key?.startsWith(this.location.prefix) !== true)) throw this.malformed();
    return entries;
  }

  /** For an answer that is none. */
  malformed(): DriverError {
    const what = locationName(this.location);
    return new DriverError(
      Reason.ServerError,
      `The server answered with something that is no listing of ${what}; tried again`,
    );
  }

  /** The SDK signs with the server's time once it knows it; the engine of the mount does not. */
  #refuseSkew(): void {
    const minutes = Math.round(this.#client.config.systemClockOffset / 60_000);
    if (Math.abs(minutes) < MOST_SKEW_MINUTES) return;
    const text = `The clock of this node is ${Math.abs(minutes)} minutes ${minutes < 0 ? 'ahead of' : 'behind'} the server's`;
    throw new DriverError(Reason.ClockSkew, `${text}, which refuses more than ${MOST_SKEW_MINUTES}; synchronise them`);
  }
}
