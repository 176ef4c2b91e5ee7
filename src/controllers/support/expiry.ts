/**
 * Whether what is older than its ttl may be deleted yet. A clock that is far ahead makes everything old at once, and what is
 * deleted does not come back when the clock is put right (docs/decisions/0043).
 */
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Clock } from '../../telemetry/clock.ts';

/** What is no later than this was waited for, and goes at once. Milliseconds, as all below. */
const ON_TIME_MS = 3_600_000;
/** So long must the clock have gone evenly before what is later goes: a wrong one is put right soon after a start. */
const STEADY_MS = 3_600_000;
/** By how much the clock and the one that never jumps may come apart and still go evenly. */
const LEAP_MS = 60_000;
/** By how much the clock of the API server may differ. */
const SKEW_MS = 900_000;
const LOOK_AGAIN_MS = 600_000;
const HOUR_MS = 3_600_000;

/** The time of the API server in milliseconds since the epoch; undefined where it does not say. */
export type ServerTime = (signal: AbortSignal) => Promise<number | undefined>;

/** Why something is not deleted yet. */
export interface Held {
  /** For people: the end of a sentence that says what is overdue. */
  readonly because: string;
  readonly lookAgainMs: number;
}

/** One for all that a process may delete. */
export class Expiry {
  readonly #clock: Clock;
  readonly #serverTime: ServerTime;
  /** How far the wall clock was ahead of the monotonic one, and since when on that. */
  #steady: { readonly offset: number; readonly since: number };

  constructor(clock: Clock, serverTime: ServerTime) {
    this.#clock = clock;
    this.#serverTime = serverTime;
    this.#steady = { offset: this.#offset(), since: clock.monotonic() };
  }

  /**
   * Undefined when what expired at this time may be deleted.
   * @param expiredAt In the past, milliseconds since the epoch.
   * @throws KubeError when the API server does not answer.
   */
  async held(expiredAt: number, signal: AbortSignal): Promise<Held | undefined> {
    if (this.#clock.now() - expiredAt <= ON_TIME_MS) return undefined;
    const leftMs = STEADY_MS - this.#steadyMs();
    if (leftMs > 0) {
      const because = 'it is long overdue by a clock that has not gone evenly for an hour yet, and may have leapt';
      return { because, lookAgainMs: leftMs };
    }
    const server = await this.#serverTime(signal);
    const aheadMs = server === undefined ? 0 : this.#clock.now() - server;
    if (Math.abs(aheadMs) <= SKEW_MS) return undefined;
    const hours = Math.max(1, Math.round(Math.abs(aheadMs) / HOUR_MS));
    const because = `the clock of the controller is ${hours} h ${aheadMs > 0 ? 'ahead of' : 'behind'} that of the API server; synchronise them`;
    return { because, lookAgainMs: LOOK_AGAIN_MS };
  }

  #steadyMs(): number {
    const [offset, now] = [this.#offset(), this.#clock.monotonic()];
    if (Math.abs(offset - this.#steady.offset) > LEAP_MS) this.#steady = { offset, since: now };
    return now - this.#steady.since;
  }

  #offset(): number {
    return this.#clock.now() - this.#clock.monotonic();
  }
}

/**
 * When something expires, in milliseconds since the epoch. It is no older than its object, which the API server has dated: a clock
 * that was behind when it dated the content must not make it old.
 */
export function expiryOf(datedAt: string, creationTimestamp: string | undefined, ttlMs: number): number {
  const made = Date.parse(creationTimestamp ?? '');
  const dated = Date.parse(datedAt);
  return (Number.isNaN(made) ? dated : Math.max(dated, made)) + ttlMs;
}

/** As its answers are dated (RFC 9110, section 6.6.1); one that tells us nothing of its version tells nothing of its time. */
export function serverTimeFrom(client: Pick<KubeClient, 'raw'>): ServerTime {
  return async (signal) => {
    try {
      const { headers } = await client.raw({ path: '/version', signal });
      const at = Date.parse([headers['date']].flat()[0] ?? '');
      return Number.isNaN(at) ? undefined : at;
    } catch (thrown) {
      if (KubeError.from(thrown).isForbidden) return undefined;
      throw thrown;
    }
  };
}
