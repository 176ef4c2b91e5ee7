import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Where to connect: a Unix socket, or TLS. */
export type Endpoint = { readonly socket: string } | { readonly url: string; readonly ca: string };

/** An answer as it came. */
export interface RawResponse {
  readonly code: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** The server ends the connection after it. */
  readonly last: boolean;
}

/** Connects. Throws what the socket says. */
export function openSocket(endpoint: Endpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let socket: Socket;
    const done = (): void => {
      socket.off('error', reject);
      resolve(socket);
    };
    if ('socket' in endpoint) socket = connectPlain(endpoint.socket, done);
    else {
      const { hostname, port } = new URL(endpoint.url);
      socket = connectTls({ host: hostname, port: Number(port), ca: endpoint.ca }, done);
    }
    socket.once('error', reject);
  });
}

/**
 * One connection that sends bytes as they are, which no HTTP library would, and reads answers: the peer of a test that
 * breaks the rules.
 */
export class RawConnection {
  readonly socket: Socket;
  #received: Buffer[] = [];
  #size = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#size += chunk.length;
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('error', end);
    socket.on('end', end);
    socket.on('close', end);
  }

  static async open(endpoint: Endpoint): Promise<RawConnection> {
    return new RawConnection(await openSocket(endpoint));
  }

  /** The other side has ended the connection, or it broke. */
  get ended(): boolean {
    return this.#ended;
  }

  write(bytes: Buffer | string): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /**
   * The next answer; undefined when the connection ends before. Throws RangeError when neither comes within `ms`, and
   * SyntaxError for what is no HTTP.
   */
  async receive(ms: number, isHead = false): Promise<RawResponse | undefined> {
    const deadline = performance.now() + ms;
    // How many bytes are worth looking at: a long answer is not put together anew for each piece of it.
    let wanted = 1;
    for (;;) {
      if (this.#size >= wanted || (this.#ended && this.#size > 0)) {
        const bytes = this.#received.length === 1 ? (this.#received[0] as Buffer) : Buffer.concat(this.#received);
        const found = parse(bytes, isHead, this.#ended);
        if (typeof found !== 'number') {
          const rest = bytes.subarray(found.length);
          this.#received = rest.length === 0 ? [] : [rest];
          this.#size = rest.length;
          wanted = 1;
          if (found.response.code !== 100) return found.response;
          continue;
        }
        this.#received = [bytes];
        wanted = Math.max(found, this.#size + 1);
      }
      if (this.#ended) return undefined;
      if (!(await this.#more(deadline - performance.now()))) {
        throw new RangeError(`no answer within ${ms} ms (${this.#size} bytes so far)`);
      }
    }
  }

  /** Waits for more bytes or the end; false when neither comes in time. */
  #more(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.max(0, ms));
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  close(): void {
    this.socket.destroy();
  }
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Reads one answer from the start of `bytes`; a number while it is not complete: so many bytes are needed at least. */
function parse(
  bytes: Buffer,
  isHead: boolean,
  ended: boolean,
): { readonly response: RawResponse; readonly length: number } | number {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return 0;
  const [status = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const code = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(status)?.[1]);
  if (Number.isNaN(code)) throw new SyntaxError(`not the start of an answer: ${status.slice(0, 100)}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const before = headers.get(name);
    const value = line.slice(colon + 1).trim();
    headers.set(name, before === undefined ? value : `${before}\n${value}`);
  }
  const last = headers.get('connection')?.toLowerCase() === 'close';
  const body = bodyOf(bytes, end + 4, headers, isHead || code === 204 || code === 304 || code < 200, ended && last);
  if (typeof body === 'number') return body;
  return { response: { code, headers, body: body.bytes, last }, length: body.end };
}

function bodyOf(
  bytes: Buffer,
  start: number,
  headers: ReadonlyMap<string, string>,
  empty: boolean,
  untilEnd: boolean,
): { readonly bytes: Buffer; readonly end: number } | number {
  if (empty) return { bytes: Buffer.alloc(0), end: start };
  const length = headers.get('content-length');
  if (length !== undefined) {
    const end = start + Number(length);
    return bytes.length < end ? end : { bytes: bytes.subarray(start, end), end };
  }
  if (headers.get('transfer-encoding') !== 'chunked') {
    return untilEnd ? { bytes: bytes.subarray(start), end: bytes.length } : 0;
  }
  const chunks: Buffer[] = [];
  for (let position = start; ; ) {
    const line = bytes.indexOf('\r\n', position);
    if (line < 0) return 0;
    const size = Number.parseInt(bytes.toString('latin1', position, line), 16);
    const end = line + 2 + size + 2;
    if (bytes.length < end) return end;
    if (size === 0) return { bytes: Buffer.concat(chunks), end };
    chunks.push(bytes.subarray(line + 2, end - 2));
    position = end;
  }
}
