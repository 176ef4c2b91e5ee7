/** Free ports, and who listens on one. */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';

/**
 * Where they are looked for: below the ports that Linux gives to outgoing connections (32768 and up), so that no client
 * is on a server's port when that is started again.
 */
const [FIRST, LAST] = [20_000, 32_000];
const TRIES = 100;

/** Ports that nobody listened on a moment ago; see {@link listens} for being sure afterwards. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers: Server[] = [];
  try {
    while (servers.length < count) servers.push(await holdOne());
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** One free port. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port ?? 0;
}

async function holdOne(): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const server = createServer();
    const held = new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(randomInt(FIRST, LAST), '127.0.0.1', resolve);
    });
    try {
      await held;
      return server;
    } catch (error) {
      if (attempt === TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
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
