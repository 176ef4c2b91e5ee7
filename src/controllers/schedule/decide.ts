/**
 * Whether a run is due. Pure, and the same for every kind of schedule. The rules are those of Kubernetes' CronJob: of all
 * the times that passed since the last run only the latest is made up for, and not later than `startingDeadlineSeconds`
 * after it; with `Forbid` it waits for the run before it. A time that is superseded or too late is missed, and said once.
 */
import type { ConcurrencyPolicy } from '../../api/schedule.ts';
import type { Timetable } from './timetable.ts';

/** All times are milliseconds since the epoch. */
export interface ScheduleFacts {
  readonly timetable: Timetable;
  readonly now: number;
  /** When the schedule was made: nothing before is missed. */
  readonly createdAt: number;
  /** Scheduled time of the latest run that was started. */
  readonly lastScheduled: number | undefined;
  /** The latest scheduled time that is known to be missed. */
  readonly lastMissed: number | undefined;
  /** How late each run is, by its jitter. */
  readonly delayMs: number;
  readonly startingDeadlineMs: number | undefined;
  readonly concurrencyPolicy: ConcurrencyPolicy;
  readonly suspended: boolean;
  /** Whether a run has not finished. */
  readonly isRunning: boolean;
}

export interface Missed {
  /** The latest of them. */
  readonly latest: number;
  /** How many; not counted beyond {@link MOST_COUNTED}. */
  readonly count: number;
}

export interface Decision {
  /** Scheduled time of the run to start now. */
  readonly start: number | undefined;
  /** Scheduled time of a run that is due and waits for the one before it. */
  readonly held: number | undefined;
  /** Times that passed without a run and were not known to have. */
  readonly missed: Missed | undefined;
  /** The next scheduled time, which may have passed if its jitter has not; undefined while suspended. */
  readonly next: number | undefined;
  /** When the answer will be another one without anything else happening. */
  readonly lookAgainAt: number | undefined;
}

/** As CronJob does, more are not told apart: a clock that was wrong would make us count for ever. */
export const MOST_COUNTED = 100;

export function decide(facts: ScheduleFacts): Decision {
  const { timetable, now, delayMs, startingDeadlineMs, concurrencyPolicy } = facts;
  if (facts.suspended) {
    return { start: undefined, held: undefined, missed: undefined, next: undefined, lookAgainAt: undefined };
  }
  const dueUpTo = now - delayMs;
  const since = handledUpTo(facts);
  const next = timetable.next(Math.max(dueUpTo, since));
  const nextAt = next === undefined ? undefined : next + delayMs;
  const due = timetable.latest(dueUpTo);
  if (due === undefined || due <= since) {
    return { start: undefined, held: undefined, missed: undefined, next, lookAgainAt: nextAt };
  }
  const tooLateAt = startingDeadlineMs === undefined ? undefined : due + delayMs + startingDeadlineMs;
  if (tooLateAt !== undefined && now > tooLateAt) {
    const missed = missedIn(timetable, since, due);
    return { start: undefined, held: undefined, missed, next, lookAgainAt: nextAt };
  }
  const missed = missedIn(timetable, since, timetable.latest(due - 1) ?? since);
  if (facts.isRunning && concurrencyPolicy === 'Forbid') {
    const times = [nextAt, tooLateAt === undefined ? undefined : tooLateAt + 1].filter((time) => time !== undefined);
    const lookAgainAt = times.length === 0 ? undefined : Math.min(...times);
    return { start: undefined, held: due, missed, next, lookAgainAt };
  }
  return { start: due, held: undefined, missed, next, lookAgainAt: nextAt };
}

/** Up to when every time was either started or is known to be missed. */
function handledUpTo({ createdAt, lastScheduled, lastMissed }: ScheduleFacts): number {
  if (lastScheduled === undefined && lastMissed === undefined) return createdAt;
  return Math.max(lastScheduled ?? Number.NEGATIVE_INFINITY, lastMissed ?? Number.NEGATIVE_INFINITY);
}

function missedIn(timetable: Timetable, since: number, latest: number): Missed | undefined {
  if (latest <= since) return undefined;
  return { latest, count: timetable.count(since, latest, MOST_COUNTED + 1) };
}
