/** What lies where in the state directory, and who runs on it. */
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory } from '../apiserver/storage/private-file.ts';
import { processIdentity } from '../apiserver/storage/process-identity.ts';
import { ENGINE_CACHE } from '../controllers/support/engine-cache.ts';
import { HOLDER_LOCK, HOLDER_SOCKET } from '../node/mount-daemons/holder-protocol.ts';
import { CliError, ExitCode } from './exit-code.ts';

/** What a running `clawstore up` leaves in the state directory for other commands to read. */
export interface Instance {
  readonly pid: number;
  /** Tells a reused pid. */
  readonly identity: string;
  readonly nodeName: string;
  readonly mountRoot: string;
  readonly hostPathAllow: readonly string[];
  readonly kubeconfig: string;
  /** URL of the metrics server, where there is one. */
  readonly metrics?: string;
  /** What it is kept equal to, where there is something. */
  readonly sync?: string;
  readonly apiServer?: LocalApiServer;
}

/** Two ways to one API server: whoever may read the state directory need not pay for TLS. */
export interface LocalApiServer {
  /** As kubeconfigs name it. */
  readonly url: string;
  readonly socketPath: string;
}

export interface StateDir {
  readonly root: string;
  /** Locked for as long as an instance runs. */
  readonly lockFile: string;
  /** Locked for as long as an agent runs. */
  readonly agentLockFile: string;
  readonly apiserver: string;
  readonly pools: string;
  /** What is remembered of volumes on NFS servers. */
  readonly nfs: string;
  /** Which project limits the directory of which hostPath volume. */
  readonly projects: string;
  /** There while writers of Thin volumes are held for lack of space. */
  readonly heldFile: string;
  /** What s3 volumes keep on this node: files that have not reached their server among it. */
  readonly s3: string;
  /** Files of s3 volumes that could not be sent and cannot be any more: never deleted by us. */
  readonly rescued: string;
  /** What is remembered of snapshots, and those that are files of their own. */
  readonly snapshots: string;
  /** Snapshots that are directories. */
  readonly snapshotsData: string;
  /** What is remembered of volumes that were made from something. */
  readonly fills: string;
  /** What is remembered of volumes that went back to a snapshot. */
  readonly reverts: string;
  readonly revertsBegun: string;
  readonly revertsCopies: string;
  /** What was read of volumes that are being backed up, and what each had at its last backup. */
  readonly backupReadings: string;
  readonly backupLast: string;
  /** What the backup engine keeps of repositories; may go at any time. */
  readonly engineCache: string;
  /** Who this node is to OpenClaw gateways. */
  readonly openclaw: string;
  /** The copy of the Git repository that is synced; may go at any time. */
  readonly sync: string;
  /** Where logs go while a table is on the screen. */
  readonly logFile: string;
  /** Who this installation is, for the Lease of its node. */
  readonly nodeIdFile: string;
}

/** Names the parts of a state directory, without touching it. */
export function stateDirOf(root: string): StateDir {
  return {
    root,
    lockFile: join(root, 'instance.lock'),
    agentLockFile: join(root, 'agent.lock'),
    apiserver: join(root, 'apiserver'),
    pools: join(root, 'pools'),
    nfs: join(root, 'nfs'),
    projects: join(root, 'projects'),
    s3: join(root, 's3'),
    rescued: join(root, 's3-rescued'),
    snapshots: join(root, 'snapshots'),
    snapshotsData: join(root, 'snapshots-data'),
    fills: join(root, 'fills'),
    reverts: join(root, 'reverts'),
    revertsBegun: join(root, 'reverts-begun'),
    revertsCopies: join(root, 'reverts-copies'),
    backupReadings: join(root, 'backup-readings'),
    backupLast: join(root, 'backup-last'),
    engineCache: join(root, ENGINE_CACHE),
    openclaw: join(root, 'openclaw'),
    sync: join(root, 'sync'),
    heldFile: join(root, 'pools', 'held'),
    logFile: join(root, 'clawstore.log'),
    nodeIdFile: join(root, 'node-id'),
  };
}

/**
 * Makes the state directory, readable for its owner alone.
 * @throws CliError when there cannot be one.
 */
export function makeStateDir(root: string): StateDir {
  try {
    makePrivateDirectory(root);
    chmodSync(root, 0o700);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'it is, or lies below, something that is no directory' : code;
    throw new CliError(ExitCode.usage, `--state-dir: ${root} cannot be used: ${why}; name another directory`, {
      cause,
    });
  }
  return stateDirOf(root);
}

/** Says whether an instance or an agent of ours has used this directory as its state directory. */
export function isStateDir(root: string): boolean {
  const { agentLockFile, apiserver } = stateDirOf(root);
  return [agentLockFile, join(apiserver, 'apiserver.db')].some((file) => existsSync(file));
}

/** What of ours in a state directory may be deleted with it, whatever is in it. */
export function contentsOf(root: string): readonly string[] {
  const { lockFile, agentLockFile, apiserver, logFile, nodeIdFile, ...rest } = stateDirOf(root);
  const { pools, nfs, s3, snapshots, snapshotsData, fills, reverts, revertsBegun, revertsCopies } = rest;
  const { backupReadings, backupLast, engineCache, openclaw, sync } = rest;
  const files = [
    lockFile,
    agentLockFile,
    ...holderFiles(root),
    logFile,
    join(root, 'kubeconfig'),
    instanceFile(root),
    newInstanceFile(root),
  ];
  const records = [snapshots, snapshotsData, fills, reverts, revertsBegun, revertsCopies, backupReadings, backupLast];
  const directories = [apiserver, pools, nfs, s3, ...records, engineCache, openclaw, sync];
  return [...files, nodeIdFile, `${nodeIdFile}.new`, ...directories];
}

/** Returns the instance that runs on this state directory, or undefined when none does. */
export function readInstance(root: string): Instance | undefined {
  const last = lastInstance(root);
  return last !== undefined && isRunning(last) ? last : undefined;
}

/** Returns the instance that ran here last, whether it still runs or not: it says where mounts may be. */
export function lastInstance(root: string): Instance | undefined {
  try {
    return JSON.parse(readFileSync(instanceFile(root), 'utf8')) as Instance;
  } catch {
    return undefined;
  }
}

export function isRunning({ pid, identity }: Instance): boolean {
  return processIdentity(pid) === identity;
}

/** Says to others that this process runs here; atomically, 0600. It stays after the stop, for {@link lastInstance}. */
export function writeInstance(root: string, instance: Omit<Instance, 'pid' | 'identity'>): void {
  const identity = processIdentity(process.pid);
  if (identity === undefined) throw new Error('/proc does not show this process');
  const text = JSON.stringify({ pid: process.pid, identity, ...instance } satisfies Instance, null, 2);
  writeFileSync(newInstanceFile(root), `${text}\n`, { mode: 0o600 });
  renameSync(newInstanceFile(root), instanceFile(root));
}

/** What the mount holder keeps there. */
function holderFiles(root: string): readonly string[] {
  return [HOLDER_LOCK, HOLDER_SOCKET].map((name) => join(root, name));
}

function instanceFile(root: string): string {
  return join(root, 'instance.json');
}

function newInstanceFile(root: string): string {
  return `${instanceFile(root)}.new`;
}
