/** Which of a volume's mount options are whose: attributes of every mount, or words for the NFS client. Pure. */
import { Reason } from '../../api/reasons.ts';
import { DriverError } from '../driver.ts';

/** Attributes of a mount, whatever is mounted. */
const ATTRIBUTES: readonly string[] = ['nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'relatime', 'nosymfollow'];

/** Options of nfs(5) that a volume may have. What decides where and how mounting is tried is the driver's. */
const CLIENT_OPTIONS: ReadonlySet<string> = new Set(
  (
    'vers nfsvers minorversion port proto sec nconnect max_connect rsize wsize timeo retrans hard soft softerr ' +
    'softreval nosoftreval ac noac actimeo acregmin acregmax acdirmin acdirmax lookupcache cto nocto lock nolock ' +
    'local_lock resvport noresvport rdirplus nordirplus fsc nofsc acl noacl mountport mountproto mountvers xprtsec'
  ).split(' '),
);

const DEFAULT_VERSION = 'vers=4.2';

/**
 * Always there. `retry=0`: one attempt, the controller does the waiting. `nosharecache`: a superblock for each volume;
 * else the kernel shares one between volumes of a server, and with it options, and what an unmount by force cuts off.
 */
const OWN: readonly string[] = ['retry=0', 'nosharecache'];

export interface NfsOptions {
  /** For `mount.nfs -o`. */
  readonly client: readonly string[];
  /** For the mounts that workloads see. */
  readonly attributes: readonly string[];
}

/** @throws DriverError `MountOptionNotAllowed` for what the NFS client does not know, or the driver decides. */
export function nfsOptions(options: readonly string[]): NfsOptions {
  const attributes = options.filter((option) => ATTRIBUTES.includes(option));
  const client = options.filter((option) => !ATTRIBUTES.includes(option));
  const unknown = client.find((option) => !CLIENT_OPTIONS.has(nameOf(option)));
  if (unknown !== undefined) {
    const message = `mount option "${unknown}" is not one that an nfs volume can have`;
    throw new DriverError(Reason.MountOptionNotAllowed, message, { terminal: true });
  }
  const hasVersion = client.some((option) => ['vers', 'nfsvers'].includes(nameOf(option)));
  // The client knows no nosymfollow; the mounts that workloads see have it all the same.
  const atMount = attributes.filter((option) => option !== 'nosymfollow');
  return { client: [...(hasVersion ? [] : [DEFAULT_VERSION]), ...client, ...OWN, ...atMount], attributes };
}

function nameOf(option: string): string {
  return option.split('=', 1)[0] ?? option;
}
