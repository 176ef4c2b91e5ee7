import type { KubeClient } from '../kube/client.ts';
import { loadConfig } from '../kube/config.ts';
import { KubeError } from '../kube/errors.ts';
import { type NodeAccount, nodeAccountToken } from '../kube/node-account.ts';
import { type ConnectOptions, connect } from '../kube/rest-client.ts';
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
    const { message } = KubeError.from(thrown);
    throw new CliError(
      ExitCode.unavailable,
      `no control plane to talk to: ${message}; start "clawstore up" first, or name a kubeconfig with --kubeconfig`,
      { cause: thrown },
    );
  }
}
