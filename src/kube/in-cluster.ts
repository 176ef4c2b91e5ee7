/** How a pod reaches the API server: by its environment and its service account. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientConfig } from './config.ts';
import { cached, TOKEN_AGE_MS } from './credential-cache.ts';
import { KubeError } from './errors.ts';

/** In the place of a kubeconfig's path: the service account of the pod. */
export const IN_CLUSTER = 'in-cluster';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

type Environment = Readonly<Record<string, string | undefined>>;

export function isInCluster(env: Environment): boolean {
  return (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
}

/** The configuration of a pod. @throws KubeError `Configuration` when its service account cannot be read. */
export async function inClusterConfig(env: Environment): Promise<ClientConfig> {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  try {
    const ca = await readFile(join(SERVICE_ACCOUNT, 'ca.crt'), 'utf8');
    const namespace = (await readFile(join(SERVICE_ACCOUNT, 'namespace'), 'utf8').catch(() => '')).trim();
    return {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      tls: { ca },
      token: cached(TOKEN_AGE_MS, async () => (await readFile(join(SERVICE_ACCOUNT, 'token'), 'utf8')).trim()),
      ...(namespace === '' ? {} : { namespace }),
    };
  } catch (thrown) {
    throw new KubeError({
      reason: 'Configuration',
      message: 'KUBERNETES_SERVICE_HOST is set, but the service account cannot be read',
      cause: thrown,
    });
  }
}
