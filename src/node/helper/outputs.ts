/** What programs say on its way to the agent: one piece of each stream at a time, so that nothing piles up. */
import type { OutputStream } from '../layer.ts';
import type { FromHelper } from '../protocol.ts';

export class Outputs {
  readonly #send: (message: FromHelper) => void;
  /** By request and stream: the piece that was sent and not taken yet. */
  readonly #untaken = new Map<string, () => void>();

  constructor(send: (message: FromHelper) => void) {
    this.#send = send;
  }

  /** Resolves when it was taken, or when nobody will take it any more. */
  send(id: number, stream: OutputStream, chunk: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#untaken.set(keyOf(id, stream), resolve);
      this.#send({ type: 'output', id, stream, chunk });
    });
  }

  taken(id: number, stream: OutputStream): void {
    const key = keyOf(id, stream);
    const resolve = this.#untaken.get(key);
    this.#untaken.delete(key);
    resolve?.();
  }

  /** The request is over. */
  forget(id: number): void {
    this.taken(id, 'stdout');
    this.taken(id, 'stderr');
  }
}

function keyOf(id: number, stream: OutputStream): string {
  return `${id} ${stream}`;
}
