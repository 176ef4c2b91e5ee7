import { join } from 'node:path';
import type { Driver, DriverVolume } from '../../../src/drivers/driver.ts';
import { createHostPathDriver, type HostPathNode } from '../../../src/drivers/hostpath/driver.ts';
import { isProjectRecord } from '../../../src/drivers/hostpath/project.ts';
import { Records } from '../../../src/node/records.ts';

/** With its records in the state directory. */
export function hostPathDriver(node: HostPathNode): Driver {
  return createHostPathDriver(node, new Records(join(node.stateDir, 'projects'), isProjectRecord));
}

export function hostPathVolume(
  name: string,
  path: string,
  allowedPrefixes: readonly string[],
  overrides: Partial<DriverVolume> & { readonly pathType?: '' | 'Directory' | 'DirectoryOrCreate' } = {},
): DriverVolume {
  const { pathType = 'DirectoryOrCreate', ...rest } = overrides;
  return {
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 'hostPath', path, pathType, allowedPrefixes },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: ['nosuid', 'nodev'],
    wasProvisioned: false,
    mayLoseData: false,
    ...rest,
  };
}
