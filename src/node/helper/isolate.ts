/**
 * Runs operations in child processes, so that a filesystem which does not answer holds up nothing else: each operation
 * has a child to itself while it runs, and is killed with it when its time is up. A child that has answered is used again.
 */
import { forkHelper, type HelperProcess } from '../fork-helper.ts';
import { NO_DEADLINE_MS } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import type { HelperSettings } from '../operations.ts';
import { Channel, type FromHelper, type ToHelper } from '../protocol.ts';
import type { RequestContext } from './context.ts';

/** Set in such a child, which then does not isolate again. */
export const ISOLATED = 'CLAWSTORE_HELPER_ISOLATED';

/** Children kept for the next operation; a look at every network mount in turn needs one. */
const MOST_IDLE = 2;
/** How long one is kept, in milliseconds: longer than the pause between two looks at network mounts. */
const IDLE_MS = 8_000;

interface Work {
  readonly id: number;
  readonly operation: string;
  readonly settle: (result: { readonly value: unknown } | { readonly error: NodeError }) => void;
  readonly onProgress: RequestContext['onProgress'];
  readonly output: RequestContext['output'];
}

/** As `Handler.changesNamespace` has it; undefined for children that can be used again. */
export interface IsolatedCall extends RequestContext {
  readonly namespaceTidyMs: number | undefined;
}

/** The children of one helper. */
export class IsolatedChildren {
  readonly #settings: HelperSettings;
  readonly #idle: IsolatedChild[] = [];

  constructor(settings: HelperSettings) {
    this.#settings = settings;
  }

  /** Rejects with `DeadlineExceeded` when the signal fires first; the child has been sent SIGKILL then. */
  run(
    operation: string,
    params: unknown,
    { signal, onProgress, output, namespaceTidyMs }: IsolatedCall,
  ): Promise<unknown> {
    const child = this.#take();
    const late = `${operation} was given up: the filesystem did not answer in time`;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        if (namespaceTidyMs === undefined) return child.kill(late);
        child.cancel();
        child.killAfter(
          namespaceTidyMs,
          () => undefined,
          new NodeError('HelperLost', `${operation} did not end in time`),
        );
      };
      signal.addEventListener('abort', giveUp, { once: true });
      const settle: Work['settle'] = (result) => {
        signal.removeEventListener('abort', giveUp);
        const isUsedUp = namespaceTidyMs !== undefined;
        if (child.alive && !isUsedUp) this.#keep(child);
        else child.kill('not needed');
        // One engine is often followed by another: while somebody thinks about that, its process can start.
        if (isUsedUp && 'value' in result && this.#idle.length === 0) this.#keep(new IsolatedChild(this.#settings));
        if ('error' in result) reject(result.error);
        else resolve(result.value);
      };
      child.start(params, { operation, settle, onProgress, output });
      if (signal.aborted) giveUp();
    });
  }

  #take(): IsolatedChild {
    for (let child = this.#idle.pop(); child !== undefined; child = this.#idle.pop()) {
      child.stayAwake();
      if (child.alive) return child;
    }
    return new IsolatedChild(this.#settings);
  }

  #keep(child: IsolatedChild): void {
    if (this.#idle.length >= MOST_IDLE) return child.kill('not needed');
    this.#idle.push(child);
    child.killAfter(IDLE_MS, () => this.#idle.splice(this.#idle.indexOf(child), 1));
  }
}

class IsolatedChild {
  readonly #process: HelperProcess;
  readonly #channel: Channel<ToHelper, FromHelper>;
  #alive = true;
  /** It has answered once: what is not done from now on is the filesystem's fault. */
  #started = false;
  #work: Work | undefined;
  #serial = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: HelperSettings) {
    this.#process = forkHelper({ [ISOLATED]: '1', CLAWSTORE_CRASH_AT: '' });
    this.#channel = new Channel(this.#process.stream, (messages) => {
      for (const message of messages) this.#receive(message);
    });
    this.#process.stream.on('close', () => {
      this.#end(new NodeError('HelperLost', `the child that ran ${this.#work?.operation ?? 'nothing'} ended`));
    });
    this.#channel.send({
      type: 'request',
      id: 1,
      operation: 'configure',
      params: settings,
      deadlineMs: NO_DEADLINE_MS,
    });
  }

  /** False once it was killed or has ended. */
  get alive(): boolean {
    return this.#alive;
  }

  start(params: unknown, work: Omit<Work, 'id'>): void {
    this.#serial += 1;
    this.#work = { ...work, id: this.#serial };
    const { operation } = work;
    this.#channel.send({ type: 'request', id: this.#serial, operation, params, deadlineMs: NO_DEADLINE_MS });
  }

  /**
   * Ends it at once; what it was doing fails with `DeadlineExceeded` and this message, or `HelperLost` when a busy
   * machine had not even started it.
   */
  kill(message: string): void {
    const late = `the child for ${this.#work?.operation ?? 'nothing'} did not start in time`;
    this.#end(this.#started ? new NodeError('DeadlineExceeded', message) : new NodeError('HelperLost', late));
  }

  /** Tells it that nobody waits any more; it answers when it has ended what it does. */
  cancel(): void {
    this.#channel.send({ type: 'cancel', id: this.#serial });
  }

  killAfter(milliseconds: number, onKill: () => void, error?: NodeError): void {
    this.#timer = setTimeout(() => {
      onKill();
      if (error === undefined) this.kill('not needed');
      else this.#end(error);
    }, milliseconds);
  }

  stayAwake(): void {
    clearTimeout(this.#timer);
  }

  #receive(message: FromHelper): void {
    this.#started = true;
    if (message.type === 'table' || message.type === 'complaint' || message.id !== this.#work?.id) return;
    if (message.type === 'progress') return this.#work.onProgress?.(message.progress);
    if (message.type === 'output') return this.#pass(message);
    const { settle } = this.#work;
    this.#work = undefined;
    settle(message.type === 'result' ? { value: message.value } : { error: NodeError.fromWire(message.error) });
  }

  #pass({ id, stream, chunk }: Extract<FromHelper, { readonly type: 'output' }>): void {
    void this.#work?.output?.(stream, chunk).then(() => this.#channel.send({ type: 'taken', id, stream }));
  }

  #end(error: NodeError): void {
    if (!this.#alive) return;
    this.#alive = false;
    clearTimeout(this.#timer);
    this.#process.child.kill('SIGKILL');
    this.#process.stream.destroy();
    const work = this.#work;
    this.#work = undefined;
    work?.settle({ error });
  }
}
