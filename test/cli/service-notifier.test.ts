import { expect } from 'chai';
import { describe, it } from 'mocha';
import { notifyService } from '../../src/cli/service-notifier.ts';
import { HealthChecks } from '../../src/telemetry/health.ts';

describe('what the service manager is told', () => {
  it('is what readiness lacks, once, then that all is ready, then the stop', async () => {
    const told: (readonly string[])[] = [];
    const ready = new HealthChecks();
    let asked = 0;
    ready.add('caches', () => {
      asked += 1;
      if (asked < 4) throw new Error('not synced: volumes');
    });
    const stop = new AbortController();
    await notifyService({ notify: (...words) => told.push(words) }, ready, stop.signal);
    expect(told).to.deep.equal([['STATUS=[-]caches failed: not synced: volumes'], ['READY=1', 'STATUS=Ready']]);
    stop.abort();
    expect(told.at(-1)).to.deep.equal(['STOPPING=1']);
  });

  it('is never that it is ready when it is stopped before', async () => {
    const told: (readonly string[])[] = [];
    const ready = new HealthChecks();
    const stop = new AbortController();
    ready.add('caches', () => {
      stop.abort();
      throw new Error('not synced');
    });
    await notifyService({ notify: (...words) => told.push(words) }, ready, stop.signal);
    expect(told.flat()).to.include('STOPPING=1').and.not.include('READY=1');
  });
});
