/** Reads the kubeconfigs that need no client-node: a CA, and a token, a file with one, or a client certificate. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ClientConfig } from './config.ts';
import { cached, TOKEN_AGE_MS } from './credential-cache.ts';
import { KubeError } from './errors.ts';

/** What may stand in a cluster, a user and a context for us to read the file ourselves. */
const SIMPLE_CLUSTER = new Set([
  'server',
  'certificate-authority',
  'certificate-authority-data',
  'insecure-skip-tls-verify',
  'tls-server-name',
]);
const SIMPLE_USER = new Set([
  'token',
  'tokenFile',
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
]);

interface Named {
  readonly name?: unknown;
}

interface Kubeconfig {
  readonly 'current-context'?: unknown;
  readonly contexts?: readonly (Named & {
    readonly context?: { cluster?: unknown; user?: unknown; namespace?: unknown };
  })[];
  readonly clusters?: readonly (Named & { readonly cluster?: Record<string, unknown> })[];
  readonly users?: readonly (Named & { readonly user?: Record<string, unknown> })[];
}

/**
 * Returns the configuration, or undefined when the file needs more than we understand (exec plugins, proxies …).
 *
 * @throws KubeError `Configuration` when the file is not YAML or its context leads nowhere.
 */
export async function readSimpleKubeconfig(
  text: string,
  path: string,
  contextName?: string,
): Promise<ClientConfig | undefined> {
  const fail = (message: string, cause?: unknown): KubeError =>
    new KubeError({ reason: 'Configuration', message: `kubeconfig ${path}: ${message}`, cause });
  let config: Kubeconfig | null;
  try {
    config = (await parse(text)) as Kubeconfig | null;
  } catch (thrown) {
    throw fail('not valid YAML', thrown);
  }
  const wanted = contextName ?? config?.['current-context'];
  if (typeof wanted !== 'string' || wanted === '') throw fail('no current-context');
  const context = config?.contexts?.find(({ name }) => name === wanted)?.context;
  if (context === undefined) throw fail(`there is no context "${wanted}"`);
  const cluster = config?.clusters?.find(({ name }) => name === context.cluster)?.cluster;
  if (cluster === undefined) throw fail(`the context "${wanted}" names no cluster of the file`);
  const user = config?.users?.find(({ name }) => name === context.user)?.user ?? {};
  if (!isSimple(cluster, SIMPLE_CLUSTER) || !isSimple(user, SIMPLE_USER)) return undefined;

  const read = async (holder: Record<string, unknown>, field: string): Promise<string | undefined> => {
    const data = holder[`${field}-data`];
    if (typeof data === 'string' && data !== '') return Buffer.from(data, 'base64').toString('utf8');
    const file = holder[field];
    if (typeof file !== 'string' || file === '') return undefined;
    try {
      return await readFile(resolve(dirname(path), file), 'utf8');
    } catch (thrown) {
      throw fail(`cannot read its ${field}`, thrown);
    }
  };
  const server = cluster['server'];
  if (typeof server !== 'string' || !URL.canParse(server)) throw fail('the cluster has no server');
  const [ca, cert, key] = await Promise.all([
    read(cluster, 'certificate-authority'),
    read(user, 'client-certificate'),
    read(user, 'client-key'),
  ]);
  const servername = cluster['tls-server-name'];
  // As client-go has it, a file goes before a token beside it. It is read here too, so that a wrong name is an error.
  const hasTokenFile = (await read(user, 'tokenFile')) !== undefined;
  const readToken = cached(TOKEN_AGE_MS, async () => (await read(user, 'tokenFile'))?.trim());
  const token = typeof user['token'] === 'string' ? user['token'] : undefined;
  return {
    server,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(cluster['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
      ...(typeof servername === 'string' ? { servername } : {}),
    },
    ...(hasTokenFile ? { token: readToken } : token === undefined ? {} : { token }),
    ...(typeof context.namespace === 'string' ? { namespace: context.namespace } : {}),
  };
}

function isSimple(holder: Record<string, unknown>, known: ReadonlySet<string>): boolean {
  return Object.keys(holder).every((field) => known.has(field));
}

/** Ours are JSON, which is YAML: to load what reads all of YAML takes longer than to ask the server something. */
async function parse(text: string): Promise<unknown> {
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // YAML in braces need not be JSON.
    }
  }
  const yaml = await import('./yaml.ts');
  return yaml.parse(text) as unknown;
}
