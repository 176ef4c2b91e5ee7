/**
 * A whole machine in a guest: real systemd, a disk that survives a power cut, and the product as systemd starts it. `/` is
 * the host's, read-only, as in every guest; what the machine keeps is on its disk at /mnt/disk, its units among it.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { GuestShell, TAKES_COMMANDS, takeCommands } from './guest-shell.ts';
import { makeDirectory } from './run.ts';
import { Guest, GuestNetwork, makeDisk } from './uml.ts';

const DISK_MIB = 2048;
const COMMAND_MS = 120_000;
/** What a machine like this has no use for, and what cannot work on a read-only root. */
const MASKED = ['console-getty.service', 'getty.target', 'systemd-logind.service', 'dbus.service', 'dbus.socket'];
const SYSTEMD =
  '/lib/systemd/systemd --unit=multi-user.target --log-target=console --log-level=notice --show-status=no';

/** A machine that can be switched off and on. */
export class GuestMachine {
  readonly #directory: string;
  readonly #network: GuestNetwork;
  readonly #programs: readonly string[];
  #guest: Guest | undefined;
  #client: KubeClient | undefined;

  private constructor(directory: string, network: GuestNetwork, programs: readonly string[]) {
    this.#directory = directory;
    this.#network = network;
    this.#programs = programs;
  }

  /** Makes the machine with an empty disk; it is off. `programs`: paths of what is installed there besides. */
  static async make({ programs = [] }: { readonly programs?: readonly string[] } = {}): Promise<GuestMachine> {
    const directory = makeDirectory('guest-machine');
    const machine = new GuestMachine(directory, await GuestNetwork.create(), programs);
    await makeDisk(machine.#disk, DISK_MIB);
    return machine;
  }

  get #disk(): string {
    return join(this.#directory, 'disk.img');
  }

  /** Address at which it reaches the host. */
  get hostAddress(): string {
    return this.#network.hostAddress;
  }

  /** Address at which the host reaches it. */
  get address(): string {
    return this.#network.guestAddress;
  }

  /** Switches it on; resolves when it takes commands, whatever else has been started by then. */
  async switchOn(): Promise<void> {
    this.#guest = await Guest.boot({
      name: 'machine',
      network: this.#network,
      disks: [this.#disk],
      modules: ['loop', 'fuse'],
      script: `mkdir /mnt/disk
mount -t ext4 /dev/ubda /mnt/disk
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /mnt/disk/units /run/systemd/system/multi-user.target.wants /run/systemd/system.conf.d
mount --bind /mnt/disk/units /etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
${this.#programs.map((file) => `ln -s '${file}' /usr/local/sbin/`).join('\n')}
for unit in ${MASKED.join(' ')}; do ln -s /dev/null /run/systemd/system/$unit; done
printf '[Manager]\\nDefaultStandardOutput=journal+console\\n' >/run/systemd/system.conf.d/console.conf
printf '[Service]\\nExecStart=${takeCommands(this.address)}\\n' >/run/systemd/system/commands.service
ln -s ../commands.service /run/systemd/system/multi-user.target.wants/`,
      becomes: SYSTEMD,
    });
    await this.#guest.waitFor(TAKES_COMMANDS);
  }

  /** Runs a script there, as root, beside the services. @returns what it printed. @throws Error when it fails. */
  async run(script: string): Promise<string> {
    return (await new GuestShell(this.address).sh(script, COMMAND_MS)).trim();
  }

  /** Connects with the kubeconfig of a file there. */
  async connect(file: string): Promise<KubeClient> {
    const directory = join(this.#directory, 'credentials');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, await this.run(`cat ${file}`), { mode: 0o600 });
    await this.#client?.close();
    this.#client = connect(await loadConfig({ kubeconfig }));
    return this.#client;
  }

  /** What its console showed. */
  tail(lines = 40): string {
    return this.#guest?.tail(lines) ?? '';
  }

  async cutPower(): Promise<void> {
    await this.#guest?.cutPower();
    await this.#guest?.end();
    this.#guest = undefined;
    // Nobody will answer any more.
    void this.#client?.close();
    this.#client = undefined;
  }

  async end(): Promise<void> {
    await this.cutPower();
    await this.#network.end();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
