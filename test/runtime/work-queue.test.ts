import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { WorkQueueObserver } from '../../src/runtime/work-queue.ts';
import { WorkQueue } from '../../src/runtime/work-queue.ts';
import { FakeClock } from '../support/fake-clock.ts';

function make(
  options: { readonly baseMs?: number; readonly maxMs?: number; readonly observer?: WorkQueueObserver } = {},
) {
  const clock = new FakeClock();
  return { clock, queue: new WorkQueue({ clock, ...options }) };
}

function drain(queue: WorkQueue): string[] {
  const keys: string[] = [];
  for (let work = queue.tryGet(); work !== undefined; work = queue.tryGet()) {
    keys.push(work.key);
    queue.done(work.key);
  }
  return keys;
}

describe('WorkQueue', () => {
  it('hands out keys in the order in which they came', () => {
    const { queue } = make();
    for (const key of ['b', 'a', 'c']) queue.add(key);
    expect(drain(queue)).to.deep.equal(['b', 'a', 'c']);
  });

  it('hands out a key that was added twice only once', () => {
    const { queue } = make();
    queue.add('a');
    queue.add('a');
    expect(queue.length).to.equal(1);
    expect(drain(queue)).to.deep.equal(['a']);
  });

  it('never hands out a key that is being worked on, and hands it out once more afterwards if it was added', () => {
    const { queue } = make();
    queue.add('a');
    expect(queue.tryGet()?.key).to.equal('a');
    queue.add('a');
    queue.add('a');
    expect(queue.tryGet()).to.equal(undefined);
    expect(queue.length).to.equal(0);
    queue.done('a');
    expect(drain(queue)).to.deep.equal(['a']);
  });

  it('does not hand a key out again when nobody added it', () => {
    const { queue } = make();
    queue.add('a');
    queue.tryGet();
    queue.done('a');
    expect(queue.tryGet()).to.equal(undefined);
  });

  it('refuses done for a key that was not handed out', () => {
    const { queue } = make();
    queue.add('a');
    expect(() => queue.done('a')).to.throw(RangeError);
  });

  it('puts higher priorities first and keeps the order among equals', () => {
    const { queue } = make();
    queue.add('low', { priority: -100 });
    queue.add('one');
    queue.add('two');
    queue.add('high', { priority: 5 });
    expect(drain(queue)).to.deep.equal(['high', 'one', 'two', 'low']);
  });

  it('keeps the higher priority of two adds', () => {
    const { queue } = make();
    queue.add('a', { priority: -100 });
    queue.add('b', { priority: -50 });
    queue.add('a', { priority: 0 });
    queue.add('b', { priority: -200 });
    expect(queue.tryGet()).to.include({ key: 'a', priority: 0 });
    expect(queue.tryGet()).to.include({ key: 'b', priority: -50 });
  });

  it('holds a delayed key back until its time', () => {
    const { queue, clock } = make();
    queue.add('a', { afterMs: 50 });
    expect(queue.tryGet()).to.equal(undefined);
    clock.advanceSync(48);
    expect(queue.tryGet()).to.equal(undefined);
    clock.advanceSync(2);
    expect(queue.tryGet()?.key).to.equal('a');
  });

  it('keeps the shorter delay of two adds, whichever comes first', () => {
    for (const delays of [
      [50, 10],
      [10, 50],
    ]) {
      const { queue, clock } = make();
      for (const afterMs of delays) queue.add('a', { afterMs });
      clock.advanceSync(11);
      expect(drain(queue)).to.deep.equal(['a']);
      clock.advanceSync(100);
      expect(drain(queue)).to.deep.equal([]);
    }
  });

  it('hands a delayed key out at once when it is added without delay', () => {
    const { queue } = make();
    queue.add('a', { afterMs: 5000 });
    queue.add('a');
    expect(drain(queue)).to.deep.equal(['a']);
  });

  it('keeps the delay of a key that is added with a delay while it is being worked on', () => {
    const { queue, clock } = make();
    queue.add('a');
    queue.tryGet();
    queue.add('a', { afterMs: 100 });
    queue.done('a');
    expect(queue.tryGet()).to.equal(undefined);
    clock.advanceSync(101);
    expect(queue.tryGet()?.key).to.equal('a');
  });

  it('parks a delayed key whose time comes while it is being worked on', () => {
    const { queue, clock } = make();
    queue.add('a');
    queue.tryGet();
    queue.add('a', { afterMs: 100 });
    clock.advanceSync(200);
    expect(queue.tryGet()).to.equal(undefined);
    queue.done('a');
    expect(queue.tryGet()?.key).to.equal('a');
  });

  it('backs a failing key off by doubling up to the cap, and anew after forget', () => {
    const { queue, clock } = make({ baseMs: 5, maxMs: 60 });
    const delays: number[] = [];
    const fail = (): void => {
      queue.add('a', { rateLimited: true });
      delays.push(clock.nextIn ?? 0);
      clock.advanceSync(1000);
      queue.tryGet();
      queue.done('a');
    };
    for (let count = 0; count < 6; count++) fail();
    expect(queue.retries('a')).to.equal(6);
    queue.forget('a');
    expect(queue.retries('a')).to.equal(0);
    fail();
    expect(delays).to.deep.equal([5, 10, 20, 40, 60, 60, 5]);
  });

  it('uses one timer however many keys wait', () => {
    const { queue, clock } = make();
    for (let count = 0; count < 100; count++) queue.add(`key-${count}`, { afterMs: 1000 - count });
    expect(clock.timers).to.equal(1);
    clock.advanceSync(2000);
    expect(queue.length).to.equal(100);
    expect(clock.timers).to.equal(0);
  });

  it('accepts nothing after the shutdown, but lets work end', () => {
    const { queue, clock } = make();
    queue.add('a');
    queue.add('later', { afterMs: 10 });
    queue.tryGet();
    queue.shutDown();
    queue.add('b');
    queue.done('a');
    clock.advanceSync(100);
    expect(queue.tryGet()).to.equal(undefined);
    expect(clock.timers).to.equal(0);
  });

  it('tells its listeners whenever a key becomes ready', () => {
    const { queue, clock } = make();
    let calls = 0;
    const off = queue.onReady(() => {
      calls += 1;
    });
    queue.add('a');
    queue.add('a');
    queue.add('b', { afterMs: 10 });
    expect(calls).to.equal(1);
    clock.advanceSync(20);
    expect(calls).to.equal(2);
    off();
    queue.add('c');
    expect(calls).to.equal(2);
  });

  it('measures depth, adds, retries, waiting and working', () => {
    const seen: string[] = [];
    const observer: WorkQueueObserver = {
      depth: (ready) => seen.push(`depth ${ready}`),
      added: () => seen.push('added'),
      retried: () => seen.push('retried'),
      started: (seconds) => seen.push(`waited ${seconds}`),
      finished: (seconds) => seen.push(`worked ${seconds}`),
    };
    const { queue, clock } = make({ observer });
    queue.add('a');
    clock.advanceSync(2000);
    queue.tryGet();
    clock.advanceSync(500);
    expect(queue.unfinished()).to.deep.equal({ sumSeconds: 0.5, longestSeconds: 0.5 });
    queue.done('a');
    queue.add('a', { rateLimited: true });
    expect(seen).to.deep.equal(['added', 'depth 1', 'depth 0', 'waited 2', 'worked 0.5', 'retried', 'added']);
  });

  it('behaves as the model does under any sequence of calls', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const operation = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          op: fc.constant('add' as const),
          key,
          priority: fc.integer({ min: -2, max: 2 }),
          afterMs: fc.constantFrom(0, 0, 10, 20, 50),
        }),
      },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('get' as const) }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('done' as const), pick: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(5, 15, 60) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const { queue, clock } = make();
        const dirty = new Map<string, { priority: number; readyAt: number }>();
        const processing: string[] = [];
        const ready = (): string[] =>
          [...dirty]
            .filter(([name, { readyAt }]) => readyAt <= clock.monotonic() && !processing.includes(name))
            .map(([name]) => name);
        for (const step of operations) {
          switch (step.op) {
            case 'add': {
              queue.add(step.key, step);
              const readyAt = clock.monotonic() + step.afterMs;
              const present = dirty.get(step.key);
              dirty.set(step.key, {
                priority: Math.max(step.priority, present?.priority ?? Number.NEGATIVE_INFINITY),
                readyAt: Math.min(readyAt, present?.readyAt ?? Number.POSITIVE_INFINITY),
              });
              break;
            }
            case 'get': {
              const candidates = ready();
              const work = queue.tryGet();
              if (candidates.length === 0) {
                expect(work).to.equal(undefined);
                break;
              }
              const best = Math.max(...candidates.map((name) => dirty.get(name)!.priority));
              expect(work).to.not.equal(undefined);
              expect(candidates).to.include(work!.key);
              expect(work!.priority).to.equal(best);
              dirty.delete(work!.key);
              processing.push(work!.key);
              break;
            }
            case 'done': {
              const [name] = processing.splice(step.pick % Math.max(1, processing.length), 1);
              if (name !== undefined) queue.done(name);
              break;
            }
            case 'wait':
              clock.advanceSync(step.ms);
              break;
            default:
          }
          expect(queue.length).to.equal(ready().length);
          expect(queue.processing).to.equal(processing.length);
        }
      }),
      { numRuns: 300 },
    );
  });
});
