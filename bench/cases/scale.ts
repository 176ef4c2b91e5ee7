/**
 * Many nodes: the real controller process and the real agents of simulated nodes against a real kube-apiserver, at three
 * sizes, so that what each node and each volume costs can be told apart from what is always there.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/support/harness/ports.ts';
import type { AgentsRequest } from '../clients/agents.ts';
import type { PlaceRequest, PlaceResult } from '../clients/place-volumes.ts';
import { Api, collection, isReady, readAccess } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { createPairs, runClient } from '../support/client.ts';
import { startKubernetes, type User } from '../support/kubernetes.ts';
import { list } from '../support/machine.ts';
import { between, type Difference, type Sample, takeSample } from '../support/scale.ts';
import type { StartedProcess } from '../support/scope.ts';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
const CLIENT = join(import.meta.dirname, '../clients/agents.ts');
const GROUP = 'clawstore:bench';
/** Only how long a failure takes: what was measured before it is lost. */
const READY_MS = 600_000;
const WORK_MS = 1_800_000;
/** Until nothing is written any more. */
const QUIET_MS = 600_000;

interface Plan {
  /** Of the results. */
  readonly prefix: string;
  readonly nodes: readonly number[];
  readonly volumesPerNode: number;
  /** Of those that are made at each size, how many have no mount, and are timed until they have a node. */
  readonly placed: number;
  readonly idleSeconds: number;
}

const REDUCED: Plan = { prefix: 'scale-small', nodes: [5, 10, 20], volumesPerNode: 20, placed: 50, idleSeconds: 20 };
const FULL: Plan = { prefix: 'scale', nodes: [25, 50, 100], volumesPerNode: 100, placed: 1000, idleSeconds: 40 };

/** Most of the first size's volumes that have no mount. */
const PLACED_SHARE = 0.4;

/** What was measured at one size. */
export interface Step {
  readonly nodes: number;
  /** Volumes that were there when the agents that are new at this size started. */
  readonly volumesBefore: number;
  readonly volumes: number;
  readonly started: number;
  /** New agents, until all nodes are Ready. */
  readonly start: Difference;
  readonly pairCount: number;
  /** Volumes with one mount each, until all are Ready and nothing is written any more. */
  readonly pairs: Difference;
  /** Milliseconds until they were Ready. */
  readonly pairsMs: number;
  readonly placeCount: number;
  readonly place: Difference;
  readonly placedMs: number;
  /** Fewest and most volumes that one node has, after all were placed. */
  readonly perNode: readonly [fewest: number, most: number];
  readonly idle: Difference;
  readonly memory: Sample['memory'];
  /** One volume on a server that every node mounts. */
  readonly shared: Difference;
}

export const scale: Case = {
  name: 'scale',
  async run(context) {
    const plan = planOf(context.options);
    const cluster = await Simulation.create(context, plan);
    const steps: Step[] = [];
    for (const nodes of plan.nodes) steps.push(await cluster.grow(nodes));
    return measurements(plan, steps);
  },
};

function planOf({ full, nodes, volumesPerNode }: Context['options']): Plan {
  const own = full ? FULL : REDUCED;
  const plan = { ...own, nodes: nodes ?? own.nodes, volumesPerNode: volumesPerNode ?? own.volumesPerNode };
  const share = Math.max(1, Math.floor((plan.nodes[0] ?? 1) * plan.volumesPerNode * PLACED_SHARE));
  return { ...plan, placed: Math.min(own.placed, share) };
}

class Simulation {
  readonly #context: Context;
  readonly #plan: Plan;
  readonly #users: readonly User[];
  readonly #kubeconfig: string;
  readonly #api: Api;
  readonly #pids: { apiserver: number[]; etcd: number[]; controller: number[]; agents: number[] };
  readonly #ports: number[] = [];
  readonly #processes: StartedProcess[] = [];
  #nodes = 0;
  #volumes = 0;

  private constructor(
    context: Context,
    plan: Plan,
    users: readonly User[],
    kubeconfig: string,
    [etcd, apiserver]: readonly number[],
    controller: StartedProcess,
  ) {
    this.#context = context;
    this.#plan = plan;
    this.#users = users;
    this.#kubeconfig = kubeconfig;
    this.#api = new Api(readAccess(kubeconfig), 16);
    context.scope.onEnd(() => this.#api.close());
    const one = (pid: number | undefined): number[] => (pid === undefined ? [] : [pid]);
    this.#pids = { apiserver: one(apiserver), etcd: one(etcd), controller: one(controller.pid), agents: [] };
    this.#processes.push(controller);
  }

  static async create(context: Context, plan: Plan): Promise<Simulation> {
    const { scope } = context;
    // As service accounts, so that the API server limits them as it does real ones.
    const user = (name: string): User => {
      return { name, token: randomBytes(24).toString('hex'), groups: ['system:serviceaccounts', GROUP] };
    };
    const controller = user('system:serviceaccount:clawstore-system:clawstore-controller');
    const most = Math.max(...plan.nodes);
    const users = Array.from({ length: most }, (_, index) =>
      user(`system:serviceaccount:clawstore-nodes:${nodeName(index)}`),
    );
    const server = await startKubernetes(scope, { users: [controller, ...users] });
    const api = new Api(readAccess(server.kubeconfig), 1);
    await prepare(api);
    await api.close();
    mkdirSync(scope.path('controller'));
    const metrics = await freePort();
    const flags = [
      '--node-accounts',
      'clawstore-nodes',
      '--log-level',
      'warn',
      '--metrics',
      `127.0.0.1:${metrics}`,
      '--state-dir',
      scope.path('controller'),
    ];
    const kubeconfig = server.kubeconfigs.get(controller.name) ?? '';
    const controllers = scope.start('controller', CLAWSTORE, ['controller', '--kubeconfig', kubeconfig, ...flags]);
    return new Simulation(context, plan, users, server.kubeconfig, server.pids, controllers);
  }

  /** Adds agents and volumes up to a size and measures on the way. */
  async grow(nodes: number): Promise<Step> {
    const { volumesPerNode, placed, idleSeconds } = this.#plan;
    const volumesBefore = this.#volumes;
    const started = nodes - this.#nodes;
    await this.#quiet();
    const start = await this.#measured(() => this.#startAgents(nodes));
    this.#say(`${nodes} nodes Ready in ${start.seconds.toFixed(1)} s`);
    await this.#quiet();

    const pairCount = nodes * volumesPerNode - this.#volumes - placed;
    let pairsMs = 0;
    const pairs = await this.#measured(async () => {
      const source = { type: 'emptyDir', capacity: '1Gi' } as const;
      const plan = { prefix: `pair-${nodes}`, count: pairCount, source };
      const request = { kubeconfig: this.#kubeconfig, connections: 16, plan, timeoutMs: WORK_MS };
      pairsMs = (await createPairs(request)).readyMs;
      await this.#quiet();
    });
    this.#say(`${pairCount} volumes with a mount in ${(pairsMs / 1000).toFixed(1)} s`);

    let result: PlaceResult = { createdMs: 0, placedMs: 0 };
    const place = await this.#measured(async () => {
      const source = { type: 'emptyDir', capacity: '1Gi' } as const;
      const plan = { prefix: `placed-${nodes}`, count: placed, source };
      const request: PlaceRequest = { kubeconfig: this.#kubeconfig, connections: 16, plan, timeoutMs: WORK_MS };
      result = await runClient<PlaceResult>('place-volumes', request);
      await this.#quiet();
    });
    this.#volumes += pairCount + placed;
    const counts = await this.#volumesPerNode();
    this.#say(`${placed} volumes placed in ${(result.placedMs / 1000).toFixed(1)} s`);

    const idle = await this.#measured(() => delay(idleSeconds * 1000));
    const { memory } = await this.#sample();
    const shared = await this.#measured(() => this.#mountEverywhere(nodes));
    this.#say(`idle: ${(idle.requestCount / idle.seconds).toFixed(1)} requests/s, ${idle.writeCount} writes`);
    return {
      nodes,
      volumesBefore,
      volumes: this.#volumes,
      started,
      start,
      pairCount,
      pairs,
      pairsMs,
      placeCount: placed,
      place,
      placedMs: result.placedMs,
      perNode: [Math.min(...counts), Math.max(...counts)],
      idle,
      memory,
      shared,
    };
  }

  async #startAgents(nodes: number): Promise<void> {
    const port = await freePort();
    const chosen = this.#users.slice(this.#nodes, nodes);
    const names = chosen.map(({ token }, index) => ({ name: nodeName(this.#nodes + index), token }));
    const request: AgentsRequest = { kubeconfig: this.#kubeconfig, port, nodes: names };
    const args = ['--disable-warning=ExperimentalWarning', CLIENT, JSON.stringify(request)];
    const agents = this.#context.scope.start(`agents-${nodes}`, process.execPath, args);
    this.#nodes = nodes;
    await until('all nodes are Ready', READY_MS, async () => {
      agents.assertRunning();
      return (await list(this.#api, 'storagenodes')).filter(isReady).length === nodes;
    });
    this.#processes.push(agents);
    this.#pids.agents.push(agents.pid);
    this.#ports.push(port);
  }

  /** A volume on a server, and a mount of it on each node. */
  async #mountEverywhere(nodes: number): Promise<void> {
    const name = `shared-${nodes}`;
    const spec = { nfs: { server: 'nfs.example', path: '/export' }, accessModes: ['ReadWriteMany'] };
    await this.#create('volumes', 'Volume', name, spec);
    const mounts = Array.from({ length: nodes }, (_, index) => index);
    await Promise.all(
      mounts.map((index) => {
        const common = { volumeRef: { name }, workloadId: 'all', mountPath: '/data' };
        return this.#create('volumemounts', 'VolumeMount', `${name}-${index}`, {
          ...common,
          nodeName: nodeName(index),
        });
      }),
    );
    await until('the shared volume is mounted everywhere', READY_MS, async () => {
      const text = await this.#api.request('GET', `${collection('volumes')}/${name}`);
      const { status } = JSON.parse(text) as { readonly status?: { readonly mounts?: { readonly ready: number } } };
      return status?.mounts?.ready === nodes;
    });
    await this.#quiet();
  }

  async #create(plural: 'volumes' | 'volumemounts', kind: string, name: string, spec: object): Promise<void> {
    const object = { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind, metadata: { name }, spec };
    await this.#api.request('POST', collection(plural), JSON.stringify(object));
  }

  /** How many volumes each node has. */
  async #volumesPerNode(): Promise<readonly number[]> {
    const counts = new Map(Array.from({ length: this.#nodes }, (_, index) => [nodeName(index), 0]));
    for (const { status } of await list(this.#api, 'volumes')) {
      const node = status?.nodeName ?? '';
      counts.set(node, (counts.get(node) ?? 0) + 1);
    }
    return [...counts.values()];
  }

  /** Waits until nothing but Leases is written. */
  async #quiet(): Promise<void> {
    let before = await this.#sample();
    let silent = 0;
    await until('nothing is written any more', QUIET_MS, async () => {
      await delay(1500);
      const after = await this.#sample();
      silent = between(before, after).writeCount === 0 ? silent + 1 : 0;
      before = after;
      return silent >= 3;
    });
  }

  #sample(): Promise<Sample> {
    for (const process of this.#processes) process.assertRunning();
    return takeSample({ api: this.#api, pids: this.#pids, ports: this.#ports });
  }

  async #measured(work: () => Promise<void>): Promise<Difference> {
    const before = await this.#sample();
    await work();
    return between(before, await this.#sample());
  }

  #say(text: string): void {
    this.#context.progress(`${this.#nodes} nodes, ${this.#volumes} volumes: ${text}`);
  }
}

function nodeName(index: number): string {
  return `sim-${String(index).padStart(4, '0')}`;
}

/** All rights for the users of the case: who may do what changes nothing of the load. And a class that allows all. */
async function prepare(api: Api): Promise<void> {
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'bench' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: GROUP }],
  };
  await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', JSON.stringify(binding));
  const spec = { allowedNamespaces: {}, allowedTypes: ['emptyDir', 'nfs'], allowedNfsServers: ['nfs.example'] };
  const volumeClass = {
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'VolumeClass',
    metadata: { name: 'default' },
    spec,
  };
  await api.request('POST', collection('volumeclasses'), JSON.stringify(volumeClass));
}

async function until(what: string, limitMs: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
    await delay(200);
  }
}

function measurements({ prefix }: Plan, steps: readonly Step[]): readonly Measurement[] {
  const last = steps.at(-1);
  if (last === undefined) return [];
  const size = `${last.nodes} nodes, ${last.volumes} volumes, kube-apiserver`;
  const every = (of: (step: Step) => number): readonly number[] => steps.map(of);
  const foreign = every((step) =>
    [step.start, step.pairs, step.place, step.idle, step.shared].reduce((sum, { foreign: one }) => sum + one, 0),
  );
  return [
    {
      name: `${prefix}-place`,
      title: `${last.placeCount} volumes without a wish placed (${size})`,
      unit: 'ms',
      ours: [last.placedMs],
      of: 'median',
      notes: { steps },
    },
    {
      name: `${prefix}-foreign`,
      title: `objects of other nodes that agents were sent (up to ${size})`,
      unit: 'objects',
      ours: foreign,
      of: 'sum',
      goal: { text: '0', limit: 0.5, on: 'value' },
    },
    {
      name: `${prefix}-idle-writes`,
      title: `idle: writes at the API server, Leases aside (up to ${size})`,
      unit: 'writes',
      ours: every(({ idle }) => idle.writeCount),
      of: 'sum',
      goal: { text: '0', limit: 0.5, on: 'value' },
    },
    {
      name: `${prefix}-idle-requests`,
      title: `idle: requests at the API server (${size})`,
      unit: '/s',
      ours: [last.idle.requestCount / last.idle.seconds],
      of: 'median',
    },
    {
      name: `${prefix}-controller-memory`,
      title: `resident memory of the controller (${size})`,
      unit: 'MiB',
      ours: [last.memory.controller],
      of: 'median',
    },
  ];
}
