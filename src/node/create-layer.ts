/** The node layer as the agent uses it: every call goes to the helper. */
import { mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { HelperProcess } from './fork-helper.ts';
import { HelperClient, type HelperClientOptions } from './helper-client.ts';
import type { NodeLayer } from './layer.ts';
import { acquireLock, lockByCommand } from './lock.ts';
import { NodeError } from './node-error.ts';

export interface NodeLayerOptions {
  readonly stateDir: string;
  readonly mountRoot: string;
  /** Processes that serve mounts are started by the mount holder of the node (`mount-daemons/holder.ts`). */
  readonly mountHolder?: boolean;
  /** The helper that was forked first of all, where there is one. */
  readonly helper?: HelperProcess;
  readonly fork?: HelperClientOptions['fork'];
}

/** The helper's own process, for tests and metrics. */
export interface RunningNodeLayer extends NodeLayer {
  readonly helperPid: number | undefined;
  readonly helperRestarts: number;
}

/**
 * Connects to a helper and waits until the mount table is known. Makes the state directory and the mount root if
 * missing; mounts nothing yet (see `prepareMountRoot`).
 *
 * @throws NodeError `InvalidRequest` when the mount root lies inside the state directory or the other way round.
 */
export async function createNodeLayer(options: NodeLayerOptions, signal: AbortSignal): Promise<RunningNodeLayer> {
  const [stateDir, mountRoot] = [makeReal(options.stateDir), makeReal(options.mountRoot)];
  if (`${mountRoot}/`.startsWith(`${stateDir}/`) || `${stateDir}/`.startsWith(`${mountRoot}/`)) {
    throw new NodeError('InvalidRequest', `the mount root ${mountRoot} and the state directory ${stateDir} overlap`);
  }
  const client = new HelperClient({
    settings: { stateDir, mountRoot, mountHolder: options.mountHolder === true },
    ...(options.helper === undefined ? {} : { first: options.helper }),
    ...(options.fork === undefined ? {} : { fork: options.fork }),
  });
  try {
    // Answered after the first full table has come: requests are answered in order unless they take long.
    const features = await firstAnswer(client, signal);
    return layerOver(client, { stateDir, mountRoot }, features);
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** A helper may be killed while it starts, as at any time; one that dies again and again is a fault to report. */
async function firstAnswer(client: HelperClient, signal: AbortSignal): Promise<NodeLayer['features']> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.call('features', null, { signal });
    } catch (error) {
      if (!(error instanceof NodeError) || error.code !== 'HelperLost' || attempt === 3) throw error;
    }
  }
}

function layerOver(
  client: HelperClient,
  { stateDir, mountRoot }: { readonly stateDir: string; readonly mountRoot: string },
  features: NodeLayer['features'],
): RunningNodeLayer {
  const layer: RunningNodeLayer = {
    stateDir,
    mountRoot,
    features,
    table: client.table,
    get helperPid() {
      return client.pid;
    },
    get helperRestarts() {
      return client.restarts;
    },
    call: (operation, params, callOptions) => client.call(operation, params, callOptions),
    prepareMountRoot: (signal) => client.call('prepareMountRoot', { path: mountRoot }, { signal }),
    inspectUserPath: (request, signal) => client.call('inspectUserPath', request, { signal }),
    ensureUserPath: (request, signal) => client.call('ensureUserPath', request, { signal }),
    bindUserPath: (request, signal) => client.call('bindUserPath', request, { signal }),
    bindOwn: (request, signal) => client.call('bindOwn', request, { signal }),
    tmpfs: (request, signal) => client.call('tmpfs', request, { signal }),
    observeTarget: (request, signal) => client.call('observeTarget', request, { signal }),
    unmount: (request, signal) => client.call('unmount', request, { signal }),
    statfs: (path, signal) => client.call('statfs', { path }, { signal }),
    holders: (mountId, signal) => client.call('holders', { mountId }, { signal }),
    removeTree: async (target, signal) => {
      await client.call('removeTree', target, { signal, deadlineMs: 600_000 });
    },
    lock: (file, signal) =>
      acquireLock(file, async (fd) => {
        if (!features.some(({ name, available }) => name === 'Koffi' && available)) return lockByCommand(fd);
        const { locked } = await client.call('lockDescription', { pid: process.pid, fd }, { signal });
        return locked;
      }),
    close: () => client.close(),
  };
  return layer;
}

/** Makes a directory and gives its name without symbolic links, as the mount table will show it. */
function makeReal(path: string): string {
  const parent = dirname(path);
  mkdirSync(parent, { recursive: true });
  const real = join(realpathSync(parent), basename(path));
  mkdirSync(real, { recursive: true, mode: 0o755 });
  return realpathSync(real);
}
