/**
 * Flux on a cluster: its real kustomize-controller, which applies, prunes and waits. In the place of source-controller
 * stands what it comes to for one repository: a server that has the commits as tar.gz files, and the status of a
 * GitRepository that says which is the newest.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { toolPath } from '../../../scripts/tools.ts';
import type { ConditionedStatus, KubeObject, ResourceDescriptor } from '../../../src/api/meta.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { Daemon } from './daemon.ts';
import type { GitRepository } from './git-repository.ts';
import type { Kubectl } from './kubectl.ts';
import { freePort } from './ports.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

const SOURCE_GROUP = 'source.toolkit.fluxcd.io';
const KUSTOMIZE_GROUP = 'kustomize.toolkit.fluxcd.io';
export const KUSTOMIZATIONS: ResourceDescriptor = {
  group: KUSTOMIZE_GROUP,
  version: 'v1',
  plural: 'kustomizations',
  kind: 'Kustomization',
  namespaced: true,
};
const GIT_REPOSITORIES: ResourceDescriptor = {
  group: SOURCE_GROUP,
  version: 'v1',
  plural: 'gitrepositories',
  kind: 'GitRepository',
  namespaced: true,
};

export type Kustomization = KubeObject<
  Readonly<Record<string, unknown>>,
  ConditionedStatus & {
    readonly lastAppliedRevision?: string;
    readonly lastAttemptedRevision?: string;
    readonly lastHandledReconcileAt?: string;
    readonly inventory?: { readonly entries: readonly { readonly id: string }[] };
  }
>;

export interface FluxOptions {
  readonly kubeconfig: string;
  readonly client: KubeClient;
  readonly kubectl: Kubectl;
  /** Where its objects are. */
  readonly namespace: string;
}

export class Flux {
  readonly controller: Daemon;
  readonly #directory: string;
  readonly #server: Server;
  readonly #options: FluxOptions;

  private constructor(options: FluxOptions, directory: string, server: Server, controller: Daemon) {
    this.#options = options;
    this.#directory = directory;
    this.#server = server;
    this.controller = controller;
  }

  static async start(options: FluxOptions): Promise<Flux> {
    const { kubectl, kubeconfig, namespace } = options;
    const command = await toolPath('kustomize-controller');
    const crd = join(dirname(command), 'kustomize.toolkit.fluxcd.io_kustomizations.yaml');
    await kubectl.run(['apply', '--server-side', '-f', crd]);
    await kubectl.apply(['GitRepository', 'OCIRepository', 'Bucket'].map(standIn), '--server-side');
    const crds = ['gitrepositories', 'ocirepositories', 'buckets'].map((plural) => `crd/${plural}.${SOURCE_GROUP}`);
    const all = [...crds, `crd/kustomizations.${KUSTOMIZE_GROUP}`];
    await kubectl.run(['wait', '--for=condition=Established', '--timeout=150s', ...all]);
    const directory = makeDirectory('flux');
    const server = createServer((request, response) => {
      try {
        response.end(readFileSync(join(directory, basename(request.url ?? ''))));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const health = await freePort();
    const controller = new Daemon({
      name: 'kustomize-controller',
      command,
      args: [
        '--enable-leader-election=false',
        '--watch-all-namespaces=false',
        '--metrics-addr=0',
        `--health-addr=127.0.0.1:${health}`,
        '--requeue-dependency=1s',
        '--no-cross-namespace-refs',
        '--log-level=debug',
      ],
      env: { KUBECONFIG: kubeconfig, RUNTIME_NAMESPACE: namespace, HOME: directory, TMPDIR: directory },
      logFile: join(directory, 'kustomize-controller.log'),
    });
    const flux = new Flux(options, directory, server, controller);
    onEnd(() => flux.end());
    await waitFor(
      async () => {
        controller.assertRunning();
        return (await fetch(`http://127.0.0.1:${health}/readyz`, { signal: AbortSignal.timeout(15_000) })).ok;
      },
      { deadline: 120_000, message: 'kustomize-controller to be ready', instead: () => controller.tail(20) },
    );
    return flux;
  }

  /** Tells Flux of a commit. Returns its revision in the words of Flux. */
  async publish(repository: GitRepository, name: string, commit: string): Promise<string> {
    const { client, kubectl, namespace } = this.#options;
    const file = join(this.#directory, `${commit}.tar.gz`);
    await repository.archive(commit, file);
    await kubectl.apply(
      [
        {
          apiVersion: `${SOURCE_GROUP}/v1`,
          kind: 'GitRepository',
          metadata: { name, namespace },
          spec: { interval: '10m', url: `file://${repository.directory}` },
        },
      ],
      '--server-side',
    );
    const revision = `main@sha1:${commit}`;
    const artifact = {
      url: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${basename(file)}`,
      path: basename(file),
      revision,
      digest: `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`,
      size: statSync(file).size,
      lastUpdateTime: `${new Date().toISOString().slice(0, 19)}Z`,
    };
    await client.patch(
      GIT_REPOSITORIES,
      { namespace, name },
      { status: { observedGeneration: 1, artifact } },
      { type: 'merge', subresource: 'status' },
    );
    return revision;
  }

  /** Waits until a Kustomization says what `holds` wants. */
  until(
    name: string,
    what: string,
    holds: (seen: Kustomization) => boolean,
    deadline = 200_000,
  ): Promise<Kustomization> {
    const read = (): Promise<Kustomization> =>
      this.#options.client.get<Kustomization>(KUSTOMIZATIONS, { namespace: this.#options.namespace, name });
    return waitFor(
      async () => {
        this.controller.assertRunning();
        const seen = await read();
        return holds(seen) ? seen : undefined;
      },
      {
        deadline,
        message: `Kustomization ${name} ${what}`,
        instead: async () => `${JSON.stringify((await read()).status)}\n${this.controller.tail(20)}`,
      },
    );
  }

  /** Asks for a pass out of turn, and waits until it has ended; `token` is another each time. */
  async lookAgain(name: string, token: string): Promise<void> {
    const { client, namespace } = this.#options;
    const metadata = { annotations: { 'reconcile.fluxcd.io/requestedAt': token } };
    await client.patch(KUSTOMIZATIONS, { namespace, name }, { metadata }, { type: 'merge' });
    await this.until(name, `to have looked for ${token}`, ({ status }) => status?.lastHandledReconcileAt === token);
  }

  /** Waits until a revision is applied, and all of it is healthy. */
  applied(name: string, revision: string): Promise<Kustomization> {
    return this.until(name, `to have applied ${revision}`, ({ metadata, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      return (
        ready?.status === 'True' &&
        status?.lastAppliedRevision === revision &&
        status.observedGeneration === metadata.generation
      );
    });
  }

  /** Waits until it says of a revision that it has failed. Returns reason and message. */
  async failed(name: string, revision: string): Promise<{ readonly reason: string; readonly message: string }> {
    const { status } = await this.until(name, `to have failed with ${revision}`, (seen) => {
      const ready = seen.status?.conditions?.find(({ type }) => type === 'Ready');
      return ready?.status === 'False' && seen.status?.lastAttemptedRevision === revision;
    });
    const { reason = '', message = '' } = status?.conditions?.find(({ type }) => type === 'Ready') ?? {};
    return { reason, message };
  }

  async end(): Promise<void> {
    await this.controller.stop('SIGKILL');
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** In the place of a kind of source-controller: only who made its status knows its schema. */
function standIn(kind: string): object {
  const singular = kind.toLowerCase();
  const plural = singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${SOURCE_GROUP}` },
    spec: {
      group: SOURCE_GROUP,
      scope: 'Namespaced',
      names: { kind, plural, singular, listKind: `${kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };
}
