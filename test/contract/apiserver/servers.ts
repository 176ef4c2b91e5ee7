/**
 * The two servers that the API server suites run against: the embedded one and a real kube-apiserver with etcd and
 * kube-controller-manager. Each is started once for all files of the process, with our CRDs and those of this suite.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type ApiServer, startApiServer } from '../../../src/apiserver/index.ts';
import { Kubectl } from '../../support/harness/kubectl.ts';
import { freePort } from '../../support/harness/ports.ts';
import { RealControlPlane } from '../../support/harness/real-control-plane.ts';
import { makeDirectory, onEnd } from '../../support/harness/run.ts';
import type { Target } from './client.ts';

export interface RunningServer {
  readonly target: Target;
  readonly kubeconfig: string;
  /** Stops it and starts it again, at the same address. */
  restart(): Promise<void>;
  /** Forgets what is older than this version, which is the newest. */
  compact(resourceVersion: string): Promise<void>;
}

export interface ContractServer {
  readonly name: 'embedded' | 'real';
  /** Starts it, or returns the one that runs. */
  start(): Promise<RunningServer>;
}

const OUR_CRDS = join(import.meta.dirname, '../../../crds');
const TEST_CRDS = join(import.meta.dirname, 'crds');

async function startEmbedded(): Promise<RunningServer> {
  const directory = makeDirectory('contract');
  const [stateDir, crdsDir] = [join(directory, 'state'), join(directory, 'crds')];
  for (const source of [OUR_CRDS, TEST_CRDS]) cpSync(source, crdsDir, { recursive: true });
  // One that no outgoing connection is given, so that it can be had again after a restart.
  const listen = `127.0.0.1:${await freePort()}`;
  let server: ApiServer = await startApiServer({ stateDir, crdsDir, listen });
  onEnd(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });
  const kubeconfig = join(directory, 'kubeconfig');
  server.writeKubeconfig(kubeconfig);
  return {
    target: { url: server.url, token: server.adminToken, ca: server.caPem },
    kubeconfig,
    async restart() {
      await server.close();
      server = await startApiServer({ stateDir, crdsDir, listen });
    },
    compact: (resourceVersion) => server.store.compact(Number(resourceVersion)),
  };
}

async function startReal(): Promise<RunningServer> {
  const plane = await RealControlPlane.start();
  onEnd(() => plane.end());
  const { kubeconfig } = plane;
  const home = makeDirectory('contract-real');
  onEnd(() => rmSync(home, { recursive: true }));
  const kubectl = await Kubectl.for(kubeconfig, home);
  await kubectl.run(['apply', '--server-side', '-f', TEST_CRDS]);
  await kubectl.run(['wait', '--for=condition=Established', '--timeout=60s', '-f', TEST_CRDS]);
  const config = parse(readFileSync(kubeconfig, 'utf8')) as {
    readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
    readonly users: readonly { readonly user: { readonly token: string } }[];
  };
  const url = config.clusters[0]?.cluster.server ?? '';
  const token = config.users[0]?.user.token ?? '';
  return {
    target: { url, token, ca: undefined },
    kubeconfig,
    async restart() {
      await plane.stopApiServer();
      await plane.startApiServer();
    },
    compact: (resourceVersion) => plane.compact(resourceVersion),
  };
}

function once(start: () => Promise<RunningServer>): () => Promise<RunningServer> {
  let started: Promise<RunningServer> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}

export const SERVERS: readonly ContractServer[] = [
  { name: 'embedded', start: once(startEmbedded) },
  { name: 'real', start: once(startReal) },
];
