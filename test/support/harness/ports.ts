/** Free ports, and who listens on one. */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer, type ListenOptions, type Server } from 'node:net';

/**
 * Where they are looked for: below the ports that Linux gives to outgoing connections (32768 and up), so that no client
 * is on a server's port when that is started again.
 */
const [FIRST, LAST] = [20_000, 32_000];
const TRIES = 100;

/**
 * Ports that nobody listened on a moment ago, and that no other test in this network namespace is given while this process
 * lives: those of a server that is not started yet, or stopped in between, are not another's meanwhile. See {@link listens}
 * for being sure afterwards.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await reserveOne());
  return ports;
}

/** One free port. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port ?? 0;
}

async function reserveOne(): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = randomInt(FIRST, LAST);
    try {
      // An abstract socket is known in its network namespace, as the port is, and goes with its process (unix(7)).
      const reservation = await listen({ path: `\0clawstore-test-port-${port}` });
      reservation.unref();
      await close(
        await listen({ port, host: '127.0.0.1' }).catch(async (error: unknown) => {
          await close(reservation);
          throw error;
        }),
      );
      return port;
    } catch (error) {
      if (attempt === TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

function listen(where: ListenOptions): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => resolve(server));
  });
}

function close(server: Server): Promise<unknown> {
  return new Promise((resolve) => server.close(resolve));
}

const LISTEN = '0A';

/** Says whether this very process listens on the port, so that no test talks to somebody else's server. Source: proc_pid_net(5). */
export function listens(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = ['tcp', 'tcp6'].flatMap((family) =>
    readFileSync(`/proc/${pid}/net/${family}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === LISTEN && local?.endsWith(`:${hex}`) === true)
      .map((fields) => fields[9]),
  );
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return inodes.some((inode) => target === `socket:[${inode}]`);
    } catch {
      return false; // closed meanwhile
    }
  });
}
