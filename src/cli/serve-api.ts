/** Runs the embedded API server with the settings of a state directory, and leaves its kubeconfigs where others look. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ApiServer, LockedError, startApiServer } from '../apiserver/index.ts';
import { makePrivateDirectory, writePrivate } from '../apiserver/storage/private-file.ts';
import { IN_CLUSTER } from '../kube/in-cluster.ts';
import type { Logger } from '../telemetry/log.ts';
import { createLogger } from '../telemetry/log.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { crdsDirectory } from './package-root.ts';
import type { ListenAddress, LogLevel } from './settings.ts';

/** Plain data, because it crosses a thread boundary. */
export interface ApiServerSettings {
  /** Directory of the server's own. */
  readonly directory: string;
  /** Where the administrator's kubeconfig is written. */
  readonly kubeconfig: string;
  readonly listen: ListenAddress;
  readonly auditLog: string | undefined;
  readonly logLevel: LogLevel;
  /** Unix socket that is served besides; it is not encrypted. */
  readonly socket?: string | undefined;
  /** Log file; undefined = standard error. */
  readonly logFile?: string | undefined;
}

export interface ServedApi {
  readonly url: string;
  close(): Promise<void>;
}

/** @throws CliError when the address or the state directory is taken. */
export async function serveApi(settings: ApiServerSettings, given?: Logger): Promise<ServedApi> {
  const { directory, kubeconfig, listen } = settings;
  if (kubeconfig === IN_CLUSTER) {
    throw new CliError(ExitCode.usage, `--kubeconfig: an API server writes a file, and cannot be told "${IN_CLUSTER}"`);
  }
  const log = (given ?? createLogger({ level: settings.logLevel, file: settings.logFile })).child({
    component: 'apiserver',
  });
  makePrivateDirectory(directory);
  const server = await start(settings, listen.port === 0 ? [lastPort(directory), 0] : [listen.port], log);
  try {
    writePrivate(join(directory, 'port'), server.address.replace(/^.*:/, ''));
    mkdirSync(dirname(kubeconfig), { recursive: true });
    server.writeKubeconfig(kubeconfig);
  } catch (thrown) {
    // It would go on serving, with nobody left to stop it.
    await server.close();
    throw thrown;
  }
  return { url: server.url, close: () => server.close() };
}

/** Tries ports in turn: with port 0 the one of last time comes first, so that a kubeconfig stays valid. */
async function start(
  { directory, listen, socket, auditLog }: ApiServerSettings,
  ports: readonly (number | undefined)[],
  log: Logger,
): Promise<ApiServer> {
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const candidates = ports.filter((port) => port !== undefined);
  for (const [index, port] of candidates.entries()) {
    try {
      return await startApiServer({
        stateDir: directory,
        listen: `${host}:${port}`,
        crdsDir: crdsDirectory(),
        ...(socket === undefined ? {} : { socket }),
        ...(auditLog === undefined ? {} : { auditLog }),
        log: {
          info: (message) => log.info(message),
          error: (message, error) => log.error({ err: error }, message),
        },
      });
    } catch (thrown) {
      if (thrown instanceof LockedError) {
        throw new CliError(ExitCode.failed, `another API server uses ${directory}: ${thrown.message}`, {
          cause: thrown,
        });
      }
      const isTaken = (thrown as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken) throw thrown;
      if (index === candidates.length - 1) {
        const address = `${host}:${port}`;
        throw new CliError(
          ExitCode.failed,
          `--listen: ${address} is taken by another program; name another, or port 0 for any`,
          { cause: thrown },
        );
      }
    }
  }
  throw new Error('no port to try');
}

function lastPort(directory: string): number | undefined {
  const file = join(directory, 'port');
  if (!existsSync(file)) return undefined;
  const port = Number(readFileSync(file, 'utf8'));
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}
