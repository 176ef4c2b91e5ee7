/** What the status of a schedule says, from what was seen and decided. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions, formatTime } from '../../api/conditions.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import type { Schedule, ScheduleConditionType, ScheduleStatus } from '../../api/schedule.ts';
import { MAX_ACTIVE } from '../../api/schedule.ts';
import type { Decision } from './decide.ts';
import type { Run } from './runs.ts';

/** How the schedule is doing. */
export type ScheduleOutcome =
  | { readonly kind: 'kept'; readonly decision: Decision }
  | { readonly kind: 'paused' }
  /** It cannot be kept to; `message` names the field. */
  | { readonly kind: 'invalid'; readonly message: string };

export interface ScheduleStatusFacts {
  readonly schedule: Schedule<unknown>;
  readonly outcome: ScheduleOutcome;
  /** All runs there are, in the order of their times, with one that was started just now. */
  readonly runs: readonly Run<KubeObjectBase>[];
  /** The latest time that was dealt with, milliseconds; undefined when there was none. */
  readonly lastScheduled: number | undefined;
  readonly now: Date;
}

export function deriveScheduleStatus(facts: ScheduleStatusFacts): ScheduleStatus {
  const { schedule, outcome, runs, lastScheduled, now } = facts;
  const generation = schedule.metadata.generation ?? 0;
  const before = schedule.status;
  const decision = outcome.kind === 'kept' ? outcome.decision : undefined;
  const successes = runs.map((run) => (run.outcome.state === 'succeeded' ? run.outcome.doneAt : undefined));
  const lastSuccessful = latestOf([timeOf(before?.lastSuccessfulTime), ...successes], now.getTime());
  const lastMissed = decision?.missed?.latest ?? latestOf([timeOf(before?.lastMissedTime)], now.getTime());
  const active = unfinished(runs)
    .slice(0, MAX_ACTIVE)
    .map(({ name, object }) => ({ name, uid: object.metadata.uid ?? '' }));
  return {
    observedGeneration: generation,
    conditions: deriveConditions(before?.conditions, conditionsOf(facts), generation, now),
    ...time('lastScheduleTime', lastScheduled),
    ...time('lastSuccessfulTime', lastSuccessful),
    ...time('lastMissedTime', lastMissed),
    ...time('nextScheduleTime', decision?.next),
    ...(active.length === 0 ? {} : { active }),
  };
}

/** Runs of which something is still to come. */
export function unfinished<Child extends KubeObjectBase>(runs: readonly Run<Child>[]): readonly Run<Child>[] {
  return runs.filter(({ outcome, object }) => {
    return outcome.state === 'unfinished' && object.metadata.deletionTimestamp === undefined;
  });
}

/** Reads a time of a status, in milliseconds. */
export function timeOf(text: string | undefined): number | undefined {
  const at = Date.parse(text ?? '');
  return Number.isNaN(at) ? undefined : at;
}

/**
 * Nothing has happened yet that is later than now by more than this, in milliseconds: the clock was wrong then, and was set
 * right. What is less far ahead is waited for, so that no time is run twice where the clock is only put back a little.
 */
const FARTHEST_AHEAD_MS = 86_400_000;

/** Whether something may have happened then. */
export function isBelievable(at: number, now: number): boolean {
  return at <= now + FARTHEST_AHEAD_MS;
}

/** The latest of times that may be missing, as far as they are to be believed. */
export function latestOf(times: readonly (number | undefined)[], now: number): number | undefined {
  const known = times.filter((at) => at !== undefined).filter((at) => isBelievable(at, now));
  return known.length === 0 ? undefined : Math.max(...known);
}

function time(field: keyof ScheduleStatus, at: number | undefined): ScheduleStatus {
  return at === undefined ? {} : { [field]: formatTime(new Date(at)) };
}

function conditionsOf(facts: ScheduleStatusFacts): readonly ConditionInput<ScheduleConditionType>[] {
  const { outcome, schedule } = facts;
  switch (outcome.kind) {
    case 'invalid': {
      const { message } = outcome;
      return [
        { type: 'Ready', status: 'False', reason: 'InvalidSpec', message },
        { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message },
      ];
    }
    case 'paused': {
      const message = 'Nothing is done because the schedule is paused; remove the annotation to go on.';
      return [{ type: 'Ready', status: 'Unknown', reason: 'Paused', message }];
    }
    case 'kept': {
      const reason = schedule.spec.suspend === true ? 'Suspended' : 'Ready';
      return [{ type: 'Ready', status: 'True', reason, message: messageOf(facts, outcome.decision) }];
    }
  }
}

/** What a person should know of a schedule that is kept to: what it waits for, or how the last run ended. */
function messageOf({ runs }: ScheduleStatusFacts, { held }: Decision): string {
  if (held !== undefined) {
    const names = unfinished(runs).map(({ name }) => name);
    return `The run of ${formatTime(new Date(held))} waits for ${names.slice(0, 3).join(', ')}.`;
  }
  const last = runs.findLast(({ outcome }) => outcome.state === 'succeeded' || outcome.state === 'failed');
  return last?.outcome.state === 'failed' ? `The last run, ${last.name}, failed: ${last.outcome.message}` : '';
}
