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
  /** Of etcd and kube-apiserver. */
  readonly pids: readonly number[];
  /** From their start until a namespace can be read, in milliseconds. */
  readonly readyMs: number;
}

/** Starts both, with our CRDs unless told otherwise. */
export async function startKubernetes(scope: Scope, { withCrds = true } = {}): Promise<Kubernetes> {
  const directory = scope.path('kubernetes');
  mkdirSync(directory);
  const file = (name: string): string => join(directory, name);
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const token = randomBytes(24).toString('hex');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file('sa.key'), privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  writeFileSync(file('tokens.csv'), `${token},admin,admin,system:masters\n`, { mode: 0o600 });
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
  const kubeconfig = scope.path('kubeconfig');
  writeFileSync(
    kubeconfig,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'real',
      clusters: [
        {
          name: 'real',
          cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': file('certs/apiserver.crt') },
        },
      ],
      users: [{ name: 'admin', user: { token } }],
      contexts: [{ name: 'real', context: { cluster: 'real', user: 'admin' } }],
    }),
    { mode: 0o600 },
  );
  const api = new Api(readAccess(kubeconfig), 1);
  const answers = (path: string): Promise<boolean> =>
    api.request('GET', path).then(
      () => true,
      () => false,
    );
  while (!(await answers('/readyz')) || !(await answers('/api/v1/namespaces/default'))) await check();
  await api.close();
  const readyMs = performance.now() - start;
  const started: Kubernetes = { kubeconfig, pids: [etcd.pid, server.pid], readyMs };
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
