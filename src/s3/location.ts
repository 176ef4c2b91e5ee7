/** Where the objects of a volume are, and with what they are reached: everything resolved, nothing left to look up. */

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

export interface S3Location {
  readonly bucket: string;
  /** Empty for the whole bucket, else ending in a slash, so that `data/` never means `data-2/`. */
  readonly prefix: string;
  /** `https://HOST[:PORT]`; undefined = Amazon's own for the region. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly forcePathStyle: boolean;
  /** Checksums in requests and answers: where the protocol demands them, or wherever they are known. */
  readonly checksums: 'WhenRequired' | 'WhenSupported';
  /** undefined = what the machine itself has (environment, instance profile). */
  readonly credentials: S3Credentials | undefined;
  /** PEM certificates that sign the endpoint's; undefined = those of the system. */
  readonly caBundle: string | undefined;
}

/** `s3://bucket/prefix` for people, as `status.source` shows it. */
export function locationName({ bucket, prefix }: Pick<S3Location, 'bucket' | 'prefix'>): string {
  return `s3://${bucket}/${prefix}`;
}

/** Adds the slash without which a prefix would also mean its neighbours. */
export function cleanPrefix(prefix: string | undefined): string {
  const trimmed = (prefix ?? '').replace(/^\/+|\/+$/g, '');
  return trimmed === '' ? '' : `${trimmed}/`;
}

/** Where the snapshots of volumes lie, in their bucket. */
export const HIDDEN_PREFIX = '.clawstore-snapshots/';
