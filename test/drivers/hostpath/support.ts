import type { DriverVolume } from '../../../src/drivers/driver.ts';

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
