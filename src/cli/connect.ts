import type { KubeClient } from '../kube/client.ts';
import { loadConfig } from '../kube/config.ts';
import { KubeError } from '../kube/errors.ts';
import { type NodeAccount, nodeAccountToken } from '../kube/node-account.ts';
import { type ConnectOptions, connect } from '../kube/rest-client.ts';
import type { Target } from './client-options.ts';
import { CliError, ExitCode } from './exit-code.ts';

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

/**
 * Makes a client for the API server that a command was pointed to, and says in which namespace the command acts.
 * @throws CliError that says which file is missing or wrong.
 */
export async function connectToTarget({
  isPlugin,
  kubeconfig,
  context,
  namespace,
}: Target): Promise<{ readonly client: KubeClient; readonly namespace: string }> {
  try {
    const config = await loadConfig({ kubeconfig, context });
    return { client: connect(config), namespace: namespace ?? config.namespace ?? 'default' };
  } catch (thrown) {
    const advice = isPlugin
      ? 'name a kubeconfig with --kubeconfig or KUBECONFIG'
      : 'start "clawstore up" first, or name a kubeconfig with --kubeconfig';
    throw noControlPlane(thrown, advice);
  }
}

function noControlPlane(thrown: unknown, advice: string): CliError {
  const { message } = KubeError.from(thrown);
  return new CliError(ExitCode.unavailable, `no control plane to talk to: ${message}; ${advice}`, { cause: thrown });
}
