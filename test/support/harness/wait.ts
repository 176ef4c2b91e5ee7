/** Waiting by condition: every wait of the end-to-end suites goes through here, has a deadline and says what it saw last. */
import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Milliseconds; generous, because it only decides how long a failure takes. */
  readonly deadline?: number;
  /** What is waited for, as the end of "gave up waiting for …". */
  readonly message: string;
  /** What there is instead, asked when the wait is given up. */
  readonly instead?: () => unknown;
}

/** What is waited for cannot come any more: thrown by what is asked, it ends the wait at once. */
export class Hopeless extends Error {
  override readonly name: string = 'Hopeless';
}

/**
 * Deadline of a wait that says nothing else, in milliseconds. Below the minute after which some storage is looked at without
 * an event: what is to follow from an event is not to be shown by that.
 */
export const DEFAULT_DEADLINE_MS = 50_000;
const FIRST_PAUSE_MS = 5;
const LAST_PAUSE_MS = 100;

/**
 * Asks until the answer is neither undefined nor false.
 * @throws Error with the message, the last error of `ask` as its cause, when the deadline passes.
 * @throws Hopeless as `ask` has thrown it.
 */
export async function waitFor<T>(
  ask: () => T | Promise<T>,
  { deadline = DEFAULT_DEADLINE_MS, message, instead }: WaitOptions,
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + deadline;
  let cause: unknown;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LAST_PAUSE_MS)) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
      cause = undefined;
    } catch (thrown) {
      if (thrown instanceof Hopeless) throw thrown;
      cause = thrown;
    }
    if (performance.now() > end) {
      const seen = instead === undefined ? '' : `; instead there is ${show(await instead())}`;
      const error = cause instanceof Error ? `; last error: ${cause.message}` : '';
      throw new Error(`gave up waiting for ${message} after ${deadline / 1000} s${seen}${error}`, { cause });
    }
    await delay(pause);
  }
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 1);
}
