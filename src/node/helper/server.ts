/** Takes requests, runs their handlers, sends answers; and sends the mount table's changes before the answers. */
import { crashPoint } from '../crash-points.ts';
import type { CopyProgress, OutputStream } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import type { HelperSettings, Operations } from '../operations.ts';
import type { FromHelper, ToHelper } from '../protocol.ts';
import type { HelperContext } from './context.ts';
import { IsolatedChildren } from './isolate.ts';
import { followComplaints } from './kernel-log.ts';
import type { Libc, PollHandle } from './libc.ts';
import { Outputs } from './outputs.ts';
import { createHandlers, type Handler } from './registry.ts';
import { HelperTable } from './table.ts';

type Request = Extract<ToHelper, { readonly type: 'request' }>;

export interface ServerOptions {
  readonly libc: Libc;
  /** Why koffi does not load; undefined when it does. */
  readonly koffiProblem: string | undefined;
  /** This is the killable child: operations run here and are not handed on. */
  readonly isolated: boolean;
  openMountinfo(): number;
  send(message: FromHelper): void;
  flush(): void;
}

/** Requests handled before the loop gets a turn, for cancellations and mount events. */
const TURN = 32;
/** Time between two readings of the table, as a multiple of what a reading takes. */
const REST_FACTOR = 3;
/** While requests are waiting, most events are echoes of our own mounts: they may wait this long. */
const BURST_MS = 25;
/** Without events, the table is read this often. */
const POLL_MS = 1_000;
/** The same where the kernel's log may not be read: some of what goes wrong makes no event of the mount table. */
const UNTOLD_MS = 10_000;
/** How often it is asked whether an event was missed, in milliseconds. */
const SPARE_LOOK_MS = 500;

export class HelperServer {
  readonly #options: ServerOptions;
  readonly #table: HelperTable;
  readonly #handlers: Readonly<Record<string, Handler<unknown, unknown>>>;
  readonly #running = new Map<number, AbortController>();
  readonly #outputs: Outputs;
  #settings: HelperSettings | undefined;
  #children: IsolatedChildren | undefined;
  #queue: Request[] = [];
  #pumping = false;
  #watching = false;
  #events: PollHandle | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #restUntil = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#outputs = new Outputs(options.send);
    this.#handlers = createHandlers(options.koffiProblem);
    this.#table = new HelperTable((delta) => {
      if (this.#watching) options.send({ type: 'table', ...delta });
    });
  }

  /** Something is running that has not answered yet. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  receive(messages: readonly ToHelper[]): void {
    for (const message of messages) {
      if (message.type === 'request') this.#queue.push(message);
      else if (message.type === 'taken') this.#outputs.taken(message.id, message.stream);
      else this.#cancel(message.id);
    }
    if (!this.#pumping) this.#pump();
  }

  #cancel(id: number): void {
    this.#queue = this.#queue.filter((request) => request.id !== id);
    this.#running.get(id)?.abort();
  }

  #pump(): void {
    this.#pumping = true;
    for (const request of this.#queue.splice(0, TURN)) {
      this.#handle(request);
      // The next one may meet a filesystem that does not answer: whoever waits is to know that this process has started.
      if (request.operation === 'configure') this.#options.flush();
    }
    this.#options.flush();
    if (this.#queue.length > 0) setImmediate(() => this.#pump());
    else this.#pumping = false;
  }

  #handle(request: Request): void {
    try {
      const result = this.#start(request);
      if (result instanceof Promise)
        void result.then(
          (value) => this.#answer(request, value),
          (error: unknown) => this.#fail(request, error),
        );
      else this.#answer(request, result);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  #start(request: Request): unknown {
    if (request.operation === 'configure') {
      this.#settings = request.params as Operations['configure']['params'];
      this.#children = new IsolatedChildren(this.#settings);
      return null;
    }
    if (request.operation === 'watchMounts') return this.#watch();
    const handler = Object.hasOwn(this.#handlers, request.operation) ? this.#handlers[request.operation] : undefined;
    const settings = this.#settings;
    const children = this.#children;
    if (handler === undefined) throw new NodeError('InvalidRequest', `unknown operation ${request.operation}`);
    if (settings === undefined || children === undefined)
      throw new NodeError('InvalidRequest', 'the helper was not configured');

    const controller = new AbortController();
    const told = {
      signal: controller.signal,
      onProgress: (progress: CopyProgress) => this.#options.send({ type: 'progress', id: request.id, progress }),
      output: (stream: OutputStream, chunk: Uint8Array) => this.#outputs.send(request.id, stream, chunk),
    };
    if (!this.#options.isolated && this.#mayHang(handler, request.params)) {
      return this.#timed(
        request,
        controller,
        children
          .run(request.operation, request.params, { ...told, namespaceTidyMs: handler.changesNamespace?.tidyMs })
          .finally(() => this.#table.refresh()),
      );
    }
    // Between two operations nobody tells such a child what changed.
    if (this.#options.isolated) this.#table.refresh();
    const context: HelperContext = { libc: this.#options.libc, table: this.#table, settings };
    const result = handler.run(context, request.params, told);
    return result instanceof Promise ? this.#timed(request, controller, result) : result;
  }

  #mayHang(handler: Handler<unknown, unknown>, params: unknown): boolean {
    if (handler.alwaysIsolated === true) return true;
    return handler.paths?.(params).some((path) => this.#table.mayHang(path, handler.rootIsSafe)) ?? false;
  }

  async #timed(request: Request, controller: AbortController, work: Promise<unknown>): Promise<unknown> {
    this.#running.set(request.id, controller);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      controller.abort();
    }, request.deadlineMs);
    try {
      return await work;
    } catch (thrown) {
      if (!late || !(thrown instanceof NodeError) || thrown.code !== 'Aborted') throw thrown;
      const message = `${request.operation} was not done within ${request.deadlineMs} ms`;
      throw new NodeError('DeadlineExceeded', message, { cause: thrown });
    } finally {
      clearTimeout(timer);
      this.#running.delete(request.id);
      this.#outputs.forget(request.id);
    }
  }

  #answer({ id }: Request, value: unknown): void {
    crashPoint('helper.before-reply');
    this.#options.send({ type: 'result', id, value: value ?? null });
  }

  #fail({ id }: Request, error: unknown): void {
    this.#options.send({ type: 'error', id, error: NodeError.from(error).toWire() });
  }

  #watch(): null {
    this.#events?.close();
    this.#watching = true;
    try {
      // Watched before it is read: what changes in between is an event.
      const { libc, openMountinfo } = this.#options;
      this.#events = libc.onMountEvent(openMountinfo(), () => this.#onEvent());
      // The kernel tells each descriptor of an event once, to whoever polls first: a wakeup that got lost between the
      // two event loops would leave a mount unhealed until the next change. A descriptor of its own, asked now and then,
      // costs one system call.
      const spare = openMountinfo();
      libc.takeMountEvent(spare);
      setInterval(() => {
        if (libc.takeMountEvent(spare)) this.#onEvent();
      }, SPARE_LOOK_MS).unref();
      const told = followComplaints(libc, (words) => this.#onComplaint(words));
      if (told === undefined) setInterval(() => this.#onEvent(), UNTOLD_MS).unref();
    } catch (error) {
      if (!(error instanceof NodeError) || error.code !== 'Unsupported') throw error;
      setInterval(() => this.#table.refresh(), POLL_MS);
    }
    this.#options.send({ type: 'table', ...this.#table.snapshot() });
    this.#table.refresh();
    return null;
  }

  /** Passes on which devices of mounts the kernel complained of, after a reading: a failure may show in the options. */
  #onComplaint(words: ReadonlySet<string>): void {
    const devices = new Set<string>();
    for (const { source, device } of this.#table.entries()) {
      if (source.startsWith('/dev/') && words.has(source.slice('/dev/'.length))) devices.add(device);
    }
    if (devices.size === 0) return;
    this.#table.refresh();
    this.#options.send({ type: 'complaint', devices: [...devices] });
    this.#options.flush();
  }

  /** Reads at once when the last reading is long enough ago, else as soon as it is: a burst is read a few times only. */
  #onEvent(): void {
    if (this.#refreshTimer !== undefined) return;
    const wait = Math.max(this.#restUntil - performance.now(), this.#pumping ? BURST_MS : 0);
    if (wait <= 0) return this.#refresh();
    this.#refreshTimer = setTimeout(() => {
      this.#refreshTimer = undefined;
      this.#refresh();
    }, wait);
  }

  #refresh(): void {
    const start = performance.now();
    this.#table.refresh();
    this.#options.flush();
    const end = performance.now();
    this.#restUntil = end + (end - start) * REST_FACTOR;
  }
}
