/** An s3 volume in the words of its driver. Pure. */
import { Reason } from '../../api/reasons.ts';
import type { S3Location } from '../../s3/location.ts';
import { DriverError, type DriverVolume } from '../driver.ts';

type S3Source = Extract<DriverVolume['source'], { readonly type: 's3' }>;

function s3Of({ source }: DriverVolume): S3Source {
  if (source.type === 's3') return source;
  throw new DriverError(Reason.InvalidSpec, `a ${source.type} volume was given to the s3 driver`, { terminal: true });
}

export function locationOf(volume: DriverVolume): S3Location {
  return s3Of(volume).location;
}

/** Why its credentials are not there; undefined when they are. */
export function missingOf(volume: DriverVolume): S3Source['missing'] {
  return s3Of(volume).missing;
}

/** @throws DriverError `CredentialsNotFound` */
export function requireMaterial(volume: DriverVolume): void {
  const missing = missingOf(volume);
  if (missing !== undefined) throw new DriverError(Reason.CredentialsNotFound, missing.message);
}
