/** The embedded API server for tests of commands, and somebody who answers in the place of controllers and agents. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubeObject, NAMESPACES, type ResourceDescriptor } from '../../src/api/meta.ts';
import { type ApiServer, startApiServer } from '../../src/apiserver/index.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { CommandError } from '../../src/commands/command-error.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { connect } from '../../src/kube/rest-client.ts';

const CRDS = join(import.meta.dirname, '../../crds');

export class CommandServer {
  readonly client: KubeClient;
  readonly #server: ApiServer;
  readonly #stateDir: string;
  #serial = 0;

  private constructor(server: ApiServer, stateDir: string) {
    this.#server = server;
    this.#stateDir = stateDir;
    this.client = connect({ server: server.url, tls: { ca: server.caPem }, token: server.adminToken });
  }

  static async start(): Promise<CommandServer> {
    const stateDir = mkdtempSync(join(tmpdir(), 'clawstore-commands-'));
    return new CommandServer(await startApiServer({ stateDir, crdsDir: CRDS }), stateDir);
  }

  async end(): Promise<void> {
    await this.client.close();
    await this.#server.close();
    rmSync(this.#stateDir, { recursive: true, force: true });
  }

  /** A kubeconfig for the binary. */
  kubeconfig(): string {
    const file = join(this.#stateDir, 'kubeconfig');
    this.#server.writeKubeconfig(file);
    return file;
  }

  /** A namespace of its own, for one test. */
  async place(): Promise<Place> {
    const name = `team-${++this.#serial}`;
    await this.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return new Place(this.client, name);
  }
}

export class Place {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>[] = [];

  constructor(client: KubeClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
  }

  /** @param timeoutMs long where an answer comes, so that it only decides how long a failure takes. */
  context(timeoutMs = 30_000, more: Partial<CommandContext> = {}): CommandContext {
    const signal = new AbortController().signal;
    const { client, namespace } = this;
    return { client, namespace, nodeName: 'a', hostPathAllow: [], signal, timeoutMs, ...more };
  }

  create<T extends KubeObject>(resource: ResourceDescriptor, name: string, spec: unknown, labels = {}): Promise<T> {
    const { group, version, kind } = resource;
    const metadata = { name, namespace: this.namespace, labels };
    const object = { apiVersion: `${group}/${version}`, kind, metadata, spec } as unknown as T;
    return this.client.create<T>(resource, object);
  }

  async report(resource: ResourceDescriptor, name: string, status: object): Promise<void> {
    const ref = { namespace: this.namespace, name };
    await this.client.patch(resource, ref, { status }, { type: 'merge', subresource: 'status' });
  }

  async list<T extends KubeObject>(resource: ResourceDescriptor): Promise<readonly T[]> {
    return (await this.client.list<T>(resource, { namespace: this.namespace })).items;
  }

  /** Writes what `statusOf` says of each change, until {@link end}; undefined: nothing. */
  answer<T extends KubeObject>(resource: ResourceDescriptor, statusOf: (object: T) => object | undefined): void {
    const { signal } = this.#stop;
    const watch = async (): Promise<void> => {
      for await (const { type, object } of this.client.watch<T>(resource, { namespace: this.namespace, signal })) {
        if (type !== 'ADDED' && type !== 'MODIFIED') continue;
        const status = statusOf(object);
        if (status !== undefined) await this.report(resource, object.metadata.name, status);
      }
    };
    this.#ended.push(
      watch().catch((thrown: unknown) => {
        if (!signal.aborted) throw thrown;
      }),
    );
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#ended);
  }
}

/** The error that it ends with. */
export async function failing(work: Promise<unknown>): Promise<CommandError> {
  const thrown = await work.then(
    (result) => new Error(`no error, but ${JSON.stringify(result)}`),
    (error: unknown) => error,
  );
  if (thrown instanceof CommandError) return thrown;
  throw thrown;
}
