/** What the answers of S3 servers, and the lack of one, mean for a volume. */
import { describeFailure } from '../../s3/failure.ts';
import type { S3Location } from '../../s3/location.ts';
import { DriverError } from '../driver.ts';

/** Puts anything thrown by a request in the words of a driver. */
export function toS3Error(thrown: unknown, location: S3Location, what: string): DriverError {
  if (thrown instanceof DriverError) return thrown;
  const { reason, terminal, text } = describeFailure(thrown, location, what);
  return new DriverError(reason, text, { terminal, cause: thrown });
}
