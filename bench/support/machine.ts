/** The product as it runs for people (`clawstore up`), or beside a real kube-apiserver, below one directory. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/support/harness/ports.ts';
import { Api, collection, type ObjectShape, type Plural, readAccess } from './api.ts';
import { startKubernetes } from './kubernetes.ts';
import type { Scope, StartedProcess } from './scope.ts';

export type ControlPlane = 'embedded' | 'real';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
const NODE_NAME = 'bench';
const READY_MS = 60_000;

export class Machine {
  readonly scope: Scope;
  readonly kubeconfig: string;
  readonly mountRoot: string;
  /** Below it lie the directories that hostPath volumes use. */
  readonly host: string;
  readonly #controlPlane: ControlPlane;
  readonly #runs = { count: 0 };
  #processes: StartedProcess[] = [];
  #ports: number[] = [];

  private constructor(scope: Scope, controlPlane: ControlPlane, kubeconfig: string) {
    this.scope = scope;
    this.#controlPlane = controlPlane;
    this.kubeconfig = kubeconfig;
    this.mountRoot = scope.path('mounts');
    this.host = scope.path('host');
    mkdirSync(this.host);
  }

  /** Makes a machine on which nothing runs yet, but a control plane when that is a real one. */
  static async create(scope: Scope, controlPlane: ControlPlane = 'embedded'): Promise<Machine> {
    if (controlPlane === 'embedded') return new Machine(scope, controlPlane, scope.path('state', 'kubeconfig'));
    const { kubeconfig } = await startKubernetes(scope);
    const machine = new Machine(scope, controlPlane, kubeconfig);
    await machine.#installClass();
    return machine;
  }

  /** Starts the product and waits until it says that it is ready; returns how long that took, in milliseconds. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<number> {
    this.#runs.count += 1;
    this.#processes = [];
    this.#ports = [];
    const start = performance.now();
    const parts = this.#controlPlane === 'embedded' ? ['up'] : ['controller', 'agent'];
    for (const part of parts) await this.#startPart(part, env);
    for (const port of this.#ports) await this.#waitReady(port);
    return performance.now() - start;
  }

  /** Ends the product; mounts stay. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.stop()));
  }

  async api(connections = 16): Promise<Api> {
    const api = new Api(readAccess(this.kubeconfig), connections);
    this.scope.onEnd(() => api.close());
    return api;
  }

  /** Directories `HOST/0 …` for hostPath volumes. */
  makeSources(count: number): void {
    for (let index = 0; index < count; index++) mkdirSync(join(this.host, String(index)), { recursive: true });
  }

  /** The product's processes: what was started, and their children. */
  get pids(): readonly number[] {
    return this.#processes.flatMap(({ pid }) => [pid, ...childrenOf(pid)]);
  }

  /** The end of what the product logged. */
  logTail(): string {
    return this.#processes.map(({ logFile }) => readFileSync(logFile, 'utf8').slice(-4000)).join('\n');
  }

  /** Waits until each controller has ended so many reconciles without an error since it was started. */
  async reconciled(wanted: Readonly<Record<string, number>>): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      const texts = await Promise.all(
        this.#ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
      );
      const text = texts.join('\n');
      const done = (controller: string): number =>
        [...text.matchAll(/^controller_runtime_reconcile_total\{(.*)\} (\d+)$/gm)]
          .filter(([, labels]) => labels?.includes(`controller="${controller}"`))
          .filter(([, labels]) => /result="(success|requeue_after)"/.test(labels ?? ''))
          .reduce((sum, [, , count]) => sum + Number(count), 0);
      if (Object.entries(wanted).every(([controller, count]) => done(controller) >= count)) return;
      if (performance.now() > deadline) throw new Error('not reconciled in time');
      await delay(10);
    }
  }

  /** Deletes all mounts and then all volumes and waits until they are gone. */
  async deleteAll(api: Api): Promise<void> {
    for (const plural of ['volumemounts', 'volumes'] as const) {
      const items = await list(api, plural);
      let next = 0;
      const worker = async (): Promise<void> => {
        for (let index = next++; index < items.length; index = next++) {
          await api.request('DELETE', `${collection(plural)}/${items[index]?.metadata.name}`);
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      const deadline = performance.now() + 120_000;
      while ((await list(api, plural, 1)).length > 0) {
        if (performance.now() > deadline) throw new Error(`${plural} are still there`);
        await delay(50);
      }
    }
  }

  async #startPart(part: string, env: Readonly<Record<string, string>>): Promise<void> {
    const port = await freePort();
    this.#ports.push(port);
    const args = [
      part,
      '--state-dir',
      this.scope.path(part === 'controller' ? 'controller' : 'state'),
      '--mount-root',
      this.mountRoot,
      '--host-path-allow',
      this.host,
      '--node-name',
      NODE_NAME,
      '--kubeconfig',
      this.kubeconfig,
      '--metrics',
      `127.0.0.1:${port}`,
      '--log-level',
      'warn',
    ];
    this.#processes.push(this.scope.start(`${part}-${this.#runs.count}`, CLAWSTORE, args, env));
  }

  async #waitReady(port: number): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      for (const process of this.#processes) process.assertRunning();
      const status = await fetch(`http://127.0.0.1:${port}/readyz`).then(
        async (response) => (await response.text(), response.status),
        () => 0,
      );
      if (status === 200) return;
      if (performance.now() > deadline) throw new Error('not ready in time');
      await delay(10);
    }
  }

  async #installClass(): Promise<void> {
    const api = await this.api(1);
    const object = {
      apiVersion: 'storage.clawbernetes.io/v1alpha1',
      kind: 'VolumeClass',
      metadata: { name: 'default' },
      spec: {
        allowedNamespaces: {},
        allowedTypes: ['emptyDir', 'hostPath'],
        allowedHostPathPrefixes: [this.host],
      },
    };
    await api.request('POST', collection('volumeclasses'), JSON.stringify(object));
  }
}

/** All objects of a collection, or the first `limit`. */
export async function list(api: Api, plural: Plural, limit = 0): Promise<readonly ObjectShape[]> {
  const path = `${collection(plural)}${limit === 0 ? '' : `?limit=${limit}`}`;
  return (JSON.parse(await api.request('GET', path)) as { readonly items: readonly ObjectShape[] }).items;
}

/** Direct children. Source: proc_tid_children(5). */
function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}
