/**
 * What a schedule no longer keeps, by the rules of restic's `forget`: each rule walks from the newest to the oldest and
 * keeps the first of each of its periods until it has kept as many as it says; a rule that runs out of periods keeps the
 * oldest too, which grows into one. What any rule keeps stays, so the newest always does. Pure.
 */
import type { Retention } from '../../api/schedule.ts';

/** Something that may be kept. */
export interface Kept {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

interface Rule {
  /** How many it may still keep. */
  left: number;
  /** The period of the last one that it kept. */
  last: string | undefined;
  /** Undefined: each is a period of its own. */
  readonly period: ((fields: LocalTime) => string) | undefined;
}

interface LocalTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
}

const PERIODS: Readonly<Record<Exclude<keyof Retention, 'last'>, (fields: LocalTime) => string>> = {
  hourly: ({ year, month, day, hour }) => `${year}-${month}-${day} ${hour}`,
  daily: ({ year, month, day }) => `${year}-${month}-${day}`,
  weekly: ({ year, month, day }) => String(weekOf(year, month, day)),
  monthly: ({ year, month }) => `${year}-${month}`,
  yearly: ({ year }) => String(year),
};

/**
 * Returns those that no rule keeps, the newest first.
 *
 * @param items Of the same moment, the later in this list counts as the newer.
 * @param timeZone Whose hours and days count. A name of the IANA database.
 */
export function expired<T extends Kept>(items: readonly T[], retention: Retention, timeZone: string): readonly T[] {
  const rules = rulesOf(retention);
  const newestFirst = items.toReversed().sort((a, b) => b.at - a.at);
  const localTime = localTimeIn(timeZone);
  return newestFirst.filter((item, index) => {
    const fields = localTime(item.at);
    const isOldest = index === newestFirst.length - 1;
    // Every rule is asked: one that keeps it counts it, whether or not another one keeps it too.
    const keepers = rules.filter((rule) => keeps(rule, fields, isOldest));
    return keepers.length === 0 && index > 0;
  });
}

/**
 * Those that can be put in order: what is later than now was dated by a clock that was wrong. It is neither counted nor let go,
 * because what is made from now on would pass for older, and be deleted in its place.
 */
export function datedBy<T extends Kept>(items: readonly T[], now: number): readonly T[] {
  return items.filter(({ at }) => at <= now);
}

function rulesOf(retention: Retention): readonly Rule[] {
  const rules: Rule[] = [];
  if (retention.last !== undefined) rules.push({ left: retention.last, last: undefined, period: undefined });
  for (const [name, period] of Object.entries(PERIODS)) {
    const left = retention[name as keyof typeof PERIODS];
    if (left !== undefined) rules.push({ left, last: undefined, period });
  }
  return rules;
}

function keeps(rule: Rule, fields: LocalTime, isOldest: boolean): boolean {
  if (rule.left <= 0) return false;
  const period = rule.period?.(fields);
  if (period !== undefined && period === rule.last && !isOldest) return false;
  rule.left -= 1;
  rule.last = period;
  return true;
}

/** Clocks differ by whole quarters of an hour, so that a quarter is in one hour everywhere. Milliseconds. */
const QUARTER_MS = 900_000;
/** What Intl says costs some 30 µs, and the same moments are asked for again and again. By time zone and quarter. */
const known = new Map<string, Map<number, LocalTime>>();
/** Quarters that are remembered of a time zone at most. */
const MOST_KNOWN = 20_000;

function localTimeIn(timeZone: string): (at: number) => LocalTime {
  if (timeZone === 'UTC') return utcTime;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
  });
  const times = known.get(timeZone) ?? new Map<number, LocalTime>();
  known.set(timeZone, times);
  return (at) => {
    const quarter = Math.floor(at / QUARTER_MS);
    const before = times.get(quarter);
    if (before !== undefined) return before;
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour = 0 } = parts;
    const time = { year, month, day, hour };
    if (times.size >= MOST_KNOWN) times.clear();
    times.set(quarter, time);
    return time;
  };
}

function utcTime(at: number): LocalTime {
  const date = new Date(at);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
  };
}

/** A number for each week from Monday to Sunday. The epoch was a Thursday. */
function weekOf(year: number, month: number, day: number): number {
  return Math.floor((Date.UTC(year, month - 1, day) / 86_400_000 + 3) / 7);
}
