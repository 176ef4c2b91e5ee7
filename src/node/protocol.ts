/**
 * The channel between agent and helper: frames of a 4-byte little-endian length and a structured clone (`node:v8`) of
 * an array of messages. Requests are answered by id, in any order; a mount table difference always comes before the
 * answer of the request that caused it.
 */
import type { Duplex } from 'node:stream';
import { deserialize, serialize } from 'node:v8';
import type { CopyProgress, OutputStream } from './layer.ts';
import type { MountEntry } from './mount-entry.ts';
import type { NodeErrorWire } from './node-error.ts';

export type ToHelper =
  | {
      readonly type: 'request';
      readonly id: number;
      readonly operation: string;
      readonly params: unknown;
      readonly deadlineMs: number;
    }
  | { readonly type: 'cancel'; readonly id: number }
  /** The last piece of this output was taken: the next may come. */
  | { readonly type: 'taken'; readonly id: number; readonly stream: OutputStream };

export type FromHelper =
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: NodeErrorWire }
  | { readonly type: 'progress'; readonly id: number; readonly progress: CopyProgress }
  | {
      readonly type: 'output';
      readonly id: number;
      readonly stream: OutputStream;
      readonly chunk: Uint8Array;
    }
  | { readonly type: 'table'; readonly upsert: readonly MountEntry[]; readonly remove: readonly number[] }
  /** Devices (`major:minor`) that the kernel complained of; sent after what the table says of them. */
  | { readonly type: 'complaint'; readonly devices: readonly string[] };

/** Sends and receives messages over a stream; what is sent in one turn of the event loop goes as one frame. */
export class Channel<Out, In> {
  readonly #stream: Duplex;
  #outgoing: Out[] = [];
  #chunks: Buffer[] = [];
  #buffered = 0;

  /** `receive` gets each frame's messages. Errors of the stream end in its `close` event. */
  constructor(stream: Duplex, receive: (messages: readonly In[]) => void) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
      for (let frame = this.#next(); frame !== undefined; frame = this.#next()) receive(deserialize(frame) as In[]);
    });
    stream.on('error', () => stream.destroy());
  }

  send(message: Out): void {
    this.#outgoing.push(message);
    if (this.#outgoing.length === 1) setImmediate(() => this.flush());
  }

  /** Writes what is waiting now. */
  flush(): void {
    if (this.#outgoing.length === 0) return;
    const body = serialize(this.#outgoing);
    this.#outgoing = [];
    if (this.#stream.destroyed) return;
    const frame = Buffer.allocUnsafe(4 + body.length);
    frame.writeUInt32LE(body.length, 0);
    body.copy(frame, 4);
    this.#stream.write(frame);
  }

  /** The next whole frame's body, if it has arrived. */
  #next(): Buffer | undefined {
    if (this.#buffered < 4) return undefined;
    const data =
      this.#chunks.length === 1 && this.#chunks[0] !== undefined ? this.#chunks[0] : Buffer.concat(this.#chunks);
    const length = data.readUInt32LE(0);
    const rest = data.subarray(Math.min(data.length, 4 + length));
    if (data.length < 4 + length) {
      this.#chunks = [data];
      return undefined;
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#buffered = rest.length;
    return data.subarray(4, 4 + length);
  }
}
