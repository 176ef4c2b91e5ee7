/** A real NFS server in user space (nfs-ganesha), with exports that a test changes. Serves NFSv4 over TCP. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toolPath, toolRuntime } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { freePort } from './ports.ts';
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

export class Ganesha {
  readonly directory: string;
  readonly address: string;
  readonly port: number;
  /** What is exported lies below it. */
  readonly data: string;
  #daemon: Daemon | undefined;
  #exports: readonly Export[] = [];

  private constructor(directory: string, address: string, port: number) {
    this.directory = directory;
    this.address = address;
    this.port = port;
    this.data = join(directory, 'data');
  }

  /** Prepares a server on an address of this network namespace; `start` starts it. */
  static async create(address: string): Promise<Ganesha> {
    const server = new Ganesha(makeDirectory('ganesha'), address, await freePort());
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
    const daemon = new Daemon({
      name: 'nfs-ganesha',
      command: binary,
      args: ['-F', '-f', config, '-L', log, '-p', join(this.directory, 'pid'), '-N', 'EVENT'],
      logFile: join(this.directory, 'output.log'),
      env: await toolRuntime('ganesha.nfsd'),
    });
    this.#daemon = daemon;
    await waitFor(
      async () => {
        daemon.assertRunning();
        return (await run('ss', ['-Hltn', `sport = :${this.port}`])) !== '';
      },
      { message: 'the NFS server to listen' },
    );
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
    await run('umount', [this.data]);
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
  Protocols = 4;
  NFS_Port = ${this.port};
  Bind_addr = ${this.address};
  Enable_NLM = false;
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
