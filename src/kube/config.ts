/**
 * Finds out where the API server is and how to speak to it.
 *
 * `@kubernetes/client-node` understands every kubeconfig, but importing it costs up to 0.8 s and 80 MB. The kubeconfig
 * that `clawstore up` writes needs none of it: one file, a CA, a token or a client certificate. Such files are read
 * here; all others are left to client-node, which is imported only then.
 */
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { KubeConfig as ClientNodeConfig } from '@kubernetes/client-node';
import { cached } from './credential-cache.ts';
import { KubeError } from './errors.ts';
import { IN_CLUSTER, inClusterConfig, isInCluster } from './in-cluster.ts';
import { readSimpleKubeconfig } from './kubeconfig-file.ts';

/** Everything a client needs to know. */
export interface ClientConfig {
  /** Origin and perhaps a base path, e.g. `https://127.0.0.1:6443`. */
  readonly server: string;
  readonly tls: Pick<
    ConnectionOptions,
    'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
  >;
  /** Bearer token, or where to get the present one. */
  readonly token?: string | (() => Promise<string | undefined>) | undefined;
  /** Namespace of the context, if it names one. */
  readonly namespace?: string | undefined;
}

export interface LoadConfigOptions {
  /** Path of a kubeconfig, or {@link IN_CLUSTER}; absent = as kubectl: $KUBECONFIG, in-cluster, ~/.kube/config. */
  readonly kubeconfig?: string | undefined;
  /** Absent = the file's current context. */
  readonly context?: string | undefined;
  /** Environment; default process.env. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** client-node caches exec credentials itself until they expire; this only spares the call per request. */
const CREDENTIAL_AGE_MS = 10_000;

/** Loads the configuration. @throws KubeError `Configuration` that says what is missing or wrong. */
export async function loadConfig(options: LoadConfigOptions = {}): Promise<ClientConfig> {
  const env = options.env ?? process.env;
  const path = options.kubeconfig ?? env['KUBECONFIG'];
  if (path === IN_CLUSTER) {
    if (isInCluster(env)) return inClusterConfig(env);
    throw new KubeError({ reason: 'Configuration', message: 'KUBERNETES_SERVICE_HOST is not set: this is no pod' });
  }
  if (path === undefined || path === '') {
    if (isInCluster(env)) return inClusterConfig(env);
    return fromFile(join(env['HOME'] ?? homedir(), '.kube', 'config'), options.context);
  }
  // Several files are merged by rules that are client-node's business.
  if (path.includes(':')) return viaClientNode((kc) => kc.loadFromDefault(), options.context);
  return fromFile(path, options.context);
}

async function fromFile(path: string, context: string | undefined): Promise<ClientConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    throw new KubeError({
      reason: 'Configuration',
      message: `cannot read the kubeconfig ${path}: ${(thrown as NodeJS.ErrnoException).code ?? String(thrown)}`,
      cause: thrown,
    });
  }
  const simple = await readSimpleKubeconfig(text, path, context);
  return simple ?? viaClientNode((kc) => kc.loadFromFile(path), context);
}

async function viaClientNode(load: (config: ClientNodeConfig) => void, context?: string): Promise<ClientConfig> {
  try {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    load(config);
    if (context !== undefined) config.setCurrentContext(context);
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error(`the context "${config.getCurrentContext()}" has no cluster`);
    if (cluster.proxyUrl !== undefined) throw new Error('proxy-url is not supported');
    const settings = await httpsOptions(config);
    const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = settings;
    return {
      server: cluster.server,
      tls: Object.fromEntries(
        Object.entries({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }).filter(
          ([, value]) => value !== undefined,
        ),
      ),
      token: cached(CREDENTIAL_AGE_MS, async () => bearer(await httpsOptions(config))),
      ...(namespace === undefined ? {} : { namespace }),
    };
  } catch (thrown) {
    if (thrown instanceof KubeError) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new KubeError({
      reason: 'Configuration',
      message: `the kubeconfig cannot be used: ${message}`,
      cause: thrown,
    });
  }
}

async function httpsOptions(config: ClientNodeConfig): Promise<RequestOptions> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  return options;
}

function bearer(options: RequestOptions): string | undefined {
  const headers = (options.headers ?? {}) as Record<string, unknown>;
  const value = headers['Authorization'] ?? headers['authorization'];
  return typeof value === 'string' && value.startsWith('Bearer ') ? value.slice('Bearer '.length) : undefined;
}
