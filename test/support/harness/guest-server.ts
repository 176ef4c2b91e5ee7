/** An API server in a guest, with its state on a disk of the guest's: what a power cut is for. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { CLAWSTORE } from './clawstore.ts';
import { makeDirectory } from './run.ts';
import { type Filesystem, Guest, GuestNetwork, makeDisk } from './uml.ts';
import { waitFor } from './wait.ts';

const VOLATILE = join(import.meta.dirname, '../../../e2e/tools/power-cut/volatile-server.ts');
const PORT = 6443;
const READY_MS = 180_000;
const LISTENS = 'listening on';
const ENDED = 'server: ended with';

/** How the server treats the disk: as the product does, or without ever waiting for it. */
export type Durability = 'durable' | 'volatile';

/** A machine that can be switched off and on; its disk and its address stay. */
export class GuestServer {
  readonly #directory: string;
  readonly #network: GuestNetwork;
  readonly #filesystem: Filesystem;
  readonly #durability: Durability;
  #guest: Guest | undefined;
  #client: KubeClient | undefined;

  private constructor(directory: string, network: GuestNetwork, filesystem: Filesystem, durability: Durability) {
    this.#directory = directory;
    this.#network = network;
    this.#filesystem = filesystem;
    this.#durability = durability;
  }

  /** Makes the machine with an empty disk; it is off. */
  static async make(filesystem: Filesystem, durability: Durability): Promise<GuestServer> {
    const directory = makeDirectory('guest-server');
    const server = new GuestServer(directory, await GuestNetwork.create(), filesystem, durability);
    mkdirSync(server.#shared);
    await makeDisk(server.#disk, 512, filesystem);
    return server;
  }

  get #disk(): string {
    return join(this.#directory, 'disk.img');
  }

  /** Where the guest puts what the host must read; not on its disk, so no power cut touches it. */
  get #shared(): string {
    return join(this.#directory, 'shared');
  }

  get #kubeconfig(): string {
    return join(this.#shared, 'kubeconfig');
  }

  /** A client of the administrator, with the kubeconfig of the first start: credentials must survive too. */
  get client(): KubeClient {
    if (this.#client === undefined) throw new Error('the guest server is off');
    return this.#client;
  }

  /** Switches it on; resolves when the kernel is up, long before the server is. */
  async switchOn(): Promise<Guest> {
    const address = `${this.#network.guestAddress}:${PORT}`;
    // The kubeconfig of the first start is kept: what the server writes later must not be needed.
    const written = '/mnt/shared/kubeconfig.new';
    const command =
      this.#durability === 'durable'
        ? `${CLAWSTORE} apiserver --state-dir /mnt/disk/state --listen ${address} --kubeconfig ${written}`
        : `${process.execPath} --disable-warning=ExperimentalWarning ${VOLATILE} /mnt/disk/state ${address} ${written}`;
    const guest = await Guest.boot({
      name: 'server',
      network: this.#network,
      disks: [this.#disk],
      script: `mkdir /mnt/disk /mnt/shared
mount -t ${this.#filesystem} /dev/ubda /mnt/disk
mount -t hostfs -o ${this.#shared} hostfs /mnt/shared
(until [ -e ${written} ]; do sleep 0.1; done; cp -n ${written} /mnt/shared/kubeconfig) &
${command} || echo "${ENDED} $?"`,
    });
    this.#guest = guest;
    return guest;
  }

  /** Switches it on and waits until the server answers. @throws Error with its log when it ends instead. */
  async start(): Promise<void> {
    const guest = await this.switchOn();
    // Not sooner: a connection that is tried while nobody is there is tried again only after seconds.
    await waitFor(() => existsSync(this.#kubeconfig) && (says(guest, LISTENS) || says(guest, ENDED)), {
      deadline: READY_MS,
      message: 'the guest server to listen',
      instead: () => guest.tail(20),
    });
    if (says(guest, ENDED)) throw new Error(`the guest server has ended:\n${guest.tail(20)}`);
    this.#client = connect(await loadConfig({ kubeconfig: this.#kubeconfig }));
  }

  /** Cuts the power. */
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

function says(guest: Guest, text: string): boolean {
  return guest.output().includes(text);
}
