/** A real NFS server in user space (nfs-ganesha), with exports that a test changes. Serves NFSv3 and NFSv4 over TCP. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toolPath, toolRuntime } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { unmount } from './mounts.ts';
import { freePorts } from './ports.ts';
import { makeDirectory } from './run.ts';
import { waitFor } from './wait.ts';

export interface Export {
  /** Path that clients mount. */
  readonly path: string;
  /** Directory below the server's data; the name of the path when absent. */
  readonly directory?: string;
  readonly squash?: 'root' | 'none';
  /** krb5: clients without it are refused. */
  readonly security?: 'sys' | 'krb5';
}

/**
 * Speaking version 3, it registers itself with an rpcbind of this machine or does not start. Both get a /run of their own,
 * so that none of the host's is meant, nor told.
 */
const WITH_RPCBIND = `
mount -t tmpfs run /run
rpcbind -f &
until [ -S /run/rpcbind.sock ]; do sleep 0.05; done
exec env "$@"`;

export class Ganesha {
  readonly directory: string;
  readonly address: string;
  readonly port: number;
  /** Where clients of version 3 ask for an export (its mountd). */
  readonly mountPort: number;
  /** What is exported lies below it. */
  readonly data: string;
  #daemon: Daemon | undefined;
  #exports: readonly Export[] = [];

  private constructor(directory: string, address: string, port: number, mountPort: number) {
    this.directory = directory;
    this.address = address;
    this.port = port;
    this.mountPort = mountPort;
    this.data = join(directory, 'data');
  }

  /** Prepares a server on an address of this network namespace; `start` starts it. */
  static async create(address: string): Promise<Ganesha> {
    const [port = 0, mountPort = 0] = await freePorts(2);
    const server = new Ganesha(makeDirectory('ganesha'), address, port, mountPort);
    mkdirSync(server.data);
    mkdirSync(join(server.directory, 'recovery'));
    // Its handles need a filesystem that has some; the size is what clients see.
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'exports', server.data]);
    return server;
  }

  /** A directory below the server's data, made if missing. */
  place(name: string): string {
    const path = join(this.data, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts it with these exports, or with those of the last time, and waits until it listens. */
  async start(exports: readonly Export[] = this.#exports): Promise<void> {
    this.#exports = exports;
    const binary = await toolPath('ganesha.nfsd');
    const config = join(this.directory, 'ganesha.conf');
    writeFileSync(config, this.#config(dirname(dirname(dirname(binary)))));
    const log = join(this.directory, 'ganesha.log');
    const runtime = Object.entries(await toolRuntime('ganesha.nfsd')).map(([name, value]) => `${name}=${value}`);
    const command = [binary, '-F', '-f', config, '-L', log, '-p', join(this.directory, 'pid'), '-N', 'EVENT'];
    const daemon = new Daemon({
      name: 'nfs-ganesha',
      command: 'unshare',
      args: ['--mount', 'sh', '-euc', WITH_RPCBIND, 'ganesha', ...runtime, ...command],
      logFile: join(this.directory, 'output.log'),
    });
    this.#daemon = daemon;
    await waitFor(
      async () => {
        daemon.assertRunning();
        const listening = await run('ss', ['-Hltn', `sport = :${this.port} or sport = :${this.mountPort}`]);
        return listening.trim().split('\n').length === 2;
      },
      { message: 'the NFS server to listen', instead: () => daemon.tail() },
    );
  }

  get isUp(): boolean {
    return this.#daemon !== undefined && this.#daemon.exit === undefined;
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    await this.#daemon?.killGroup();
  }

  /** Starts it anew with other exports. */
  async restart(exports: readonly Export[]): Promise<void> {
    await this.kill();
    await this.start(exports);
  }

  /** It takes connections and answers nothing. */
  freeze(): void {
    this.#daemon?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#daemon?.signal('SIGCONT');
  }

  async end(): Promise<void> {
    await this.kill();
    await unmount(this.data);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #config(root: string): string {
    const plugins = join(
      root,
      'usr/lib',
      process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu',
      'ganesha',
    );
    const blocks = this.#exports.map(
      ({ path, directory = path.slice(1), squash = 'none', security = 'sys' }, index) => `
EXPORT {
  Export_Id = ${index + 1};
  Path = ${this.place(directory)};
  Pseudo = ${path};
  Access_Type = RW;
  Squash = ${squash === 'root' ? 'Root_Squash' : 'No_Root_Squash'};
  SecType = ${security};
  FSAL { Name = VFS; }
}`,
    );
    return `
NFS_CORE_PARAM {
  Protocols = 3, 4;
  NFS_Port = ${this.port};
  MNT_Port = ${this.mountPort};
  mount_path_pseudo = true;
  Bind_addr = ${this.address};
  Enable_NLM = false;
  Enable_UDP = false;
  Enable_RQUOTA = false;
  Plugins_Dir = ${plugins};
}
NFSv4 {
  Graceless = true;
  Minor_Versions = 1, 2;
  Only_Numeric_Owners = true;
  UseGetpwnam = true;
  RecoveryBackend = fs;
  RecoveryRoot = ${join(this.directory, 'recovery')};
}
${blocks.join('\n')}
`;
  }
}
