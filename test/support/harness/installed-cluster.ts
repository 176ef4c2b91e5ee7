/**
 * A real API server with the product installed by its manifests, and what a kubelet would do with them: the containers of the
 * Deployment and the DaemonSet as processes, with the arguments of their manifests and the service accounts of their pods.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { SYSTEM_NAMESPACE } from '../../../src/api/group.ts';
import type { KubeClient, KubeObjectBase } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { CLAWSTORE, inOwnNamespaces } from './clawstore.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { INSTALL_BASE } from './install-manifests.ts';
import { Kubectl } from './kubectl.ts';
import { freePort } from './ports.ts';
import { RealControlPlane } from './real-control-plane.ts';
import { makeDirectory, onEnd } from './run.ts';

const PACKAGE = join(import.meta.dirname, '../../..');
/** Where the containers have it. */
const IMAGE = '/run/clawstore-image';

interface Container {
  readonly args: readonly string[];
}

export interface PodTemplate {
  readonly spec: {
    readonly serviceAccountName: string;
    readonly securityContext?: { readonly runAsUser?: number };
    readonly containers: readonly Container[];
  };
}

interface Workload {
  readonly kind: string;
  readonly spec: { readonly template: PodTemplate };
}

/** The pod template in a manifest of the base. */
export function podTemplate(file: string, kind: 'Deployment' | 'DaemonSet'): PodTemplate {
  const text = readFileSync(join(INSTALL_BASE, file), 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Workload);
  const workload = objects.find((object) => object.kind === kind);
  if (workload === undefined) throw new Error(`${file} has no ${kind}`);
  return workload.spec.template;
}

export class InstalledCluster {
  readonly plane: RealControlPlane;
  readonly kubectl: Kubectl;
  /** The administrator's. */
  readonly client: KubeClient;
  readonly directory: string;

  private constructor(plane: RealControlPlane, kubectl: Kubectl, client: KubeClient, directory: string) {
    this.plane = plane;
    this.kubectl = kubectl;
    this.client = client;
    this.directory = directory;
  }

  /** Applies the manifests, and runs nothing yet. */
  static async start(): Promise<InstalledCluster> {
    const plane = await RealControlPlane.start('installed');
    onEnd(() => plane.end());
    const directory = makeDirectory('installed');
    onEnd(async () => {
      // An empty target below a mount is immutable; the mounts are gone with the namespaces of the agents.
      await run('chattr', ['-R', '-f', '-i', '--', directory]).catch(() => '');
      await run('rm', ['-rf', '--one-file-system', '--', directory]);
    });
    const kubectl = await Kubectl.for(plane.kubeconfig, directory);
    const client = connect(await loadConfig({ kubeconfig: plane.kubeconfig }));
    onEnd(() => client.close());
    return new InstalledCluster(plane, kubectl, client, directory);
  }

  /** A client that speaks with a token. */
  async as(name: string, token: string): Promise<KubeClient> {
    const client = connect(await loadConfig({ kubeconfig: this.plane.kubeconfigFor(name, { token }) }));
    onEnd(() => client.close());
    return client;
  }

  /** A token of a ServiceAccount, perhaps of one that runs a pod. */
  async tokenOf(namespace: string, account: string, pod?: KubeObjectBase): Promise<string> {
    const { name, uid } = pod?.metadata ?? {};
    const boundObjectRef = pod === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid } };
    const { text } = await this.client.raw({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 3600, ...boundObjectRef },
      },
    });
    return (JSON.parse(text) as { readonly status: { readonly token: string } }).status.token;
  }

  /** A node of the cluster with the pod of its agent, as the DaemonSet would make it; nothing runs yet. */
  async addNode(name: string): Promise<KubeObjectBase> {
    await this.#post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const { spec } = podTemplate('agent.yaml', 'DaemonSet');
    return this.#post(`/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `clawstore-agent-${name}`, namespace: SYSTEM_NAMESPACE },
      spec: { ...spec, nodeName: name },
    });
  }

  /** Runs the agent of a node in its pod. */
  async startAgent(pod: KubeObjectBase, nodeName: string, ...args: readonly string[]): Promise<Daemon> {
    const { spec } = podTemplate('agent.yaml', 'DaemonSet');
    const directory = join(this.directory, nodeName);
    mkdirSync(directory);
    return this.#run(`agent ${nodeName}`, spec, {
      directory,
      token: await this.tokenOf(SYSTEM_NAMESPACE, spec.serviceAccountName, pod),
      variables: { NODE_NAME: nodeName },
      args: ['--state-dir', join(directory, 'state'), '--mount-root', join(directory, 'mounts'), ...args],
    });
  }

  /** Runs a controller as the user of its pod, who can write to its volumes and nothing else. */
  async startController(): Promise<Daemon> {
    const { spec } = podTemplate('controller.yaml', 'Deployment');
    const directory = join(this.directory, 'controller');
    mkdirSync(directory);
    const user = spec.securityContext?.runAsUser ?? 0;
    return this.#run('controller', spec, {
      directory,
      token: await this.tokenOf(SYSTEM_NAMESPACE, spec.serviceAccountName),
      variables: { POD_NAME: 'clawstore-controller-0' },
      args: [],
      user,
    });
  }

  /** What a kubelet puts into the environment of every container. */
  get serverAddress(): Readonly<Record<string, string>> {
    const { hostname, port } = new URL(this.plane.server);
    return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  }

  /** Writes what a kubelet mounts into a pod for its service account; returns the directory. */
  writeAccount(directory: string, token: string): string {
    const account = join(directory, 'account');
    mkdirSync(account, { mode: 0o755 });
    writeFileSync(join(account, 'token'), token, { mode: 0o644 });
    writeFileSync(join(account, 'namespace'), SYSTEM_NAMESPACE, { mode: 0o644 });
    const authority = readFileSync(join(this.plane.directory, 'certs/apiserver.crt'));
    writeFileSync(join(account, 'ca.crt'), authority, { mode: 0o644 });
    return account;
  }

  async #run(
    name: string,
    { containers }: PodTemplate['spec'],
    options: {
      readonly directory: string;
      readonly token: string;
      readonly variables: Readonly<Record<string, string>>;
      readonly args: readonly string[];
      readonly user?: number;
    },
  ): Promise<Daemon> {
    const { directory, token, user } = options;
    const port = await freePort();
    const address = { HOST_IP: '127.0.0.1', POD_IP: '127.0.0.1', ...options.variables };
    const args = (containers[0]?.args ?? []).map((arg) =>
      Object.entries(address)
        .reduce((text, [key, value]) => text.replaceAll(`$(${key})`, value), arg)
        .replace(/(--metrics=.*):\d+$/, `$1:${port}`),
    );
    const account = this.writeAccount(directory, token);
    const where = '/run/secrets/kubernetes.io/serviceaccount';
    const script = [
      `mount -t tmpfs none /run && mkdir -p ${where} && cp '${account}'/* ${where}`,
      // As in an image: wherever the checkout is, and whoever may go there.
      `mkdir ${IMAGE} && mount --bind '${PACKAGE}' ${IMAGE}`,
      ...(user === undefined
        ? []
        : [
            `mount -t tmpfs none /var/lib && install -d -o ${user} -g ${user} /var/lib/clawstore`,
            'mount -t tmpfs -o mode=1777 none /tmp && mount -o remount,bind,ro /',
            `exec setpriv --reuid ${user} --regid ${user} --clear-groups --no-new-privs --bounding-set=-all "$@"`,
          ]),
      'exec "$@"',
    ].join('\n');
    const [command, ...rest] = [
      ...inOwnNamespaces([], '/nowhere', script),
      join(IMAGE, relative(PACKAGE, CLAWSTORE)),
      ...args,
      ...options.args,
      '--log-level=debug',
    ];
    const daemon = new Daemon({
      name,
      command,
      args: rest,
      logFile: join(this.directory, `${name.replace(' ', '-')}.log`),
      env: {
        ...this.serverAddress,
        KUBECONFIG: undefined,
        TMPDIR: user === undefined ? directory : '/tmp',
      },
    });
    onEnd(async () => {
      await daemon.stop();
    });
    return daemon;
  }

  async #post(path: string, body: object): Promise<KubeObjectBase> {
    return JSON.parse((await this.client.raw({ method: 'POST', path, body })).text) as KubeObjectBase;
  }
}
