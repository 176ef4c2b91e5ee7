import { expect } from 'chai';
import { describe, it } from 'mocha';
import { timetableOf } from '../../../src/controllers/schedule/timetable.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const at = (text: string): number => Date.parse(text);
const iso = (time: number | undefined): string =>
  time === undefined ? 'never' : new Date(time).toISOString().slice(0, 16);

/** The runs of a time span, by walking forward, and by walking back. */
function runs(schedule: string, timeZone: string, from: string, to: string): readonly string[] {
  const timetable = timetableOf(schedule, timeZone, NOW);
  const forward: number[] = [];
  for (let time = timetable.next(at(from)); time !== undefined && time <= at(to); time = timetable.next(time)) {
    forward.push(time);
  }
  const back: number[] = [];
  for (let time = timetable.latest(at(to)); time !== undefined && time > at(from); time = timetable.latest(time - 1)) {
    back.unshift(time);
  }
  expect(back).to.deep.equal(forward);
  expect(timetable.count(at(from), at(to), 20)).to.equal(forward.length);
  return forward.map(iso);
}

function refusal(schedule: string, timeZone = 'UTC'): string {
  try {
    timetableOf(schedule, timeZone, NOW);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return 'accepted';
}

describe('the times of a schedule', () => {
  it('come after a moment, or up to and with it', () => {
    const { next, latest } = timetableOf('0 2 * * *', 'UTC', NOW);
    expect(iso(next(at('2026-01-02T02:00:00Z')))).to.equal('2026-01-03T02:00');
    expect(iso(next(at('2026-01-02T01:59:59.999Z')))).to.equal('2026-01-02T02:00');
    expect(iso(latest(at('2026-01-02T02:00:00Z')))).to.equal('2026-01-02T02:00');
    expect(iso(latest(at('2026-01-02T01:59:59.999Z')))).to.equal('2026-01-01T02:00');
  });

  it('are counted no further than asked', () => {
    const { count } = timetableOf('* * * * *', 'UTC', NOW);
    expect(count(at('2026-01-01T00:00:00Z'), at('2026-01-01T00:05:00Z'), 101)).to.equal(5);
    expect(count(at('2020-01-01T00:00:00Z'), at('2026-01-01T00:00:00Z'), 101)).to.equal(101);
  });

  it('know the words', () => {
    const { next } = timetableOf('@daily', 'Asia/Kolkata', NOW);
    expect(iso(next(NOW))).to.equal('2026-01-01T18:30');
  });

  it('know the last day of a month, and that day of month and of week are alternatives', () => {
    expect(runs('0 0 L * *', 'UTC', '2028-01-15T00:00:00Z', '2028-03-15T00:00:00Z')).to.deep.equal([
      '2028-01-31T00:00',
      '2028-02-29T00:00',
    ]);
    expect(runs('0 0 1 * MON', 'UTC', '2026-01-01T12:00:00Z', '2026-01-13T00:00:00Z')).to.deep.equal([
      '2026-01-05T00:00',
      '2026-01-12T00:00',
    ]);
  });

  // Clocks: Berlin 29 March 2026 02:00 → 03:00 and 25 October 03:00 → 02:00, both at 01:00 UTC; New York 8 March
  // 02:00 → 03:00 at 07:00 UTC and 1 November 02:00 → 01:00 at 06:00 UTC.
  const FIXED: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    [
      'a time that is left out once, at the first moment after the gap',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-03-27T12:00:00Z',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      'a time that is left out once, at the first moment after the gap',
      '30 2 * * *',
      'America/New_York',
      '2026-03-06T12:00:00Z',
      ['2026-03-07T07:30', '2026-03-08T07:00', '2026-03-09T06:30'],
    ],
    [
      'a time that comes twice once, the first time',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-10-23T12:00:00Z',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      'a time that comes twice once, the first time',
      '30 1 * * *',
      'America/New_York',
      '2026-10-30T12:00:00Z',
      ['2026-10-31T05:30', '2026-11-01T05:30', '2026-11-02T06:30'],
    ],
    [
      'each of a list in the same way',
      '30 2,14 * * *',
      'Europe/Berlin',
      '2026-03-28T20:00:00Z',
      ['2026-03-29T01:00', '2026-03-29T12:30', '2026-03-30T00:30', '2026-03-30T12:30'],
    ],
    [
      'times that meet at the end of a gap once',
      '0 2,3 * * *',
      'Europe/Berlin',
      '2026-03-28T20:00:00Z',
      ['2026-03-29T01:00', '2026-03-30T00:00', '2026-03-30T01:00'],
    ],
    [
      'every hour and quarter evenly through a gap',
      '*/30 * * * *',
      'America/New_York',
      '2026-03-08T06:00:00Z',
      ['2026-03-08T06:30', '2026-03-08T07:00', '2026-03-08T07:30', '2026-03-08T08:00'],
    ],
    [
      'every hour evenly through an hour that comes twice',
      '0 * * * *',
      'Europe/Berlin',
      '2026-10-24T23:30:00Z',
      ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00', '2026-10-25T03:00'],
    ],
    [
      'the days of a week on the day of the change',
      '30 2 * * SUN',
      'America/New_York',
      '2026-03-02T12:00:00Z',
      ['2026-03-08T07:00', '2026-03-15T06:30'],
    ],
  ];
  for (const [what, schedule, timeZone, from, expected] of FIXED) {
    it(`run ${what} (${schedule}, ${timeZone})`, () => {
      expect(runs(schedule, timeZone, from, `${expected.at(-1)}:00Z`)).to.deep.equal(expected);
    });
  }

  it('name the field that is wrong', () => {
    expect(refusal('61 * * * *')).to.match(/^spec\.schedule: .*61/);
    expect(refusal('* * * * * *')).to.include('spec.schedule').and.include('five fields');
    expect(refusal('2026-01-01T00:00:00')).to.include('five fields');
    expect(refusal('*/0 * * * *')).to.include('spec.schedule');
    expect(refusal('0 2 * * *', 'Europe/Nowhere')).to.match(/^spec\.timeZone: "Europe\/Nowhere"/);
    expect(refusal('0 2 * * *', 'Local')).to.include('spec.timeZone');
    expect(refusal('x', 'Europe/Nowhere'))
      .to.include('spec.schedule: "x"')
      .and.include('spec.timeZone: "Europe/Nowhere"');
    expect(refusal('0 0 31 2 *')).to.include('never comes');
    expect(refusal('0 0 29 2 *')).to.equal('accepted');
  });
});
