/** An s3 volume in the words of its driver. Pure. */
import { Reason } from '../../api/reasons.ts';
import { HIDDEN_PREFIX, locationName, type S3Location } from '../../s3/location.ts';
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

/**
 * Not where the snapshots of other volumes lie: whoever could mount them could change them, and whoever may delete their
 * prefix them all. And not with characters that rclone takes for others: it would show what lies elsewhere.
 * @throws DriverError `InvalidSpec`
 */
export function refuseUnusable(location: S3Location): void {
  const refuse = (why: string): DriverError =>
    new DriverError(Reason.InvalidSpec, `${locationName(location)} ${why}; choose another s3.prefix`, {
      terminal: true,
    });
  if (location.prefix.startsWith(HIDDEN_PREFIX)) throw refuse('lies where clawstore keeps snapshots');
  const [other] = ESCAPES.exec(location.prefix) ?? [];
  if (other !== undefined) throw refuse(`has the character "${other}", which rclone takes for another`);
}

/** Pictures of control characters and what quotes them, in rclone's names of files (rclone.org/overview, "Restricted filenames"). */
const ESCAPES = /[\u2400-\u241f\u2421\u201b]/;

/** That prefixes below this one were made for other volumes, as the beginning of a sentence. */
export function othersText({ bucket }: S3Location, others: readonly string[]): string {
  const names = others.slice(0, 5).map((prefix) => `"${locationName({ bucket, prefix })}"`);
  const more = others.length > names.length ? ` and ${others.length - names.length} more` : '';
  return `objects in ${names.join(', ')}${more} belong to other volumes (delete the empty object of that name where such a volume is gone)`;
}
