/** A node whose kernel is a guest's: the agent of the product in User-Mode Linux, told what to do over the network. */
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { CLAWSTORE } from './clawstore.ts';
import type { ExecResult } from './exec.ts';
import { Guest, type GuestNetwork } from './uml.ts';
import { waitFor } from './wait.ts';

const PORT = 7000;
/** In the guest, in memory. */
export const GUEST_STATE = '/mnt/state';
export const GUEST_MOUNTS = '/mnt/mounts';
/** What hostPath volumes of the guest may use. */
export const GUEST_DATA = '/mnt/data';

export interface GuestNodeOptions {
  readonly name: string;
  readonly kubeconfig: string;
  readonly network: GuestNetwork;
  /** Modules of the guest's kernel, in the order in which they need each other. */
  readonly modules: readonly string[];
}

export class GuestNode {
  readonly guest: Guest;
  readonly #options: GuestNodeOptions;

  private constructor(guest: Guest, options: GuestNodeOptions) {
    this.guest = guest;
    this.#options = options;
  }

  /** Boots the guest; {@link startAgent} starts what is tested. */
  static async boot(options: GuestNodeOptions): Promise<GuestNode> {
    const { name, network, modules } = options;
    const commands = join(import.meta.dirname, 'guest-commands.ts');
    const script = `
export PATH='${dirname(process.execPath)}':$PATH
ip route add default via ${network.hostAddress}
mkdir -p ${GUEST_STATE} ${GUEST_DATA}
exec node --disable-warning=ExperimentalWarning '${commands}' ${network.guestAddress} ${PORT}`;
    const guest = await Guest.boot({ name, script, network, modules });
    await guest.waitFor('guest: takes commands');
    return new GuestNode(guest, options);
  }

  /** Runs a command in the guest. Never throws for how it ends. */
  exec(argv: readonly [string, ...string[]], deadline = 20_000): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      const socket = connect(PORT, this.#options.network.guestAddress);
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.setTimeout(deadline + 20_000, () =>
        socket.destroy(new Error(`${argv.join(' ')}: no answer of the guest`)),
      );
      socket.once('error', reject);
      socket.once('close', () => (text === '' ? undefined : resolve(JSON.parse(text) as ExecResult)));
      socket.end(JSON.stringify({ argv, deadline }));
    });
  }

  /** Runs a shell script in the guest. @throws Error with its output when it fails. */
  async sh(script: string, deadline?: number): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['sh', '-ec', script], deadline);
    if (code !== 0) throw new Error(`in the guest: ${script}\nended with ${code}: ${stderr}${stdout}`);
    return stdout;
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
