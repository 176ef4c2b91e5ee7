/**
 * The NFS server of a guest's own kernel, for clients in the same guest. Other than nfs-ganesha it copies files by itself:
 * COPY and, where its filesystem can share blocks, CLONE of NFS 4.2 (RFC 7862).
 */
import { readFileSync } from 'node:fs';

/** What it needs besides the client's modules, in the order in which they need each other. */
export const KERNEL_NFS_MODULES = ['oid_registry', 'auth_rpcgss', 'nfsd'];

export const KERNEL_NFS = {
  address: '127.0.0.1',
  port: '2049',
  /** Exported, in memory: files there share no blocks. */
  copies: '/copies',
  /** Exported, of the disk. */
  clones: '/clones',
} as const;

const ROOT = '/mnt/exports';
/** NFSEXP_INSECURE_PORT, NFSEXP_NOSUBTREECHECK, NFSEXP_FSID and NFSEXP_CROSSMOUNT of linux/nfsd/export.h; written to, root is root. */
const FLAGS = 0x2 | 0x400 | 0x2000 | 0x4000;
/** Numbers of operations, RFC 7862. */
const COPY = 60;
const CLONE = 71;

/**
 * Shell commands that start it, with nobody to ask: what exportfs and rpc.mountd would answer is written ahead. New clients
 * wait for the end of its grace period, about ten seconds later.
 * @param disk Device with an XFS that can share blocks.
 */
export function serveByKernel(disk: string): string {
  const rpc = '/proc/net/rpc';
  return `
mkdir ${ROOT}
mount -t tmpfs -o size=64m exports ${ROOT}
mkdir ${ROOT}${KERNEL_NFS.copies} ${ROOT}${KERNEL_NFS.clones}
mount -t xfs ${disk} ${ROOT}${KERNEL_NFS.clones}
mount -t nfsd nfsd /proc/fs/nfsd
# No delegations: Linux 7.2 takes a client's word for times then (RFC 9754), and loses those that are set to the past.
echo 0 >/proc/sys/fs/leases-enable
late=$(($(date +%s) + 86400))
echo "nfsd ${KERNEL_NFS.address} $late all" >${rpc}/auth.unix.ip/channel
export_as() {
  echo "all $2 $late ${FLAGS} 65534 65534 $1" >${rpc}/nfsd.export/channel
  printf 'all 1 \\\\x0%d000000 %d %s\\n' $1 $late $2 >${rpc}/nfsd.fh/channel
}
export_as 0 ${ROOT}
export_as 1 ${ROOT}${KERNEL_NFS.clones}
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
# The version that would look for an rpcbind.
echo -3 >/proc/fs/nfsd/versions
echo 'tcp ${KERNEL_NFS.port}' >/proc/fs/nfsd/portlist
echo 4 >/proc/fs/nfsd/threads`;
}

/** What it has done so far. */
export interface KernelNfsCounts {
  readonly copies: number;
  readonly clones: number;
  /** Bytes that clients have sent to be written. */
  readonly written: number;
}

/** Read in the guest. */
export function kernelNfsCounts(): KernelNfsCounts {
  const text = readFileSync('/proc/net/rpc/nfsd', 'utf8');
  const numbers = (name: string): readonly number[] =>
    new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]?.split(' ').map(Number) ?? [];
  const [, ...operations] = numbers('proc4ops');
  const [, written] = numbers('io');
  const [copies, clones] = [operations[COPY], operations[CLONE]];
  if (copies === undefined || clones === undefined || written === undefined) {
    throw new Error(`the kernel's server does not count:\n${text}`);
  }
  return { copies, clones, written };
}
