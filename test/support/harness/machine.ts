/**
 * A machine with clawstore on it: control plane, controller and node agent, all real processes, all files below one
 * directory. With the embedded control plane that is `clawstore up`, or (`separate`) its three parts as processes of
 * their own; with a real one the parts `controller` and `agent`.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CONTROLLER_LEASE, FIELD_MANAGERS, SYSTEM_NAMESPACE } from '../../../src/api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUP_SCHEDULES,
  BACKUPS,
  type Condition,
  type ConditionedStatus,
  type KubeObjectBase,
  LEASES,
  NAMESPACES,
  OUR_RESOURCES,
  RESTORES,
  type ResourceDescriptor,
  SNAPSHOT_SCHEDULES,
  SNAPSHOTS,
  STORAGE_NODES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../../../src/api/meta.ts';
import { mountTarget } from '../../../src/api/names.ts';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Clawstore, type ClawstoreSettings, clawstore, inOwnNamespaces, type StartOptions } from './clawstore.ts';
import { controlPlaneKind, realControlPlane } from './control-plane.ts';
import { Daemon } from './daemon.ts';
import { type ExecResult, run } from './exec.ts';
import { pathsNamed } from './files.ts';
import { Kubectl } from './kubectl.ts';
import { openClass } from './manifests.ts';
import { loopsBelow, mountsBelow } from './mounts.ts';
import { ObjectLog } from './object-log.ts';
import { full, makeDirectory, onEnd } from './run.ts';
import { DEFAULT_DEADLINE_MS, waitFor } from './wait.ts';

export interface MachineOptions {
  /** API server, controller and agent in processes of their own, whatever the control plane. */
  readonly separate?: boolean;
  /** Without a node of its own: control plane and controller alone; implies `separate`. */
  readonly nodeless?: boolean;
  /** Address on which the API server listens, for nodes elsewhere; loopback when absent. */
  readonly listen?: string;
  /** Environment of the first start of the node's process. */
  readonly env?: Readonly<Record<string, string>>;
  /** State directory of the node; `state` in the machine's directory when absent. */
  readonly stateDir?: (directory: string) => string;
  /** What hostPath volumes may use; the machine's `host` directory alone when absent. */
  readonly hostPathAllow?: (directory: string) => readonly string[];
  /** What the config file of its controller says; there is none when absent. Machines that are `separate` only. */
  readonly config?: object;
  /** Done before anything starts, with the machine's directory; what it returns is done when everything has ended. */
  readonly prepare?: (directory: string) => Promise<() => Promise<unknown>>;
}

/** What is used by others goes after them. */
const IN_THIS_ORDER = [
  BACKUP_SCHEDULES,
  SNAPSHOT_SCHEDULES,
  RESTORES,
  BACKUPS,
  VOLUME_MOUNTS,
  SNAPSHOTS,
  VOLUMES,
  BACKUP_REPOSITORIES,
] as const;

type Conditioned = KubeObjectBase & { readonly status?: ConditionedStatus };
/** Namespace of the manifests with the ServiceAccounts of nodes. */
const NODE_ACCOUNTS = 'clawstore-nodes';
let serial = 0;

export class Machine {
  readonly directory: string;
  readonly settings: ClawstoreSettings;
  /** The one prefix that hostPath volumes may use. */
  readonly host: string;
  readonly separate: boolean;
  readonly #listen: string | undefined;
  #client: KubeClient | undefined;
  #kubectl: Kubectl | undefined;
  #objects: ObjectLog | undefined;
  #node: Clawstore | undefined;
  #controller: Clawstore | undefined;
  #apiserver: Clawstore | undefined;
  readonly #namespaces: string[] = [];
  readonly #others: Clawstore[] = [];
  #undo: (() => Promise<unknown>) | undefined;
  #configArgs: readonly string[] = [];
  #ended = false;

  private constructor(directory: string, settings: ClawstoreSettings, separate: boolean, listen: string | undefined) {
    this.directory = directory;
    this.settings = settings;
    this.host = join(directory, 'host');
    this.separate = separate;
    this.#listen = listen;
  }

  /** Starts everything and waits until the node is Ready. It is ended after the last test if no test does it before. */
  static async start(options: MachineOptions = {}): Promise<Machine> {
    serial += 1;
    const directory = makeDirectory(`m${serial}`);
    const separate = options.separate === true || options.nodeless === true || controlPlaneKind === 'real';
    const kubeconfig =
      controlPlaneKind === 'real' ? (await realControlPlane(options.listen)).kubeconfig : join(directory, 'kubeconfig');
    const machine = new Machine(
      directory,
      {
        stateDir: options.stateDir?.(directory) ?? join(directory, 'state'),
        mountRoot: join(directory, 'mounts'),
        kubeconfig,
        nodeName: `node-${process.pid}-${serial}`,
        hostPathAllow: options.hostPathAllow?.(directory) ?? [join(directory, 'host')],
      },
      separate,
      options.listen,
    );
    mkdirSync(machine.host);
    onEnd(() => machine.end());
    machine.#undo = await options.prepare?.(directory);
    if (options.config !== undefined) machine.#writeConfig(options.config);
    if (separate && controlPlaneKind === 'embedded') await machine.startApiServer();
    if (separate) {
      await machine.#connect();
      await machine.apply(openClass(machine.settings.hostPathAllow));
      await machine.startController();
    }
    if (options.nodeless !== true) await machine.startNode(options.env === undefined ? {} : { env: options.env });
    return machine;
  }

  get client(): KubeClient {
    return present(this.#client, 'client');
  }

  get kubectl(): Kubectl {
    return present(this.#kubectl, 'kubectl');
  }

  get objects(): ObjectLog {
    return present(this.#objects, 'object log');
  }

  /** The process that has the node agent in it: `clawstore agent`, or `clawstore up`. */
  get node(): Clawstore {
    return present(this.#node, 'node');
  }

  /** The process that has the controller in it. */
  get controller(): Clawstore {
    return this.separate ? present(this.#controller, 'controller') : this.node;
  }

  /** Every process of the product that this machine has. */
  get processes(): readonly Clawstore[] {
    return [this.#apiserver, this.#controller, this.#node, ...this.#others].filter((one) => one !== undefined);
  }

  /** Starts the process with the node agent and waits until its StorageNode is Ready. */
  async startNode(options: Partial<StartOptions> = {}): Promise<Clawstore> {
    const kubeconfig = await this.kubeconfigOf('node', this.settings.nodeName);
    this.#node = await Clawstore.start(
      this.separate ? 'agent' : 'up',
      { ...this.settings, kubeconfig },
      {
        logFile: join(this.directory, 'node.log'),
        ...options,
      },
    );
    if (options.unready === true) return this.#node;
    await this.#connect();
    await this.waitFor<StorageNode>(STORAGE_NODES, this.settings.nodeName, isReady, 'to be Ready');
    return this.#node;
  }

  async startController(): Promise<Clawstore> {
    this.#controller = await Clawstore.start(
      'controller',
      {
        ...this.settings,
        stateDir: join(this.directory, 'controller'),
        kubeconfig: await this.kubeconfigOf('controller', 'controller'),
      },
      {
        logFile: join(this.directory, 'controller.log'),
        args: [...(controlPlaneKind === 'real' ? ['--node-accounts', NODE_ACCOUNTS] : []), ...this.#configArgs],
      },
    );
    return this.#controller;
  }

  #writeConfig(config: object): void {
    const file = join(this.directory, 'config.yaml');
    writeFileSync(file, stringify(config));
    this.#configArgs = ['--config', file];
  }

  /** Stops the API server, as an outage; `separate` machines only. */
  async stopApiServer(): Promise<void> {
    if (controlPlaneKind === 'real') await (await realControlPlane()).stopApiServer();
    else await present(this.#apiserver, 'API server').stop();
  }

  async startApiServer(): Promise<void> {
    if (controlPlaneKind === 'real') {
      await (await realControlPlane()).startApiServer();
      return;
    }
    this.#apiserver = await Clawstore.start('apiserver', this.#apiserverSettings(), {
      logFile: join(this.directory, 'apiserver.log'),
      ...(this.#listen === undefined ? {} : { args: ['--listen', `${this.#listen}:0`] }),
    });
  }

  /** Loses everything that the control plane ever stored; its address and its keys stay. `separate` machines only. */
  async wipeControlPlane(): Promise<void> {
    if (controlPlaneKind === 'real') {
      await (await realControlPlane()).wipe();
      return;
    }
    await this.stopApiServer();
    const databases = readdirSync(this.#apiserverSettings().stateDir, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && /\.(db|sqlite)(-wal|-shm)?$/.test(entry.name),
    );
    if (databases.length === 0) throw new Error('found no database to wipe');
    for (const { parentPath, name } of databases) rmSync(join(parentPath, name));
    await this.startApiServer();
  }

  /** Another node of the same control plane: an agent of its own in a mount namespace of its own. */
  async addNode(nodeName: string): Promise<{ readonly agent: Clawstore; readonly settings: ClawstoreSettings }> {
    const settings = {
      ...this.settings,
      nodeName,
      stateDir: join(this.directory, nodeName, 'state'),
      mountRoot: join(this.directory, nodeName, 'mounts'),
    };
    mkdirSync(join(this.directory, nodeName));
    const kubeconfig = await this.kubeconfigOf('node', nodeName);
    const agent = await Clawstore.start(
      'agent',
      { ...settings, kubeconfig },
      {
        logFile: join(this.directory, `${nodeName}.log`),
        within: inOwnNamespaces([], this.directory),
      },
    );
    this.#others.push(agent);
    await this.waitFor<StorageNode>(STORAGE_NODES, nodeName, isReady, 'to be Ready');
    return { agent, settings };
  }

  /** Runs a command of the binary with this machine's settings. */
  command(
    args: readonly string[],
    options: {
      readonly input?: string;
      readonly deadline?: number;
      readonly settings?: Partial<ClawstoreSettings>;
    } = {},
  ): Promise<ExecResult> {
    return clawstore(options.settings ?? this.settings, args, options);
  }

  /** A process whose working directory is this one; end it with `killGroup`. */
  hold(directory: string): Daemon {
    const logFile = join(this.directory, 'holder.log');
    return new Daemon({ name: 'holder', command: 'sleep', args: ['1000'], logFile, cwd: directory });
  }

  /** `clawstore invoke COMMAND JSON`, with the answer parsed. */
  async invoke(
    command: string,
    params: unknown,
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly answer: Record<string, unknown>; readonly stderr: string }> {
    const { code, stdout, stderr } = await this.command(['invoke', command, JSON.stringify(params), ...args]);
    return { code, stderr, answer: stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>) };
  }

  /** Kills every process of the product that this machine has, with all their children. */
  async killEverything(): Promise<void> {
    await Promise.all(this.processes.map((one) => one.killGroup()));
  }

  /** Starts again what has ended. */
  async restartWhatEnded(): Promise<void> {
    if (this.#apiserver?.exit !== undefined) await this.startApiServer();
    if (this.#controller?.exit !== undefined) {
      if (this.#controller.exit.signal === 'SIGKILL') await this.#shortenLease();
      await this.startController();
    }
    if (this.#node?.exit !== undefined) await this.startNode();
  }

  /** Starts the controller again if it has ended because it could not renew its Lease in time, as whoever runs it does. */
  async restartLostLeader(): Promise<void> {
    const controller = this.#controller;
    if (controller?.exit === undefined || controller.exit.signal !== null) return;
    if (!/lease|leadership/i.test(controller.tail(10))) controller.assertRunning();
    await this.startController();
  }

  /** What the controller that was killed has promised to wait; with full counts its successor waits that long. */
  async #shortenLease(): Promise<void> {
    const ref = { namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE };
    if (!full) await this.client.patch(LEASES, ref, { spec: { leaseDurationSeconds: 2 } }, { type: 'merge' });
  }

  /** Makes a namespace whose name begins with the given word. */
  async namespace(word: string): Promise<string> {
    serial += 1;
    const name = `${word}-${serial}`;
    await this.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    this.#namespaces.push(name);
    return name;
  }

  /** Makes a directory that hostPath volumes may use and returns its path. */
  hostDirectory(name: string): string {
    const path = join(this.host, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Where the product mounts a VolumeMount that names no target. */
  target(namespace: string, name: string): string {
    return mountTarget(this.settings.mountRoot, namespace, name);
  }

  /** Resolves when the watch shows it too: no wait is satisfied by what an earlier object of that name was. */
  async create<T extends KubeObjectBase>(object: T): Promise<T> {
    const resource = resourceOf(object);
    return this.seen(resource, await this.client.create(resource, object, { fieldValidation: 'Strict' }));
  }

  /** Server-side apply, taking fields over; resolves when the watch shows it too. */
  async apply<T extends KubeObjectBase>(object: T): Promise<T> {
    const { namespace, name } = object.metadata;
    const resource = resourceOf(object);
    const options = { type: 'apply', force: true, fieldManager: FIELD_MANAGERS.up } as const;
    return this.seen(resource, await this.client.patch(resource, { namespace, name }, object, options));
  }

  /** Merge patch; resolves when the watch shows it too, so that no wait is satisfied by what was before. */
  async patch<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    key: string,
    body: unknown,
    options: { readonly subresource?: 'status' } = {},
  ): Promise<T> {
    return this.seen(resource, await this.client.patch<T>(resource, refOf(key), body, { type: 'merge', ...options }));
  }

  /** Waits until the watch has come to an answer of the API server. Returns the answer. */
  async seen<T extends KubeObjectBase>(resource: ResourceDescriptor, answer: T): Promise<T> {
    const version = Number(answer.metadata.resourceVersion);
    await waitFor(() => this.objects.hasReached(resource, version), {
      message: `the watch to show version ${version} of ${resource.kind} ${answer.metadata.name}`,
    });
    return answer;
  }

  /** Reads it from the API server. */
  get<T extends KubeObjectBase>(resource: ResourceDescriptor, key: string): Promise<T> {
    return this.client.get<T>(resource, refOf(key));
  }

  /** Asks for deletion; the object may take its time. */
  delete(resource: ResourceDescriptor, key: string): Promise<void> {
    return this.client.delete(resource, refOf(key));
  }

  /** Waits until the watch shows the object as `holds` wants it. */
  waitFor<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    key: string,
    holds: (object: T) => boolean,
    what: string,
    deadline: number = DEFAULT_DEADLINE_MS,
  ): Promise<T> {
    return waitFor(
      () => {
        const object = this.objects.latest<T>(resource, key);
        return object !== undefined && holds(object) ? object : undefined;
      },
      { deadline, message: `${resource.kind} ${key} ${what}`, instead: () => this.objects.latest(resource, key) },
    ) as Promise<T>;
  }

  /** Waits until the object is Ready in its present generation. */
  waitReady<T extends Conditioned>(resource: ResourceDescriptor, key: string, deadline?: number): Promise<T> {
    return this.waitFor<T>(resource, key, isReady, 'to be Ready', deadline);
  }

  /** Waits for a condition with this status and, where given, this reason. */
  async waitCondition(
    resource: ResourceDescriptor,
    key: string,
    type: string,
    status: Condition['status'],
    reason?: string,
    deadline?: number,
  ): Promise<Condition> {
    const matches = ({ status: seen }: Conditioned): Condition | undefined =>
      seen?.conditions?.find(
        (one) => one.type === type && one.status === status && (reason === undefined || one.reason === reason),
      );
    const what = `to have ${type}=${status}${reason === undefined ? '' : ` (${reason})`}`;
    const object = await this.waitFor<Conditioned>(resource, key, (o) => matches(o) !== undefined, what, deadline);
    return present(matches(object), what);
  }

  /** Waits until the API server has it no more, nor the watch. */
  async waitGone(resource: ResourceDescriptor, key: string, deadline?: number): Promise<void> {
    const shown = this.objects.latest(resource, key)?.metadata.uid;
    const isShown = (): boolean => shown !== undefined && this.objects.latest(resource, key)?.metadata.uid === shown;
    await waitFor(
      async () =>
        await this.get(resource, key).then(
          () => false,
          (error: unknown) => KubeError.from(error).isNotFound && !isShown(),
        ),
      {
        message: `${resource.kind} ${key} to be gone`,
        instead: () => this.objects.latest(resource, key),
        ...(deadline === undefined ? {} : { deadline }),
      },
    );
  }

  /** Deletes every schedule, restore, backup, mount, snapshot, volume and repository of the machine's namespaces and waits until they are gone. */
  async deleteAll(deadline = 120_000): Promise<void> {
    for (const resource of IN_THIS_ORDER) {
      const keys: string[] = [];
      for (const namespace of ['default', ...this.#namespaces]) {
        const { items } = await this.client.list(resource, { namespace });
        for (const { metadata } of items) keys.push(`${namespace}/${metadata.name}`);
      }
      for (const key of keys) {
        await this.delete(resource, key).catch((error: unknown) => {
          if (!KubeError.from(error).isNotFound) throw error;
        });
      }
      for (const key of keys) await this.waitGone(resource, key, deadline);
    }
  }

  /** Paths on the node's disk with `part` in their name: in its state directory, and in the pools that lie in files there. */
  stored(part: string): readonly string[] {
    const pools = join(this.settings.mountRoot, '.pools');
    return pathsNamed(part, this.settings.stateDir, ...(existsSync(pools) ? [pools] : []));
  }

  /** Mounts below the mount root. */
  mounted(): readonly string[] {
    return mountsBelow(this.settings.mountRoot)
      .map(({ target }) => target)
      .filter((target) => target !== this.settings.mountRoot);
  }

  /**
   * Takes everything down by the product's own means and removes the directory.
   * @throws Error that lists what the product left behind; that is removed all the same.
   */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const problems: string[] = [];
    const attempt = async (what: string, act: () => Promise<unknown>): Promise<void> => {
      await act().catch((error: unknown) => problems.push(`${what}: ${String(error)}`));
    };
    if (this.#client !== undefined && this.#node?.exit === undefined) {
      await attempt('deleting the objects', () => this.deleteAll());
    }
    for (const other of this.#others) await attempt('stopping a node', () => other.stop());
    // `down` ends a running `clawstore up` itself, but not an agent.
    const node = this.#node;
    if (this.separate && node !== undefined) await attempt(`stopping ${node.name}`, () => node.stop());
    await attempt('clawstore down', async () => {
      const { code, stderr, stdout } = await this.command(['down']);
      if (code !== 0) throw new Error(`ended with ${code}: ${stderr}${stdout}`);
    });
    for (const one of [this.#node, this.#controller, this.#apiserver]) {
      if (one !== undefined) await attempt(`stopping ${one.name}`, () => one.stop());
    }
    if (controlPlaneKind === 'real') await attempt('forgetting the nodes', () => this.#forgetNodes());
    await this.#objects?.stop();
    await this.#client?.close();
    if (this.#undo !== undefined) await attempt('undoing the preparation', this.#undo);
    problems.push(...(await this.#sweep()));
    if (problems.length > 0) throw new Error(`machine ${this.directory}:\n  ${problems.join('\n  ')}`);
  }

  /** A cluster outlives its machines: the next one's volumes must not be placed on a node that has ended. */
  async #forgetNodes(): Promise<void> {
    const forget = async (name: string): Promise<void> => {
      await this.#client?.delete(STORAGE_NODES, { name }).catch((error: unknown) => {
        if (!KubeError.from(error).isNotFound) throw error;
      });
    };
    for (const { logFile } of this.#others) {
      const name = logFile.slice(this.directory.length + 1, -'.log'.length);
      await forget(name);
    }
    await forget(this.settings.nodeName);
  }

  /** Removes what is still there, and says what that was. */
  async #sweep(): Promise<readonly string[]> {
    const problems: string[] = [];
    const mounts = mountsBelow(this.directory).map(({ target }) => target);
    if (mounts.length > 0) {
      problems.push(`left mounted: ${mounts.join(', ')}`);
      for (const target of mounts.toReversed()) await run('umount', ['-l', target]).catch(() => '');
    }
    const released = await waitFor(() => loopsBelow(this.directory).length === 0, {
      message: 'loop devices',
    }).catch(() => false);
    if (!released) {
      problems.push(`left attached: ${loopsBelow(this.directory).join(', ')}`);
      for (const loop of loopsBelow(this.directory)) {
        await run('losetup', ['--detach', `/dev/${loop.split(' ')[0]}`]).catch(() => '');
      }
    }
    // Some machines held hundreds of thousands of files.
    const removal = { deadline: 300_000 };
    const immutable = await run('rm', ['-rf', '--one-file-system', '--', this.directory], removal).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    if (immutable !== undefined) {
      problems.push(`left undeletable: ${immutable}`);
      await run('chattr', ['-R', '-f', '-i', '--', this.directory]).catch(() => '');
      if (existsSync(this.directory)) rmSync(this.directory, { recursive: true, force: true });
    }
    return problems;
  }

  /** Agents and controllers have rights of their own, and no more; `up` is everything. */
  async kubeconfigOf(role: 'node' | 'controller', name: string): Promise<string> {
    if (controlPlaneKind === 'real') return (await realControlPlane()).kubeconfigOf(role, name);
    if (!this.separate) return this.settings.kubeconfig;
    const file = join(this.directory, `${role}-${name}.kubeconfig`);
    if (existsSync(file)) return file;
    const args = ['credential', '--role', role, '--name', name, ...(role === 'node' ? ['--client-certificate'] : [])];
    const { code, stdout, stderr } = await clawstore(this.#apiserverSettings(), ['apiserver', ...args]);
    if (code !== 0) throw new Error(`no credential for ${role} ${name}: ${stderr}`);
    writeFileSync(file, stdout, { mode: 0o600 });
    return file;
  }

  async #connect(): Promise<void> {
    if (this.#client !== undefined) return;
    const { kubeconfig } = this.settings;
    this.#client = connect(await loadConfig({ kubeconfig }));
    this.#kubectl = await Kubectl.for(kubeconfig, this.directory);
    this.#objects = new ObjectLog(this.#client);
  }

  #apiserverSettings(): ClawstoreSettings {
    return { ...this.settings, stateDir: join(this.directory, 'server') };
  }
}

/** Ready=True, and said of the present generation. */
export function isReady({ metadata, status }: Conditioned): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return (
    ready?.status === 'True' &&
    (metadata.generation === undefined || (status?.observedGeneration ?? -1) >= metadata.generation)
  );
}

function resourceOf({ kind }: KubeObjectBase): ResourceDescriptor {
  return present(
    [...OUR_RESOURCES, NAMESPACES].find((resource) => resource.kind === kind),
    `resource of kind ${kind}`,
  );
}

function refOf(key: string): { readonly namespace?: string; readonly name: string } {
  const [namespace, name] = key.split('/');
  return name === undefined ? { name: key } : { namespace: namespace ?? '', name };
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what}`);
  return value;
}
