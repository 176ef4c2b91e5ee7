import { readdirSync, readFileSync } from 'node:fs';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { S3Driver, type S3DriverOptions } from '../../../src/drivers/s3/driver.ts';
import type { NodeLayer } from '../../../src/node/layer.ts';
import type { S3Location } from '../../../src/s3/location.ts';

/** Longer than an agent waits before it tries again: a busy machine may need as long to start a process. */
const START_MS = 60_000;

export function s3Driver(node: NodeLayer, options: S3DriverOptions = {}): S3Driver {
  return new S3Driver(node, { startMs: START_MS, ...options });
}

/** Says whether no thread of a process runs any more: only then is closed what it had open, and its mount dead. */
export function hasEnded(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((tid) => isDead(`/proc/${pid}/task/${tid}/stat`));
  } catch {
    return true; // it was reaped
  }
}

function isDead(file: string): boolean {
  try {
    const stat = readFileSync(file, 'utf8');
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true;
  }
}

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
