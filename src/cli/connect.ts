import type { KubeClient } from '../kube/client.ts';
import { type ClientConfig, loadConfig } from '../kube/config.ts';
import { KubeError } from '../kube/errors.ts';
import { type NodeAccount, nodeAccountToken } from '../kube/node-account.ts';
import { type ConnectOptions, connect } from '../kube/rest-client.ts';
import type { Target } from './client-options.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { type Instance, readInstance } from './state-dir.ts';

export interface ConnectToOptions extends ConnectOptions {
  /** Speak as the ServiceAccount of this node, for which the kubeconfig's credential is exchanged. */
  readonly nodeAccount?: NodeAccount | undefined;
}

/**
 * Makes a client for the API server that a kubeconfig names.
 * @throws CliError that says which file is missing or wrong.
 */
export async function connectTo(
  kubeconfig: string,
  { nodeAccount, ...options }: ConnectToOptions = {},
): Promise<KubeClient> {
  try {
    const config = await loadConfig({ kubeconfig });
    if (nodeAccount === undefined) return connect(config, options);
    const token = nodeAccountToken(connect(config, { connections: 1 }), nodeAccount);
    const { cert: _cert, key: _key, pfx: _pfx, passphrase: _passphrase, ...tls } = config.tls;
    return connect({ ...config, tls, token }, options);
  } catch (thrown) {
    throw noControlPlane(thrown, 'start "clawstore up" first, or name a kubeconfig with --kubeconfig');
  }
}

/** Where a command acts. */
export interface Connection {
  readonly client: KubeClient;
  readonly namespace: string;
  /** What runs on the state directory that the command was given. */
  readonly instance: Instance | undefined;
}

/**
 * Makes a client for the API server that a command was pointed to, and says in which namespace the command acts.
 * @throws CliError that says which file is missing or wrong.
 */
export async function connectToTarget(target: Target): Promise<Connection> {
  const { isPlugin, kubeconfig, context, namespace, stateDir } = target;
  try {
    const config = await loadConfig({ kubeconfig, context });
    const instance = stateDir === undefined ? undefined : readInstance(stateDir);
    const client = connect(config, { socketPath: socketOf(instance, config) });
    return { client, namespace: namespace ?? config.namespace ?? 'default', instance };
  } catch (thrown) {
    const advice = isPlugin
      ? 'name a kubeconfig with --kubeconfig or KUBECONFIG'
      : 'start "clawstore up" first, or name a kubeconfig with --kubeconfig';
    throw noControlPlane(thrown, advice);
  }
}

/** What an instance tells commands of its API server. @throws KubeError `Configuration` */
export async function localApiServer(
  kubeconfig: string,
  socketPath: string | undefined,
): Promise<Pick<Instance, 'apiServer'>> {
  if (socketPath === undefined) return {};
  const { server: url } = await loadConfig({ kubeconfig });
  return { apiServer: { url, socketPath } };
}

/**
 * TLS is a fifth of what a small command takes, and the instance's own socket leads to the same server. Only a
 * token says there who one is.
 */
function socketOf(instance: Instance | undefined, { server, tls }: ClientConfig): string | undefined {
  const { url, socketPath } = instance?.apiServer ?? {};
  return server === url && tls.cert === undefined ? socketPath : undefined;
}

function noControlPlane(thrown: unknown, advice: string): CliError {
  const { message } = KubeError.from(thrown);
  return new CliError(ExitCode.unavailable, `no control plane to talk to: ${message}; ${advice}`, { cause: thrown });
}
