/**
 * The servers that the API server suites run against: the embedded one, and the kube-apiserver that CONTRACT_KUBECONFIG
 * leads to (with our CRDs and kube-controller-manager). CONTRACT_SERVERS=real leaves the embedded one out.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { startApiServer } from '../../src/apiserver/index.ts';
import type { Target } from './apiserver-client.ts';

export interface RunningServer {
  readonly target: Target;
  readonly kubeconfig: string;
  end(): Promise<void>;
}

export interface ContractServer {
  readonly name: 'embedded' | 'real';
  start(): Promise<RunningServer>;
}

const CRDS = join(import.meta.dirname, '../../crds');

async function startEmbedded(): Promise<RunningServer> {
  const stateDir = mkdtempSync(join(tmpdir(), 'clawstore-contract-'));
  const server = await startApiServer({ stateDir, crdsDir: CRDS });
  const kubeconfig = join(stateDir, 'kubeconfig');
  server.writeKubeconfig(kubeconfig);
  return {
    target: { url: server.url, token: server.adminToken, ca: server.caPem },
    kubeconfig,
    async end() {
      await server.close();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Connects; a token must be in the kubeconfig, its certificate is not checked. */
async function connectReal(kubeconfig: string): Promise<RunningServer> {
  const config = parse(readFileSync(kubeconfig, 'utf8')) as {
    readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
    readonly users: readonly { readonly user: { readonly token: string } }[];
  };
  const url = config.clusters[0]?.cluster.server ?? '';
  const token = config.users[0]?.user.token ?? '';
  return { target: { url, token, ca: undefined }, kubeconfig, end: async () => {} };
}

const realKubeconfig = process.env['CONTRACT_KUBECONFIG'];
const onlyReal = process.env['CONTRACT_SERVERS'] === 'real';

export const SERVERS: readonly ContractServer[] = [
  ...(onlyReal ? [] : [{ name: 'embedded' as const, start: startEmbedded }]),
  ...(realKubeconfig === undefined ? [] : [{ name: 'real' as const, start: () => connectReal(realKubeconfig) }]),
];
