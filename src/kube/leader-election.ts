/**
 * Leader election by a Lease, with the rules of client-go's `leaderelection`.
 *
 * Nobody compares clocks of different machines: a candidate takes a lease only after it has itself watched the record
 * stay unchanged for the whole lease duration, by its own monotonic clock. A leader stops by itself when it could not
 * renew for `renewDeadlineMs`, counted from *before* its last renewal that succeeded; since that is shorter than the
 * lease, it has stopped before anyone else can start. (A lease fences nothing: a stopped leader's request may still be
 * under way. Whoever writes under it carries preconditions.)
 */
import type { KubeObjectBase } from '../api/meta.ts';
import { LEASES } from '../api/meta.ts';
import type { Clock } from '../telemetry/clock.ts';
import { sleep, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique among candidates, e.g. `HOST_UUID`. */
  readonly identity: string;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  /** Default 15,000 ms. Must be more than the renew deadline. */
  readonly leaseDurationMs?: number | undefined;
  /** Default 10,000 ms. Must be more than 1.2 × the retry period. */
  readonly renewDeadlineMs?: number | undefined;
  /** Default 2,000 ms. */
  readonly retryPeriodMs?: number | undefined;
  /** Give the lease up at the stop, so that the next candidate need not wait; default true. */
  readonly releaseOnStop?: boolean | undefined;
  readonly onNewLeader?: ((identity: string) => void) | undefined;
  readonly random?: (() => number) | undefined;
}

/** The lease was lost while work was going on under it. */
export class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError';
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface Lease extends KubeObjectBase {
  readonly spec?: LeaseSpec;
}

const JITTER = 1.2;

export class LeaderElector {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  /** The lease as last seen, and when (monotonic) it was first seen like this. */
  #observed: { readonly lease: Lease; readonly at: number } | undefined;
  /** Monotonic time just before the request that last made or kept us leader. */
  #lastRenewal = 0;
  #reported = '';
  #leading = false;

  /** @throws RangeError when the durations contradict each other. */
  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs) {
      throw new RangeError('the lease duration must be more than the renew deadline');
    }
    if (this.#renewDeadlineMs <= this.#retryPeriodMs * JITTER) {
      throw new RangeError('the renew deadline must be more than 1.2 times the retry period');
    }
    options.metrics?.leaderStatus.set({ name: options.name }, 0);
  }

  get isLeader(): boolean {
    return this.#leading;
  }

  /** Identity of the leader as last seen; empty when there is none. */
  get leader(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  /**
   * Waits for the lease, then runs `lead` with a signal that aborts when the lease is lost or `signal` aborts. Waits for
   * `lead` to return before the lease is released.
   *
   * @throws LeadershipLostError when the lease was lost; the process should end, as everything in memory may be stale.
   * @throws What `lead` threw.
   */
  async run(signal: AbortSignal, lead: (lease: AbortSignal) => Promise<void>): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    const lease = new AbortController();
    const onAbort = (): void => lease.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#setLeading(true);
    const ended = new AbortController();
    const work = lead(lease.signal).finally(() => ended.abort());
    // Observed below; until then nobody else waits for it.
    work.catch(() => undefined);
    try {
      const lost = await this.#renew(ended.signal);
      this.#setLeading(false);
      lease.abort(lost);
      await work;
      if (lost !== undefined && !signal.aborted) throw lost;
    } finally {
      this.#setLeading(false);
      signal.removeEventListener('abort', onAbort);
      if (this.#options.releaseOnStop !== false) await this.#release();
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const acquired = await this.#tryAcquireOrRenew(signal, this.#renewDeadlineMs);
      if (acquired && !signal.aborted) return true;
      await sleep(this.#clock, this.#jittered(), signal).catch(() => undefined);
    }
    return false;
  }

  /** Renews until the work has ended (undefined) or the lease must be taken as lost (the error). */
  async #renew(ended: AbortSignal): Promise<LeadershipLostError | undefined> {
    let renewedAt = this.#lastRenewal;
    for (;;) {
      await sleep(this.#clock, this.#retryPeriodMs, ended).catch(() => undefined);
      if (ended.aborted) return undefined;
      const left = renewedAt + this.#renewDeadlineMs - this.#clock.monotonic();
      if (left > 0 && (await this.#tryAcquireOrRenew(ended, left))) {
        renewedAt = this.#lastRenewal;
        continue;
      }
      if (ended.aborted) return undefined;
      if (this.leader !== this.#options.identity) return this.#lost('another process holds the lease');
      if (this.#clock.monotonic() >= renewedAt + this.#renewDeadlineMs) {
        return this.#lost('the lease could not be renewed in time');
      }
    }
  }

  #lost(message: string): LeadershipLostError {
    this.#options.log.error({ lease: this.#options.name }, `Leadership lost: ${message}`);
    return new LeadershipLostError(message);
  }

  /** One attempt; true when we hold the lease afterwards. Failures are logged, never thrown. */
  async #tryAcquireOrRenew(signal: AbortSignal, timeoutMs: number): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const attemptAt = this.#clock.monotonic();
    const request = { signal, timeoutMs };
    try {
      const observed = this.#observed;
      if (observed !== undefined && this.leader === identity) {
        // The short way for a leader: no GET, the resourceVersion is the guard.
        const renewed = await client
          .replace<Lease>(LEASES, this.#next(observed.lease), request)
          .catch((thrown: unknown) => {
            const error = KubeError.from(thrown);
            if (error.isConflict || error.isNotFound) return undefined;
            throw error;
          });
        if (renewed !== undefined) return this.#held(renewed, attemptAt);
      }
      let lease: Lease;
      try {
        lease = await client.get<Lease>(LEASES, { namespace, name }, request);
      } catch (thrown) {
        if (!KubeError.from(thrown).isNotFound) throw thrown;
        this.#observed = undefined;
        const created = await client.create<Lease>(LEASES, this.#first(), request);
        return this.#held(created, attemptAt);
      }
      this.#observe(lease);
      const holder = lease.spec?.holderIdentity ?? '';
      if (holder !== '' && holder !== identity && !this.#hasExpired(lease)) return false;
      const taken = await client.replace<Lease>(LEASES, this.#next(lease), request);
      return this.#held(taken, attemptAt);
    } catch (thrown) {
      if (signal.aborted) return false;
      const error = KubeError.from(thrown);
      if (!error.isConflict && !error.isAlreadyExists) {
        this.#options.log.warn({ err: error, lease: name }, 'Lease could not be taken or renewed');
      }
      return false;
    }
  }

  #held(lease: Lease, attemptAt: number): boolean {
    this.#observe(lease);
    this.#lastRenewal = attemptAt;
    return true;
  }

  /** Notes the lease; the time only moves when the record has changed. */
  #observe(lease: Lease): void {
    const { name, log, onNewLeader } = this.#options;
    const before = this.#observed?.lease;
    const same =
      before !== undefined &&
      before.metadata.uid === lease.metadata.uid &&
      before.spec?.holderIdentity === lease.spec?.holderIdentity &&
      before.spec?.renewTime === lease.spec?.renewTime &&
      before.spec?.leaseTransitions === lease.spec?.leaseTransitions;
    this.#observed = { lease, at: same && this.#observed !== undefined ? this.#observed.at : this.#clock.monotonic() };
    if (this.leader !== this.#reported) {
      this.#reported = this.leader;
      log.info({ lease: name, leader: this.leader }, 'New leader');
      if (this.leader !== '') onNewLeader?.(this.leader);
    }
  }

  /** The holder's own duration counts, as it is what the holder goes by. */
  #hasExpired(lease: Lease): boolean {
    const seconds = lease.spec?.leaseDurationSeconds;
    const duration = seconds === undefined ? this.#leaseDurationMs : seconds * 1000;
    return this.#observed !== undefined && this.#clock.monotonic() >= this.#observed.at + duration;
  }

  #first(): Lease {
    const { namespace, name } = this.#options;
    const now = microTime(this.#clock.now());
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace, name },
      spec: { ...this.#claim(now), acquireTime: now, leaseTransitions: 0 },
    };
  }

  #next(lease: Lease): Lease {
    const now = microTime(this.#clock.now());
    const { acquireTime, leaseTransitions = 0, holderIdentity } = lease.spec ?? {};
    const ours = holderIdentity === this.#options.identity;
    return {
      ...lease,
      spec: {
        ...lease.spec,
        ...this.#claim(now),
        acquireTime: ours && acquireTime !== undefined ? acquireTime : now,
        leaseTransitions: ours ? leaseTransitions : leaseTransitions + 1,
      },
    };
  }

  #claim(now: string) {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.max(1, Math.ceil(this.#leaseDurationMs / 1000)),
      renewTime: now,
    };
  }

  /** Empties the lease, if it is still ours, so that the next candidate takes it at its next look. */
  async #release(): Promise<void> {
    const observed = this.#observed;
    if (observed === undefined || this.leader !== this.#options.identity) return;
    const now = microTime(this.#clock.now());
    const released: Lease = {
      ...observed.lease,
      spec: {
        holderIdentity: '',
        leaseDurationSeconds: 1,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: observed.lease.spec?.leaseTransitions ?? 0,
      },
    };
    try {
      this.#observe(await this.#options.client.replace<Lease>(LEASES, released, { timeoutMs: this.#retryPeriodMs }));
    } catch (thrown) {
      this.#options.log.warn({ err: thrown }, 'Lease could not be released; it will run out');
    }
  }

  #setLeading(leading: boolean): void {
    this.#leading = leading;
    this.#options.metrics?.leaderStatus.set({ name: this.#options.name }, leading ? 1 : 0);
  }

  #jittered(): number {
    return this.#retryPeriodMs * (1 + JITTER * (this.#options.random ?? Math.random)());
  }
}

/** `metav1.MicroTime`: RFC 3339 with six decimals. */
export function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
