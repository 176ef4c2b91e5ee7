/** A node whose kernel is a guest's: the agent of the product in User-Mode Linux, told what to do over the network. */
import { dirname } from 'node:path';
import { CLAWSTORE } from './clawstore.ts';
import type { ExecResult } from './exec.ts';
import { GuestShell, TAKES_COMMANDS, takeCommands } from './guest-shell.ts';
import { Guest, type GuestNetwork } from './uml.ts';
import { waitFor } from './wait.ts';

/** In the guest, in memory. */
export const GUEST_STATE = '/mnt/state';
export const GUEST_MOUNTS = '/mnt/mounts';
/** What hostPath volumes of the guest may use. */
export const GUEST_DATA = '/mnt/data';

/** The NFS client of Debian's User-Mode Linux, in the order in which its modules need each other. */
export const NFS_MODULES = ['netfs', 'sunrpc', 'grace', 'lockd', 'nfs', 'dns_resolver', 'nfsv4', 'nfs_acl', 'nfsv3'];

export interface GuestNodeOptions {
  readonly name: string;
  readonly kubeconfig: string;
  readonly network: GuestNetwork;
  /** Modules of the guest's kernel, in the order in which they need each other. */
  readonly modules: readonly string[];
  /** Image files, in the guest /dev/ubda, /dev/ubdb and so on. */
  readonly disks?: readonly string[];
  /** Shell commands before everything else, e.g. to mount the disks below {@link GUEST_DATA}. */
  readonly prepare?: string;
}

export class GuestNode {
  readonly guest: Guest;
  readonly #options: GuestNodeOptions;
  readonly #shell: GuestShell;

  private constructor(guest: Guest, options: GuestNodeOptions) {
    this.guest = guest;
    this.#options = options;
    this.#shell = new GuestShell(options.network.guestAddress);
  }

  /** Boots the guest; {@link startAgent} starts what is tested. */
  static async boot(options: GuestNodeOptions): Promise<GuestNode> {
    const { name, network, modules, disks = [], prepare = '' } = options;
    const script = `
export PATH='${dirname(process.execPath)}':$PATH
ip route add default via ${network.hostAddress}
mkdir -p ${GUEST_STATE} ${GUEST_DATA}
${prepare}
exec ${takeCommands(network.guestAddress)}`;
    const guest = await Guest.boot({ name, script, network, modules, disks });
    await guest.waitFor(TAKES_COMMANDS);
    return new GuestNode(guest, options);
  }

  /** Runs a command in the guest. Never throws for how it ends. */
  exec(argv: readonly [string, ...string[]], deadline?: number): Promise<ExecResult> {
    return this.#shell.exec(argv, deadline);
  }

  /** Runs a shell script in the guest. @throws Error with its output when it fails. */
  sh(script: string, deadline?: number): Promise<string> {
    return this.#shell.sh(script, deadline);
  }

  async startAgent(): Promise<void> {
    const { name, kubeconfig } = this.#options;
    const flags = [
      ['--kubeconfig', kubeconfig],
      ['--node-name', name],
      ['--state-dir', GUEST_STATE],
      ['--mount-root', GUEST_MOUNTS],
      ['--host-path-allow', GUEST_DATA],
      ['--log-level', 'info'],
    ].flat();
    // The console is the guest's log.
    await this.sh(
      `setsid '${CLAWSTORE}' agent ${flags.join(' ')} >/dev/console 2>&1 </dev/null & echo $! >/mnt/agent.pid`,
    );
  }

  /** SIGKILL to the agent alone. */
  async killAgent(): Promise<void> {
    await this.sh('kill -KILL "$(cat /mnt/agent.pid)"');
    await waitFor(async () => (await this.exec(['sh', '-c', 'kill -0 "$(cat /mnt/agent.pid)"'])).code !== 0, {
      message: 'the agent in the guest to end',
    });
  }

  /** What it sends to an address of the host is lost from now on, and nobody is told; all others are reached as before. */
  async cutFrom(address: string): Promise<void> {
    const nobody = this.#options.network.unusedAddress;
    const hardware = '02:00:00:00:00:63';
    await this.sh(`ip neighbour replace ${nobody} lladdr ${hardware} nud permanent dev vec0
ip route add ${address}/32 via ${nobody}`);
  }

  async healTo(address: string): Promise<void> {
    await this.sh(`ip route delete ${address}/32`);
  }

  /** IDs of the guest's mounts by their mount points, below the mount root. */
  async mounts(): Promise<ReadonlyMap<string, string>> {
    const rows = (await this.sh('cat /proc/self/mountinfo')).trim().split('\n');
    return new Map(
      rows
        .map((row) => row.split(' '))
        .filter((fields) => fields[4]?.startsWith(`${GUEST_MOUNTS}/`) === true)
        .map((fields) => [fields[4] ?? '', fields[0] ?? '']),
    );
  }

  async end(): Promise<void> {
    await this.guest.end();
  }
}
