/**
 * Guests in User-Mode Linux: a kernel of their own in one process, with the host's files to read, disks that are image
 * files, and one network link to the host. Killing the process is a power cut: what the guest has written to a disk stays
 * (it is in the host's page cache), what is only in the guest's memory is gone.
 */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { toolPath } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { makeDirectory, onEnd, runID } from './run.ts';
import { waitFor } from './wait.ts';

const BOOT_MS = 180_000;
/** What the prologue says when the script's turn comes. */
const UP = 'guest: up';
const ENDED = 'guest: the script ended with';
let serial = 0;

/** A link between the host's network namespace and one guest at a time; it outlives the guest's reboots. */
export class GuestNetwork {
  readonly device: string;
  readonly hostAddress: string;
  readonly guestAddress: string;
  /** On the link, and nobody's. */
  readonly unusedAddress: string;
  #ended = false;

  private constructor(number: number) {
    this.device = `u${runID}${number}`;
    // The range for measurements between networks (RFC 2544): nobody's real one.
    this.hostAddress = `198.18.${number}.1`;
    this.guestAddress = `198.18.${number}.2`;
    this.unusedAddress = `198.18.${number}.3`;
  }

  static async create(): Promise<GuestNetwork> {
    serial += 1;
    const network = new GuestNetwork(serial);
    await run('ip', ['tuntap', 'add', network.device, 'mode', 'tap']);
    onEnd(() => network.end());
    await run('ip', ['address', 'add', `${network.hostAddress}/24`, 'dev', network.device]);
    await run('ip', ['link', 'set', network.device, 'up']);
    return network;
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await run('ip', ['link', 'delete', this.device]);
  }
}

export interface GuestOptions {
  /** Names it in messages. */
  readonly name: string;
  /**
   * What the guest does, for `sh -eu`. It is root; `/` is the host's, read-only; `/proc`, `/sys`, `/dev` and an empty
   * `/mnt` in memory are its own. When the script ends the guest powers itself off.
   */
  readonly script: string;
  /** What the guest's process 1 becomes after the script, e.g. systemd, instead of powering off. */
  readonly becomes?: string;
  readonly network?: GuestNetwork;
  /** Image files, in the guest /dev/ubda, /dev/ubdb and so on. */
  readonly disks?: readonly string[];
  /** Modules of the guest's kernel, by name and in the order in which they need each other. */
  readonly modules?: readonly string[];
  readonly memoryMiB?: number;
}

/** One guest that runs. */
export class Guest extends Daemon {
  readonly #directory: string;

  private constructor(options: GuestOptions, binary: string, directory: string) {
    const init = join(directory, 'init');
    writeFileSync(init, initScript(options, moduleFiles(binary, options.modules ?? [])), { mode: 0o700 });
    const { network, disks = [], memoryMiB = 1024 } = options;
    const letters = 'abcdefgh';
    super({
      name: `guest ${options.name}`,
      command: binary,
      args: [
        `mem=${memoryMiB}M`,
        'rootfstype=hostfs',
        'rootflags=/',
        'ro',
        'quiet',
        // Where the host can: system calls of the guest's programs are caught by a filter instead of traced.
        'seccomp=auto',
        `init=${init}`,
        `uml_dir=${directory}/`,
        ...disks.map((image, index) => `ubd${letters[index]}=${image}`),
        ...(network === undefined ? [] : [`vec0:transport=tap,ifname=${network.device},depth=128,gro=1`]),
        'con=null',
        'con0=null,fd:1',
      ],
      logFile: join(directory, 'console.log'),
      // Its memory is a file there.
      env: { TMPDIR: '/dev/shm' },
    });
    this.#directory = directory;
  }

  /** Boots a guest; resolves when its script begins. It is killed after the last test if no test ends it before. */
  static async boot(options: GuestOptions): Promise<Guest> {
    const directory = makeDirectory(`guest-${options.name}`);
    const guest = new Guest(options, await toolPath('linux.uml'), directory);
    onEnd(() => guest.end());
    await guest.waitFor(UP, BOOT_MS);
    return guest;
  }

  /** Waits until the guest's console shows a text. @throws Error with the console's end, also when the guest has ended. */
  async waitFor(text: string, deadline = BOOT_MS): Promise<void> {
    await waitFor(
      () => {
        const isThere = this.output().includes(text);
        if (!isThere) this.assertRunning();
        return isThere;
      },
      { deadline, message: `${this.name} to say ${JSON.stringify(text)}`, instead: () => this.tail(20) },
    );
  }

  /** Waits for the end of the script and the power-off. @returns what the script printed. @throws Error when it failed. */
  async finish(deadline = BOOT_MS): Promise<string> {
    await this.waitFor(ENDED, deadline);
    await waitFor(() => this.exit !== undefined, { deadline, message: `${this.name} to power itself off` });
    const said = this.output();
    const code = /guest: the script ended with (\d+)/.exec(said)?.[1];
    if (code !== '0') throw new Error(`${this.name}: its script ended with ${code}:\n${this.tail()}`);
    return said.slice(said.indexOf(UP) + UP.length, said.indexOf(ENDED)).trim();
  }

  /** A power cut: every process of the guest is killed at once. */
  async cutPower(): Promise<void> {
    await this.killGroup();
  }

  /** Ends it however it is, and removes what it left. */
  async end(): Promise<void> {
    await this.killGroup();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Of modules, by name. */
const PARAMETERS: Readonly<Record<string, string>> = {
  // Older versions of Ganesha (6.5 is one) call the request for one illegal and fail what was asked with it (nfs-ganesha issue 1385).
  nfsv4: 'directory_delegations=N',
};

function initScript({ script, network, becomes }: GuestOptions, modules: readonly string[]): string {
  return `#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt TMPDIR=/mnt
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /mnt
# What Node shares with the kernel by it, this kernel frees twice ("Bad page map").
echo 2 >/proc/sys/kernel/io_uring_disabled
ip link set lo up
${network === undefined ? '' : `ip address add ${network.guestAddress}/24 dev vec0 && ip link set vec0 up`}
${modules.map((file) => `insmod '${file}' ${PARAMETERS[basename(file, '.ko')] ?? ''} || echo 'guest: no module ${file}'`).join('\n')}
cat >/mnt/script <<'END-OF-SCRIPT'
${script}
END-OF-SCRIPT
echo '${UP}'
sh -eu /mnt/script </dev/null${becomes === undefined ? '' : ` && exec ${becomes}`}
echo '${ENDED}' $?
echo o >/proc/sysrq-trigger
sleep 60
`;
}

/** Paths of kernel modules, which the package keeps beside the binary. */
function moduleFiles(binary: string, names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const root = join(dirname(binary), '../lib/uml/modules');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return names.map((name) => {
    const file = files.find((path) => path.endsWith(`/${name}.ko`));
    if (file === undefined) throw new Error(`${root} has no module ${name}`);
    return join(root, file);
  });
}

/** A filesystem that the guest's kernel has built in. */
export type Filesystem = 'ext4' | 'xfs';

/** Makes an image file with an empty filesystem. */
export async function makeDisk(file: string, mebibytes: number, filesystem: Filesystem = 'ext4'): Promise<void> {
  await run('truncate', ['--size', `${mebibytes}M`, file]);
  if (filesystem === 'xfs') await run('mkfs.xfs', ['-q', '-f', file]);
  else await run('mkfs.ext4', ['-q', '-F', file]);
}
