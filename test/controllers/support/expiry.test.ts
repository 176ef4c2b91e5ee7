import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { Expiry, expiryOf, serverTimeFrom } from '../../../src/controllers/support/expiry.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

describe('what is older than its ttl', () => {
  let clock: FakeClock;
  /** What the API server says, as far as it is ahead of our clock. */
  let serverAheadMs: number | undefined;
  let expiry: Expiry;
  beforeEach(() => {
    clock = new FakeClock();
    serverAheadMs = 0;
    expiry = new Expiry(clock, () => {
      return Promise.resolve(serverAheadMs === undefined ? undefined : clock.now() + serverAheadMs);
    });
  });
  const { signal } = new AbortController();
  /** Asks of what expired so long ago by the clock. */
  const held = (agoMs: number) => expiry.held(clock.now() - agoMs, signal);

  it('goes at once when it is seen to expire, whatever the clock did before', async () => {
    expect(await held(0)).to.equal(undefined);
    clock.leap(YEAR_MS);
    expect(await held(HOUR_MS)).to.equal(undefined);
  });

  it('waits when it is found long overdue, until the clock has gone evenly for an hour', async () => {
    expect(await held(YEAR_MS)).to.include({ lookAgainMs: HOUR_MS });
    await clock.advance(HOUR_MS - 1);
    expect(await held(YEAR_MS)).to.include({ lookAgainMs: 1 });
    await clock.advance(1);
    expect(await held(YEAR_MS)).to.equal(undefined);
  });

  it('waits another hour after each leap, and not after the small steps of a clock that is kept right', async () => {
    await clock.advance(HOUR_MS);
    clock.leap(30_000);
    expect(await held(YEAR_MS)).to.equal(undefined);
    for (const leap of [10 * YEAR_MS, -10 * YEAR_MS]) {
      clock.leap(leap);
      expect(await held(YEAR_MS), String(leap)).to.include({ lookAgainMs: HOUR_MS });
      await clock.advance(HOUR_MS);
      expect(await held(YEAR_MS), String(leap)).to.equal(undefined);
    }
  });

  it('stays as long as the API server has another time, which is told', async () => {
    await clock.advance(HOUR_MS);
    for (const [ahead, said] of [
      [-10 * YEAR_MS, '87600 h ahead of that of the API server'],
      [2 * HOUR_MS, '2 h behind that of the API server'],
    ] as const) {
      serverAheadMs = ahead;
      expect((await held(YEAR_MS))?.because).to.include(said);
    }
    for (const ahead of [60_000, -60_000, undefined]) {
      serverAheadMs = ahead;
      expect(await held(YEAR_MS), String(ahead)).to.equal(undefined);
    }
  });

  it('is no older than its object, whatever the clock said that has dated it', () => {
    const made = '2026-01-01T00:00:00Z';
    expect(expiryOf('1970-01-01T00:00:00Z', made, HOUR_MS)).to.equal(Date.parse(made) + HOUR_MS);
    expect(expiryOf('2026-01-02T00:00:00Z', made, HOUR_MS)).to.equal(Date.parse('2026-01-02T01:00:00Z'));
    expect(expiryOf('2026-01-02T00:00:00Z', undefined, HOUR_MS)).to.equal(Date.parse('2026-01-02T01:00:00Z'));
  });

  it('is compared with the date of an answer of the API server, where that gives one', async () => {
    const answer = (headers: Record<string, string>) =>
      serverTimeFrom({ raw: () => Promise.resolve({ status: 200, headers, text: '' }) })(signal);
    expect(await answer({ date: 'Thu, 01 Jan 2026 00:00:07 GMT' })).to.equal(Date.parse('2026-01-01T00:00:07Z'));
    expect(await answer({})).to.equal(undefined);
    const refusing = (reason: string, status: number) =>
      serverTimeFrom({ raw: () => Promise.reject(new KubeError({ reason, status, message: reason })) })(signal);
    expect(await refusing('Forbidden', 403)).to.equal(undefined);
    const thrown = await refusing('ServiceUnavailable', 503).catch((error: unknown) => error);
    expect(thrown).to.include({ reason: 'ServiceUnavailable' });
  });
});
