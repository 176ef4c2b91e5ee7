/** Makes this machine a node of the OpenClaw gateway that the settings name: `--openclaw`. */
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { makePrivateDirectory, writePrivate } from '../apiserver/storage/private-file.ts';
import type { AnyCommand } from '../commands/registry.ts';
import type { FeatureSource } from '../controllers/node/wire.ts';
import type { KubeClient } from '../kube/client.ts';
import { exposedCommands } from '../openclaw/exposed.ts';
import { GatewayNode } from '../openclaw/gateway-node.ts';
import type { PrivateFiles } from '../openclaw/private-files.ts';
import type { Runnable } from '../runtime/manager.ts';
import { channelSource } from '../runtime/source.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Cleanups } from './cleanups.ts';
import { connectTo } from './connect.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { readOpenClawToken } from './openclaw-token.ts';
import type { Settings } from './settings.ts';
import type { StateDir } from './state-dir.ts';
import { productVersion } from './version.ts';

export interface OpenClawDependencies {
  readonly settings: Settings;
  readonly state: StateDir;
  /** The agent's own. */
  readonly client: KubeClient;
  readonly hostPathAllow: readonly string[];
  readonly token: string | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly cleanups: Cleanups;
}

export interface OpenClawNode {
  readonly features: FeatureSource;
  readonly runnable: Runnable;
}

/** @throws CliError naming the flag when a setting is wrong; a gateway that is away is no error. */
export async function openClawNode(url: string, dependencies: OpenClawDependencies): Promise<OpenClawNode> {
  const { settings, state, token, log, metrics, hostPathAllow, cleanups } = dependencies;
  const { nodeName, invokeNamespace: namespace, openclawKubeconfig } = settings;
  const sharedToken = (): Promise<string | undefined> => readOpenClawToken(settings, token);
  // A mistake is told now; later it is one more thing that the gateway waits for.
  await sharedToken();
  const commands = commandsOf(settings);
  let { client } = dependencies;
  if (openclawKubeconfig !== undefined) {
    const own = await connectTo(openclawKubeconfig, { metrics }).catch((cause: unknown) => {
      throw new CliError(ExitCode.usage, `--openclaw-kubeconfig: ${messageOf(cause)}`, { cause });
    });
    cleanups.add(() => own.close());
    client = own;
  }
  const node = makeNode(() => {
    return new GatewayNode({
      url,
      nodeName,
      version: productVersion(),
      commands,
      context: { client, namespace, nodeName, hostPathAllow },
      directory: state.openclaw,
      files: FILES,
      sharedToken,
      clock: systemClock,
      log,
      metrics,
    });
  });
  const source = channelSource('openclaw');
  node.onChange(() => source.send(nodeName));
  return {
    features: { list: () => [node.feature], source },
    runnable: { name: 'openclaw', run: (signal) => node.run(signal) },
  };
}

const FILES: PrivateFiles = {
  read(file) {
    try {
      return readFileSync(file, 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw thrown;
    }
  },
  write(file, text) {
    makePrivateDirectory(dirname(file));
    writePrivate(file, text);
  },
  remove: (file) => rmSync(file, { force: true }),
};

function commandsOf({ openclawCommands }: Settings): readonly AnyCommand[] {
  try {
    return exposedCommands(openclawCommands);
  } catch (cause) {
    throw new CliError(ExitCode.usage, `--openclaw-commands: ${messageOf(cause)}`, { cause });
  }
}

function makeNode(make: () => GatewayNode): GatewayNode {
  try {
    return make();
  } catch (cause) {
    throw new CliError(ExitCode.failed, `--openclaw: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
