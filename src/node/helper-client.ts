/**
 * The agent's side of the helper: sends requests, keeps the mount table, starts another helper when one dies.
 */
import { forkHelper, type HelperProcess } from './fork-helper.ts';
import type { CallOptions } from './layer.ts';
import type { MountEntry } from './mount-entry.ts';
import { LiveMountTable } from './mount-table.ts';
import { NodeError } from './node-error.ts';
import type { HelperSettings, Operations } from './operations.ts';
import { Channel, type FromHelper, type ToHelper } from './protocol.ts';

const DEFAULT_DEADLINE_MS = 10_000;
/** Time past its deadline that a request may stay unanswered before the helper itself is taken to hang. */
const GRACE_MS = 2_000;
/** Time that the helper gets to say itself that the deadline has passed, and why. */
const LATE_MS = 500;
/** Pause before the n-th restart in a row, so that a helper which cannot start does not burn a core. */
const RESTART_MS = [0, 100, 500, 2_000, 10_000];

interface Pending {
  readonly operation: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: NodeError) => void;
  readonly onProgress: CallOptions['onProgress'];
  readonly onOutput: CallOptions['onOutput'];
}

interface Connection {
  readonly process: HelperProcess;
  readonly channel: Channel<ToHelper, FromHelper>;
  readonly pending: Map<number, Pending>;
  /** Time of the last message of any kind. */
  heardAt: number;
  /** The full table has come; what follows are differences. */
  synced: boolean;
}

export interface HelperClientOptions {
  readonly settings: HelperSettings;
  /** A helper forked earlier, used first. */
  readonly first?: HelperProcess;
  /** Starts the next ones; replaced in tests. */
  readonly fork?: (environment: Readonly<Record<string, string>>) => HelperProcess;
}

export class HelperClient {
  readonly table = new LiveMountTable();
  readonly #settings: HelperSettings;
  readonly #fork: (environment: Readonly<Record<string, string>>) => HelperProcess;
  #connection: Connection | undefined;
  #nextId = 1;
  #closed = false;
  #failures = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #restarts = 0;
  readonly #waiting: (() => void)[] = [];

  constructor({ settings, first, fork = forkHelper }: HelperClientOptions) {
    this.#settings = settings;
    this.#fork = fork;
    this.#connect(first ?? fork({}));
  }

  /** Process ID of the current helper; undefined between two. */
  get pid(): number | undefined {
    return this.#connection?.process.child.pid;
  }

  /** How often a helper had to be replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  /**
   * Sends one request; any number may be under way, and those of one turn of the event loop travel together.
   *
   * @throws NodeError `Aborted`, `DeadlineExceeded`, `HelperLost` (it may or may not have been done), or the operation's.
   */
  async call<K extends keyof Operations>(
    operation: K,
    params: Operations[K]['params'],
    options: CallOptions,
  ): Promise<Operations[K]['result']> {
    const { signal, deadlineMs = DEFAULT_DEADLINE_MS } = options;
    if (signal.aborted) throw aborted(operation);
    if (this.#connection === undefined) await this.#reconnected(operation, signal, deadlineMs);
    return (await this.#request(operation, params, { ...options, deadlineMs })) as Operations[K]['result'];
  }

  /** Ends the helper; requests under way are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restartTimer);
    for (const wake of this.#waiting.splice(0)) wake();
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    for (const { operation, reject } of connection.pending.values()) reject(lost(operation));
    const { child, stream } = connection.process;
    const ended = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once('exit', () => resolve());
    });
    stream.end();
    stream.destroy();
    const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    await ended;
    clearTimeout(timer);
  }

  #request(
    operation: string,
    params: unknown,
    { signal, deadlineMs, onProgress, onOutput, tidyMs = 0 }: CallOptions & { readonly deadlineMs: number },
  ): Promise<unknown> {
    const connection = this.#connection;
    if (connection === undefined) return Promise.reject(lost(operation));
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      let tidying: NodeJS.Timeout | undefined;
      const giveUp = (error: NodeError, waitMs: number): void => {
        if (!connection.pending.has(id)) return;
        if (waitMs === 0) connection.pending.get(id)?.reject(error);
        else tidying ??= setTimeout(() => connection.pending.get(id)?.reject(notEnded(operation)), waitMs);
        connection.channel.send({ type: 'cancel', id });
      };
      const onAbort = (): void => giveUp(aborted(operation), tidyMs);
      const sentAt = performance.now();
      const timer = setTimeout(
        () => {
          giveUp(new NodeError('DeadlineExceeded', `${operation} was not done within ${deadlineMs} ms`), 0);
          this.#suspect(connection, sentAt);
        },
        deadlineMs + LATE_MS + tidyMs,
      );
      const settle = (): void => {
        connection.pending.delete(id);
        clearTimeout(timer);
        clearTimeout(tidying);
        signal.removeEventListener('abort', onAbort);
      };
      connection.pending.set(id, {
        operation,
        onProgress,
        onOutput,
        resolve: (value) => {
          settle();
          // What was done is done; but a caller that gave up counts on nothing having come of it.
          if (tidyMs > 0 && signal.aborted) reject(aborted(operation));
          else resolve(value);
        },
        reject: (error) => {
          settle();
          reject(tidyMs > 0 && signal.aborted && error.code !== 'HelperLost' ? aborted(operation) : error);
        },
      });
      signal.addEventListener('abort', onAbort, { once: true });
      connection.channel.send({ type: 'request', id, operation, params, deadlineMs });
    });
  }

  /** A helper that says nothing at all while requests go unanswered is stuck in a system call: replaced. */
  #suspect(connection: Connection, since: number): void {
    if (connection.heardAt >= since || connection !== this.#connection) return;
    const asked = performance.now();
    this.#request('ping', null, { signal: new AbortController().signal, deadlineMs: GRACE_MS }).catch(() => {
      if (connection.heardAt < asked) this.#drop(connection);
    });
  }

  #connect(process: HelperProcess): void {
    const connection: Connection = {
      process,
      pending: new Map(),
      heardAt: performance.now(),
      synced: false,
      channel: new Channel<ToHelper, FromHelper>(process.stream, (messages) => {
        connection.heardAt = performance.now();
        for (const message of messages) this.#receive(connection, message);
      }),
    };
    this.#connection = connection;
    process.stream.once('close', () => this.#drop(connection));
    const patient = { signal: new AbortController().signal, deadlineMs: DEFAULT_DEADLINE_MS };
    void this.#request('configure', this.#settings, patient).catch(() => undefined);
    this.#request('watchMounts', null, patient).then(
      () => {
        this.#failures = 0;
        for (const wake of this.#waiting.splice(0)) wake();
      },
      () => undefined,
    );
  }

  #receive(connection: Connection, message: FromHelper): void {
    if (connection !== this.#connection) return;
    if (message.type === 'table') {
      if (connection.synced) this.table.apply(message.upsert, message.remove);
      else {
        this.table.reset(message.upsert);
        // What the kernel complained of while there was no helper was heard by nobody.
        if (this.#restarts > 0) this.table.complain(devicesOf(message.upsert));
      }
      connection.synced = true;
    } else if (message.type === 'complaint') this.table.complain(message.devices);
    else if (message.type === 'progress') connection.pending.get(message.id)?.onProgress?.(message.progress);
    else if (message.type === 'output') void this.#take(connection, message);
    else if (message.type === 'result') connection.pending.get(message.id)?.resolve(message.value);
    else connection.pending.get(message.id)?.reject(NodeError.fromWire(message.error));
  }

  /** What the listener throws ends the request. */
  async #take(
    connection: Connection,
    { id, stream, chunk }: Extract<FromHelper, { readonly type: 'output' }>,
  ): Promise<void> {
    try {
      await connection.pending.get(id)?.onOutput?.(stream, chunk);
      connection.channel.send({ type: 'taken', id, stream });
    } catch (thrown) {
      connection.channel.send({ type: 'cancel', id });
      connection.pending.get(id)?.reject(NodeError.from(thrown));
    }
  }

  /** The helper is gone or given up: rejects what it had not answered and starts another. */
  #drop(connection: Connection): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    connection.process.child.kill('SIGKILL');
    connection.process.stream.destroy();
    for (const { operation, reject } of connection.pending.values()) reject(lost(operation));
    if (this.#closed) return;
    const pause = RESTART_MS[Math.min(this.#failures, RESTART_MS.length - 1)] ?? 0;
    this.#failures += 1;
    this.#restartTimer = setTimeout(() => {
      this.#restarts += 1;
      // An armed crash point has fired: the next helper must live.
      this.#connect(this.#fork({ CLAWSTORE_CRASH_AT: '' }));
    }, pause);
  }

  /** Waits for the next helper. */
  async #reconnected(operation: string, signal: AbortSignal, deadlineMs: number): Promise<void> {
    if (this.#closed) throw lost(operation);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      limit.addEventListener('abort', () => resolve(), { once: true });
    });
    if (signal.aborted) throw aborted(operation);
    if (this.#connection === undefined) throw lost(operation);
  }
}

function lost(operation: string): NodeError {
  return new NodeError('HelperLost', `the helper process ended before it answered ${operation}`);
}

function notEnded(operation: string): NodeError {
  return new NodeError('HelperLost', `${operation} was called off, and did not end in time`);
}

function aborted(operation: string): NodeError {
  return new NodeError('Aborted', `${operation} was aborted`);
}

/** Devices (`major:minor`) of what lies on a disk, which can fail. */
function devicesOf(entries: readonly MountEntry[]): readonly string[] {
  return [...new Set(entries.filter(({ source }) => source.startsWith('/dev/')).map(({ device }) => device))];
}
