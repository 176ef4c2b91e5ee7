import { Worker } from 'node:worker_threads';
import { type LogRow, StorageError, type Synchronous } from './revision-log.ts';

/** What the commit thread is started with. */
export interface WorkerData {
  readonly file: string;
  readonly synchronous: Synchronous;
}

/** What the commit thread is asked to do; it works in order and answers each. */
export type WorkerRequest =
  /** Revision, key and value of each row, one after the other: a flat list is copied to the thread fastest. */
  | { readonly kind: 'append'; readonly cells: readonly (number | string | null)[] }
  | { readonly kind: 'compact'; readonly revision: number }
  | { readonly kind: 'close' };

export interface WorkerReply {
  readonly error?: string;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The thread's program lies beside this one, also in a bundle. */
const PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './commit-worker.ts' : './commit-worker.js', import.meta.url);

/** Has commits written by a thread of its own. Each call rejects with StorageError when the disk refuses. */
export class Committer {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #failure: StorageError | undefined;

  constructor(file: string, synchronous: Synchronous) {
    const workerData: WorkerData = { file, synchronous };
    this.#worker = new Worker(PROGRAM, { workerData, name: 'clawstore-commit' });
    this.#worker.on('message', (reply: WorkerReply) => {
      const waiting = this.#waiting.shift();
      if (this.#waiting.length === 0) this.#worker.unref();
      if (reply.error === undefined) waiting?.resolve();
      else waiting?.reject(new StorageError(reply.error));
    });
    this.#worker.on('error', (cause) => this.#fail(new StorageError('the commit thread failed', { cause })));
    this.#worker.on('exit', () => this.#fail(new StorageError('the commit thread has ended')));
    this.#worker.unref();
  }

  #fail(error: StorageError): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  #ask(request: WorkerRequest): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      // A process with work on its way to the disk must not end.
      this.#worker.ref();
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  /** Writes rows in one transaction. */
  append(rows: readonly LogRow[]): Promise<void> {
    const cells: (number | string | null)[] = [];
    for (const { revision, key, value } of rows) cells.push(revision, key, value);
    return this.#ask({ kind: 'append', cells });
  }

  /** See RevisionLog.compact. */
  compact(revision: number): Promise<void> {
    return this.#ask({ kind: 'compact', revision });
  }

  /** Closes the database after all that was asked before. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
    await this.#ask({ kind: 'close' });
    await this.#worker.terminate();
  }
}
