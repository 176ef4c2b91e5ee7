/** etcd, kube-apiserver and kube-controller-manager on free ports of this machine, with our CRDs applied by kubectl. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toolPath } from '../../../scripts/tools.ts';
import { API_VERSION, SYSTEM_NAMESPACE } from '../../../src/api/group.ts';
import { OUR_RESOURCES, VOLUME_CLASSES } from '../../../src/api/meta.ts';
import { GROUP_OF, type Role, userOf } from '../../../src/apiserver/access/roles.ts';
import { issueClientPair, type KeyPair, readAuthority, servingPair } from '../../../src/apiserver/pki/certificates.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Daemon, isStopped } from './daemon.ts';
import { INSTALL_BASE } from './install-manifests.ts';
import { Kubectl } from './kubectl.ts';
import { freePorts, listens } from './ports.ts';
import { makeDirectory } from './run.ts';
import { waitFor } from './wait.ts';

const CRDS = join(import.meta.dirname, '../../../crds');
const READY_MS = 180_000;
const LOOPBACK = '127.0.0.1';

interface Ports {
  readonly etcd: number;
  readonly peer: number;
  readonly api: number;
  readonly manager: number;
}

/** How much garbage there may be, in percent of what is in use, before it is collected: a third of Go's own collections. */
const GARBAGE_PERCENT = '300';

export class RealControlPlane {
  readonly kubeconfig: string;
  readonly #directory: string;
  readonly #ports: Ports;
  #etcd: Daemon | undefined;
  #api: Daemon | undefined;
  #manager: Daemon | undefined;
  #isStopped = false;
  readonly #manifests: readonly string[];
  readonly #address: string;

  private constructor(directory: string, ports: Ports, manifests: readonly string[], address: string) {
    this.#directory = directory;
    this.#manifests = manifests;
    this.#ports = ports;
    this.#address = address;
    this.kubeconfig = join(directory, 'kubeconfig');
  }

  /** With our CRDs alone, or with all that the manifests install on a cluster; `address`: where its API server listens. */
  static async start(content: 'crds' | 'installed' = 'crds', address: string = LOOPBACK): Promise<RealControlPlane> {
    const [etcd = 0, peer = 0, api = 0, manager = 0] = await freePorts(4);
    const manifests = content === 'crds' ? ['-f', CRDS] : ['-k', INSTALL_BASE];
    const plane = new RealControlPlane(makeDirectory('real'), { etcd, peer, api, manager }, manifests, address);
    try {
      await plane.#writeSecrets();
      await plane.#startAll();
      return plane;
    } catch (error) {
      await plane.end();
      throw error;
    }
  }

  /** @throws Error with the end of its log when a part has ended that no test has stopped. */
  assertRunning(): void {
    this.#etcd?.assertRunning();
    if (!this.#isStopped) this.#api?.assertRunning();
  }

  /** Where everything of it is kept. */
  get directory(): string {
    return this.#directory;
  }

  get server(): string {
    return `https://${this.#address}:${this.#ports.api}`;
  }

  /** A client certificate with which somebody shows who they are, as on the embedded control plane. */
  credential(role: Role, name: string): Promise<KeyPair> {
    const authority = readAuthority(this.#file('clients'));
    if (authority === undefined) throw new Error('there is no authority for clients');
    return issueClientPair(authority, userOf(role, name).name, GROUP_OF[role], Date.now());
  }

  /** Writes a kubeconfig with such a certificate. */
  async kubeconfigOf(role: Role, name: string): Promise<string> {
    const { cert, key } = await this.credential(role, name);
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    return this.kubeconfigFor(`${role}-${name}`, {
      'client-certificate-data': base64(cert),
      'client-key-data': base64(key),
    });
  }

  /** Writes a kubeconfig for another user than the administrator. */
  kubeconfigFor(name: string, user: object): string {
    const file = this.#file(`${name}.kubeconfig`);
    writeFileSync(file, this.#kubeconfigOf(user), { mode: 0o600 });
    return file;
  }

  /** Stops the API server; what was stored stays. */
  async stopApiServer(): Promise<void> {
    this.#isStopped = true;
    // Asked politely it would wait a minute for the watches that are open.
    await this.#api?.killGroup();
  }

  /** Starts it again, on the same port. */
  async startApiServer(): Promise<void> {
    await this.#startApi();
    this.#isStopped = false;
  }

  /** Makes etcd forget everything older than this revision, as kube-apiserver does every five minutes. */
  async compact(revision: string): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.etcd}/v3/kv/compaction`, {
      method: 'POST',
      body: JSON.stringify({ revision, physical: true }),
      signal: AbortSignal.timeout(30_000),
    });
    if (!response.ok) throw new Error(`etcd did not compact: ${await response.text()}`);
  }

  /** Everything that was ever stored is gone, as after a lost etcd; only what was installed is put back. */
  async wipe(): Promise<void> {
    await this.#stopAll();
    rmSync(join(this.#directory, 'etcd'), { recursive: true });
    await this.#startAll();
  }

  /** Keeps what is stored, for `restore`; there is one backup. */
  async backUp(): Promise<void> {
    const etcd = this.#etcd?.pid ?? 0;
    const backup = this.#file('etcd-backup');
    rmSync(backup, { recursive: true, force: true });
    // As a snapshot of its disk would be: nothing changes in the middle of it.
    process.kill(etcd, 'SIGSTOP');
    try {
      await waitFor(() => isStopped(etcd), { message: 'every thread of etcd to stop' });
      cpSync(this.#file('etcd'), backup, { recursive: true });
    } finally {
      process.kill(etcd, 'SIGCONT');
    }
  }

  /** Goes back to the backup, as after a lost etcd; versions are given out anew from there. */
  async restore(): Promise<void> {
    this.#isStopped = true;
    await this.#stopAll();
    rmSync(this.#file('etcd'), { recursive: true });
    renameSync(this.#file('etcd-backup'), this.#file('etcd'));
    await this.#startEtcd();
    await this.#startApi();
    await this.#startManager();
    this.#isStopped = false;
  }

  async end(): Promise<void> {
    await this.#stopAll();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #startAll(): Promise<void> {
    await this.#startEtcd();
    await this.#startApi();
    await this.#applyManifests();
    await this.#startManager();
  }

  async #stopAll(): Promise<void> {
    await this.#manager?.killGroup(); // it would first give its leases up, which nobody waits for
    await this.#api?.killGroup();
    await this.#etcd?.killGroup();
  }

  async #writeSecrets(): Promise<void> {
    mkdirSync(this.#file('clients'), { recursive: true, mode: 0o700 });
    await servingPair(this.#file('clients'), [], Date.now());
    const token = randomBytes(24).toString('hex');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(this.#file('sa.key'), privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
    writeFileSync(this.#file('tokens.csv'), `${token},admin,admin,system:masters\n`, { mode: 0o600 });
    writeFileSync(this.kubeconfig, this.#kubeconfigOf({ token }), { mode: 0o600 });
  }

  #kubeconfigOf(user: object): string {
    return stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'real',
      clusters: [
        {
          name: 'real',
          cluster: {
            server: this.server,
            // kube-apiserver makes its own certificate there; the file holds its authority too.
            'certificate-authority': this.#file('certs/apiserver.crt'),
          },
        },
      ],
      users: [{ name: 'user', user }],
      contexts: [{ name: 'real', context: { cluster: 'real', user: 'user' } }],
    });
  }

  async #startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.#ports.etcd}`;
    const peer = `http://127.0.0.1:${this.#ports.peer}`;
    this.#etcd = await this.#start('etcd', [
      `--data-dir=${this.#file('etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
    ]);
    await this.#waitListening(this.#etcd, this.#ports.etcd);
  }

  async #startApi(): Promise<void> {
    const api = await this.#start('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      `--secure-port=${this.#ports.api}`,
      `--bind-address=${this.#address}`,
      `--advertise-address=${this.#address}`,
      '--endpoint-reconciler-type=none',
      `--cert-dir=${this.#file('certs')}`,
      `--token-auth-file=${this.#file('tokens.csv')}`,
      `--client-ca-file=${this.#file('clients/ca.crt')}`,
      '--authorization-mode=RBAC',
      // As kubeadm has it: a pod that mounts must be privileged.
      '--allow-privileged=true',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#file('sa.key')}`,
      `--service-account-signing-key-file=${this.#file('sa.key')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--disable-admission-plugins=ServiceAccount',
      '--shutdown-delay-duration=0s',
      '--shutdown-send-retry-after=false',
    ]);
    this.#api = api;
    await this.#waitListening(api, this.#ports.api);
    await waitFor(() => existsSync(this.#file('certs/apiserver.crt')), {
      message: 'the certificate of kube-apiserver',
    });
    const client = connect(await loadConfig({ kubeconfig: this.kubeconfig }));
    try {
      await waitFor(
        async () => {
          api.assertRunning();
          const ready = await client.raw({ path: '/readyz', timeoutMs: 15_000 });
          const defaults = await client.raw({ path: '/api/v1/namespaces/default', timeoutMs: 15_000 });
          return ready.text === 'ok' && defaults.status === 200;
        },
        { deadline: READY_MS, message: 'kube-apiserver to be ready', instead: () => api.tail(10) },
      );
    } finally {
      await client.close();
    }
  }

  async #startManager(): Promise<void> {
    this.#manager = await this.#start('kube-controller-manager', [
      `--kubeconfig=${this.kubeconfig}`,
      `--secure-port=${this.#ports.manager}`,
      '--bind-address=127.0.0.1',
      `--cert-dir=${this.#file('manager-certs')}`,
      '--leader-elect=false',
      // The two that our kinds need from a cluster, and the one that gives our rights to the roles view, edit and admin.
      '--controllers=namespace-controller,garbage-collector-controller,clusterrole-aggregation-controller',
      '--concurrent-namespace-syncs=4',
      // A namespace takes some sixty requests to empty; the default is twenty a second.
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
    ]);
  }

  async #applyManifests(): Promise<void> {
    const kubectl = await Kubectl.for(this.kubeconfig, this.#directory);
    await kubectl.run(['apply', '--server-side', ...this.#manifests]);
    const names = OUR_RESOURCES.map(({ plural, group }) => `crd/${plural}.${group}`);
    await kubectl.run(['wait', '--for=condition=Established', '--timeout=150s', ...names]);
    const client = connect(await loadConfig({ kubeconfig: this.kubeconfig }));
    try {
      await waitFor(() => isServed(client), { deadline: READY_MS, message: 'our kinds to be served' });
      if (this.#manifests.includes(INSTALL_BASE)) {
        await waitFor(() => isGranted(client), {
          deadline: READY_MS,
          message: 'the rights of the manifests to be known',
        });
      }
    } finally {
      await client.close();
    }
  }

  async #start(name: 'etcd' | 'kube-apiserver' | 'kube-controller-manager', args: readonly string[]): Promise<Daemon> {
    mkdirSync(this.#directory, { recursive: true });
    const command = await toolPath(name);
    const env = { GOGC: GARBAGE_PERCENT };
    return new Daemon({ name, command, args, env, logFile: this.#file(`${name}.log`), cwd: this.#directory });
  }

  #waitListening(daemon: Daemon, port: number): Promise<true> {
    return waitFor(
      () => {
        daemon.assertRunning();
        return listens(daemon.pid, port);
      },
      { deadline: READY_MS, message: `${daemon.name} to listen on port ${port}`, instead: () => daemon.tail(10) },
    );
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}

/** A fresh CRD is served a moment before it is stored: until then creations are answered with 404 or 429. */
async function isServed(client: KubeClient): Promise<boolean> {
  for (const resource of OUR_RESOURCES) await client.list(resource, { limit: 1 });
  // Without a spec: never stored.
  const probe = { apiVersion: API_VERSION, kind: VOLUME_CLASSES.kind, metadata: { name: 'probe' } };
  return KubeError.from(await client.create(VOLUME_CLASSES, probe).catch((thrown: unknown) => thrown)).isInvalid;
}

const ACCOUNTS = 'system:serviceaccounts:clawstore-nodes';
const LEASES = { group: 'coordination.k8s.io', resource: 'leases', namespace: SYSTEM_NAMESPACE };
/** One of each binding of the manifests: what is granted is known to the authorizer a moment after it is stored. */
const GRANTED = [
  [`system:serviceaccount:${SYSTEM_NAMESPACE}:clawstore-controller`, { resource: 'namespaces', verb: 'list' }],
  [`system:serviceaccount:${SYSTEM_NAMESPACE}:clawstore-controller`, { ...LEASES, verb: 'update' }],
  [
    `system:serviceaccount:${SYSTEM_NAMESPACE}:clawstore-agent`,
    { resource: 'serviceaccounts', subresource: 'token', namespace: 'clawstore-nodes', verb: 'create' },
  ],
  ['', { group: 'storage.clawbernetes.io', resource: 'volumes', verb: 'list' }],
  ['', { ...LEASES, verb: 'update' }],
] as const;

async function isGranted(client: KubeClient): Promise<boolean> {
  for (const [user, resourceAttributes] of GRANTED) {
    const { text } = await client.raw({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { ...(user === '' ? { groups: [ACCOUNTS] } : { user }), resourceAttributes },
      },
    });
    if ((JSON.parse(text) as { readonly status?: { readonly allowed?: boolean } }).status?.allowed !== true)
      return false;
  }
  return true;
}
