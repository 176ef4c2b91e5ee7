/**
 * Several nodes of one control plane on this machine: each agent in a network namespace of its own, whose cable
 * can be pulled, and in a mount namespace of its own that outlives the agent. The suite must have a network namespace
 * itself (`ownNetwork`), in which the cables end.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../../../src/api/group.ts';
import { LEASES, STORAGE_NODES } from '../../../src/api/meta.ts';
import { mountTarget } from '../../../src/api/names.ts';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import { isAtOrBelow, type MountEntry } from '../../../src/node/mount-entry.ts';
import {
  Clawstore,
  type ClawstoreSettings,
  clawstoreCommand,
  inOwnNamespaces,
  type StartOptions,
} from './clawstore.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { isReady, Machine } from './machine.ts';
import { mountTable } from './mounts.ts';
import { type Cleanup, full, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

/** Where servers listen that the nodes shall reach; it is on no cable, so that every node has the same way there. */
const SERVERS = '10.88.0.1';
let shared: Promise<Nodes> | undefined;

const LOST_MS = 150_000;

/** Waits for a read that began and ended just now. @throws Error when a read has failed meanwhile. */
export async function readsOn(reader: Daemon): Promise<void> {
  const before = reader.output().length;
  await waitFor(
    () => {
      reader.assertRunning();
      return reader.output().length > before + 'read\n'.length;
    },
    { message: 'a read that began and ended just now' },
  );
}

/**
 * Waits until a node that was cut off or whose agent was killed counts as lost. Three renewals may fail: with full counts
 * that is waited for, else the Lease is made short behind the node's back.
 */
export async function nodeLost(machine: Machine, name: string): Promise<void> {
  const lease = { namespace: SYSTEM_NAMESPACE, name: nodeLeaseName(name) };
  if (!full) await machine.client.patch(LEASES, lease, { spec: { leaseDurationSeconds: 2 } }, { type: 'merge' });
  await machine.waitCondition(STORAGE_NODES, name, 'Ready', 'Unknown', 'NodeLost', LOST_MS);
}

export class Nodes {
  /** Control plane and controller, without a node of its own. */
  readonly machine: Machine;
  readonly #nodes: NodeHost[] = [];

  private constructor(machine: Machine) {
    this.machine = machine;
  }

  /** The nodes of this process: all files of a suite share one control plane, which takes longer to start than a node. */
  static shared(): Promise<Nodes> {
    shared ??= (async () => {
      await run('ip', ['address', 'replace', `${SERVERS}/32`, 'dev', 'lo']);
      const nodes = new Nodes(await Machine.start({ nodeless: true, listen: SERVERS }));
      onEnd(() => nodes.#end());
      return nodes;
    })();
    return shared;
  }

  /** The address for servers of the test. */
  get address(): string {
    return SERVERS;
  }

  /** Nodes of these names, each with an agent that runs; those that other files of the suite have made are used again. */
  async running(...names: readonly string[]): Promise<readonly NodeHost[]> {
    const found: NodeHost[] = [];
    for (const name of names) found.push(this.#nodes.find((node) => node.name === name) ?? (await this.add(name)));
    await Promise.all(found.filter((node) => !node.isRunning).map((node) => node.restart()));
    return found;
  }

  /** Another node, without an agent: `restart` starts one. */
  async add(name: string): Promise<NodeHost> {
    const node = await NodeHost.make(this.machine, name, this.#nodes.length + 1);
    this.#nodes.push(node);
    return node;
  }

  async #end(): Promise<void> {
    const nodes = this.#nodes;
    for (const node of nodes) await node.heal();
    const problems: unknown[] = [];
    await this.machine.deleteAll().catch((error: unknown) => problems.push(error));
    const ended = await Promise.allSettled(nodes.map((node) => node.end()));
    problems.push(...ended.flatMap((result) => (result.status === 'rejected' ? [result.reason] : [])));
    if (problems.length > 0) throw new AggregateError(problems, problems.map(String).join('\n'));
  }
}

/** A node: its namespaces, its directories, its cable, and the agent that may run there. */
export class NodeHost {
  readonly name: string;
  readonly directory: string;
  /** As its agent is told; the mount root lies on a shared mount, as systemd leaves it. */
  readonly settings: ClawstoreSettings;
  readonly address: string;
  readonly #machine: Machine;
  /** Keeps the namespaces. */
  readonly #init: Daemon;
  readonly #cable: string;
  readonly #gateway: string;
  readonly #cleanups: Cleanup[] = [];
  #agent: Clawstore | undefined;
  readonly #readers: Daemon[] = [];

  private constructor(machine: Machine, settings: ClawstoreSettings, init: Daemon, index: number) {
    this.#machine = machine;
    this.name = settings.nodeName;
    this.directory = join(machine.directory, this.name);
    this.settings = settings;
    this.#init = init;
    this.#cable = `cable-${index}`;
    this.#gateway = `10.88.${index}.1`;
    this.address = `10.88.${index}.2`;
  }

  static async make(machine: Machine, nodeName: string, index: number): Promise<NodeHost> {
    const directory = join(machine.directory, nodeName);
    const shared = join(directory, 'run');
    mkdirSync(shared, { recursive: true });
    const settings = {
      ...machine.settings,
      nodeName,
      stateDir: join(directory, 'state'),
      mountRoot: join(shared, 'mounts'),
      kubeconfig: await machine.kubeconfigOf('node', nodeName),
    };
    const script = `mount --bind '${shared}' '${shared}'; mount --make-shared '${shared}'; exec "$@"`;
    const [command, ...args] = [...inOwnNamespaces(['--net'], machine.directory, script), 'sleep', 'infinity'];
    const logFile = join(directory, 'init.log');
    const init = new Daemon({ name: `node ${nodeName}`, command, args, logFile });
    const node = new NodeHost(machine, settings, init, index);
    await waitFor(
      () => node.mounts().some(({ target, propagation }) => target === shared && propagation.shared !== undefined),
      {
        message: `the namespaces of ${nodeName}`,
        instead: () => init.tail(),
      },
    );
    await node.#plugIn().catch(async (error: unknown) => {
      await init.killGroup();
      throw error;
    });
    return node;
  }

  /** The process that has the node agent in it. */
  get agent(): Clawstore {
    if (this.#agent === undefined) throw new Error(`no agent was started on ${this.name}`);
    return this.#agent;
  }

  get isRunning(): boolean {
    return this.#agent !== undefined && this.#agent.exit === undefined;
  }

  /** What runs a command in the namespaces of the node. */
  get within(): readonly string[] {
    return ['nsenter', '--target', String(this.#init.pid), '--mount', '--net', '--'];
  }

  /** The path by which this process reaches one of the node. */
  path(path: string): string {
    return `/proc/${this.#init.pid}/root${path}`;
  }

  /** Where a mount without a target of its own is on the node, as this process reaches it. */
  target(namespace: string, name: string): string {
    return this.path(mountTarget(this.settings.mountRoot, namespace, name));
  }

  /** The mount table of the node. */
  mounts(): readonly MountEntry[] {
    return mountTable(this.#init.pid);
  }

  /** Each mount of the product with its ID: equal lists are the very same mounts. */
  mountIds(): readonly string[] {
    return this.mounts()
      .filter(({ target }) => isAtOrBelow(target, this.settings.mountRoot))
      .map(({ id, target }) => `${id} ${target}`);
  }

  /** Pulls the cable: what is sent is lost, and nobody is told. */
  async cut(): Promise<void> {
    await run('ip', ['link', 'set', this.#cable, 'down']);
  }

  async heal(): Promise<void> {
    await run('ip', ['link', 'set', this.#cable, 'up']);
  }

  /** Waits until the node, which was cut off or whose agent was killed, counts as lost. */
  async waitLost(): Promise<void> {
    await nodeLost(this.#machine, this.name);
  }

  /** Reads a file of the node again and again, as a workload does, until a read fails; `readsOn` says whether it still does. */
  reader(path: string): Daemon {
    const script = 'while cat "$0" >/dev/null; do echo read; sleep 0.05; done';
    const [command, ...args] = [...this.within, 'sh', '-c', script, path];
    const logFile = join(this.directory, `reader-${this.#readers.length + 1}.log`);
    const reader = new Daemon({ name: `reader of ${path}`, command, args, logFile });
    this.#readers.push(reader);
    return reader;
  }

  /** SIGKILL to the agent and its helper; mounts and what serves them stay. */
  async kill(): Promise<void> {
    await this.agent.killGroup();
  }

  /** Starts the agent, which must not run, and waits until the node is Ready. */
  async restart(options: Partial<StartOptions> = {}): Promise<Clawstore> {
    this.#agent = await Clawstore.start('agent', this.settings, {
      logFile: join(this.directory, 'agent.log'),
      within: this.within,
      address: this.address,
      ...options,
    });
    await this.#machine.waitFor<StorageNode>(STORAGE_NODES, this.name, isReady, 'to be Ready');
    return this.#agent;
  }

  /** Ends something with the node, the latest first: when nothing of the product is mounted any more. */
  atEnd(cleanup: Cleanup): void {
    this.#cleanups.push(cleanup);
  }

  /** Takes down what is left by the product's own means, and the namespaces with it. */
  async end(): Promise<void> {
    for (const reader of this.#readers) await reader.killGroup();
    if (this.#agent !== undefined && this.#agent.exit === undefined) await this.#agent.stop();
    try {
      const [command = '', ...args] = [...this.within, ...clawstoreCommand(this.settings, ['down', '--drop-unsent'])];
      await run(command, args);
    } finally {
      for (const cleanup of this.#cleanups.splice(0).toReversed()) await cleanup();
      await this.#init.killGroup();
    }
  }

  async #plugIn(): Promise<void> {
    const pid = String(this.#init.pid);
    const cable = this.#cable;
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid]);
    await run('ip', ['address', 'add', `${this.#gateway}/24`, 'dev', cable]);
    await run('ip', ['link', 'set', cable, 'up']);
    const inside = (...args: readonly string[]) => run('nsenter', ['--target', pid, '--net', '--', 'ip', ...args]);
    await inside('link', 'set', 'lo', 'up');
    await inside('address', 'add', `${this.address}/24`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('route', 'add', 'default', 'via', this.#gateway);
  }
}
