/**
 * The contract suite of drivers against nfs, with a server at NFS_ADDRESS and NFS_PORT that exports /contract. Run inside
 * a guest whose kernel has an NFS client (e2e/nfs.test.ts); a file that the runner of the machine itself must not claim.
 */
import { join } from 'node:path';
import { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { isNfsRecord } from '../../../src/drivers/nfs/record.ts';
import { Records } from '../../../src/node/records.ts';
import { describeDriver } from '../../contract/driver-contract.ts';

const server = process.env['NFS_ADDRESS'] ?? '';
const port = process.env['NFS_PORT'] ?? '';

describeDriver('nfs', ({ layer }) => ({
  driver: new NfsDriver({ node: layer, records: new Records(join(layer.stateDir, 'nfs'), isNfsRecord) }),
  volume: (name) => ({
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
  }),
}));
