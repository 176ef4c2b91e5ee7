import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import type { RunningNodeLayer } from '../../../src/node/create-layer.ts';
import { DEFAULT_POOL, Pools } from '../../../src/node/pools/pools.ts';
import { type DriverSubject, describeDriver } from '../../contract/driver-contract.ts';
import { describeReading } from '../../contract/reading-contract.ts';
import { describeReverts } from '../../contract/revert-contract.ts';
import { describeSnapshots, type SnapshotSubject } from '../../contract/snapshot-contract.ts';
import { soon } from '../../node/support.ts';

const MIB = 1024n * 1024n;

async function subject(
  layer: RunningNodeLayer,
  volume: (name: string) => Pick<DriverVolume, 'source' | 'capacityBytes' | 'provisioning'>,
  directory = join(layer.stateDir, 'pools'),
): Promise<DriverSubject> {
  const pools = new Pools({ node: layer, directory });
  const pool = await pools.open(DEFAULT_POOL, soon());
  return {
    driver: new EmptyDirDriver({ node: layer, pools }),
    volume: (name) => ({
      uid: `uid-${name}`,
      namespace: 'ns',
      name,
      capacityPolicy: undefined,
      pool: DEFAULT_POOL,
      mountOptions: ['nosuid', 'nodev'],
      wasProvisioned: false,
      mayLoseData: false,
      ...volume(name),
    }),
    replaceStorage: ({ uid }) => {
      const data = join(layer.mountRoot, '.volumes', uid, 'data');
      rmSync(data, { recursive: true });
      mkdirSync(data);
    },
    dispose: async () => {
      if (pool.file === undefined) return;
      const { target } = pool.file;
      const mountId = layer.table.at(join(target.root, target.path))?.id;
      expect(await layer.unmount({ target, mountId, scope: 'device' }, soon())).to.deep.equal({ outcome: 'done' });
    },
  };
}

const disk = { source: { type: 'emptyDir', medium: '' } } as const;

describeDriver('emptyDir of ext4, Thin', ({ layer }) =>
  subject(layer, () => ({ ...disk, capacityBytes: 32n * MIB, provisioning: 'Thin' })),
);
describeDriver('emptyDir of xfs, Thick', ({ layer }) =>
  subject(layer, () => ({ ...disk, capacityBytes: 304n * MIB, provisioning: 'Thick' })),
);
describeDriver('emptyDir in memory', ({ layer }) =>
  subject(layer, () => ({
    source: { type: 'emptyDir', medium: 'Memory' },
    capacityBytes: 8n * MIB,
    provisioning: 'Thin',
  })),
);

const asSnapshots = (driver: DriverSubject, consistentReason: string): SnapshotSubject => ({
  ...driver,
  hasSize: true,
  consistentReason,
});

describeSnapshots('emptyDir of ext4, Thin', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 32n * MIB, provisioning: 'Thin' }));
  return asSnapshots(made, 'FilesystemConsistent');
});
describeSnapshots('emptyDir of xfs, Thin', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 304n * MIB, provisioning: 'Thin' }));
  return asSnapshots(made, 'FilesystemConsistent');
});
describeSnapshots('emptyDir of xfs, Thick', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 304n * MIB, provisioning: 'Thick' }));
  return asSnapshots(made, 'FilesystemConsistent');
});
describeSnapshots('emptyDir in memory', async ({ layer }) => {
  const made = await subject(layer, () => ({
    source: { type: 'emptyDir', medium: 'Memory' },
    capacityBytes: 8n * MIB,
    provisioning: 'Thin',
  }));
  return asSnapshots(made, 'Unchanged');
});

describeSnapshots('emptyDir on a pool of btrfs', async ({ layer, data }) => {
  const [disk, host] = [join(data, 'disk'), join(data, 'host')];
  writeFileSync(disk, '');
  truncateSync(disk, 8 * 2 ** 30);
  execFileSync('mkfs.btrfs', ['--quiet', disk]);
  mkdirSync(host);
  execFileSync('mount', ['-o', 'loop', disk, host]);
  const made = await subject(
    layer,
    () => ({ source: { type: 'emptyDir', medium: '' }, capacityBytes: 304n * MIB, provisioning: 'Thin' }),
    join(host, 'pools'),
  );
  const unmount = async (): Promise<void> => {
    await made.dispose?.();
    execFileSync('umount', [host]);
  };
  return asSnapshots({ ...made, dispose: unmount }, 'FilesystemConsistent');
});

describeReading('emptyDir of ext4, Thin', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 32n * MIB, provisioning: 'Thin' }));
  return { ...asSnapshots(made, 'FilesystemConsistent'), method: 'Snapshot' };
});
describeReading('emptyDir of xfs, Thick', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 304n * MIB, provisioning: 'Thick' }));
  return { ...asSnapshots(made, 'FilesystemConsistent'), method: 'Snapshot' };
});
describeReading('emptyDir in memory', async ({ layer }) => {
  const made = await subject(layer, () => ({
    source: { type: 'emptyDir', medium: 'Memory' },
    capacityBytes: 8n * MIB,
    provisioning: 'Thin',
  }));
  return { ...asSnapshots(made, 'Unchanged'), method: 'InPlace' };
});

describeReverts('emptyDir of ext4, Thin', async ({ layer }) => {
  const made = await subject(layer, () => ({ ...disk, capacityBytes: 32n * MIB, provisioning: 'Thin' }));
  return asSnapshots(made, 'FilesystemConsistent');
});
describeReverts('emptyDir in memory', async ({ layer }) => {
  const made = await subject(layer, () => ({
    source: { type: 'emptyDir', medium: 'Memory' },
    capacityBytes: 8n * MIB,
    provisioning: 'Thin',
  }));
  return asSnapshots(made, 'Unchanged');
});
