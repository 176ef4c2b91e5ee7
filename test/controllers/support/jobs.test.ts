import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { JobSpec } from '../../../src/controllers/support/jobs.ts';
import { END_WAIT_MS, Jobs, PROGRESS_MS } from '../../../src/controllers/support/jobs.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { Uses } from '../../../src/controllers/support/uses.ts';
import type { LongCall } from '../../../src/drivers/driver.ts';
import { abortReason } from '../../../src/telemetry/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const never = new AbortController().signal;

function setUp(concurrency = 4) {
  const clock = new FakeClock();
  const uses = new Uses();
  const jobs = new Jobs({ name: 'test', clock, concurrency: () => concurrency, uses, turns: new KeyedLock() });
  const told: string[] = [];
  jobs.source.start((key) => told.push(key), never);
  /** Work that ends when the test says so. */
  const held = (overrides: Partial<JobSpec> = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let call: LongCall | undefined;
    const spec: JobSpec = {
      uid: 'uid',
      queue: 'q',
      reads: ['read'],
      what: 'snapshot "s"',
      work: (given) => {
        call = given;
        given.signal.addEventListener('abort', () => reject(abortReason(given.signal)));
        return promise;
      },
      ...overrides,
    };
    return { spec, end: resolve, fail: reject, call: () => call };
  };
  return { clock, uses, jobs, told, held };
}

describe('jobs', () => {
  it('are told of at once by who waits for them', async () => {
    const { jobs, told, held, clock } = setUp();
    const { spec, end } = held();
    jobs.start('a', spec);
    const settled = jobs.settle('a', 1000, never);
    end();
    expect(await settled).to.deep.equal({ state: 'done' });
    expect(jobs.has('a')).to.equal(false);
    expect(told).to.deep.equal([]);
    expect(clock.timers).to.equal(0);
  });

  it('that take longer queue their key at the end, and keep how they ended until it is asked', async () => {
    const { jobs, told, held, clock } = setUp();
    const { spec, fail } = held();
    jobs.start('a', spec);
    const settled = jobs.settle('a', 1000, never);
    await clock.advance(1000);
    expect(await settled).to.deep.equal({ state: 'running', progress: undefined });
    fail(new Error('the disk is full'));
    await clock.advance(0);
    expect(told).to.deep.equal(['a']);
    const state = await jobs.settle('a', 0, never);
    expect(state?.state === 'failed' && state.error).to.have.property('message', 'the disk is full');
    expect(await jobs.settle('a', 0, never)).to.equal(undefined);
  });

  it('tell how far they are, at most once per period', async () => {
    const { jobs, told, held, clock } = setUp();
    const { spec, call } = held();
    jobs.start('a', spec);
    await clock.advance(0);
    for (let done = 1n; done <= 10n; done++) {
      call()?.onProgress({ bytesDone: done, bytesTotal: 100n });
      await clock.advance(PROGRESS_MS / 5);
    }
    expect(told).to.deep.equal(['a', 'a']);
    const settled = jobs.settle('a', 0, never);
    await clock.advance(0);
    // What was told last, so that a status is written no more often than the key is queued.
    expect(await settled).to.deep.equal({ state: 'running', progress: { bytesDone: 10n, bytesTotal: 100n } });
  });

  it('count what they read as in use until they end', async () => {
    const { jobs, uses, held, clock } = setUp();
    const freed: string[] = [];
    uses.onFree((uid) => freed.push(uid));
    const [first, second] = [held(), held({ what: 'snapshot "t"' })];
    jobs.start('a', first.spec);
    jobs.start('b', second.spec);
    expect(uses.of('read')).to.deep.equal(['snapshot "s"', 'snapshot "t"']);
    first.end();
    await clock.advance(0);
    expect([uses.of('read'), freed]).to.deep.equal([['snapshot "t"'], []]);
    second.fail(new Error('no'));
    await clock.advance(0);
    expect([uses.of('read'), freed]).to.deep.equal([[], ['read']]);
  });

  it('run a few at a time per queue', async () => {
    const { jobs, held, clock } = setUp(1);
    const [first, second, other] = [held(), held(), held({ queue: 'other' })];
    jobs.start('a', first.spec);
    jobs.start('b', second.spec);
    jobs.start('c', other.spec);
    await clock.advance(0);
    expect([first, second, other].map(({ call }) => call() !== undefined)).to.deep.equal([true, false, true]);
    first.end();
    await clock.advance(0);
    expect(second.call()).not.to.equal(undefined);
  });

  it('of the same turn run one after another, and nobody waits for one that is behind', async () => {
    const { jobs, held, clock } = setUp();
    const turn = { of: 'volume', isShared: false };
    const [first, second] = [held({ turn }), held({ turn })];
    jobs.start('a', first.spec);
    jobs.start('b', second.spec);
    const settled = jobs.settle('b', 60_000, never);
    await clock.advance(0);
    expect((await settled)?.state).to.equal('running');
    expect(second.call()).to.equal(undefined);
    first.end();
    await clock.advance(0);
    expect(second.call()).not.to.equal(undefined);
  });

  it('that share a turn run side by side, after who has it alone and before who wants it alone', async () => {
    const { jobs, held, clock } = setUp();
    const [shared, alone] = [
      { of: 'volume', isShared: true },
      { of: 'volume', isShared: false },
    ];
    const [first, second, third, last] = [
      held({ turn: alone }),
      held({ turn: shared }),
      held({ turn: shared }),
      held({ turn: alone }),
    ];
    for (const [key, { spec }] of Object.entries({ first, second, third, last })) jobs.start(key, spec);
    const begun = async (): Promise<readonly boolean[]> => {
      await clock.advance(0);
      return [first, second, third, last].map(({ call }) => call() !== undefined);
    };
    expect(await begun()).to.deep.equal([true, false, false, false]);
    first.end();
    expect(await begun()).to.deep.equal([true, true, true, false]);
    second.end();
    expect(await begun()).to.deep.equal([true, true, true, false]);
    third.end();
    expect(await begun()).to.deep.equal([true, true, true, true]);
  });

  it('are ended when their object is gone, also before they have begun', async () => {
    const { jobs, held, uses, clock } = setUp(1);
    const [first, second] = [held(), held({ reads: ['other'] })];
    jobs.start('a', first.spec);
    jobs.start('b', second.spec);
    await clock.advance(0);
    expect(await jobs.end('b', never)).to.equal(true);
    expect(uses.of('other')).to.deep.equal([]);
    expect(await jobs.end('a', never, 'uid')).to.equal(true);
    expect(first.call()?.signal.aborted).to.equal(false);
    expect(await jobs.end('a', never, 'another')).to.equal(true);
    expect(first.call()?.signal.aborted).to.equal(true);
    await clock.advance(0);
    expect(second.call()).to.equal(undefined);
  });

  it('that do not end when they are told to are waited for a while, and queue their key when they do', async () => {
    const { jobs, held, told, clock } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    jobs.start('a', { ...held().spec, work: () => promise });
    await clock.advance(0);
    const ended = jobs.end('a', never);
    await clock.advance(END_WAIT_MS);
    expect(await ended).to.equal(false);
    resolve();
    await clock.advance(0);
    expect(told).to.deep.equal(['a']);
    expect(await jobs.end('a', never)).to.equal(true);
  });
});
