import type { KubeClient } from '../kube/client.ts';
import { loadConfig } from '../kube/config.ts';
import { KubeError } from '../kube/errors.ts';
import { type ConnectOptions, connect } from '../kube/rest-client.ts';
import { CliError, ExitCode } from './exit-code.ts';

/**
 * Makes a client for the API server that a kubeconfig names.
 * @throws CliError that says which file is missing or wrong.
 */
export async function connectTo(kubeconfig: string, options: ConnectOptions = {}): Promise<KubeClient> {
  try {
    return connect(await loadConfig({ kubeconfig }), options);
  } catch (thrown) {
    const { message } = KubeError.from(thrown);
    throw new CliError(
      ExitCode.unavailable,
      `no control plane to talk to: ${message}; start "clawstore up" first, or name a kubeconfig with --kubeconfig`,
      { cause: thrown },
    );
  }
}
