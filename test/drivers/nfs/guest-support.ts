/**
 * The nfs driver inside a guest whose kernel has an NFS client (e2e/nfs.test.ts), with a server at NFS_ADDRESS and NFS_PORT
 * that exports /contract.
 */
import { join } from 'node:path';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { isNfsRecord } from '../../../src/drivers/nfs/record.ts';
import { Reverts } from '../../../src/drivers/reverts.ts';
import { snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import { fillRecords } from '../../../src/drivers/trees/fill.ts';
import type { NodeLayer } from '../../../src/node/layer.ts';
import { Records } from '../../../src/node/records.ts';

const server = process.env['NFS_ADDRESS'] ?? '';
const port = process.env['NFS_PORT'] ?? '';

/** @param stateDir Where its notes are: another one is another node, as far as notes go. */
export function guestDriver(node: NodeLayer, stateDir: string = node.stateDir): NfsDriver {
  return new NfsDriver({
    node,
    records: new Records(join(stateDir, 'nfs'), isNfsRecord),
    snapshots: snapshotRecords(stateDir),
    fills: fillRecords(stateDir),
    reverts: new Reverts(stateDir),
  });
}

export function guestVolume(name: string): DriverVolume {
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
