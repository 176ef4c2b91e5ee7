/** An API server alone, with our CRDs and nobody who acts on the objects. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '../../../src/kube/client.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Clawstore } from './clawstore.ts';
import { controlPlaneKind, realControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';
import { makeDirectory } from './run.ts';

export interface Api {
  readonly client: KubeClient;
  readonly kubectl: Kubectl;
  end(): Promise<void>;
}

/** Starts one of the run's kind, or connects to the one that the whole run shares. */
export async function startApi(): Promise<Api> {
  const directory = makeDirectory('api');
  const server = controlPlaneKind === 'embedded' ? await startEmbedded(directory) : undefined;
  const kubeconfig = server === undefined ? (await realControlPlane()).kubeconfig : join(directory, 'kubeconfig');
  const client = connect(await loadConfig({ kubeconfig }));
  return {
    client,
    kubectl: await Kubectl.for(kubeconfig, directory),
    async end() {
      await client.close();
      await server?.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startEmbedded(directory: string): Promise<Clawstore> {
  mkdirSync(join(directory, 'state'));
  const settings = {
    stateDir: join(directory, 'state'),
    mountRoot: join(directory, 'mounts'),
    kubeconfig: join(directory, 'kubeconfig'),
    nodeName: 'none',
    hostPathAllow: [],
  };
  return Clawstore.start('apiserver', settings, { logFile: join(directory, 'apiserver.log') });
}
