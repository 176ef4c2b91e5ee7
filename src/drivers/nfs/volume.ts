/** An nfs volume in the words of its driver. Pure. */
import { isIP } from 'node:net';
import { formatBytes } from '../../api/quantity.ts';
import { Reason } from '../../api/reasons.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { DriverError, type DriverVolume, type VolumeObservation } from '../driver.ts';
import type { NfsRecord } from './record.ts';

export type NfsSource = Extract<DriverVolume['source'], { readonly type: 'nfs' }>;

export function sourceOf({ source }: DriverVolume): NfsSource {
  if (source.type === 'nfs') return source;
  throw new DriverError(Reason.InvalidSpec, `a ${source.type} volume was given to the nfs driver`, { terminal: true });
}

/** `SERVER:PATH` as the mount table shows it. */
export function exportOf({ server, path }: NfsSource): string {
  return `${isIP(server) === 6 ? `[${server}]` : server}:${path}`;
}

/** Where the data is, for people. */
export function sourceNameOf(volume: DriverVolume): string {
  const source = sourceOf(volume);
  const { subPath, path } = source;
  return subPath === undefined ? exportOf(source) : `${exportOf(source)}${path === '/' ? '' : '/'}${subPath}`;
}

/**
 * The mount is the client's, of this volume's export. The source of a bind has the path of the directory that is bound,
 * other than those of filesystems on a disk.
 */
export function isExport(
  { fsType, source }: MountEntry,
  volume: DriverVolume,
  of: 'stage' | 'bind' = 'stage',
): boolean {
  const wanted = of === 'stage' ? exportOf(sourceOf(volume)) : sourceNameOf(volume);
  return (fsType === 'nfs' || fsType === 'nfs4') && source === wanted;
}

/** Nothing limits what is written; how the capacity compares with the size of the export is said all the same. */
export function capacityOf(
  { capacityPolicy, capacityBytes }: DriverVolume,
  record: NfsRecord | undefined,
): VolumeObservation['capacity'] {
  if (capacityPolicy === 'Enforce') {
    const message = 'What is written to an NFS server cannot be limited from here.';
    return { enforced: false, reason: Reason.CapacityNotEnforceable, message };
  }
  const total = record === undefined ? undefined : BigInt(record.totalBytes);
  const size = total === undefined ? '' : `; when it was provisioned, the export had ${formatBytes(total)} in all`;
  const isShort = total !== undefined && capacityBytes !== undefined && total < capacityBytes;
  const message = `Nothing limits what is written to the server${size}${isShort ? ', less than the capacity' : ''}.`;
  return { enforced: false, reason: Reason.NotEnforceable, message };
}
