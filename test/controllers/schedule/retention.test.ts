import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { Retention } from '../../../src/api/schedule.ts';
import { expired } from '../../../src/controllers/schedule/retention.ts';

const HOUR = 3_600_000;

/** What stays of snapshots at these times, oldest first. */
function kept(times: readonly string[], retention: Retention, timeZone = 'UTC'): readonly string[] {
  const items = times.map((name) => ({ name, at: Date.parse(`${name}Z`) }));
  const gone = new Set(expired(items, retention, timeZone).map(({ name }) => name));
  return times.filter((name) => !gone.has(name));
}

/**
 * Another way to the same: each rule sorts the times into its periods, as dates of the zone that a Swede would write, and
 * takes the newest of the newest periods; with fewer periods than it may keep, the oldest of all as well.
 */
function oracle(times: readonly number[], retention: Retention, timeZone: string): ReadonlySet<number> {
  const stay = new Set<number>();
  const newestFirst = [...times].sort((a, b) => b - a);
  const oldest = newestFirst.at(-1);
  if (retention.last !== undefined) for (const time of newestFirst.slice(0, retention.last)) stay.add(time);
  const local = (time: number) => new Date(time).toLocaleString('sv-SE', { timeZone });
  const monday = (time: number): string => {
    const day = new Date(`${local(time).slice(0, 10)}T00:00:00Z`);
    day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
    return day.toISOString();
  };
  const periods: readonly (readonly [number | undefined, (time: number) => string])[] = [
    [retention.hourly, (time) => local(time).slice(0, 13)],
    [retention.daily, (time) => local(time).slice(0, 10)],
    [retention.weekly, monday],
    [retention.monthly, (time) => local(time).slice(0, 7)],
    [retention.yearly, (time) => local(time).slice(0, 4)],
  ];
  for (const [most, periodOf] of periods) {
    if (most === undefined) continue;
    const newest = new Map<string, number>();
    for (const time of newestFirst) if (!newest.has(periodOf(time))) newest.set(periodOf(time), time);
    for (const time of [...newest.values()].slice(0, most)) stay.add(time);
    if (newest.size < most && oldest !== undefined) stay.add(oldest);
  }
  return stay;
}

describe('retention', () => {
  const days = ['2026-01-01T02:00', '2026-01-02T02:00', '2026-01-03T02:00', '2026-01-04T02:00'];

  it('keeps the newest', () => {
    expect(kept(days, { last: 2 })).to.deep.equal(days.slice(2));
    expect(kept(days, { last: 9 })).to.deep.equal(days);
  });

  it('keeps the newest of each day that has one', () => {
    const times = ['2026-01-01T02:00', '2026-01-01T14:00', '2026-01-03T02:00', '2026-01-03T14:00'];
    expect(kept(times, { daily: 2 })).to.deep.equal(['2026-01-01T14:00', '2026-01-03T14:00']);
  });

  it('keeps the oldest too while there are fewer days than it may keep', () => {
    const times = ['2026-01-01T02:00', '2026-01-01T14:00', '2026-01-03T02:00', '2026-01-03T14:00'];
    expect(kept(times, { daily: 3 })).to.deep.equal(['2026-01-01T02:00', '2026-01-01T14:00', '2026-01-03T14:00']);
  });

  it('keeps what any rule keeps', () => {
    const retention = { last: 1, weekly: 1, yearly: 2 };
    const times = ['2025-06-01T02:00', '2025-12-28T02:00', '2026-01-03T02:00', '2026-01-04T02:00', '2026-01-04T03:00'];
    expect(kept(times, retention)).to.deep.equal(['2025-12-28T02:00', '2026-01-04T03:00']);
  });

  it('counts the days of the time zone', () => {
    // Both are of 2 January in New York, but of two days in UTC.
    const times = ['2026-01-02T06:00', '2026-01-02T23:00', '2026-01-03T04:00'];
    expect(kept(times, { daily: 1 }, 'America/New_York')).to.deep.equal(['2026-01-03T04:00']);
    expect(kept(times, { daily: 2 }, 'UTC')).to.deep.equal(['2026-01-02T23:00', '2026-01-03T04:00']);
  });

  it('counts weeks from Monday, over the end of a year', () => {
    const times = ['2025-12-28T12:00', '2025-12-29T12:00', '2026-01-04T12:00', '2026-01-05T12:00'];
    expect(kept(times, { weekly: 3 })).to.deep.equal(['2025-12-28T12:00', '2026-01-04T12:00', '2026-01-05T12:00']);
  });

  it('takes an hour that comes twice for one', () => {
    const times = ['2026-10-25T00:30', '2026-10-25T01:30', '2026-10-25T02:30'];
    expect(kept(times, { hourly: 2 }, 'Europe/Berlin')).to.deep.equal(['2026-10-25T01:30', '2026-10-25T02:30']);
  });

  it('takes of the same moment the one that was to be later for the newer', () => {
    const at = Date.parse('2026-01-01T02:00:00Z');
    const items = ['z-first', 'a-second'].map((name) => ({ name, at }));
    expect(expired(items, { last: 1 }, 'UTC').map(({ name }) => name)).to.deep.equal(['z-first']);
  });

  it('finds nothing to do in nothing', () => {
    expect(expired([], { last: 1 }, 'UTC')).to.deep.equal([]);
  });

  const count = fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined });
  const retentions = fc
    .record({ last: count, hourly: count, daily: count, weekly: count, monthly: count, yearly: count })
    .map((rules) => Object.fromEntries(Object.entries(rules).filter(([, most]) => most !== undefined)) as Retention)
    .filter((rules) => Object.keys(rules).length > 0);
  // Half hours over two years, so that both changes of the clock, ends of years and crowded days are met.
  const times = fc.uniqueArray(fc.integer({ min: 0, max: 2 * 365 * 48 }), { maxLength: 40 });
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Apia');

  it('agrees with a plainer way to say the rules', () => {
    fc.assert(
      fc.property(times, retentions, zones, (steps, retention, timeZone) => {
        const items = steps.map((step) => {
          const time = Date.parse('2025-01-01T00:00:00Z') + (step * HOUR) / 2;
          return { name: String(time), at: time };
        });
        const gone = expired(items, retention, timeZone).map(({ at }) => at);
        const stay = oracle(
          items.map((item) => item.at),
          retention,
          timeZone,
        );
        expect(new Set(gone)).to.deep.equal(new Set(items.map(({ at }) => at).filter((time) => !stay.has(time))));
      }),
    );
  });

  it('never lets the newest go', () => {
    fc.assert(
      fc.property(times, retentions, zones, (steps, retention, timeZone) => {
        const items = steps.map((step) => ({ name: String(step), at: step * 1_800_000 }));
        const gone = new Set(expired(items, retention, timeZone).map(({ name }) => name));
        expect(gone.has(String(Math.max(...steps)))).to.equal(false);
      }),
    );
  });
});
