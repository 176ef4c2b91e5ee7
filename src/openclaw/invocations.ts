/**
 * The calls of commands that gateways relay: each has a deadline that leaves time for the answer, so many run at once, and
 * a request that is delivered twice (gateways do that) is done once.
 *
 * Invariants: every key in `#byKey` belongs to a call that is running or was kept; an ID is in `#waiting` from its delivery
 * until it is answered or cancelled; a call's signal aborts when nobody waits for it any more.
 */
import PQueue from 'p-queue';
import type { CommandContext } from '../commands/command.ts';
import { CommandError } from '../commands/command-error.ts';
import { type AnyCommand, runCommand } from '../commands/registry.ts';
import type { Clock, Timer } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { InvokeRequest } from './frames.ts';

export type Outcome =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

export interface InvocationOptions {
  readonly commands: readonly AnyCommand[];
  readonly context: Omit<CommandContext, 'signal' | 'timeoutMs' | 'requestId'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<InvocationLimits>;
}

export interface InvocationLimits {
  /** Calls that change something and run at once; as many more that only read have places of their own. */
  readonly atOnce: number;
  /** Calls that may wait for their turn; more are refused. */
  readonly waiting: number;
  /** Length of the parameters' JSON text. */
  readonly paramsLength: number;
  /** For how long the answer to a request is kept for the same request again, in milliseconds. */
  readonly keepMs: number;
  /** How many answers are kept. */
  readonly keep: number;
}

const LIMITS: InvocationLimits = {
  atOnce: 32,
  waiting: 512,
  paramsLength: 1024 * 1024,
  keepMs: 600_000,
  keep: 1000,
};

/** What the gateway itself waits where nothing is said, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000;
/** A place is not held for longer, in milliseconds. */
const LONGEST_TIMEOUT_MS = 600_000;
/** Of the caller's time, what is left for the way back: this part, and no more than so many milliseconds. */
const MARGIN_PART = 0.2;
const MARGIN_MS = 1000;

/** Something that was asked for, once or by several deliveries of the same request. */
interface Call {
  /** Tells another request under the same key. */
  readonly what: string;
  readonly outcome: Promise<Outcome>;
  readonly stop: AbortController;
  /** IDs of the deliveries that are still waited for. */
  readonly waiting: Set<string>;
}

interface Delivery {
  readonly call: Call;
  readonly cancelled: () => void;
}

export class Invocations {
  readonly #options: InvocationOptions;
  readonly #limits: InvocationLimits;
  readonly #reads: PQueue;
  readonly #writes: PQueue;
  /** In the order in which they were asked for. */
  readonly #byKey = new Map<string, Call>();
  readonly #kept = new Map<string, Timer>();
  readonly #deliveries = new Map<string, Delivery>();

  constructor(options: InvocationOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#reads = new PQueue({ concurrency: this.#limits.atOnce });
    this.#writes = new PQueue({ concurrency: this.#limits.atOnce });
  }

  /** Names of the commands that can be called. */
  get commands(): readonly string[] {
    return this.#options.commands.map(({ name }) => name);
  }

  /** Does what is asked, or waits for it where it is being done already. @returns undefined when it was cancelled. */
  async run(request: InvokeRequest): Promise<Outcome | undefined> {
    const started = this.#options.clock.monotonic();
    const command = this.#options.commands.find(({ name }) => name === request.command);
    const outcome = command === undefined ? this.#unknown(request.command) : await this.#deliver(command, request);
    if (outcome !== undefined) {
      // What a caller makes up must not become a label.
      const label = command?.name ?? 'unknown';
      const { openClawInvokes, openClawInvokeTime } = this.#options.metrics;
      openClawInvokes.inc({ command: label, result: outcome.ok ? 'ok' : outcome.error.code });
      openClawInvokeTime.observe({ command: label }, (this.#options.clock.monotonic() - started) / 1000);
    }
    return outcome;
  }

  /** Nobody waits for this delivery any more. What was begun goes on; only the waiting ends. */
  cancel(id: string): void {
    const delivery = this.#deliveries.get(id);
    if (delivery === undefined) return;
    this.#deliveries.delete(id);
    const { waiting, stop } = delivery.call;
    waiting.delete(id);
    if (waiting.size === 0) stop.abort(new Error('the caller does not wait any more'));
    delivery.cancelled();
  }

  /** Ends every wait. */
  close(): void {
    for (const timer of this.#kept.values()) timer.cancel();
    for (const id of this.#deliveries.keys()) this.cancel(id);
  }

  async #deliver(command: AnyCommand, request: InvokeRequest): Promise<Outcome | undefined> {
    const { id, idempotencyKey, paramsJSON = '{}' } = request;
    if (this.#deliveries.has(id)) return undefined;
    const what = `${command.name}\n${paramsJSON}`;
    const known = idempotencyKey === undefined ? undefined : this.#byKey.get(idempotencyKey);
    if (known !== undefined && known.what !== what) {
      return failure('InvalidParameter', `${command.name}: the idempotency key stands for another request`);
    }
    // One that nobody waited for any more is on its way out, with no answer for somebody new.
    const isAlive = known !== undefined && !known.stop.signal.aborted;
    const call = isAlive ? known : this.#start(command, paramsJSON, request, what);
    call.waiting.add(id);
    const cancelled = new Promise<undefined>((resolve) => {
      this.#deliveries.set(id, { call, cancelled: () => resolve(undefined) });
    });
    const outcome = await Promise.race([call.outcome, cancelled]);
    call.waiting.delete(id);
    this.#deliveries.delete(id);
    return outcome;
  }

  #start(command: AnyCommand, paramsJSON: string, request: InvokeRequest, what: string): Call {
    const { timeoutMs, idempotencyKey: key } = request;
    const stop = new AbortController();
    const outcome = this.#do(command, paramsJSON, { budgetMs: budgetOf(timeoutMs), requestId: key, stop });
    const call: Call = { what, outcome, stop, waiting: new Set() };
    if (key !== undefined) {
      this.#byKey.set(key, call);
      void outcome.then((done) => {
        if (this.#byKey.get(key) !== call) return;
        if (isFinal(command, done)) this.#keep(key);
        else this.#byKey.delete(key);
      });
    }
    return call;
  }

  /** Waits for a place and for the answer, but not past the deadline, whatever the command does. Never rejects. */
  async #do(
    command: AnyCommand,
    paramsJSON: string,
    {
      budgetMs,
      requestId,
      stop,
    }: { readonly budgetMs: number; readonly requestId: string | undefined; readonly stop: AbortController },
  ): Promise<Outcome> {
    const { clock, context } = this.#options;
    if (paramsJSON.length > this.#limits.paramsLength) {
      const most = this.#limits.paramsLength;
      return failure('InvalidParameter', `${command.name}: the parameters are longer than ${most} characters`);
    }
    const queue = command.readOnly === true ? this.#reads : this.#writes;
    if (queue.size >= this.#limits.waiting) {
      return failure(
        'Unavailable',
        `${command.name}: ${queue.size} calls wait for their turn already; try again later`,
      );
    }
    const marginMs = Math.min(MARGIN_MS, budgetMs * MARGIN_PART);
    const ends = clock.monotonic() + budgetMs - marginMs;
    let timer: Timer | undefined;
    const overdue = new Promise<Outcome>((resolve) => {
      timer = clock.setTimer(budgetMs - marginMs / 2, () => {
        stop.abort(new Error('the time of the call is over'));
        resolve(failure('Timeout', `${command.name}: no answer within ${budgetMs / 1000} s; what was begun goes on`));
      });
    });
    const done = queue.add(async (): Promise<Outcome> => {
      const timeoutMs = Math.floor(ends - clock.monotonic());
      if (stop.signal.aborted || timeoutMs <= 0)
        return failure('Timeout', `${command.name}: it did not get its turn in time`);
      return this.#answer(command, paramsJSON, { ...context, signal: stop.signal, timeoutMs, requestId });
    });
    try {
      return await Promise.race([done, overdue]);
    } finally {
      timer?.cancel();
    }
  }

  async #answer(command: AnyCommand, paramsJSON: string, context: CommandContext): Promise<Outcome> {
    try {
      return { ok: true, payload: await runCommand(command, parseParams(command.name, paramsJSON), context) };
    } catch (thrown) {
      if (thrown instanceof CommandError) return failure(thrown.code, messageOf(thrown));
      this.#options.log.error(
        { err: thrown, command: command.name },
        'A command failed in a way that was not foreseen',
      );
      return failure(
        'InternalError',
        `${command.name}: it failed in a way that was not foreseen; the log of the node has more`,
      );
    }
  }

  #unknown(name: string): Outcome {
    const known = this.commands.join(', ');
    return failure('InvalidParameter', `the node does not offer the command "${name}" (it offers: ${known})`);
  }

  #keep(key: string): void {
    const forget = (old: string): void => {
      this.#kept.get(old)?.cancel();
      this.#kept.delete(old);
      this.#byKey.delete(old);
    };
    this.#kept.set(
      key,
      this.#options.clock.setTimer(this.#limits.keepMs, () => forget(key)),
    );
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#limits.keep && oldest !== undefined) forget(oldest);
  }
}

function budgetOf(timeoutMs: number | undefined): number {
  // The gateway takes 0 for "not said", too.
  return Math.min(timeoutMs === undefined || timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : timeoutMs, LONGEST_TIMEOUT_MS);
}

/** An answer that the same request gets again. What is still running, or failed, is looked at anew: that is harmless. */
function isFinal(command: AnyCommand, outcome: Outcome): boolean {
  if (command.readOnly === true || !outcome.ok) return false;
  return (outcome.payload as { readonly state?: unknown } | null)?.state !== 'running';
}

function parseParams(command: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CommandError('InvalidParameter', `${command}: the parameters are not JSON`, { cause });
  }
}

/** The gateway has no room for field and reason beside the message. */
function messageOf({ message, field, reason }: CommandError): string {
  const more = [
    ...(field === undefined || field === '' || message.includes(`"${field}"`) ? [] : [`field: ${field}`]),
    ...(reason === undefined || message.includes(reason) ? [] : [`reason: ${reason}`]),
  ];
  return more.length === 0 ? message : `${message} (${more.join(', ')})`;
}

function failure(code: string, message: string): Outcome {
  return { ok: false, error: { code, message } };
}
