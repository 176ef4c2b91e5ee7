import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { KubeError } from '../../src/kube/errors.ts';
import type { ControllerOptions } from '../../src/runtime/controller.ts';
import { Controller } from '../../src/runtime/controller.ts';
import type { ReconcileContext, Result } from '../../src/runtime/reconciler.ts';
import { DONE, ReconcileError, StallingError, WaitingError } from '../../src/runtime/reconciler.ts';
import type { ChannelSource, Source } from '../../src/runtime/source.ts';
import { channelSource, timerSource } from '../../src/runtime/source.ts';
import { createLogger, silentLogger } from '../../src/telemetry/log.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

describe('Controller', () => {
  let clock: FakeClock;
  let metrics: Metrics;
  let stop: AbortController;
  let channel: ChannelSource;
  let running: Promise<void>;
  let log = silentLogger;

  beforeEach(() => {
    clock = new FakeClock();
    metrics = createMetrics();
    stop = new AbortController();
    channel = channelSource('test');
    running = Promise.resolve();
    log = silentLogger;
  });

  afterEach(async () => {
    stop.abort();
    await clock.advance(60_000);
    await running;
  });

  type Script = (key: string, context: ReconcileContext) => Promise<Result> | Result;

  async function start(script: Script, options: Partial<ControllerOptions> = {}): Promise<Controller> {
    const controller = new Controller(
      { name: 'test', reconcile: async (key, context) => script(key, context), sources: [channel], ...options },
      { log, metrics, clock },
    );
    running = controller.run(stop.signal);
    await settle();
    return controller;
  }

  async function results(): Promise<Record<string, number>> {
    const { values } = await metrics.reconcileTotal.get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]));
  }

  it('starts with every result at 0', async () => {
    await start(() => DONE);
    expect(await results()).to.deep.equal({ success: 0, requeue_after: 0, error: 0, terminal: 0 });
    const text = await metrics.registry.metrics();
    for (const line of [
      'controller_runtime_reconcile_errors_total{controller="test"} 0',
      'controller_runtime_active_workers{controller="test"} 0',
      'controller_runtime_max_concurrent_reconciles{controller="test"} 1',
      'workqueue_depth{name="test",controller="test"} 0',
      'workqueue_adds_total{name="test",controller="test"} 0',
    ]) {
      expect(text).to.contain(line);
    }
  });

  it('reconciles a key once and is quiet then', async () => {
    const seen: string[] = [];
    await start((key) => {
      seen.push(key);
      return DONE;
    });
    channel.send('a');
    await clock.advance(600_000);
    expect(seen).to.deep.equal(['a']);
    expect(await results()).to.include({ success: 1, error: 0 });
  });

  it('starts no worker before all sources have synced', async () => {
    const seen: string[] = [];
    let sync = (): void => undefined;
    const slow: Source = {
      name: 'slow',
      start: (enqueue) => enqueue('early'),
      synced: () =>
        new Promise((resolve) => {
          sync = resolve;
        }),
    };
    await start(
      (key) => {
        seen.push(key);
        return DONE;
      },
      { sources: [channel, slow] },
    );
    channel.send('a');
    await settle();
    expect(seen).to.deep.equal([]);
    sync();
    await settle();
    expect(seen).to.deep.equal(['early', 'a']);
  });

  it('tries a failed key again with doubling delays, and anew after a success', async () => {
    const at: number[] = [];
    let fail = true;
    await start(() => {
      at.push(clock.monotonic());
      if (fail) throw new ReconcileError('Broken', 'no');
      return DONE;
    });
    channel.send('a');
    await clock.advance(80);
    expect(at).to.deep.equal([0, 5, 15, 35, 75]);
    fail = false;
    await clock.advance(80);
    expect(at).to.have.length(6);
    await clock.advance(600_000);
    expect(at).to.have.length(6);
    fail = true;
    const from = clock.monotonic();
    channel.send('a');
    await clock.advance(5);
    expect(at.slice(6)).to.deep.equal([from, from + 5]);
    expect(await results()).to.include({ error: 7, success: 1 });
  });

  it('does not try a stalled key again until something changes', async () => {
    let count = 0;
    await start(() => {
      count += 1;
      throw new StallingError('BadSpec', 'a person must look');
    });
    channel.send('a');
    await clock.advance(600_000);
    expect(count).to.equal(1);
    channel.send('a');
    await settle();
    expect(count).to.equal(2);
    expect(await results()).to.include({ terminal: 2, error: 0 });
    expect(await metrics.registry.getSingleMetricAsString('controller_runtime_reconcile_errors_total')).to.contain(
      '} 2',
    );
  });

  it('looks at a waiting key again after its delay, without counting an error', async () => {
    const at: number[] = [];
    await start(() => {
      at.push(clock.monotonic());
      if (at.length < 3) throw new WaitingError('NotYet', 'the volume is not there', 700);
      return { requeueAfterMs: 5000 };
    });
    channel.send('a');
    await clock.advance(7000);
    expect(at).to.deep.equal([0, 700, 1400, 6400]);
    expect(await results()).to.include({ requeue_after: 4, error: 0 });
  });

  it('outlives everything that a reconciler throws, and counts programming errors', async () => {
    const thrown: unknown[] = [
      new TypeError('x is not a function'),
      'a string',
      undefined,
      null,
      42,
      new Error('plain'),
    ];
    let index = 0;
    await start(() => {
      const next = thrown[index++];
      if (index <= thrown.length) throw next;
      return DONE;
    });
    channel.send('a');
    await clock.advance(10_000);
    expect(await results()).to.include({ error: 6, success: 1 });
    expect(await metrics.registry.getSingleMetricAsString('controller_runtime_reconcile_panics_total')).to.contain(
      '} 5',
    );
  });

  it('never runs one key twice at once, and runs no more keys than it may', async () => {
    const active = new Set<string>();
    let most = 0;
    let overlaps = 0;
    const counts = new Map<string, number>();
    await start(
      async (key) => {
        if (active.has(key)) overlaps += 1;
        active.add(key);
        most = Math.max(most, active.size);
        await new Promise((resolve) => setImmediate(resolve));
        active.delete(key);
        counts.set(key, (counts.get(key) ?? 0) + 1);
        return DONE;
      },
      { concurrency: 3 },
    );
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 10; index++) channel.send(`key-${index}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(overlaps).to.equal(0);
    expect(most).to.equal(3);
    expect(counts.size).to.equal(10);
    for (const count of counts.values()) expect(count).to.be.at.least(1);
  });

  it('runs a key again that was queued while it was being worked on', async () => {
    const release: (() => void)[] = [];
    await start(
      () =>
        new Promise<Result>((resolve) => {
          release.push(() => resolve(DONE));
        }),
    );
    channel.send('a');
    await settle();
    channel.send('a');
    channel.send('a');
    await settle();
    expect(release).to.have.length(1);
    release[0]?.();
    await settle();
    expect(release).to.have.length(2);
    release[1]?.();
    await settle();
    expect(release).to.have.length(2);
  });

  it('aborts a reconcile at its deadline but keeps its worker until it has returned', async () => {
    let reason: unknown;
    let release = (): void => undefined;
    const seen: string[] = [];
    await start(
      (key, { signal }) => {
        seen.push(key);
        if (key !== 'slow') return DONE;
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        return new Promise<Result>((resolve) => {
          release = () => resolve(DONE);
        });
      },
      { timeoutMs: 1000 },
    );
    channel.send('slow');
    channel.send('other');
    await clock.advance(999);
    expect(reason).to.equal(undefined);
    await clock.advance(1);
    expect((reason as Error).name).to.equal('TimeoutError');
    expect(seen).to.deep.equal(['slow']);
    release();
    await settle();
    expect(seen).to.deep.equal(['slow', 'other']);
    expect(await metrics.registry.getSingleMetricAsString('controller_runtime_reconcile_timeouts_total')).to.contain(
      '} 1',
    );
  });

  describe('tells the log', () => {
    const FAILURES: readonly (readonly [string, () => unknown, string, string | undefined])[] = [
      [
        'a failure of the storage, which a status tells',
        () => new ReconcileError('NoSpace', 'full'),
        'info',
        'NoSpace',
      ],
      [
        'one that came from a command',
        () => new ReconcileError('MountFailed', 'busy', { cause: new Error('exit code 32') }),
        'info',
        'MountFailed',
      ],
      [
        'a write that came second',
        () => new KubeError({ reason: 'Conflict', status: 409, message: 'the object has been modified' }),
        'info',
        'Conflict',
      ],
      ['what a person must mend', () => new StallingError('BadSpec', 'look'), 'warn', 'BadSpec'],
      [
        'fields that somebody else owns',
        () =>
          new KubeError({
            reason: 'Conflict',
            status: 409,
            message: 'owned',
            details: { causes: [{ field: '.spec' }] },
          }),
        'error',
        undefined,
      ],
      [
        'a fault of the program under a reason of ours',
        () => new ReconcileError('MountFailed', 'x', { cause: new TypeError('x') }),
        'error',
        undefined,
      ],
      [
        'a fault of the program that stalls',
        () => new StallingError('BadSpec', 'x', { cause: new TypeError('x') }),
        'error',
        undefined,
      ],
      ['anything else', () => new Error('broken'), 'error', undefined],
    ];
    for (const [what, make, level, reason] of FAILURES) {
      it(`of ${what}: ${level}${reason === undefined ? '' : ', without a stack'}`, async () => {
        const out = new PassThrough();
        log = createLogger({ destination: out, format: 'json' });
        await start(() => {
          throw make();
        });
        channel.send('a');
        await settle();
        stop.abort();
        await running;
        const lines = String(out.read())
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<string, unknown>)
          .filter(({ key }) => key === 'a');
        expect(lines).to.have.length(1);
        expect(lines[0]).to.include({ level });
        expect(lines[0]?.['reason']).to.equal(reason);
        if (reason !== undefined) expect(lines[0]).not.to.have.property('err');
      });
    }
  });

  it('aborts running reconciles at the stop, waits for them and counts no error', async () => {
    let ended = false;
    await start(
      (_key, { signal }) =>
        new Promise<Result>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            setImmediate(() => {
              ended = true;
              reject(new Error('interrupted'));
            });
          });
        }),
    );
    channel.send('a');
    await settle();
    stop.abort();
    await running;
    expect(ended).to.equal(true);
    expect(await results()).to.include({ error: 0 });
  });

  it('stops within its deadline although a reconcile ignores the signal', async () => {
    await start(() => new Promise<Result>(() => undefined));
    channel.send('a');
    await settle();
    stop.abort();
    await clock.advance(29_999);
    let stopped = false;
    void running.then(() => {
      stopped = true;
    });
    await settle();
    expect(stopped).to.equal(false);
    await clock.advance(1);
    expect(stopped).to.equal(true);
  });

  it('tells a reconciler how often its key has failed and gives each run its own ID', async () => {
    const retries: number[] = [];
    const ids = new Set<string>();
    await start((_key, context) => {
      retries.push(context.retries);
      ids.add(context.reconcileId);
      if (retries.length < 4) throw new Error('again');
      return DONE;
    });
    channel.send('a');
    await clock.advance(1000);
    expect(retries).to.deep.equal([0, 1, 2, 3]);
    expect(ids.size).to.equal(4);
  });

  it('is queued by timers', async () => {
    const seen: string[] = [];
    await start(
      (key) => {
        seen.push(key);
        return DONE;
      },
      { sources: [timerSource('timer', clock, 1000, () => ['x', 'y'])] },
    );
    await clock.advance(2500);
    expect(seen).to.deep.equal(['x', 'y', 'x', 'y']);
    stop.abort();
    await clock.advance(5000);
    expect(seen).to.have.length(4);
  });
});
