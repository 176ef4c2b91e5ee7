/**
 * The contract suite of drivers against nfs, with a server at NFS_ADDRESS and NFS_PORT that exports /contract. Run inside
 * a guest whose kernel has an NFS client (e2e/nfs.test.ts); a file that the runner of the machine itself must not claim.
 */
import { join } from 'node:path';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { isNfsRecord } from '../../../src/drivers/nfs/record.ts';
import { snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import { fillRecords } from '../../../src/drivers/trees/fill.ts';
import type { RunningNodeLayer } from '../../../src/node/create-layer.ts';
import { Records } from '../../../src/node/records.ts';
import { describeDriver } from '../../contract/driver-contract.ts';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';

const server = process.env['NFS_ADDRESS'] ?? '';
const port = process.env['NFS_PORT'] ?? '';

const driverOn = (node: RunningNodeLayer): NfsDriver =>
  new NfsDriver({
    node,
    records: new Records(join(node.stateDir, 'nfs'), isNfsRecord),
    snapshots: snapshotRecords(node.stateDir),
    fills: fillRecords(node.stateDir),
  });

describeDriver('nfs', ({ layer }) => ({ driver: driverOn(layer), volume }));

describeSnapshots('nfs', ({ layer }) => ({
  driver: driverOn(layer),
  volume,
  hasSize: false,
  consistentReason: 'Unchanged',
  // Attributes of users come with NFS 4.2 on both sides; trusted ones never do.
  lacks: ['xattrs'],
  isElsewhere: true,
}));

function volume(name: string): DriverVolume {
  return {
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 'nfs', server, path: '/contract', subPath: name },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: [`port=${port}`, 'nodev', 'nosuid'],
    mayLoseData: false,
    wasProvisioned: false,
  };
}
