/** Starts a real kube-apiserver with its etcd in a folder of its own, on free ports, with our CRDs. */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { toolPath } from '../../../scripts/tools.ts';
import { CUSTOM_RESOURCE_DEFINITIONS } from '../../../src/api/meta.ts';
import type { KubeClient, KubeObjectBase } from '../../../src/kube/client.ts';
import type { ClientConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { freePorts } from '../../support/harness/ports.ts';

export interface RealServer {
  readonly config: ClientConfig;
  stop(): Promise<void>;
}

/** @throws Error with the end of its log when it does not become ready within a minute. */
export async function startRealServer(): Promise<RealServer> {
  const [etcd, apiserver] = await Promise.all([toolPath('etcd'), toolPath('kube-apiserver')]);
  const dir = await mkdtemp(join(tmpdir(), 'clawstore-kube-'));
  const [clientPort, peerPort, port] = await freePorts(3);
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.reverse()) await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  const start = async (command: string, args: readonly string[], log: string): Promise<ChildProcess> => {
    const file = await open(join(dir, log), 'w');
    const child = spawn(command, [...args], { cwd: dir, stdio: ['ignore', file.fd, file.fd] });
    children.push(child);
    await file.close();
    return child;
  };
  try {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await writeFile(join(dir, 'sa.key'), privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
    await writeFile(join(dir, 'tokens.csv'), 'test-admin,admin,admin,system:masters\n', { mode: 0o600 });
    const client = `http://127.0.0.1:${clientPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    await start(
      etcd,
      [
        `--data-dir=${join(dir, 'data')}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
        '--unsafe-no-fsync',
      ],
      'etcd.log',
    );
    const api = await start(
      apiserver,
      [
        `--etcd-servers=${client}`,
        `--secure-port=${port}`,
        '--bind-address=127.0.0.1',
        '--advertise-address=127.0.0.1',
        `--cert-dir=${join(dir, 'certs')}`,
        `--token-auth-file=${join(dir, 'tokens.csv')}`,
        '--authorization-mode=RBAC',
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${join(dir, 'sa.key')}`,
        `--service-account-signing-key-file=${join(dir, 'sa.key')}`,
        '--service-cluster-ip-range=10.0.0.0/24',
        '--disable-admission-plugins=ServiceAccount',
      ],
      'apiserver.log',
    );
    const config: ClientConfig = {
      server: `https://127.0.0.1:${port}`,
      tls: { rejectUnauthorized: false },
      token: 'test-admin',
    };
    const probe = connect(config);
    try {
      await ready(probe, api, join(dir, 'apiserver.log'));
      await installCrds(probe);
    } finally {
      await probe.close();
    }
    return { config, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

async function ready(client: KubeClient, child: ChildProcess, log: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const answer = await client.raw({ path: '/readyz', timeoutMs: 2000 }).catch(() => undefined);
    if (answer?.text === 'ok') return;
    if (child.exitCode !== null || performance.now() > deadline) {
      throw new Error(`kube-apiserver is not ready: ${(await readFile(log, 'utf8')).slice(-2000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

interface Crd extends KubeObjectBase {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function installCrds(client: KubeClient): Promise<void> {
  const dir = new URL('../../../crds/', import.meta.url);
  for (const file of (await readdir(dir)).filter((name) => name.endsWith('.yaml'))) {
    const crd = parse(await readFile(new URL(file, dir), 'utf8')) as Crd;
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, crd);
    for (let established = false; !established; ) {
      const { status } = await client.get<Crd>(CUSTOM_RESOURCE_DEFINITIONS, { name: crd.metadata.name });
      established =
        status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True') === true;
      if (!established) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}
