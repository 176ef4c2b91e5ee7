import type { Server, Socket } from 'node:net';

/** The part of a socket that both ends of TLS in this process share. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Bounds how many connections are open. When there are too many, the one is ended that has shown no credential for the
 * longest time: who opens thousands and says nothing keeps nobody out.
 */
export class Connections {
  readonly #max: number;
  /** Those that have not shown a credential, the oldest first. */
  readonly #strangers = new Map<string, Socket>();
  /** Sockets that have; after their first request this is all that is looked at. */
  readonly #known = new WeakSet<object>();
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts the connections of a server. */
  guard(server: Server): void {
    server.on('connection', (socket: Socket) => this.#add(socket));
  }

  #add(socket: Socket): void {
    const key = keyOf(socket);
    this.#open++;
    this.#strangers.set(key, socket);
    socket.once('close', () => {
      this.#open--;
      if (this.#strangers.get(key) === socket) this.#strangers.delete(key);
    });
    if (this.#open <= this.#max) return;
    const [oldest = socket] = this.#strangers.values();
    oldest.destroy();
  }

  /** The client of this connection has a credential. */
  welcome(socket: object & Peer): void {
    if (this.#known.has(socket)) return;
    this.#known.add(socket);
    this.#strangers.delete(keyOf(socket));
  }
}

/** The same for a connection and for the TLS on it. */
function keyOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
