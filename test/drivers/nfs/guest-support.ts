/**
 * The nfs driver inside a guest whose kernel has an NFS client (e2e/nfs.test.ts), with a server at NFS_ADDRESS and NFS_PORT
 * that exports /contract, and another one in the guest itself.
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

/** An export, and the port at which its server listens. */
export interface ExportAt {
  readonly server: string;
  readonly port: string;
  readonly path: string;
}

const CONTRACT: ExportAt = {
  server: process.env['NFS_ADDRESS'] ?? '',
  port: process.env['NFS_PORT'] ?? '',
  path: '/contract',
};

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

export function guestVolume(name: string, { server, port, path }: ExportAt = CONTRACT): DriverVolume {
  return {
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 'nfs', server, path, subPath: name },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: [`port=${port}`, 'nodev', 'nosuid'],
    mayLoseData: false,
    wasProvisioned: false,
  };
}
