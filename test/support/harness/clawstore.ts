/** The real binary as child processes: started, found ready by its own signals, stopped and killed. */
import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import { type ExecResult, exec } from './exec.ts';
import { freePort, listens } from './ports.ts';
import { Hopeless, waitFor } from './wait.ts';

export const CLAWSTORE = join(import.meta.dirname, '../../../bin/clawstore');

export type Part = 'up' | 'agent' | 'controller' | 'apiserver';

export interface ClawstoreSettings {
  readonly stateDir: string;
  readonly mountRoot: string;
  readonly kubeconfig: string;
  readonly nodeName: string;
  readonly hostPathAllow: readonly string[];
}

export interface StartOptions {
  readonly logFile: string;
  /** The binary, where it is another version than this checkout's. */
  readonly binary?: string;
  /** Added to the environment, e.g. CLAWSTORE_CRASH_AT. */
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the command elsewhere: in other namespaces, in a cgroup. It ends by becoming the command. */
  readonly within?: readonly string[];
  /** Address of its metrics server; loopback when absent. */
  readonly address?: string;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** Return without waiting for readiness: for starts that are meant to fail or to die. */
  readonly unready?: boolean;
}

const READY_MS = 120_000;
/** Of a request to its metrics and health server, which answers in milliseconds when it has a processor. */
const ANSWER_MS = 30_000;
const START_ATTEMPTS = 3;
const LOOPBACK = '127.0.0.1';

/** One long-running process of the product. */
export class Clawstore extends Daemon {
  readonly part: Part;
  readonly metricsPort: number;
  readonly #address: string;

  private constructor(part: Part, port: number, command: readonly string[], options: StartOptions) {
    const [file = '', ...args] = command;
    super({
      name: `clawstore ${part}`,
      command: file,
      args,
      logFile: options.logFile,
      env: { ...cleanEnvironment(), ...options.env },
    });
    this.part = part;
    this.metricsPort = port;
    this.#address = options.address ?? LOOPBACK;
  }

  /** Starts a part and waits until its own readiness check passes. */
  static async start(part: Part, settings: ClawstoreSettings, options: StartOptions): Promise<Clawstore> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await Clawstore.#startOnce(part, settings, options);
      } catch (error) {
        // Another suite beside this one took the port between the look and the start.
        if (attempt === START_ATTEMPTS || !String(error).includes('the address is taken by another program'))
          throw error;
      }
    }
  }

  static async #startOnce(part: Part, settings: ClawstoreSettings, options: StartOptions): Promise<Clawstore> {
    const port = await freePort();
    const command = [
      ...(options.within ?? []),
      options.binary ?? CLAWSTORE,
      part,
      ...settingFlags(settings),
      '--metrics',
      `${options.address ?? LOOPBACK}:${port}`,
      '--log-level',
      'debug',
      ...(options.args ?? []),
    ];
    const daemon = new Clawstore(part, port, command, options);
    if (options.unready !== true) {
      await daemon.waitReady().catch(async (error: unknown) => {
        await daemon.killGroup();
        throw error;
      });
    }
    return daemon;
  }

  /** Waits until this very process listens and says that it is ready. */
  async waitReady(): Promise<void> {
    await waitFor(
      async () => {
        this.assertStillRunning();
        if (!listens(this.pid, this.metricsPort)) return false;
        return (await this.http('/readyz')).status === 200;
      },
      {
        deadline: READY_MS,
        message: `${this.name} to be ready`,
        instead: async () =>
          `${(await this.http('/readyz').catch((error: unknown) => ({ text: String(error) }))).text}\n${this.tail(20)}`,
      },
    );
  }

  /** Asks its metrics and health server. */
  async http(path: string): Promise<{ readonly status: number; readonly text: string; readonly type: string }> {
    const response = await fetch(`http://${this.#address}:${this.metricsPort}${path}`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return { status: response.status, text: await response.text(), type: response.headers.get('content-type') ?? '' };
  }

  /** The value of a metric, summed over the series whose labels include these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { text } = await this.http('/metrics');
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  private assertStillRunning(): void {
    // A start that failed will not become ready: say at once what it said.
    if (this.exit !== undefined)
      throw new StartError(`${this.name} ended with ${JSON.stringify(this.exit)}:\n${this.tail()}`);
  }
}

/** A process that ended instead of becoming ready. */
export class StartError extends Hopeless {
  override readonly name: string = 'StartError';
}

/** Runs a command of the binary to its end. */
export function clawstore(
  settings: Partial<ClawstoreSettings>,
  args: readonly string[],
  options: { readonly input?: string; readonly deadline?: number } = {},
): Promise<ExecResult> {
  const [file = '', ...rest] = clawstoreCommand(settings, args);
  return exec(file, rest, { ...options, env: cleanEnvironment() });
}

/** A command of the binary with these settings, as the arguments of a program. */
export function clawstoreCommand(settings: Partial<ClawstoreSettings>, args: readonly string[]): readonly string[] {
  const [command = '', ...rest] = args;
  return [CLAWSTORE, command, ...settingFlags(settings), ...rest];
}

function settingFlags(settings: Partial<ClawstoreSettings>): readonly string[] {
  const { stateDir, mountRoot, kubeconfig, nodeName, hostPathAllow } = settings;
  return [
    ...(stateDir === undefined ? [] : ['--state-dir', stateDir]),
    ...(mountRoot === undefined ? [] : ['--mount-root', mountRoot]),
    ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
    ...(nodeName === undefined ? [] : ['--node-name', nodeName]),
    ...(hostPathAllow === undefined ? [] : ['--host-path-allow', hostPathAllow.join(',')]),
  ];
}

/**
 * Runs a command in namespaces of its own (the options are those of unshare(1)) which have no copies of what is mounted
 * below a directory: those are another node's.
 */
export function inOwnNamespaces(options: readonly string[], hidden: string, script = 'exec "$@"'): readonly string[] {
  const hide = `awk -v p='${hidden}/' 'index($5, p) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r -n 1 umount -l`;
  return ['unshare', '--mount', '--propagation', 'private', ...options, 'sh', '-ec', `${hide}\n${script}`, 'node'];
}

/** Settings of the person who runs the tests, and of the runner, must not reach what is tested. */
function cleanEnvironment(): Readonly<Record<string, undefined>> {
  const keep = ['CLAWSTORE_DEV', 'CLAWSTORE_DEBUG'];
  const names = Object.keys(process.env).filter((name) => name.startsWith('CLAWSTORE_') && !keep.includes(name));
  return Object.fromEntries([...names, 'KUBECONFIG', 'NODE_COMPILE_CACHE'].map((name) => [name, undefined]));
}
