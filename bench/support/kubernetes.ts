/** A real kube-apiserver with its etcd, both with their defaults for durability, and our CRDs. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { toolPath } from '../../scripts/tools.ts';
import { freePort } from '../../test/support/harness/ports.ts';
import { Api, readAccess } from './api.ts';
import { run, type Scope } from './scope.ts';

const CRDS = join(import.meta.dirname, '../../crds');
const READY_MS = 120_000;

export interface Kubernetes {
  /** Of an administrator. */
  readonly kubeconfig: string;
  /** Kubeconfig of each further user. */
  readonly kubeconfigs: ReadonlyMap<string, string>;
  /** Of etcd and kube-apiserver. */
  readonly pids: readonly number[];
  /** From their start until a namespace can be read, in milliseconds. */
  readonly readyMs: number;
}

/** A user with a token of its own. */
export interface User {
  readonly name: string;
  readonly token: string;
  readonly groups: readonly string[];
}

/** Starts both, with our CRDs unless told otherwise. */
export async function startKubernetes(
  scope: Scope,
  { withCrds = true, users = [] }: { readonly withCrds?: boolean; readonly users?: readonly User[] } = {},
): Promise<Kubernetes> {
  const directory = scope.path('kubernetes');
  mkdirSync(directory);
  const file = (name: string): string => join(directory, name);
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const token = randomBytes(24).toString('hex');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file('sa.key'), privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  const administrator: User = { name: 'admin', token, groups: ['system:masters'] };
  const lines = [administrator, ...users].map(
    (one) => `${one.token},${one.name},${one.name},"${one.groups.join(',')}"\n`,
  );
  writeFileSync(file('tokens.csv'), lines.join(''), { mode: 0o600 });
  const [client, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`];
  const programs = { etcd: await toolPath('etcd'), server: await toolPath('kube-apiserver') };
  const start = performance.now();
  const etcd = scope.start('etcd', programs.etcd, [
    `--data-dir=${file('etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
  ]);
  const server = scope.start('kube-apiserver', programs.server, [
    `--etcd-servers=${client}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--cert-dir=${file('certs')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.key')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--disable-admission-plugins=ServiceAccount',
  ]);
  const deadline = performance.now() + READY_MS;
  const check = async (): Promise<void> => {
    server.assertRunning();
    if (performance.now() > deadline) throw new Error('kube-apiserver is not ready in time');
    await delay(100);
  };
  while (!existsSync(file('certs/apiserver.crt'))) await check();
  const kubeconfigOf = (user: User): string => {
    const path = scope.path(user === administrator ? 'kubeconfig' : `kubeconfig-${user.name.replaceAll(':', '-')}`);
    const server = `https://127.0.0.1:${port}`;
    const document = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'real',
      clusters: [{ name: 'real', cluster: { server, 'certificate-authority': file('certs/apiserver.crt') } }],
      users: [{ name: user.name, user: { token: user.token } }],
      contexts: [{ name: 'real', context: { cluster: 'real', user: user.name } }],
    };
    writeFileSync(path, stringify(document), { mode: 0o600 });
    return path;
  };
  const kubeconfig = kubeconfigOf(administrator);
  const kubeconfigs = new Map(users.map((user) => [user.name, kubeconfigOf(user)]));
  const api = new Api(readAccess(kubeconfig), 1);
  const answers = (path: string): Promise<boolean> =>
    api.request('GET', path).then(
      () => true,
      () => false,
    );
  while (!(await answers('/readyz')) || !(await answers('/api/v1/namespaces/default'))) await check();
  await api.close();
  const readyMs = performance.now() - start;
  const started: Kubernetes = { kubeconfig, kubeconfigs, pids: [etcd.pid, server.pid], readyMs };
  if (!withCrds) return started;
  await run(await toolPath('kubectl'), ['--kubeconfig', kubeconfig, 'apply', '--server-side', '-f', CRDS]);
  await run(await toolPath('kubectl'), [
    '--kubeconfig',
    kubeconfig,
    'wait',
    '--for=condition=Established',
    '--timeout=60s',
    'crd',
    '--all',
  ]);
  return started;
}
