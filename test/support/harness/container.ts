/** A container as Docker and Kubernetes start them, by an OCI runtime (crun), with a busybox in it and nothing else. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolPath, toolRuntime } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { type ExecResult, exec } from './exec.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

/** A bind of a host directory, as in `mounts` of config.json. */
export interface ContainerBind {
  readonly source: string;
  readonly destination: string;
  readonly propagation: 'rslave' | 'rprivate';
}

/**
 * crun refuses machines that have both versions of cgroups, and the tests need none: it sees an empty directory in their
 * place. Mounts go on being propagated to it.
 */
const WITHOUT_CGROUPS = ['--mount', '--propagation', 'unchanged', 'sh', '-c'];
const SCRIPT = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"';

const PID_FILE = 'pid';
let serial = 0;

export class Container {
  readonly #directory: string;
  readonly #id: string;
  readonly #daemon: Daemon;

  private constructor(directory: string, id: string, daemon: Daemon) {
    this.#directory = directory;
    this.#id = id;
    this.#daemon = daemon;
  }

  /** Starts one that sleeps; it ends with the run if no test ends it before. */
  static async start(binds: readonly ContainerBind[]): Promise<Container> {
    serial += 1;
    const [id, directory] = [`c${serial}`, makeDirectory('container')];
    const rootfs = join(directory, 'rootfs');
    for (const folder of ['bin', 'dev', 'proc', ...binds.map(({ destination }) => destination)]) {
      mkdirSync(join(rootfs, folder), { recursive: true });
    }
    copyFileSync(await toolPath('busybox'), join(rootfs, 'bin/busybox'));
    writeFileSync(join(directory, 'config.json'), JSON.stringify(config(binds)));
    const pidFile = join(directory, PID_FILE);
    const [command, ...args] = await crun(directory, ['run', '--bundle', directory, '--pid-file', pidFile, id]);
    const daemon = new Daemon({
      name: `container ${id}`,
      command: command ?? '',
      args,
      logFile: join(directory, 'log'),
      env: await toolRuntime('crun'),
    });
    const container = new Container(directory, id, daemon);
    onEnd(() => container.end());
    await waitFor(async () => daemon.exit !== undefined || (await container.exec('true')).code === 0, {
      message: 'the container to take commands',
      instead: () => daemon.tail(),
    });
    daemon.assertRunning();
    return container;
  }

  /** The process in it that its mount namespace is known by. */
  get pid(): number {
    return Number(readFileSync(join(this.#directory, PID_FILE), 'utf8'));
  }

  /** Runs a command of busybox in the running container. */
  async exec(...argv: readonly string[]): Promise<ExecResult> {
    return this.#crun('exec', this.#id, '/bin/busybox', ...argv);
  }

  /** Content of a file as the container sees it. */
  async read(path: string): Promise<string> {
    const { code, stdout, stderr } = await this.exec('cat', path);
    if (code !== 0) throw new Error(stderr.trim());
    return stdout;
  }

  async end(): Promise<void> {
    if (!existsSync(this.#directory)) return;
    await this.#crun('delete', '--force', this.#id);
    await this.#daemon.killGroup();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #crun(...args: readonly string[]): Promise<ExecResult> {
    const [command, ...rest] = await crun(this.#directory, args);
    return exec(command ?? '', rest, { env: await toolRuntime('crun') });
  }
}

/** The command that runs crun, with its state below a directory. Needs the environment of `toolRuntime('crun')`. */
export async function crun(directory: string, args: readonly string[]): Promise<readonly string[]> {
  const binary = await toolPath('crun');
  const own = ['--root', join(directory, 'state'), '--cgroup-manager', 'disabled'];
  return ['unshare', ...WITHOUT_CGROUPS, SCRIPT, 'crun', binary, ...own, ...args];
}

/** Source: the OCI runtime specification, config.md and config-linux.md. */
function config(binds: readonly ContainerBind[]): unknown {
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/busybox', 'sleep', '100000'],
      env: ['PATH=/bin'],
      cwd: '/',
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      ...binds.map(({ source, destination, propagation }) => {
        return { destination, type: 'bind', source, options: ['rbind', propagation] };
      }),
    ],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }], rootfsPropagation: 'rslave' },
  };
}
