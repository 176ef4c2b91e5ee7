/** OpenSSH's server on a free port of this machine, which lets one key in as root, and the client that goes with it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolPath, toolRuntime } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { freePort, listens } from './ports.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

/**
 * It wants a user of its own, a root who is not locked, and a directory in /run: in a mount namespace of its own it has
 * them, whatever this machine has.
 */
const WITH_ITS_USERS = `
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount -t tmpfs run /run
mkdir -m 755 /run/sshd
shift
exec env "$@"`;

export class SshServer {
  readonly port: number;
  /** Private keys: one that is let in, one that is not. */
  readonly key: string;
  readonly otherKey: string;
  readonly #directory: string;
  readonly #client: readonly string[];
  #daemon: Daemon | undefined;

  private constructor(directory: string, port: number, client: readonly string[]) {
    this.#directory = directory;
    this.port = port;
    this.#client = client;
    this.key = join(directory, 'key');
    this.otherKey = join(directory, 'other');
  }

  /** Started; it is ended after the last test. */
  static async start(): Promise<SshServer> {
    const sshd = await toolPath('sshd');
    const runtime = Object.entries(await toolRuntime('sshd')).map(([name, value]) => `${name}=${value}`);
    const beside = (name: string): string => sshd.replace(/sbin\/sshd$/, `bin/${name}`);
    const server = new SshServer(makeDirectory('ssh'), await freePort(), ['env', ...runtime, beside('ssh')]);
    const path = (name: string): string => join(server.#directory, name);
    for (const name of ['key', 'other', 'host']) {
      await run('env', [...runtime, beside('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-f', path(name)]);
    }
    writeFileSync(path('known_hosts'), `[127.0.0.1]:${server.port} ${readFileSync(path('host.pub'), 'utf8')}`);
    writeFileSync(path('no_hosts'), '');
    writeFileSync(path('passwd'), 'root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n');
    writeFileSync(path('shadow'), 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n', { mode: 0o600 });
    writeFileSync(
      path('sshd_config'),
      [
        `Port ${server.port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${path('host')}`,
        `AuthorizedKeysFile ${path('key.pub')}`,
        // A test's directory lies in one that everybody may write to.
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'PermitRootLogin prohibit-password',
        `PidFile ${path('pid')}`,
        '',
      ].join('\n'),
    );
    const command = [...runtime, sshd, '-D', '-e', '-f', path('sshd_config')];
    const daemon = new Daemon({
      name: 'sshd',
      command: 'unshare',
      args: ['--mount', 'sh', '-euc', WITH_ITS_USERS, 'sshd', server.#directory, ...command],
      logFile: path('log'),
    });
    server.#daemon = daemon;
    onEnd(() => server.end());
    await waitFor(
      () => {
        daemon.assertRunning();
        return listens(daemon.pid, server.port);
      },
      { message: 'the SSH server to listen', instead: () => daemon.tail() },
    );
    return server;
  }

  /** The command line of a client for GIT_SSH_COMMAND, with a key and the hosts that it knows. */
  client(key: string, hosts: 'known_hosts' | 'no_hosts' = 'known_hosts'): string {
    const options = ['IdentitiesOnly=yes', 'BatchMode=yes', `UserKnownHostsFile=${join(this.#directory, hosts)}`];
    const said = [...options, 'GlobalKnownHostsFile=none'].flatMap((option) => ['-o', option]);
    return [...this.#client, '-F', 'none', '-i', key, ...said].join(' ');
  }

  async end(): Promise<void> {
    await this.#daemon?.killGroup();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
