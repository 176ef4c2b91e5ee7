import type { DriverVolume } from '../../../src/drivers/driver.ts';
import type { S3Location } from '../../../src/s3/location.ts';

export function s3Volume(name: string, location: S3Location, overrides: Partial<DriverVolume> = {}): DriverVolume {
  return {
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 's3', location, missing: undefined },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: ['nosuid', 'nodev'],
    mayLoseData: false,
    wasProvisioned: false,
    ...overrides,
  };
}
