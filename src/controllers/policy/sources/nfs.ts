import type { NfsSource } from '../../../api/volume.ts';
import type { VolumeClass } from '../../../api/volume-class.ts';
import type { Refusal } from '../facts.ts';
import type { SourceType } from './source-type.ts';

export const nfsSource: SourceType<NfsSource> = {
  nodeLocal: false,
  allocates: false,
  defaultCapacity: undefined,
  // What lies on a server outlives the nodes that use it; only the volume itself can give it up.
  reclaimPolicy: ({ nfs, reclaimPolicy = 'Retain' }) => (nfs?.subPath === undefined ? 'Retain' : reclaimPolicy),
  refusal,
  forDriver: ({ server, path, subPath }) => ({ type: 'nfs', server, path, subPath }),
  isPassing: () => false,
  describe: ({ server, path, subPath }) => `"${server}:${path}${subPath === undefined ? '' : `/${subPath}`}"`,
};

/** A server trusts the address of the node, not the user: without a class that names it, nobody may use it. */
function refusal({ server }: NfsSource, volumeClass: VolumeClass | undefined): Refusal | undefined {
  if (volumeClass === undefined) {
    return no('No VolumeClass allows NFS servers here; an administrator must create one and the volume name it.');
  }
  const { allowedNfsServers = [] } = volumeClass.spec;
  if (allowedNfsServers.some((entry) => covers(entry, server))) return undefined;
  const allowed = allowedNfsServers.join(', ') || 'none';
  return no(
    `NFS server "${server}" is not among those that VolumeClass "${volumeClass.metadata.name}" allows (${allowed}).`,
  );
}

/** `*` is any server, `*.example.com` every name below it. */
function covers(entry: string, server: string): boolean {
  if (entry === '*') return true;
  return entry.startsWith('*.') ? server.endsWith(entry.slice(1)) : entry === server;
}

function no(message: string): Refusal {
  return { reason: 'NfsServerNotAllowed', message, stalled: true };
}
