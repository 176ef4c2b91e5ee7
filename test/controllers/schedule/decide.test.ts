import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { ScheduleFacts } from '../../../src/controllers/schedule/decide.ts';
import { decide } from '../../../src/controllers/schedule/decide.ts';
import { timetableOf } from '../../../src/controllers/schedule/timetable.ts';

const at = (time: string): number => Date.parse(`2026-01-01T${time}Z`);
const hourly = timetableOf('0 * * * *', 'UTC', at('00:00:00'));

function decided(now: string, given: Partial<ScheduleFacts> = {}) {
  const { start, held, missed, next, lookAgainAt } = decide({
    timetable: hourly,
    now: at(now),
    createdAt: at('00:30:00'),
    lastScheduled: undefined,
    lastMissed: undefined,
    delayMs: 0,
    startingDeadlineMs: undefined,
    concurrencyPolicy: 'Forbid',
    suspended: false,
    isRunning: false,
    ...given,
  });
  const iso = (time: number | undefined) =>
    time === undefined ? undefined : new Date(time).toISOString().slice(11, 19);
  return {
    start: iso(start),
    held: iso(held),
    missed: missed === undefined ? undefined : `${missed.count} until ${iso(missed.latest)}`,
    next: iso(next),
    lookAgainAt: iso(lookAgainAt),
  };
}

const NOTHING = { start: undefined, held: undefined, missed: undefined };

describe('whether a run is due', () => {
  it('waits for the first time after the schedule was made', () => {
    expect(decided('00:59:59')).to.deep.equal({ ...NOTHING, next: '01:00:00', lookAgainAt: '01:00:00' });
    expect(decided('01:00:00')).to.deep.equal({
      ...NOTHING,
      start: '01:00:00',
      next: '02:00:00',
      lookAgainAt: '02:00:00',
    });
  });

  it('starts no time twice', () => {
    const given = { lastScheduled: at('01:00:00') };
    expect(decided('01:00:01', given)).to.deep.equal({ ...NOTHING, next: '02:00:00', lookAgainAt: '02:00:00' });
    expect(decided('02:00:00', given).start).to.equal('02:00:00');
  });

  it('makes up for the latest of the times that passed, and says that the others were missed', () => {
    expect(decided('05:10:00', { lastScheduled: at('01:00:00') })).to.deep.include({
      start: '05:00:00',
      missed: '3 until 04:00:00',
    });
    expect(decided('02:10:00', { lastScheduled: at('01:00:00') })).to.deep.include({
      start: '02:00:00',
      missed: undefined,
    });
  });

  it('says once what was missed', () => {
    const given = { lastScheduled: at('01:00:00'), lastMissed: at('04:00:00') };
    expect(decided('05:10:00', given)).to.deep.include({ start: '05:00:00', missed: undefined });
    expect(decided('05:10:00', { ...given, lastMissed: at('05:00:00') })).to.deep.include(NOTHING);
  });

  it('starts nothing later than the deadline allows', () => {
    const given = { lastScheduled: at('01:00:00'), startingDeadlineMs: 60_000 };
    expect(decided('02:01:00', given)).to.deep.include({ start: '02:00:00', missed: undefined });
    expect(decided('02:01:01', given)).to.deep.equal({
      ...NOTHING,
      missed: '1 until 02:00:00',
      next: '03:00:00',
      lookAgainAt: '03:00:00',
    });
    expect(decided('05:30:00', given)).to.deep.include({ start: undefined, missed: '4 until 05:00:00' });
  });

  it('counts no more than a hundred', () => {
    const minutely = timetableOf('* * * * *', 'UTC', at('00:00:00'));
    const given = { timetable: minutely, createdAt: at('00:00:00') };
    expect(decided('10:00:00', given)).to.deep.include({ start: '10:00:00', missed: '101 until 09:59:00' });
  });

  it('is late by the jitter, and says the time without it', () => {
    const given = { delayMs: 90_000 };
    expect(decided('01:01:29', given)).to.deep.equal({ ...NOTHING, next: '01:00:00', lookAgainAt: '01:01:30' });
    expect(decided('01:01:30', given)).to.deep.include({
      start: '01:00:00',
      next: '02:00:00',
      lookAgainAt: '02:01:30',
    });
    expect(decided('01:02:30', { ...given, startingDeadlineMs: 60_000 })).to.deep.include({ start: '01:00:00' });
    expect(decided('01:02:31', { ...given, startingDeadlineMs: 60_000 })).to.deep.include({ start: undefined });
  });

  it('Forbid: waits for the run before it, as long as the deadline allows', () => {
    const running = { lastScheduled: at('01:00:00'), isRunning: true };
    expect(decided('02:00:00', running)).to.deep.equal({
      ...NOTHING,
      held: '02:00:00',
      next: '03:00:00',
      lookAgainAt: '03:00:00',
    });
    expect(decided('02:20:00', { ...running, isRunning: false }).start).to.equal('02:00:00');
    const hurried = { ...running, startingDeadlineMs: 60_000 };
    expect(decided('02:00:00', hurried)).to.deep.include({ held: '02:00:00', lookAgainAt: '02:01:00' });
    expect(decided('02:02:00', hurried)).to.deep.include({ held: undefined, missed: '1 until 02:00:00' });
    expect(decided('03:00:00', running)).to.deep.include({ held: '03:00:00', missed: '1 until 02:00:00' });
  });

  it('Allow and Replace: starts although one is running', () => {
    const running = { lastScheduled: at('01:00:00'), isRunning: true };
    expect(decided('02:00:00', { ...running, concurrencyPolicy: 'Allow' }).start).to.equal('02:00:00');
    expect(decided('02:00:00', { ...running, concurrencyPolicy: 'Replace' }).start).to.equal('02:00:00');
  });

  it('does nothing while it is suspended, and makes up for the latest afterwards', () => {
    const given = { lastScheduled: at('01:00:00') };
    expect(decided('05:10:00', { ...given, suspended: true })).to.deep.equal({
      ...NOTHING,
      next: undefined,
      lookAgainAt: undefined,
    });
    expect(decided('05:10:00', given)).to.deep.include({ start: '05:00:00' });
  });

  it('does not go back when the clock does', () => {
    expect(decided('03:30:00', { lastScheduled: at('06:00:00') })).to.deep.equal({
      ...NOTHING,
      next: '07:00:00',
      lookAgainAt: '07:00:00',
    });
  });
});
