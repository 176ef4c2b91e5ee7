/**
 * The times of a schedule, by croner. It keeps to cron's own rules where the clock is changed: with fixed minutes and hours
 * a time that is left out is run at the first moment after the gap, and one that comes twice is run the first time; with a
 * `*` or a step in one of them the runs go on evenly in real time.
 */
import { Cron } from 'croner';

/** When runs are due. All times are milliseconds since the epoch, of whole minutes. */
export interface Timetable {
  /** The first time after `moment`; undefined when there is none any more. */
  next(moment: number): number | undefined;
  /** The last time up to and including `moment`; undefined when there was none. */
  latest(moment: number): number | undefined;
  /** How many times there are after `from`, up to and including `to`; counts no further than `most`. */
  count(from: number, to: number, most: number): number;
}

/** A schedule that cannot be kept to; the message names the field. */
export class TimetableError extends Error {
  override readonly name = 'TimetableError';
}

/** What the schema accepts, so that nothing else that croner understands is let through by a server without it. */
const SCHEDULE =
  /^(?:@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*,/#-]+(?: +[0-9A-Za-z*,/#-]+){4})$/;

/**
 * Reads five fields of cron or a word such as `@daily`.
 *
 * @param timeZone A name of the IANA database.
 * @throws TimetableError when one of them is not valid, or the time never comes.
 */
export function timetableOf(schedule: string, timeZone: string, now: number): Timetable {
  const cron = readBoth(schedule, timeZone);
  const next = (moment: number): number | undefined => cron.nextRun(new Date(moment))?.getTime();
  // What croner calls previous lies before the moment that it is given.
  const latest = (moment: number): number | undefined => cron.previousRuns(1, new Date(moment + 1))[0]?.getTime();
  if (next(now) === undefined) {
    throw new TimetableError(`spec.schedule: "${schedule}" is a time that never comes`);
  }
  return {
    next,
    latest,
    count(from, to, most) {
      return cron.previousRuns(most, new Date(to + 1)).filter((time) => time.getTime() > from).length;
    },
  };
}

/** Both are judged, whatever is wrong with one of them: who mends it learns of the other in the same go. */
function readBoth(schedule: string, timeZone: string): Cron {
  const zoneProblem = problemOfTimeZone(timeZone);
  let cron: Cron;
  try {
    cron = read(schedule, zoneProblem === undefined ? timeZone : 'UTC');
  } catch (thrown) {
    if (zoneProblem === undefined || !(thrown instanceof TimetableError)) throw thrown;
    throw new TimetableError(`${thrown.message}; ${zoneProblem.message}`, { cause: thrown });
  }
  if (zoneProblem !== undefined) throw zoneProblem;
  return cron;
}

function read(schedule: string, timeZone: string): Cron {
  if (!SCHEDULE.test(schedule)) throw new TimetableError(`spec.schedule: "${schedule}" is not five fields of cron`);
  try {
    return new Cron(schedule, { mode: '5-part', fixedTimeRule: 'no-wildcard', timezone: timeZone, paused: true });
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.replace(/^CronPattern: /, '') : String(thrown);
    throw new TimetableError(`spec.schedule: "${schedule}" is not valid: ${why}`, { cause: thrown });
  }
}

function problemOfTimeZone(timeZone: string): TimetableError | undefined {
  try {
    Intl.DateTimeFormat('en', { timeZone });
    return undefined;
  } catch (cause) {
    return new TimetableError(`spec.timeZone: "${timeZone}" is not a time zone of the IANA database`, { cause });
  }
}
